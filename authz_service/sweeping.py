"""Writes what came with time for families that nobody visits: the end of holds, and changes whose day has come.

Decisions follow both at their instant without this.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import OfficePool
from authz_service.registry import Principal
from authz_service.requests import Expiry
from authz_service.roll.due import apply_due
from authz_service.roll.importing.writing import write_applied
from authz_service.settings import Settings
from authz_service.tracing import Names
from authz_service.vocabulary import Chance, MerchantId, ProgrammeId, TerminalId
from authz_service.waiting import Asked, WaitingRoom

log = structlog.get_logger()
_DUE: Final = """
-- The first families with holds that are over; `$2` is how far an earlier sweep has come.
SELECT programme_id, min(authorisation_id) AS authorisation_id
  FROM hold
 WHERE programme_id = $1 AND expires_at > $2 AND expires_at <= $3 AND held_rupiah > 0
 GROUP BY programme_id, beneficiary_id
 ORDER BY min(expires_at)
 LIMIT $4
"""
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Sweeper:
    """Goes through the same door as a sale: one read, one guarded write, and whoever was faster was right."""

    settings: Settings
    room: WaitingRoom
    pool: OfficePool
    clock: Clock
    chance: Chance

    async def sweep_for_ever(self) -> None:
        swept: dict[ProgrammeId, datetime] = {}
        while True:
            await asyncio.sleep(self.settings.sweep_seconds)
            try:
                async with self.pool.lent() as connection:
                    programmes = [row[0] for row in await connection.fetch("SELECT programme_id FROM programme")]
                for programme_id in programmes:
                    swept[programme_id] = await self.sweep(programme_id, swept.get(programme_id, _BEGINNING))
                    await self.change_families(programme_id)
            except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
                log.warning("sweep_failed", error=type(fault).__name__)

    async def sweep(self, programme_id: ProgrammeId, since: datetime) -> datetime:
        """At most `sweep_families` families are visited; everything up to the returned instant is written."""
        async with self.pool.lent() as connection:
            now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
            due = await connection.fetch(_DUE, programme_id, since, now, self.settings.sweep_families)
        for start in range(0, len(due), self.settings.waiting_per_terminal):
            visits = [self._visit(row) for row in due[start : start + self.settings.waiting_per_terminal]]
            if any(
                isinstance(outcome, BaseException) for outcome in await asyncio.gather(*visits, return_exceptions=True)
            ):
                return since
        return since if len(due) == self.settings.sweep_families else now

    async def change_families(self, programme_id: ProgrammeId) -> None:
        """The changes of at most `due_changes` families whose day has come are written, each by itself."""
        async with self.pool.lent(
            self.settings.due_changes_seconds
            + self.settings.roll_settling_seconds
            + self.settings.office_deadline_seconds
        ) as connection:
            written = await apply_due(
                connection,
                programme_id=programme_id,
                now=self.clock.at(await connection.fetchval("SELECT clock_timestamp()")),
                chance=self.chance,
                limit=self.settings.due_changes,
            )
            # What a list that was applied has left to write, as where its process was killed.
            limit = self.settings.roll_settling_seconds
            listed = await write_applied(
                connection, self.settings, programme_id, clock=self.clock, chance=self.chance, limit_seconds=limit
            )
            written += listed.families if listed else 0
        if written:
            log.info("family_changes_written", programme=programme_id, families=written)

    async def _visit(self, row: asyncpg.Record) -> None:
        await self.room.answer(
            Asked(
                body=Expiry(),
                principal=Principal(
                    programme_id=ProgrammeId(row["programme_id"]),
                    terminal_id=TerminalId("sweeper"),
                    merchant_id=MerchantId(""),
                    key_digest=b"",
                ),
                key_digest=None,
                fingerprint=None,
                original_digest=None,
                card_digest=None,
                authorisation_id=row["authorisation_id"],
                names=Names("sweep"),
                dry_run=False,
                deadline=monotonic_seconds() + self.settings.deadline_seconds,
                answer=asyncio.get_running_loop().create_future(),
            )
        )
