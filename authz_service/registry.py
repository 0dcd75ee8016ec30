"""Reference data of every programme: read whole, cached under its version, never stale in a decision.

Each change of a programme, shop, terminal, product or price raises `reference.version` (a trigger). The facts of
every batch bring the version, and the record statement compares it again: a shop suspended a millisecond ago is
suspended.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from authz_service.clock import monotonic_seconds
from authz_service.database import OfficePool
from authz_service.rules.facts import Ceiling, Mark, MonthCap, Product, Programme, Shop, Terminal
from authz_service.rules.misuse import Marks
from authz_service.vocabulary import (
    AboveCeiling,
    CompanionId,
    DetailsRequired,
    MerchantId,
    MerchantStatus,
    PackageCounting,
    ProgrammeId,
    TerminalId,
    TerminalStatus,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One programme's reference data at one version."""

    version: int
    programme: Programme
    shops: Mapping[MerchantId, Shop]
    terminals: Mapping[bytes, Terminal]
    """Digest of its key → terminal; a revoked one is not there."""
    companion_labels: Mapping[CompanionId, str]
    marks: Marks = field(default_factory=dict)
    """What is declined for suspected misuse, and until when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: the terminal behind a key, and where it belongs."""

    programme_id: ProgrammeId
    terminal_id: TerminalId
    merchant_id: MerchantId
    key_digest: bytes


class Registry:
    """The cache; one per process."""

    def __init__(self, pool: OfficePool, reload_seconds: float) -> None:
        self._pool = pool
        self._reload_seconds = reload_seconds
        self._references: dict[ProgrammeId, Reference] = {}
        self._principals: dict[bytes, Principal] = {}
        self._loading = asyncio.Lock()
        self._looked_at = float("-inf")

    def reference(self, programme_id: ProgrammeId) -> Reference:
        return self._references[programme_id]

    @property
    def programmes(self) -> list[ProgrammeId]:
        return list(self._references)

    async def principal(self, key_digest: bytes, limit_seconds: float | None = None) -> Principal | None:
        """Who has this key. A key nobody has is looked for in the database at most once in `reload_seconds`."""
        known = self._principals.get(key_digest)
        if known is None and monotonic_seconds() - self._looked_at >= self._reload_seconds:
            await self.load(limit_seconds)
            known = self._principals.get(key_digest)
        return known

    async def follow(self) -> None:
        """For ever: what only reads (a catalogue, a revoked key's GET) is no staler than `reload_seconds` either."""
        while True:
            await asyncio.sleep(self._reload_seconds)
            try:
                async with self._pool.lent() as connection:
                    rows = await connection.fetch("SELECT programme_id, version FROM reference")
                if {row["programme_id"]: row["version"] for row in rows} != {
                    programme_id: reference.version for programme_id, reference in self._references.items()
                }:
                    await self.load()
            except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
                log.warning("registry_not_followed", error=type(fault).__name__)

    async def load(self, limit_seconds: float | None = None) -> None:
        """Every programme is cached as the database has it now; readers who come together share one read.

        The limit, the office's where none is given, is for the wait as well as for the read; then TimeoutError.
        """
        asked = monotonic_seconds()
        limit = self._pool.deadline_seconds if limit_seconds is None else limit_seconds
        await asyncio.wait_for(self._loading.acquire(), limit)
        try:
            if self._looked_at >= asked:
                return
            await self._load(asked + limit - monotonic_seconds())
        finally:
            self._loading.release()

    async def _load(self, limit_seconds: float) -> None:
        started = monotonic_seconds()
        async with (
            self._pool.lent(limit_seconds) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            references = await _read(connection, self._references)
        self._references = references
        self._principals = {
            digest: Principal(
                programme_id=programme_id,
                terminal_id=terminal.terminal_id,
                merchant_id=terminal.merchant_id,
                key_digest=digest,
            )
            for programme_id, reference in references.items()
            for digest, terminal in reference.terminals.items()
        }
        self._looked_at = started


async def read_reference(connection: Any, programme_id: ProgrammeId) -> Reference:
    """The programme's reference data as this connection sees it; for commands, which have no cache."""
    return (await _read(connection, {}))[programme_id]


async def _read(connection: Any, known: Mapping[ProgrammeId, Reference]) -> dict[ProgrammeId, Reference]:
    """Every programme that can be read; of one that cannot, what was known before, which decides nothing any more."""
    tables = {name: await _grouped(connection, statement) for name, statement in _TABLES.items()}
    references = {}
    for row in await connection.fetch("SELECT p.*, r.version FROM programme p JOIN reference r USING (programme_id)"):
        programme_id = ProgrammeId(row["programme_id"])
        try:
            references[programme_id] = _reference(row, {name: groups[programme_id] for name, groups in tables.items()})
        except (KeyError, ValueError):
            log.exception("programme_unreadable", programme=programme_id)
            if programme_id in known:
                references[programme_id] = known[programme_id]
    return references


def _reference(row: asyncpg.Record, tables: Mapping[str, list[asyncpg.Record]]) -> Reference:
    districts = {district["district_code"]: district["name"] for district in tables["districts"]}
    return Reference(
        version=row["version"],
        programme=programme_of(row, tables),
        shops={shop["merchant_id"]: shop_of(shop, districts[shop["district_code"]]) for shop in tables["shops"]},
        terminals={
            terminal["key_digest"]: _terminal(terminal)
            for terminal in tables["terminals"]
            if terminal["status"] != TerminalStatus.REVOKED
        },
        companion_labels={each["companion_id"]: each["label"] for each in tables["companions"]},
        marks=marks_of(tables["marks"]),
    )


_TABLES: Final = {
    "shops": "SELECT * FROM merchant",
    "districts": "SELECT * FROM district",
    "terminals": "SELECT * FROM terminal",
    "month_caps": "SELECT * FROM month_cap ORDER BY valid_from",
    "categories": "SELECT * FROM category ORDER BY position",
    "products": "SELECT * FROM product ORDER BY name, unit",
    "ceilings": "SELECT * FROM price_ceiling ORDER BY valid_from, district_code",
    "companions": "SELECT programme_id, companion_id, label FROM companion",
    "marks": "SELECT programme_id, subject_id, signal, until FROM signal_mark ORDER BY subject_id, signal",
}


async def _grouped(connection: Any, statement: str) -> dict[str, list[asyncpg.Record]]:
    groups: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(statement):
        groups[row["programme_id"]].append(row)
    return groups


def programme_of(row: asyncpg.Record, tables: Mapping[str, list[asyncpg.Record]]) -> Programme:
    listed: dict[tuple[str, str], Product] = {}
    for each in tables["products"]:
        product = _product(each, tables["ceilings"])
        listed[product.name, product.unit] = product
        if product.gtin is not None:
            listed[product.gtin, product.unit] = product
    return Programme(
        programme_id=ProgrammeId(row["programme_id"]),
        name=row["name"],
        operator_name=row["operator_name"],
        zone=ZoneInfo(row["zone"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        closed_at=row["closed_at"],
        entitlement_rupiah=row["entitlement_rupiah"],
        package_rupiah=row["package_rupiah"],
        month_cap_rupiah=row["month_cap_rupiah"],
        month_packages=row["month_packages"],
        month_caps=tuple(
            MonthCap(valid_from=cap["valid_from"], cap_rupiah=cap["cap_rupiah"], packages_cap=cap["packages_cap"])
            for cap in tables["month_caps"]
        ),
        package_counting=PackageCounting(row["package_counting"]),
        above_ceiling=AboveCeiling(row["above_ceiling"]),
        details_required=DetailsRequired(row["details_required"]),
        hold_seconds=row["hold_seconds"],
        cash_categories=frozenset(row["cash_categories"]),
        categories={category["category"]: category["name"] for category in tables["categories"]},
        products=listed,
        ceiling_categories=frozenset(product.category for product in listed.values() if product.ceilings),
    )


def _product(row: asyncpg.Record, ceilings: list[asyncpg.Record]) -> Product:
    return Product(
        category=row["category"],
        name=row["name"],
        unit=row["unit"],
        gtin=row["gtin"],
        ceilings=tuple(
            Ceiling(
                district_code=ceiling["district_code"] or None,
                price_rupiah=ceiling["price_rupiah"],
                valid_from=ceiling["valid_from"],
                valid_to=ceiling["valid_to"],
            )
            for ceiling in ceilings
            if ceiling["product"] == row["name"] and ceiling["unit"] == row["unit"]
        ),
    )


def marks_of(rows: Iterable[asyncpg.Record]) -> Marks:
    marks: dict[str, tuple[Mark, ...]] = {}
    for row in rows:
        mark = Mark(subject_id=row["subject_id"], signal=row["signal"], until=row["until"])
        marks[mark.subject_id] = (*marks.get(mark.subject_id, ()), mark)
    return marks


def shop_of(row: asyncpg.Record, district_name: str = "") -> Shop:
    return Shop(
        merchant_id=MerchantId(row["merchant_id"]),
        name=row["name"],
        district_code=row["district_code"],
        district_name=district_name,
        status=MerchantStatus(row["status"]),
        admitted_on=row["admitted_on"],
        leaves_on=row["leaves_on"],
        opens_at=row["opens_at"],
        closes_at=row["closes_at"],
    )


def _terminal(row: asyncpg.Record) -> Terminal:
    return Terminal(
        terminal_id=TerminalId(row["terminal_id"]),
        merchant_id=MerchantId(row["merchant_id"]),
        status=TerminalStatus(row["status"]),
    )
