"""The books follow what the bank told: each kept notice once, whatever the order in which they came.

All that was ever told of one payout is looked at together, under the programme's lock, so it makes no difference
whether a notice comes twice, late, before its success or before we know its batch; and a service that is killed here
finds the same notices again, of which the books follow each once. What they do not follow is parked with its reason.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg
import structlog

from authz_service.bank.notice import Parked, Standing, Told, next_step
from authz_service.bank.told import told_of_parked
from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.events.kinds import ProgrammeFunded
from authz_service.events.outbox import publish
from authz_service.ledger.bookings import book
from authz_service.ledger.entries import BooksBusy, alone_with
from authz_service.ledger.postings import funded
from authz_service.settings import Settings
from authz_service.settlement import instructions
from authz_service.settlement.instructions import PayoutEvent, Source, fail_payout, return_payout, settle_payout
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, TransferId, new_id

log = structlog.get_logger()
_WAITING: Final = """
-- References of which something was told that nobody has looked at, or that waits for what may have come meanwhile:
-- our own order or announcement ($2), or the payment ($3), also of what failed by the books and was paid after all.
SELECT n.reference, min(n.notice_id) AS notice_id
  FROM notice_standing s
  JOIN bank_notice n USING (programme_id, notice_id)
 WHERE s.programme_id = $1
   AND (s.standing = 'new'
        OR s.standing = 'parked' AND s.reason = $2
           AND EXISTS (SELECT FROM payout_instruction i
                        WHERE i.programme_id = $1 AND i.instruction_id = n.reference
                        UNION ALL
                       SELECT FROM expected_funding f WHERE f.programme_id = $1 AND f.reference = n.reference)
        OR s.standing = 'parked' AND s.reason = ANY ($3)
           AND EXISTS (SELECT FROM payout_event e
                        WHERE e.programme_id = $1 AND e.instruction_id = n.reference AND e.event = 'settled'))
 GROUP BY n.reference
 ORDER BY min(n.notice_id)
 LIMIT $4
"""
_TOLD: Final = """
-- All that was ever told of a reference, the earliest first: what was told a thousand times is one row. What two people
-- have resolved is not heard any more.
SELECT n.status, n.amount_rupiah, n.bank_reference, (array_agg(n.partner_id ORDER BY n.notice_id))[1] AS partner_id
  FROM bank_notice n
  JOIN notice_standing s USING (programme_id, notice_id)
 WHERE n.programme_id = $1 AND n.reference = $2 AND s.standing <> 'resolved'
 GROUP BY n.status, n.amount_rupiah, n.bank_reference
 ORDER BY min(n.notice_id)
"""
_INSTRUCTION: Final = """
-- What we asked the bank to pay, and what the books say has become of it.
SELECT i.amount_rupiah, p.closed_at IS NOT NULL AS programme_is_closed,
       ARRAY(SELECT e.event FROM payout_event e WHERE e.programme_id = $1 AND e.instruction_id = $2) AS events
  FROM payout_instruction i
  JOIN programme p USING (programme_id)
 WHERE i.programme_id = $1 AND i.instruction_id = $2
"""
_FUNDING: Final = """
-- Money that the sponsor has announced under a reference, and whether it has come.
SELECT f.amount_rupiah, p.closed_at IS NOT NULL AS programme_is_closed,
       EXISTS (SELECT FROM transfer t
                WHERE t.programme_id = $1 AND t.kind = 'fund' AND t.authorisation_id IS NULL
                  AND t.reason = $2) AS has_come
  FROM expected_funding f
  JOIN programme p USING (programme_id)
 WHERE f.programme_id = $1 AND f.reference = $2
"""
_LOOKED_AT: Final = """
-- What became of each notice that told this, where it is something else than before.
UPDATE notice_standing s
   SET standing = verdict.standing, reason = verdict.reason, looked_at = $3
  FROM bank_notice n
  JOIN (SELECT *, CASE WHEN reason IS NULL THEN 'followed' ELSE 'parked' END AS standing
          FROM unnest($4::text[], $5::bigint[], $6::text[], $7::text[])
               AS told(status, amount_rupiah, bank_reference, reason)) verdict
    USING (status, amount_rupiah, bank_reference)
 WHERE n.programme_id = $1 AND n.reference = $2 AND s.programme_id = $1 AND s.notice_id = n.notice_id
   AND s.standing <> 'resolved' AND (s.standing, s.reason) IS DISTINCT FROM (verdict.standing, verdict.reason)
RETURNING n.notice_id, n.partner_id, n.status, n.amount_rupiah, s.reason
"""


class NotOurs(StrEnum):
    """Why a notice is parked before it is asked what it tells."""

    REFERENCE_UNKNOWN = "reference_unknown"
    """We have asked for no such payment, and nobody has announced such money, yet."""
    AMOUNT_DIFFERS = "amount_differs"
    FUNDING_HAS_NOT_COME = "funding_has_not_come"
    """The bank tells of announced money something else than that it came."""
    PROGRAMME_CLOSED = "programme_closed"
    """It would move money of a programme in which no money moves any more."""
    PAID_UNDER_ANOTHER_REFERENCE = "paid_under_another_reference"
    """The bank gives a second payment of its own for one of ours: only its statement shows whether it paid twice."""


_UNTIL_IT_IS_PAID: Final = (
    Parked.RETURN_BEFORE_SUCCESS,
    Parked.SUCCESS_AFTER_FAILED,
    Parked.RETURN_OF_A_FAILED_PAYMENT,
)
"""These end by themselves when the books say that it was paid; after a failure two people alone can make them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How many references were looked at, and whether more may wait."""

    references: int
    more: bool


async def follow(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, *, clock: Clock, chance: Chance
) -> Followed:
    """The books follow all that was told of so many references, each in a transaction of its own."""
    limit = settings.notices_in_a_round
    waiting = await connection.fetch(_WAITING, programme_id, NotOurs.REFERENCE_UNKNOWN, _UNTIL_IT_IS_PAID, limit)
    done = 0
    for row in waiting:
        try:
            async with alone_with(connection, settings, programme_id):
                now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
                await _follow(connection, programme_id, row["reference"], now, chance)
        except BooksBusy:
            raise  # the next one would wait as long for the same lock
        except Exception as fault:
            # What is told of other payments does not wait for this one, whatever is wrong with it.
            if connection.is_closed():
                raise
            log.warning("notice_not_followed", notice=row["notice_id"], error=type(fault).__name__)
        else:
            done += 1
    return Followed(references=done, more=done == limit)


async def _follow(
    connection: Connection, programme_id: ProgrammeId, reference: str, now: datetime, chance: Chance
) -> None:
    notices = await connection.fetch(_TOLD, programme_id, reference)
    if (instruction := await connection.fetchrow(_INSTRUCTION, programme_id, reference)) is not None:
        reasons: Sequence[str | None] = await _follow_payout(
            connection, programme_id, reference, instruction, notices, now, chance
        )
    elif (funding := await connection.fetchrow(_FUNDING, programme_id, reference)) is not None:
        reasons = await _follow_funding(connection, programme_id, reference, funding, notices, now, chance)
    else:
        reasons = [NotOurs.REFERENCE_UNKNOWN] * len(notices)
    columns = [[row[name] for row in notices] for name in ("status", "amount_rupiah", "bank_reference")]
    changed = await connection.fetch(_LOOKED_AT, programme_id, reference, now, *columns, reasons)
    told = told_of_parked(changed, reference if instruction is not None else None)
    await publish(connection, programme_id, *told, at=now, chance=chance)


async def _follow_payout(
    connection: Connection,
    programme_id: ProgrammeId,
    reference: str,
    instruction: asyncpg.Record,
    notices: Sequence[asyncpg.Record],
    now: datetime,
    chance: Chance,
) -> Sequence[Parked | NotOurs | None]:
    """Why what was told is parked, None where the books follow it."""
    of_the_amount = [row for row in notices if row["amount_rupiah"] == instruction["amount_rupiah"]]
    followed = standing_of(instruction["events"])
    step = next_step(followed, [Told(row["status"]) for row in of_the_amount])
    if instruction["programme_is_closed"] and step.standing is not followed:
        return [NotOurs.PROGRAMME_CLOSED] * len(notices)
    for told, change in _changes(followed, step.standing):
        notice = next(row for row in of_the_amount if row["status"] == told)
        said = instructions.Told(
            source=Source.NOTICE, actor=notice["partner_id"], at=now, bank_reference=notice["bank_reference"]
        )
        await change(connection, programme_id, reference, told=said, chance=chance)
    paid_as = next((row["bank_reference"] for row in of_the_amount if row["status"] == Told.SUCCESS), None)
    parked = dict(step.parked)
    if PayoutEvent.FAILED in instruction["events"]:
        # The books did follow it, also where two people have said since that the payment was made after all.
        parked.pop(Told.FAILED, None)
    return [_why_parked(row, instruction["amount_rupiah"], parked, paid_as) for row in notices]


def _why_parked(
    row: asyncpg.Record, amount_rupiah: int, parked: Mapping[Told, Parked], paid_as: str | None
) -> Parked | NotOurs | None:
    """`paid_as` is what the bank called the payment when it first told of its success."""
    if row["amount_rupiah"] != amount_rupiah:
        return NotOurs.AMOUNT_DIFFERS
    if row["status"] == Told.SUCCESS and row["bank_reference"] != paid_as:
        return NotOurs.PAID_UNDER_ANOTHER_REFERENCE
    return parked.get(Told(row["status"]))


Change = Callable[..., Awaitable[object]]


def _changes(followed: Standing, standing: Standing) -> list[tuple[Told, Change]]:
    """What takes the books from where they are to where they go, and what the bank must have told for it."""
    way = {
        (Standing.UNDER_WAY, Standing.SETTLED): [(Told.SUCCESS, settle_payout)],
        (Standing.UNDER_WAY, Standing.FAILED): [(Told.FAILED, fail_payout)],
        (Standing.UNDER_WAY, Standing.RETURNED): [(Told.SUCCESS, settle_payout), (Told.RETURNED, return_payout)],
        (Standing.SETTLED, Standing.RETURNED): [(Told.RETURNED, return_payout)],
    }
    return list(way.get((followed, standing), []))


def standing_of(events: Collection[str]) -> Standing:
    """Where the books say that a payout is; that it was released again does not change what the bank did, and what
    failed first and was paid after all is paid."""
    if PayoutEvent.RETURNED in events:
        return Standing.RETURNED
    if PayoutEvent.SETTLED in events:
        return Standing.SETTLED
    return Standing.FAILED if PayoutEvent.FAILED in events else Standing.UNDER_WAY


async def _follow_funding(
    connection: Connection,
    programme_id: ProgrammeId,
    reference: str,
    funding: asyncpg.Record,
    notices: Sequence[asyncpg.Record],
    now: datetime,
    chance: Chance,
) -> list[NotOurs | None]:
    """As for a payout. Announced money that the bank says has come is the programme's, and nobody's yet."""
    amount_rupiah = funding["amount_rupiah"]
    came = [row for row in notices if row["amount_rupiah"] == amount_rupiah and row["status"] == Told.SUCCESS]
    came_as = came[0]["bank_reference"] if came else None
    reasons = [_why_not_followed(row, amount_rupiah, came_as) for row in notices]
    has_come = any(
        Told(row["status"]) is Told.SUCCESS for row, why in zip(notices, reasons, strict=True) if why is None
    )
    if has_come and not funding["has_come"]:
        if funding["programme_is_closed"]:
            return [NotOurs.PROGRAMME_CLOSED] * len(notices)
        transfer_id = TransferId(new_id("trf", now, chance(CHANCE_BYTES)))
        await book(connection, programme_id, funded(transfer_id, funding["amount_rupiah"], now, reference))
        event = ProgrammeFunded(transfer_id=transfer_id, reference=reference, amount=funding["amount_rupiah"])
        await publish(connection, programme_id, event, at=now, chance=chance)
    return reasons


def _why_not_followed(notice: asyncpg.Record, amount_rupiah: int, came_as: str | None) -> NotOurs | None:
    """`came_as` is what the bank called the money when it first told that it came."""
    if notice["amount_rupiah"] != amount_rupiah:
        return NotOurs.AMOUNT_DIFFERS
    if notice["status"] == Told.SUCCESS and notice["bank_reference"] != came_as:
        return NotOurs.PAID_UNDER_ANOTHER_REFERENCE
    if Told(notice["status"]) in {Told.SUCCESS, Told.PENDING}:
        return None
    return NotOurs.FUNDING_HAS_NOT_COME
