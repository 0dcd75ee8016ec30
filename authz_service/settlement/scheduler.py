"""Every programme's batch is closed soon after its cut-off has passed, by whichever process is first."""

import asyncio
from dataclasses import dataclass

import structlog

from authz_service.clock import Clock
from authz_service.database import OfficePool
from authz_service.settings import Settings
from authz_service.settlement.batches import BatchRefused, close_batch, due
from authz_service.vocabulary import Chance, ProgrammeId

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """Looks as often as the sweeper does. After a cut-off that was missed, or several, one batch has it all."""

    settings: Settings
    pool: OfficePool
    clock: Clock
    chance: Chance

    async def settle_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.sweep_seconds)
            await self.settle()

    async def settle(self) -> None:
        """The last cut-off that has passed has its batch, in every programme that has one; a fault is tried again."""
        try:
            async with self.pool.lent() as connection:
                programmes = [row[0] for row in await connection.fetch("SELECT programme_id FROM programme")]
        except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
            log.warning("settlement_not_looked_at", error=type(fault).__name__)
            return
        for programme_id in programmes:
            try:
                await self.settle_programme(ProgrammeId(programme_id))
            except BatchRefused as refused:
                log.warning("batch_refused", programme=programme_id, because=str(refused))
            except Exception as fault:  # noqa: BLE001  (nor does one programme's fault keep the others' shops waiting)
                log.warning("batch_not_closed", programme=programme_id, error=type(fault).__name__)

    async def settle_programme(self, programme_id: ProgrammeId) -> None:
        """Its batch of the last cut-off is there; of several processes at once one closes it, the others see that."""
        async with self.pool.lent(self.settings.settlement_seconds) as connection:
            now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
            cut_off_at = await due(connection, programme_id, now)
            if cut_off_at is None:
                return
            done = await close_batch(
                connection,
                self.settings,
                programme_id,
                cut_off_at=cut_off_at,
                actor=None,
                clock=self.clock,
                chance=self.chance,
            )
        if done.now:
            log.info("batch_closed", programme=programme_id, batch=done.batch_id)
