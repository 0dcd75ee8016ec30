"""The task that makes the books follow the bank's notices: at once when one came here, and every few seconds."""

import asyncio
from dataclasses import dataclass

import structlog

from authz_service.bank.following import follow
from authz_service.clock import Clock
from authz_service.database import OfficePool
from authz_service.settings import Settings
from authz_service.vocabulary import Chance, ProgrammeId

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Follower:
    """Of every programme. `news` is set by the bank's door of this process; what came to another one is found, too."""

    settings: Settings
    pool: OfficePool
    clock: Clock
    chance: Chance
    news: asyncio.Event

    async def follow_for_ever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.settings.notice_seconds):
                    await self.news.wait()
            except TimeoutError:
                pass
            self.news.clear()
            await self.follow_all()

    async def follow_all(self) -> None:
        """Nothing that can be followed waits any more; a fault is logged, and tried again in the next round."""
        for programme_id in await self._programmes():
            try:
                await self._follow_programme(programme_id)
            except Exception as fault:  # noqa: BLE001  (neither this loop nor another programme waits for its end)
                log.warning("notices_not_followed", programme=programme_id, error=type(fault).__name__)

    async def _programmes(self) -> list[ProgrammeId]:
        """Those that have a bank; none while they cannot be read."""
        try:
            async with self.pool.lent() as connection:
                rows = await connection.fetch("SELECT programme_id FROM bank_partner GROUP BY 1 ORDER BY 1")
        except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
            log.warning("programmes_not_read", error=type(fault).__name__)
            return []
        return [ProgrammeId(row[0]) for row in rows]

    async def _follow_programme(self, programme_id: ProgrammeId) -> None:
        async with self.pool.lent(self.settings.settlement_seconds) as connection:
            done = await follow(connection, self.settings, programme_id, clock=self.clock, chance=self.chance)
        if done.references:
            log.info("notices_followed", programme=programme_id, references=done.references)
        if done.more:
            self.news.set()
