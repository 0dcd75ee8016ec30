"""The bank at the end of a play: nobody is owed anything, nothing is on its way, and its statement is the books.

PlayFailed    bank and books do not agree; the message is one sentence
"""

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from authz_service.bank.following import NotOurs
from authz_service.bank.inbox import approve, resolve
from authz_service.reconciliation.exceptions import open_exceptions
from authz_service.reconciliation.findings import Step
from authz_service.serving import NotServedError
from authz_service.settlement.batches import close_batch
from authz_service.settlement.by_hand import say_of_payouts
from authz_service.settlement.instructions import PayoutEvent
from authz_service.settlement.payables import payables
from authz_service.simulation.bank import Bank
from authz_service.simulation.misbehaviour import Outcome
from authz_service.simulation.orders import PaymentOrder
from authz_service.simulation.play import (
    CARD_DESK,
    DESK,
    Stage,
    announced,
    at_the_bank,
    ordered,
    play_bank,
    read_by_the_books,
)
from authz_service.simulation.telling import LATE_ROUNDS, bank_reference_of
from authz_service.vocabulary import in_rupiah

BATCHES_AT_MOST: Final = 20
"""What fails is paid again in the next one, and may fail again."""
ROUNDS_AT_MOST: Final = LATE_ROUNDS + 4
_EVENTS: Final = """
-- Each instruction and what the books say became of it.
SELECT i.instruction_id, i.amount_rupiah,
       ARRAY(SELECT e.event FROM payout_event e
              WHERE e.programme_id = $1 AND e.instruction_id = i.instruction_id) AS events
  FROM payout_instruction i
 WHERE i.programme_id = $1
 ORDER BY i.instruction_id
"""
_PARKED: Final = """
-- Notices that two people have to look at, of an amount that is not ours.
SELECT notice_id FROM notice_standing WHERE programme_id = $1 AND standing = 'parked' AND reason = $2 ORDER BY 1
"""
_CLEARING: Final = """
-- What is on its way to shops by the books.
SELECT coalesce(sum(CASE WHEN credit_account_id = 'clearing' THEN amount_rupiah ELSE -amount_rupiah END), 0)::bigint
  FROM transfer
 WHERE programme_id = $1 AND 'clearing' IN (debit_account_id, credit_account_id)
"""
_SAID: Final = {
    Outcome.PAID: (PayoutEvent.SETTLED,),
    Outcome.FAILED: (PayoutEvent.FAILED,),
    Outcome.RETURNED: (PayoutEvent.SETTLED, PayoutEvent.RETURNED),
}


class PlayFailed(NotServedError):  # noqa: N818 - it says what is so, as declines do
    """Bank and books do not agree; the message is one sentence."""


async def end_play(bank: Bank, stage: Stage) -> None:
    """All is told, read or asked, what failed or came back is paid again, and statement and books are the same."""
    for _ in range(BATCHES_AT_MOST):
        await _close_a_batch(stage)
        for _ in range(ROUNDS_AT_MOST):
            await play_bank(bank, stage)
            if bank.is_idle:
                break
        released = await _read(bank, stage)
        await ask(bank.outcome_of, stage)
        if not released + await release_what_failed(stage):
            break
    else:
        raise PlayFailed(f"After {BATCHES_AT_MOST} batches the bank still fails to pay.")
    await resolve_wrong_amounts(stage)
    await _read(bank, stage)
    if different := await differences(bank, stage):
        raise PlayFailed(f"Bank and books differ: {'; '.join(different[:3])}.")


async def differences(bank: Bank, stage: Stage) -> Sequence[str]:
    """Where statement and books do not say the same; nothing, if they do."""
    found = [f"notice given up: {each}" for each in bank.tally.given_up]
    for row in await _events(stage):
        booked = (PayoutEvent.SETTLED in row["events"], PayoutEvent.RETURNED in row["events"])
        amounts = _amounts(bank, row["instruction_id"])
        if amounts != [-row["amount_rupiah"]] * booked[0] + [row["amount_rupiah"]] * booked[1]:
            found.append(f"{row['instruction_id']} is {row['events']} here and {amounts} there")
    odd = [each for each in await announced(stage) if _amounts(bank, each.reference) != [each.amount_rupiah]]
    found += [f"{each.reference} has not come once and whole" for each in odd]
    found += await open_exceptions(stage.connection, stage.programme_id)
    clearing = await stage.connection.fetchval(_CLEARING, stage.programme_id)
    if clearing:
        found.append(f"{in_rupiah(clearing)} are still on their way")
    owed = [each for each in await payables(stage.connection, stage.programme_id) if each.amount_rupiah > 0]
    found += [f"{each.name} is owed {in_rupiah(each.amount_rupiah)}" for each in owed]
    here, there = await at_the_bank(stage), bank.statement.balance_rupiah
    if here != there:
        found.append(f"the books have {in_rupiah(here)} at the bank, the statement {in_rupiah(there)}")
    return found


def _amounts(bank: Bank, reference: str) -> list[int]:
    return [each.credit - each.debit for each in bank.statement.of(reference)]


async def _read(bank: Bank, stage: Stage) -> int:
    """The books follow the bank's statement, also where it told nothing; how many payouts that released."""
    done = await read_by_the_books(bank.statement.text(bank.today), stage)
    return sum(Step.RELEASE in each.steps for each in done.findings)


async def _close_a_batch(stage: Stage) -> None:
    await close_batch(
        stage.connection,
        stage.settings,
        stage.programme_id,
        cut_off_at=None,
        actor=CARD_DESK,
        clock=stage.clock,
        chance=stage.chance,
    )


async def ask(outcome_of: Callable[[PaymentOrder], Outcome], stage: Stage) -> None:
    """A payment that failed in silence stands in no statement: somebody asks the bank's desk, and says so of it."""
    known = {row["instruction_id"]: row["events"] for row in await _events(stage)}
    for order in await ordered(stage):
        if known[order.reference]:
            continue
        for event in _SAID[outcome_of(order)]:
            await _say(stage, event, [order.reference], bank_reference=bank_reference_of(order))


async def release_what_failed(stage: Stage) -> int:
    """What failed is in the next batch; how many these were. What came back, the statement releases."""
    waiting = [
        row["instruction_id"]
        for row in await _events(stage)
        if PayoutEvent.FAILED in row["events"] and PayoutEvent.RELEASED not in row["events"]
    ]
    if waiting:
        await _say(stage, PayoutEvent.RELEASED, waiting, reason="rekening diperiksa, dibayarkan lagi")
    return len(waiting)


async def resolve_wrong_amounts(stage: Stage) -> None:
    """Two people have seen each notice of an amount that is not ours."""
    for row in await stage.connection.fetch(_PARKED, stage.programme_id, NotOurs.AMOUNT_DIFFERS):
        where = stage.connection, stage.programme_id, row["notice_id"]
        now, why = stage.clock.estimate(), "nominal salah, yang benar menyusul"
        await resolve(*where, resolution=why, actor=CARD_DESK, now=now, chance=stage.chance)
        await approve(*where, actor=DESK, now=now, chance=stage.chance)


async def _events(stage: Stage) -> Sequence[asyncpg.Record]:
    return await stage.connection.fetch(_EVENTS, stage.programme_id)


async def _say(
    stage: Stage,
    event: PayoutEvent,
    named: Sequence[str],
    *,
    bank_reference: str | None = None,
    reason: str | None = None,
) -> None:
    await say_of_payouts(
        stage.connection,
        stage.settings,
        stage.programme_id,
        event,
        named,
        actor=CARD_DESK,
        clock=stage.clock,
        chance=stage.chance,
        bank_reference=bank_reference,
        reason=reason,
    )
