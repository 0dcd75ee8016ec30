"""What is a fact is told, once; what is rolled back is not; and nothing falls between two numbers."""

import asyncio
import os
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from authz_service.bank.funding import expect_funding
from authz_service.bank.inbox import approve as approve_notice
from authz_service.bank.inbox import resolve as resolve_notice
from authz_service.bank.partners import SignatureStyle
from authz_service.events.kinds import KINDS, NoticeResolved
from authz_service.events.numbering import number_events
from authz_service.events.outbox import publish
from authz_service.events.retention import remove_old
from authz_service.reconciliation.disputes import answer_dispute, open_dispute
from authz_service.reconciliation.exceptions import approve, resolve
from authz_service.reconciliation.outcomes import Outcome
from authz_service.settlement.accounts import approve_account, request_account
from authz_service.settlement.positions import Account
from authz_service.settlement.waits import unwait, wait
from authz_service.vocabulary import CardStatus
from tests.bank import a_bank, followed
from tests.events import SAMARINDA, an_endpoint, numbered, told, types_told
from tests.harm import address_of
from tests.operators import Operator, a_card_number, a_newcomer
from tests.reconciling import reconciled
from tests.settling import CARD_DESK, batch_closed, instructions, said
from tests.world import PROGRAMME, World

NUMBERS = "SELECT number FROM event WHERE number IS NOT NULL ORDER BY number"


def how(world: World, **more: Any) -> Any:
    return {"actor": "dinsos", "now": world.now, "chance": os.urandom, **more}


async def test_a_fact_that_is_rolled_back_is_never_told(world: World) -> None:
    await world.authorise(capture=True)

    class FailedError(Exception):
        pass

    async def close_and_fail() -> None:
        async with world.database.transaction():
            await batch_closed(world)
            assert await types_told(world) == ["settlement.batch_closed", "payout.instructed"]
            raise FailedError

    with pytest.raises(FailedError):
        await close_and_fail()
    assert await told(world) == []
    await batch_closed(world)
    assert await types_told(world) == ["settlement.batch_closed", "payout.instructed"]


async def test_a_refused_order_tells_nothing(world: World, operator: Operator) -> None:
    await operator.suspend()
    before = await types_told(world)
    with pytest.raises(Exception, match="suspended already"):
        await operator.suspend()
    assert await types_told(world) == before == ["family.suspended"]


async def test_a_batch_and_every_payout_of_it_are_told_with_their_sums(world: World) -> None:
    await world.authorise(capture=True)
    await world.authorise(
        capture=True, amount=20_000, card_number=world.tills.cards[1].card_number, till=world.other_till
    )
    batch = await batch_closed(world)
    (kind, closed), *payouts = await told(world)
    assert kind == "settlement.batch_closed"
    assert (closed["batch_id"], closed["items"], closed["payouts"]) == (batch.batch_id, 2, 2)
    assert (closed["captured_amount"], closed["instructed_amount"], closed["currency"]) == (170_000, 170_000, "IDR")
    assert closed["cut_off_at"].endswith("+08:00")
    stored = await world.database.fetchval("SELECT encode(hash, 'hex') FROM settlement_batch")
    assert closed["hash"] == stored
    assert [(each["instruction_id"], each["merchant_id"], each["amount"]) for _, each in payouts] == await instructions(
        world
    )


async def test_what_becomes_of_a_payout_is_told_once_however_often_it_is_said(world: World) -> None:
    await world.authorise(capture=True)
    batch = await batch_closed(world)
    ((instruction_id, merchant_id, _),) = await instructions(world)
    for event in ("settled", "settled", "returned", "returned", "released", "released"):
        await said(world, event, instruction_id, reason="sesuai rekening koran")
    _, _, *steps = await told(world)
    assert [kind for kind, _ in steps] == ["payout.settled", "payout.returned", "payout.released"]
    for _, data in steps:
        assert data == {
            "instruction_id": instruction_id,
            "batch_id": batch.batch_id,
            "merchant_id": merchant_id,
            "amount": 150_000,
            "source": "operator",
            "currency": "IDR",
        }


async def test_the_banks_notices_are_told_when_they_are_parked_and_what_they_do_when_they_are_followed(
    world: World,
) -> None:
    await world.authorise(capture=True)
    await batch_closed(world)
    ((instruction_id, *_),) = await instructions(world)
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    await bank.tell("IBU SITI 6472055205870001", "success", 5)
    await bank.tell(instruction_id, "success", 149_999)
    for _ in range(3):
        await followed(world)
    await bank.tell(instruction_id, "failed", 150_000)
    await followed(world)
    await bank.tell(instruction_id, "success", 150_000)
    await followed(world)
    _, _, *after = await told(world)
    assert [(kind, data.get("reason"), data.get("instruction_id")) for kind, data in after] == [
        ("notice.parked", "reference_unknown", None),
        ("notice.parked", "amount_differs", instruction_id),
        ("payout.failed", None, instruction_id),
        ("notice.parked", "success_after_failed", instruction_id),
    ]
    notice_id = after[0][1]["notice_id"]
    await resolve_notice(world.database, SAMARINDA, notice_id, resolution="bukan kita", **how(world))
    await approve_notice(world.database, SAMARINDA, notice_id, **how(world, actor="bank"))
    assert (await told(world))[-1] == ("notice.resolved", {"notice_id": notice_id})


async def test_announced_money_is_told_when_it_has_come(world: World) -> None:
    await expect_funding(world.database, SAMARINDA, "SP2D-001", 1_000_000, **how(world))
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    await bank.tell("SP2D-001", "success", 1_000_000)
    await followed(world)
    ((kind, data),) = await told(world)
    assert (kind, data["reference"], data["amount"]) == ("programme.funded", "SP2D-001", 1_000_000)


async def test_exceptions_are_told_when_they_open_and_when_two_people_or_a_statement_close_them(world: World) -> None:
    await reconciled(world, (-2_500, ""), (-9_000, "SETORAN IBU SITI"))
    opened = await told(world)
    assert {(kind, data["kind"], data["their_amount"], data["instruction_id"]) for kind, data in opened} == {
        ("exception.opened", "missing_here", -2_500, None),
        ("exception.opened", "missing_here", -9_000, None),
    }
    exception_id = opened[0][1]["exception_id"]
    why: Any = {"outcome": Outcome.EXPLAINED, "reason": "biaya"}
    await resolve(world.database, SAMARINDA, [exception_id], **why, **how(world))
    await approve(world.database, world.settings, SAMARINDA, [exception_id], **how(world, actor="Inspektorat"))
    closed = {"exception_id": exception_id, "closed_by": "two_people", "outcome": "explained"}
    assert (await told(world))[2:] == [("exception.resolved", closed)]


async def test_disputes_accounts_and_flagged_purchases_are_told(world: World) -> None:
    sold = (await world.authorise(capture=True))["id"]
    opened = await open_dispute(world.database, SAMARINDA, sold, reason="kurang", **how(world))
    await answer_dispute(world.database, SAMARINDA, opened.dispute_id, answer="diganti", **how(world))
    desk: Any = {"clock": world.clock, "chance": os.urandom}
    place = (world.database, world.settings, SAMARINDA)
    account = Account(bank_code="124", account_number="0012345678", holder="WARUNG IBU SITI")
    shop = world.till.merchant_id
    account_ref = await request_account(*place, shop, account, actor="dinsos", **desk)
    await approve_account(*place, account_ref, actor="bank", **desk)
    await wait(*place, sold, reason="diperiksa", actor="dinsos", **desk)
    await unwait(*place, sold, reason="sudah jelas", actor="dinsos", **desk)
    (_, dispute), *others = await told(world)
    assert dispute["answer_due_at"].endswith("+08:00")
    assert [("dispute.opened", {**dispute, "answer_due_at": ""}), *others] == [
        ("dispute.opened", {"dispute_id": opened.dispute_id, "authorization_id": sold, "answer_due_at": ""}),
        ("dispute.answered", {"dispute_id": opened.dispute_id}),
        ("merchant.account_changed", {"merchant_id": shop, "account_ref": account_ref}),
        ("settlement.purchase_held_back", {"authorization_id": sold}),
        ("settlement.purchase_freed", {"authorization_id": sold}),
    ]


async def test_families_and_their_cards_are_told_by_their_ids(world: World, operator: Operator) -> None:
    one, two, three = world.tills.cards[:3]
    first_card = await operator.card_id(one)
    await operator.suspend(one)
    await operator.resume(one)
    await operator.card_becomes(CardStatus.BLOCKED, first_card)
    await operator.card_becomes(CardStatus.ACTIVE, first_card)
    issued = await operator.new_card(a_card_number(), one)
    stolen = issued.effects.card_id
    await operator.card_becomes(CardStatus.LOST, stolen)
    await operator.card_becomes(CardStatus.STOLEN, stolen)
    await operator.move(one)
    await world.authorise(card_number=two.card_number)
    await operator.remove(two)
    await operator.merge(one, three)
    entered = await operator.enter(a_newcomer(amount_rupiah=100_000))
    events = await told(world)
    assert [kind for kind, _ in events] == [
        *("family.suspended", "family.resumed", "card.blocked", "card.activated"),
        *("card.replaced", "card.issued", "card.lost", "card.stolen", "family.moved", "family.left"),
        *("family.merged", "card.replaced", "family.entered", "card.issued"),
    ]
    by_type = dict(events)
    assert by_type["family.left"]["held_amount"] == 150_000
    assert by_type["family.left"]["returned_amount"] == 0
    merged = by_type["family.merged"]
    assert (merged["survivor_id"], merged["returned_amount"]) == (operator.family(one), 1_800_000)
    assert by_type["family.entered"]["granted_amount"] == 100_000
    assert by_type["family.entered"]["beneficiary_id"] == entered.beneficiary_id
    assert by_type["family.moved"]["companion_id"] != by_type["family.moved"]["former_companion_id"]


async def test_a_dated_change_is_announced_and_told_again_when_its_day_has_come(
    world: World, operator: Operator
) -> None:
    one, two = world.tills.cards[:2]
    await operator.remove(one, on=date(2024, 10, 10))
    await operator.suspend(two, on=date(2024, 10, 10))
    await operator.resume(two)
    assert await types_told(world) == [
        *("family.change_announced", "family.change_announced", "family.change_withdrawn", "family.resumed"),
    ]
    world.later(days=4)
    assert await operator.write_due() == 1
    assert await operator.write_due() == 0
    kind, left = (await told(world))[-1]
    assert (kind, left["returned_amount"]) == ("family.left", 1_800_000)
    assert left["effective_at"] == "2024-10-10T00:00:00.000+08:00"
    assert len(await told(world)) == 5


async def test_what_commits_late_is_numbered_late_and_never_lost(world: World) -> None:
    """Two transactions: the one that wrote first commits last, and a batch of numbers is given between."""
    late = await asyncpg.connect(address_of(world))
    transaction = late.transaction()
    await transaction.start()
    await publish(late, PROGRAMME, NoticeResolved(notice_id="late"), at=world.now, chance=os.urandom)
    for n in range(3):
        event = NoticeResolved(notice_id=f"early {n}")
        await publish(world.database, PROGRAMME, event, at=world.now, chance=os.urandom)
    await numbered(world)
    assert [row[0] for row in await world.database.fetch(NUMBERS)] == [1, 2, 3]
    await transaction.commit()
    await late.close()
    await numbered(world)
    rows = await world.database.fetch("SELECT data ->> 'notice_id' AS id FROM event ORDER BY number")
    assert [row["id"] for row in rows] == ["early 0", "early 1", "early 2", "late"]


async def test_numbers_have_no_gaps_however_many_write_and_number_at_once(world: World) -> None:
    others = [await asyncpg.connect(address_of(world)) for _ in range(6)]

    async def write(connection: asyncpg.Connection, name: int) -> None:
        for n in range(15):
            transaction = connection.transaction()
            await transaction.start()
            event = NoticeResolved(notice_id=f"{name}-{n:02d}")
            await publish(connection, PROGRAMME, event, event, at=world.now, chance=os.urandom)
            await asyncio.sleep(0.001 * (n % 3))
            await (transaction.rollback() if n % 5 == 4 else transaction.commit())

    async def number(connection: asyncpg.Connection) -> None:
        for _ in range(25):
            await number_events(connection, world.settings, SAMARINDA, world.clock)

    await asyncio.gather(*(write(each, n) for n, each in enumerate(others[:4])), *map(number, others[4:]))
    for each in others:
        await each.close()
    await numbered(world)
    assert [row[0] for row in await world.database.fetch(NUMBERS)] == list(range(1, 4 * 12 * 2 + 1))
    # What one writer wrote one after the other stands so.
    for name in range(4):
        rows = await world.database.fetch(
            "SELECT data ->> 'notice_id' AS id FROM event WHERE data ->> 'notice_id' LIKE $1 ORDER BY number",
            f"{name}-%",
        )
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET data = '{}'",
        "UPDATE event SET number = 9",
        "UPDATE event SET number = NULL",
        "UPDATE event SET occurred_at = now()",
        "UPDATE event_attempt SET outcome = 'delivered'",
    ],
)
async def test_what_was_told_is_never_changed(world: World, statement: str) -> None:
    endpoint_id = await an_endpoint(world, "http://127.0.0.1:9/")
    await publish(world.database, PROGRAMME, NoticeResolved(notice_id="n"), at=world.now, chance=os.urandom)
    await numbered(world)
    await world.database.execute(
        "INSERT INTO event_attempt VALUES ($1, $2, 1, 1, now(), 5, 'refused', 500, NULL)", PROGRAMME, endpoint_id
    )
    with pytest.raises(asyncpg.RestrictViolationError):
        await world.database.execute(statement)


async def test_old_events_go_with_all_that_was_noted_of_them_and_others_stay(world: World) -> None:
    endpoint_id = await an_endpoint(world, "http://127.0.0.1:9/")
    for n in range(4):
        event = NoticeResolved(notice_id=str(n))
        await publish(world.database, PROGRAMME, event, at=world.now, chance=os.urandom)
    await numbered(world)
    await world.database.execute(
        "INSERT INTO event_attempt SELECT programme_id, $1, number, 1, now(), 5, 'refused', 500, NULL FROM event",
        endpoint_id,
    )
    assert await remove_old(world.database, older_than=timedelta(days=1), limit=100) == 0
    assert await remove_old(world.database, older_than=timedelta(0), limit=3) == 3
    for table in ("event", "event_delivery", "event_attempt"):
        assert await world.database.fetchval(f"SELECT array_agg(number) FROM {table}") == [4], table


def test_no_event_can_hold_what_says_who_somebody_is() -> None:
    """By the names of their fields: ids, codes, amounts, times. A new field has to be looked at here."""
    ends = ("_id", "amount", "_at", "_on", "_ref", "_number")
    known = {"items", "payouts", "hash", "source", "told", "reason", "kind", "closed_by", "outcome", "reference"}
    known |= {"change", "status", "cause", "chain", "blocks", "rows", "root"}
    for kind in KINDS:
        for name in (each.name for each in fields(kind)):
            assert name.endswith(ends) or name in known, (kind, name)


async def test_nothing_that_a_person_typed_is_told(world: World, operator: Operator) -> None:
    """One long story with a secret in every free text: none of them is in an event."""
    secret = "RAHASIA IBU SITI"
    sold = (await world.authorise(capture=True))["id"]
    await open_dispute(world.database, SAMARINDA, sold, reason=secret, **how(world))
    await batch_closed(world)
    ((instruction_id, *_),) = await instructions(world)
    await said(world, "failed", instruction_id, reason=secret, actor=CARD_DESK)
    await operator.suspend(reason=secret)
    await operator.new_card(a_card_number())
    bank = await a_bank(world, SignatureStyle.WITHOUT_TOKEN)
    await bank.tell(secret, "success", 5)
    await followed(world)
    everything = " ".join([str(data) for _, data in await told(world)])
    assert secret not in everything
    for (number,) in await world.database.fetch("SELECT account_number FROM payout_instruction"):
        assert number not in everything
    for card in world.tills.cards[:5]:
        assert card.card_number not in everything
