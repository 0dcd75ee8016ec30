"""The task that seals what is committed, in every process, one at a time for each chain; and looks back once a day."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import OfficePool
from authz_service.events.kinds import BooksSealed
from authz_service.events.outbox import publish
from authz_service.ledger.seal import Sealed, seal, seal_late, stragglers
from authz_service.ledger.sealed_rows import CHAINS, Chain
from authz_service.metrics import ALERTS, SEALED_HEAD_AGE, SEALED_ROWS
from authz_service.settings import Settings
from authz_service.vocabulary import Chance, ProgrammeId

log = structlog.get_logger()
_LOOKS_BACK: Final = """
-- Of several processes one looks back; what it finds is in no block, so a second one would find nothing new.
UPDATE seal_head SET looked_back_at = clock_timestamp()
 WHERE programme_id = $1 AND chain = $2 AND looked_back_at < clock_timestamp() - $3::interval
RETURNING blocks, rows, clock_timestamp() AS database_now,
          (SELECT head FROM seal_block WHERE programme_id = $1 AND chain = $2 ORDER BY number DESC LIMIT 1) AS root
"""
_MUCH_LONGER: Final = 9
"""After a round it rests so many times as long as that took: whatever happens, it has a tenth of one connection."""


@dataclass(slots=True, kw_only=True)
class Sealer:
    """Of every chain of every programme."""

    settings: Settings
    pool: OfficePool
    clock: Clock
    chance: Chance
    _up_to_date_at: dict[tuple[ProgrammeId, str], float] = field(default_factory=dict)
    """When nothing was left, by this process's own clock."""

    async def seal_for_ever(self) -> None:
        await asyncio.sleep(self.settings.seal_seconds)
        while True:
            began = monotonic_seconds()
            is_behind = await self.seal_all()
            took = monotonic_seconds() - began
            # Behind the books, it works half of the time: it must gain on them.
            await asyncio.sleep(took if is_behind else max(self.settings.seal_seconds, _MUCH_LONGER * took))

    async def seal_all(self) -> bool:
        """Every chain was gone on with; whether one is behind. A fault is logged, and tried again in the next round."""
        is_behind = False
        for programme_id in await self._programmes():
            for chain in CHAINS.values():
                try:
                    sealed = await self._seal(programme_id, chain)
                    is_behind = is_behind or (sealed is not None and sealed.unsealed_seconds > 0)
                    await self.look_back(programme_id, chain)
                except Exception as fault:  # noqa: BLE001  (neither this loop nor another chain waits for its end)
                    self._is_late(programme_id, chain)
                    log.warning("not_sealed", programme=programme_id, chain=chain.name, error=type(fault).__name__)
        return is_behind

    async def look_back(self, programme_id: ProgrammeId, chain: Chain) -> None:
        """Once a day: what was passed over is sealed now, and somebody is told; other systems hear of the head."""
        every = timedelta(seconds=self.settings.seal_look_back_seconds)
        async with self.pool.lent() as connection, connection.transaction():
            head = await connection.fetchrow(_LOOKS_BACK, programme_id, chain.name, every)
            if head is None:
                return
            if head["root"] is not None:
                event = BooksSealed(chain=chain.name, blocks=head["blocks"], rows=head["rows"], root=head["root"].hex())
                at = self.clock.at(head["database_now"])
                await publish(connection, programme_id, event, at=at, chance=self.chance)
        limit_seconds = self.settings.audit_statement_timeout_ms / 1000 + self.settings.office_deadline_seconds
        async with self.pool.lent(limit_seconds) as connection:
            while late := await stragglers(connection, self.settings, programme_id, chain):
                ids = [row_id for row_id, _ in late]
                sealed = await seal_late(connection, self.settings, programme_id, chain, ids)
                if sealed is None or not sealed.rows:
                    break
                ALERTS.labels("sealed_late").inc()
                log.error("sealed_late", programme=programme_id, chain=chain.name, rows=sealed.rows, first=ids[0])

    async def _seal(self, programme_id: ProgrammeId, chain: Chain) -> Sealed | None:
        limit_seconds = self.settings.seal_statement_timeout_ms / 1000 + self.settings.seal_round_seconds
        async with self.pool.lent(limit_seconds) as connection:
            sealed = await seal(connection, self.settings, programme_id, chain)
        if sealed is not None:
            SEALED_HEAD_AGE.labels(programme_id, chain.name).set(sealed.unsealed_seconds)
            SEALED_ROWS.labels(programme_id, chain.name).set(sealed.rows_of_all)
            self._up_to_date_at[programme_id, chain.name] = monotonic_seconds() - sealed.unsealed_seconds
        return sealed

    def _is_late(self, programme_id: ProgrammeId, chain: Chain) -> None:
        """Nobody knows what is unsealed; it is no older than when nothing was."""
        place = (programme_id, chain.name)
        since = self._up_to_date_at.setdefault(place, monotonic_seconds())
        SEALED_HEAD_AGE.labels(*place).set(monotonic_seconds() - since)

    async def _programmes(self) -> list[ProgrammeId]:
        """None while they cannot be read; then every chain that this process has sealed is late."""
        try:
            async with self.pool.lent() as connection:
                rows = await connection.fetch("SELECT programme_id FROM programme ORDER BY programme_id")
        except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
            log.warning("programmes_not_read", error=type(fault).__name__)
            for programme_id, name in self._up_to_date_at:
                self._is_late(programme_id, CHAINS[name])
            return []
        return [ProgrammeId(row[0]) for row in rows]
