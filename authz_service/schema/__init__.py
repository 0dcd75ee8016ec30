"""Every table of the service, once. `programme_id` is the first column of every key.

Tables that grow have no foreign keys (16 µs a row and key, and a lock on the busy shop's row); `ledger/audit.py`
looks for orphans instead, and parents are never deleted. What must never be is refused by CHECKs; what must never
change is refused by triggers. The migrations make the same; a test compares the two.
"""

from sqlalchemy import DDL, event

from authz_service.schema import (
    bank,
    books,
    events,
    people,
    reconciliation,
    reference,
    roll,
    roll_import,
    seals,
    settlement,
    signals,
)
from authz_service.schema.columns import metadata
from authz_service.schema.guards import REFERENCE_KEY, guards
from authz_service.schema.hot_rows import ROW_TYPES

__all__ = (
    "bank",
    "books",
    "events",
    "metadata",
    "people",
    "reconciliation",
    "reference",
    "roll",
    "roll_import",
    "seals",
    "settlement",
    "signals",
)
"""The metadata, and the modules whose tables are in it."""

for _name, _columns in ROW_TYPES.items():
    event.listen(metadata, "before_create", DDL(f"CREATE TYPE {_name} AS ({_columns})"))  # type: ignore[no-untyped-call]
# Before the tables: a column of the history is computed by it.
event.listen(metadata, "before_create", DDL(REFERENCE_KEY))  # type: ignore[no-untyped-call]
for _statement in guards():
    event.listen(metadata, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
