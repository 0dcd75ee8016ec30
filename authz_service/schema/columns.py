"""What tables are made of: the columns and checks that many of them have."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    MetaData,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

Id = Text(collation="C")
"""Ids sort by time byte for byte, whatever the database's language."""
Instant = DateTime(timezone=True)
Rupiah = BigInteger
HOT_FILLFACTOR = 80
"""Room on the page for the next version of a row that the hot path updates."""


def id_column(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Id, nullable=nullable)


def rupiah_column(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Rupiah, nullable=nullable)


def one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")
