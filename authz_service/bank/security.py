"""The security log: who was refused at the bank's door, and why. Bounded, so that nobody can fill the disk with it."""

from dataclasses import dataclass, field
from typing import Final

import asyncpg
import structlog

from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import OfficePool
from authz_service.metrics import SECURITY_EVENTS
from authz_service.settings import Settings
from authz_service.vocabulary import CHANCE_BYTES, Chance, new_id

log = structlog.get_logger()
_KEEP: Final = """
INSERT INTO security_event (event_id, occurred_at, kind, claimed_partner, request_id) VALUES ($1, $2, $3, $4, $5)
"""
CLAIM_LIMIT: Final = 36
_MINUTE_SECONDS: Final = 60.0


@dataclass(slots=True, kw_only=True)
class SecurityLog:
    """Each event is counted; of a minute's events the first ones are also kept in the database."""

    settings: Settings
    pool: OfficePool
    clock: Clock
    chance: Chance
    _minute_began: float = field(default=float("-inf"), init=False)
    _kept: int = field(default=0, init=False)

    async def tell(self, kind: str, claimed_partner: str, request_id: str) -> None:
        """Counted, logged, and kept while this minute has room. What the sender claims to be is cut to its size."""
        SECURITY_EVENTS.labels(kind).inc()
        if not self._has_room():
            return
        claimed = "".join(each if each.isascii() and each.isprintable() else "?" for each in claimed_partner)
        log.warning("refused_at_the_banks_door", kind=kind, request_id=request_id)
        try:
            async with self.pool.lent() as connection:
                now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
                event_id = new_id("sec", now, self.chance(CHANCE_BYTES))
                await connection.execute(_KEEP, event_id, now, kind, claimed[:CLAIM_LIMIT], request_id)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as fault:
            log.error("security_event_not_kept", kind=kind, request_id=request_id, error=type(fault).__name__)  # noqa: TRY400

    def _has_room(self) -> bool:
        now = monotonic_seconds()
        if now - self._minute_began >= _MINUTE_SECONDS:
            self._minute_began, self._kept = now, 0
        self._kept += 1
        return self._kept <= self.settings.security_events_per_minute
