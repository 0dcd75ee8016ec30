"""How the quarter's shops are paid, each settlement day: a batch, its file, the bank's round, inbox and statement."""

import asyncio
from datetime import datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from authz_service.bank.funding import expect_funding
from authz_service.clock import ShiftedClock, monotonic_seconds
from authz_service.demo.bank import BankBeside, Told
from authz_service.demo.town import DemoFailedError
from authz_service.enrolment.granting import grant_entitlements
from authz_service.settlement.batches import close_batch, due
from authz_service.settlement.papers import bank_file, write
from authz_service.settlement.reading import one_batch, payouts_of
from authz_service.settlement.unsettled import what_is_unsettled
from authz_service.signals.reading import zone_of
from authz_service.signals.watching import compute_day
from authz_service.simulation.end import ask, release_what_failed, resolve_wrong_amounts
from authz_service.simulation.misbehaviour import Behaviour
from authz_service.simulation.orders import Deposit
from authz_service.simulation.play import CARD_DESK, DESK, Stage, read_by_the_books
from authz_service.vocabulary import in_rupiah

DAYS_AT_MOST: Final = 20
"""After the last batch: what came back is paid again, and may come back again."""
FOLLOWED_SECONDS: Final = 30.0
"""So long the books may take to follow what the bank told of a batch; they need a second."""
LOOK_SECONDS: Final = 0.01
A_DAY: Final = timedelta(days=1)
_BATCHES: Final = """
-- Those after number $2.
SELECT b.batch_id, p.zone
  FROM settlement_batch b
  JOIN programme p USING (programme_id)
 WHERE b.programme_id = $1 AND b.number > $2
 ORDER BY b.number
"""
_NOT_FOLLOWED: Final = """
-- Notices that were kept and that nobody has looked at, and with $2 those that are parked as well.
SELECT count(*) FROM notice_standing WHERE programme_id = $1 AND (standing = 'new' OR $2 AND standing = 'parked')
"""


class Settles(Protocol):
    """Whoever pays the shops at the end of a day."""

    async def end_day(self) -> None: ...


class Settling:
    """On a connection of its own. Nobody moves the clock meanwhile but this."""

    def __init__(self, stage: Stage, bank: BankBeside, clock: ShiftedClock, behaviour: Behaviour) -> None:
        self._stage = stage
        self._bank = bank
        self._clock = clock
        self._behaviour = behaviour
        self._batches_exported = 0

    @property
    def told(self) -> Told:
        """What the bank says of itself."""
        return self._bank.told

    async def money_comes(self, announced: Deposit) -> None:
        """The city has announced its money and paid it in; bank, statement and books say so; families have theirs."""
        stage = self._stage
        await expect_funding(
            stage.connection,
            stage.programme_id,
            announced.reference,
            announced.amount_rupiah,
            actor=DESK,
            now=stage.clock.estimate(),
            chance=stage.chance,
        )
        await self._has_a_round()
        granted = await grant_entitlements(
            stage.connection,
            stage.settings,
            stage.programme_id,
            actor=DESK,
            now=stage.clock.estimate(),
            chance=stage.chance,
        )
        came, given = announced.amount_rupiah, granted.amount_rupiah
        if given != came:
            raise DemoFailedError(f"{in_rupiah(came)} came, and {in_rupiah(given)} was granted.")

    async def end_day(self) -> None:
        """The day's signals are computed. If a cut-off has passed, its batch is closed (by this or by the service that
        runs), exported and paid."""
        await look_for_signals(self._stage)
        await close_what_is_due(self._stage)
        if await self._exported():
            await self._has_a_round()

    async def end_programme(self) -> None:
        """What was captured after the last cut-off is in a batch of its own; all is paid, told and on the statement."""
        stage = self._stage
        for _ in range(DAYS_AT_MOST):
            if await what_is_unsettled(stage.connection, stage.programme_id):
                await _batch_closed(stage, None, actor=CARD_DESK)
            await self._exported()
            await self._has_a_round()
            if self._bank.told.is_idle and not await what_is_unsettled(stage.connection, stage.programme_id):
                return await self._followed(parked=True)
            self._clock.set_to(self._clock.estimate() + A_DAY)
        raise DemoFailedError(f"{DAYS_AT_MOST} days after its end the programme's shops are not paid.")

    async def _exported(self) -> int:
        """The bank has the file of every batch, as `authz settlement export --bank` writes it; how many were new."""
        stage, orders = self._stage, self._bank.orders
        rows = await stage.connection.fetch(_BATCHES, stage.programme_id, self._batches_exported)
        for row in rows:
            batch = await one_batch(stage.connection, stage.programme_id, row["batch_id"])
            payouts = await payouts_of(stage.connection, stage.programme_id, batch.batch_id)
            write(orders / f"batch-{batch.number}.csv", bank_file(batch, payouts, ZoneInfo(row["zone"])))
            self._batches_exported = batch.number
        return len(rows)

    async def _has_a_round(self) -> None:
        """It has paid and told; the inbox has followed, and the day's statement is reconciled without an exception.

        Then the desk has asked the bank for what neither told nor shows, released what failed, and resolved notices of
        a wrong amount.
        """
        await self._bank.has_a_round()
        await self._followed(parked=False)
        done = await read_by_the_books(self._bank.statement.read_text(encoding="utf-8"), self._stage)
        if done.queued.open:
            odd = next(each for each in done.findings if each.state.is_exception)
            raise DemoFailedError(f"Bank and books differ: {odd.reference} is {odd.state}. {odd.detail}")
        await ask(self._behaviour.outcome, self._stage)
        await release_what_failed(self._stage)
        await resolve_wrong_amounts(self._stage)

    async def _followed(self, *, parked: bool) -> None:
        """By the service that runs, which was told of them."""
        stage, until = self._stage, monotonic_seconds() + FOLLOWED_SECONDS
        while await stage.connection.fetchval(_NOT_FOLLOWED, stage.programme_id, parked):
            if monotonic_seconds() > until:
                raise DemoFailedError("The service does not follow what the bank told.")
            await asyncio.sleep(LOOK_SECONDS)


async def look_for_signals(stage: Stage) -> None:
    """Of the day so far: the quarter's clock leaps over nights, and over the half hour before a cut-off."""
    now = stage.clock.at(await stage.connection.fetchval("SELECT clock_timestamp()"))
    zone = await zone_of(stage.connection, stage.programme_id)
    where = (stage.connection, stage.settings, stage.programme_id)
    await compute_day(*where, now.astimezone(zone).date(), clock=stage.clock, chance=stage.chance)


async def close_what_is_due(stage: Stage) -> None:
    """The last cut-off that has passed has its batch."""
    now = stage.clock.at(await stage.connection.fetchval("SELECT clock_timestamp()"))
    cut_off_at = await due(stage.connection, stage.programme_id, now)
    if cut_off_at is not None:
        await _batch_closed(stage, cut_off_at, actor=None)


async def _batch_closed(stage: Stage, cut_off_at: datetime | None, *, actor: str | None) -> None:
    await close_batch(
        stage.connection,
        stage.settings,
        stage.programme_id,
        cut_off_at=cut_off_at,
        actor=actor,
        clock=stage.clock,
        chance=stage.chance,
    )
