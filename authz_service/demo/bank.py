"""The bank in the quarter: it pays, on the day of the batch, whatever it is told to pay."""

from typing import Final

import asyncpg

from authz_service.clock import ShiftedClock
from authz_service.settings import Settings
from authz_service.settlement.batches import close_batch, due
from authz_service.settlement.by_hand import say_of_payouts
from authz_service.settlement.instructions import PayoutEvent
from authz_service.vocabulary import Chance, ProgrammeId

BANK: Final = "meja kartu bank"
_UNDER_WAY: Final = """
-- The batches with instructions of which the bank has said nothing yet.
SELECT DISTINCT i.batch_id
  FROM payout_instruction i
 WHERE i.programme_id = $1
   AND NOT EXISTS (SELECT FROM payout_event e WHERE e.programme_id = $1 AND e.instruction_id = i.instruction_id)
 ORDER BY i.batch_id
"""


class Bank:
    """On one connection, which nobody else uses meanwhile."""

    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        settings: Settings,
        programme_id: ProgrammeId,
        clock: ShiftedClock,
        chance: Chance,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._programme_id = programme_id
        self._clock = clock
        self._chance = chance

    async def end_day(self) -> None:
        """If a cut-off has passed, its batch is closed (by this or by the service that runs) and paid."""
        now = self._clock.at(await self._connection.fetchval("SELECT clock_timestamp()"))
        cut_off_at = await due(self._connection, self._programme_id, now)
        if cut_off_at is not None:
            await close_batch(
                self._connection,
                self._settings,
                self._programme_id,
                cut_off_at=cut_off_at,
                actor=None,
                clock=self._clock,
                chance=self._chance,
            )
        await self._pay()

    async def end_programme(self) -> None:
        """What was captured after the last cut-off is in a batch of its own, and paid."""
        await close_batch(
            self._connection,
            self._settings,
            self._programme_id,
            cut_off_at=None,
            actor=BANK,
            clock=self._clock,
            chance=self._chance,
        )
        await self._pay()

    async def _pay(self) -> None:
        for row in await self._connection.fetch(_UNDER_WAY, self._programme_id):
            await say_of_payouts(
                self._connection,
                self._settings,
                self._programme_id,
                PayoutEvent.SETTLED,
                [row["batch_id"]],
                actor=BANK,
                clock=self._clock,
                chance=self._chance,
                bank_reference=f"KALTIMTARA-{row['batch_id'][-8:]}",
            )
