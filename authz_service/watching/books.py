"""What is new in the books is checked again and again in the background; what breaks an invariant is an alarm."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from authz_service.clock import Clock, epoch_seconds, monotonic_seconds
from authz_service.database import Connection, connect_watch
from authz_service.exposition import tell
from authz_service.ledger.checking import check_and_keep
from authz_service.ledger.checkpoints import last_clean, last_in_full
from authz_service.metrics import ALERTS, LEDGER_CHECK_FAILURES, LEDGER_CHECKED_AT, LEDGER_VIOLATIONS
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId

log = structlog.get_logger()
TURNS: Final = 3
_ALARM: Final = "ledger_violation"


@dataclass(slots=True, kw_only=True)
class _Books:
    """What is known of one programme's."""

    violations: dict[str, int] = field(default_factory=dict)
    """By invariant, as it was last asked."""
    in_full_at: datetime | None = None
    """When this process last checked all, by the service's clock."""
    in_full: float = float("-inf")
    """The same, by this machine's."""


@dataclass(slots=True, kw_only=True)
class BooksWatch:
    """Called by the process that watches, and by no other."""

    settings: Settings
    url: str
    clock: Clock
    _books: dict[str, _Books] = field(default_factory=dict)

    async def check(self) -> None:
        """Every programme's new transfers were checked, on a connection that lives no longer than that, and what was
        found is told; a check that cannot be done is counted, and told as nothing."""
        try:
            connection = await connect_watch(self.settings, self.url, self.settings.audit_statement_timeout_ms, {})
            try:
                rows = await connection.fetch("SELECT programme_id FROM programme ORDER BY programme_id")
                enrolled = [ProgrammeId(row["programme_id"]) for row in rows]
                self._books = {each: self._books.get(each) or _Books() for each in enrolled}
                for programme_id in enrolled:
                    await self._check_programme(connection, programme_id, self._books[programme_id])
            finally:
                connection.terminate()
        except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one turn)
            LEDGER_CHECK_FAILURES.inc()
            log.warning("books_not_checked", error=type(fault).__name__)
            return
        found: dict[str, int] = {}
        for books in self._books.values():
            for invariant, violations in books.violations.items():
                found[invariant] = found.get(invariant, 0) + violations
        samples = [LEDGER_VIOLATIONS.of(violations, invariant) for invariant, violations in found.items()]
        tell("books", samples, good_for_seconds=TURNS * self.settings.ledger_check_seconds)
        LEDGER_CHECKED_AT.set(epoch_seconds())

    async def _check_programme(self, connection: Connection, programme_id: ProgrammeId, books: _Books) -> None:
        last = await last_clean(connection, programme_id)
        if last is None:
            if monotonic_seconds() - books.in_full < self.settings.ledger_check_in_full_seconds:
                return
            books.in_full = monotonic_seconds()
        elif _was_mended(books, await last_in_full(connection, programme_id)):
            books.violations.clear()
        checked = await check_and_keep(connection, self.settings, programme_id, self.clock, last)
        if last is None:
            books.in_full_at = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        for finding in checked.findings:
            name, before = finding.invariant.name, books.violations.get(finding.invariant.name, 0)
            books.violations[name] = finding.violations
            if finding.violations:
                log.error(_ALARM, programme=programme_id, invariant=name, violations=finding.violations)
                if finding.violations > before:
                    ALERTS.labels(_ALARM).inc()


def _was_mended(books: _Books, in_order_at: datetime | None) -> bool:
    """Somebody has checked all since, and found it in order."""
    return in_order_at is not None and books.in_full_at is not None and in_order_at > books.in_full_at
