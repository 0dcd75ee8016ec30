"""What the simulated bank makes of an order is a matter of its seed; its files are whole or refused."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from authz_service.bank.notice import Told, read_notice
from authz_service.settlement.canonical import Totals
from authz_service.settlement.papers import bank_file
from authz_service.settlement.positions import Instruction
from authz_service.settlement.reading import Batch, Payout, PayoutState
from authz_service.simulation.misbehaviour import (
    OF_THE_PAYMENT,
    Behaviour,
    BehaviourRefused,
    Misbehaviour,
    Outcome,
    behaviour_of,
)
from authz_service.simulation.orders import Deposit, OrdersRefused, PaymentOrder, read_orders
from authz_service.simulation.requests import notice_body
from authz_service.simulation.statement import Statement, StatementUnusable
from authz_service.simulation.telling import Status, Telling, movements_of, tellings_of
from authz_service.vocabulary import BatchId, InstructionId, MerchantId
from tests.simulated import an_order, orders_file
from tests.test_bank_guide import blocks

GOOD = Behaviour(seed=1)
DAY = date(2024, 10, 7)


def doing(*what: Misbehaviour) -> Behaviour:
    return Behaviour(seed=1, shares=dict.fromkeys(what, 1.0))


def told(*what: Misbehaviour) -> list[Telling]:
    return list(tellings_of(an_order(), doing(*what)))


def many(number: int = 400) -> list[PaymentOrder]:
    return [an_order(account_number=f"{each:010d}") for each in range(number)]


def test_a_good_bank_pays_at_once_and_says_so_once() -> None:
    (news,) = told()
    assert (news.after, news.status, news.amount_rupiah, news.is_signed) == (0, Status.SUCCESS, 150_000, True)
    assert [each.amount_rupiah for each in movements_of(an_order(), GOOD)] == [-150_000]


def test_money_of_the_city_always_comes_however_it_is_told() -> None:
    deposit = Deposit(reference="SP2D-7", amount_rupiah=5)
    for what in Misbehaviour:
        assert [each.amount_rupiah for each in movements_of(deposit, doing(what))] == [5], what
        news = tellings_of(deposit, doing(what))
        assert {each.status for each in news} <= {Status.SUCCESS, Status.PENDING}
        assert any(each.status is Status.SUCCESS and each.is_signed for each in news) is (
            what is not Misbehaviour.SILENT
        )


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ([Misbehaviour.FAILS], ["failed"]),
        ([Misbehaviour.RETURNS], ["success", "returned"]),
        ([Misbehaviour.PENDING], ["pending", "success"]),
        ([Misbehaviour.OUT_OF_ORDER], ["success", "pending"]),
        ([Misbehaviour.OUT_OF_ORDER, Misbehaviour.RETURNS], ["returned", "success"]),
        ([Misbehaviour.TWICE], ["success", "success"]),
        ([Misbehaviour.ERROR_500], ["success", "success"]),
        ([Misbehaviour.SILENT, Misbehaviour.TWICE], []),
        ([Misbehaviour.WRONG_AMOUNT], ["success", "success"]),
    ],
)
def test_what_is_told_of_a_payment(what: list[Misbehaviour], expected: list[str]) -> None:
    assert [each.status.name.lower() for each in told(*what)] == expected


def test_a_repeat_is_the_same_notice_and_a_second_one_is_another() -> None:
    again, second = told(Misbehaviour.ERROR_500), told(Misbehaviour.TWICE)
    assert again[0] == again[1]
    assert second[0].external_id != second[1].external_id
    assert all(each.external_id.isdecimal() and len(each.external_id) <= 36 for each in (*again, *second))


def test_what_is_wrong_comes_first_and_the_true_one_follows() -> None:
    forged, wrong, true = told(Misbehaviour.WRONG_SIGNATURE, Misbehaviour.WRONG_AMOUNT)
    assert [each.is_signed for each in (forged, wrong, true)] == [False, True, True]
    assert [each.amount_rupiah for each in (forged, wrong, true)] == [150_000, 150_001, 150_000]
    assert len({each.external_id for each in (forged, wrong, true)}) == 3
    assert [each.after for each in told(Misbehaviour.LATE, Misbehaviour.RETURNS)] == [2, 3]


def test_the_same_seed_behaves_the_same_whatever_the_references_are() -> None:
    behaviour = behaviour_of("fails=0.3,late=0.3", 5)
    drawn = [behaviour.does(Misbehaviour.LATE, each) for each in many()]
    assert drawn == [behaviour.does(Misbehaviour.LATE, an_order(account_number=each.account_number)) for each in many()]
    assert drawn != [behaviour_of("late=0.3", 6).does(Misbehaviour.LATE, each) for each in many()]
    assert 0.2 < sum(drawn) / len(drawn) < 0.4
    well = behaviour.told_well()
    assert set(well.shares) <= OF_THE_PAYMENT
    assert [well.outcome(each) for each in many()] == [behaviour.outcome(each) for each in many()]
    assert {behaviour.outcome(each) for each in many()} == {Outcome.PAID, Outcome.FAILED}


@pytest.mark.parametrize("written", ["rude", "late=much", "late=1.5", "late=0.1,late=0.2", "late=nan"])
def test_a_misbehaviour_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(BehaviourRefused):
        behaviour_of(written, 1)


def test_every_status_that_is_sent_is_one_that_we_read() -> None:
    read = [read_notice(notice_body("pay_1", each, 5, bank_reference="1")) for each in Status]
    assert [each.told for each in read] == [Told.SUCCESS, Told.PENDING, Told.RETURNED, Told.FAILED]


def test_a_file_of_orders_is_read_whole_also_the_one_of_the_guide() -> None:
    orders = [an_order(reference=f"pay_{each}", amount_rupiah=each, batch=9) for each in (1, 2)]
    assert read_orders(orders_file(*orders)) == orders
    assert read_orders(orders_file()) == []
    (shown,) = blocks("csv orders")
    assert [(each.batch, each.amount_rupiah) for each in read_orders(shown)] == [(12, 287_500), (12, 150_000)]


@pytest.mark.parametrize("holder", ["KUBE Melati", "=1+1", "@rumah", "'Aisyiyah", "-", "'", 'KUBE, "Mawar"'])
def test_our_own_file_of_a_batch_is_read_with_every_name_as_it_is(holder: str) -> None:
    """What a spreadsheet would run has an apostrophe in the file, and a name that begins with one keeps it."""
    order = an_order(holder=holder, batch=7)
    payout = Payout(
        instruction=Instruction(
            instruction_id=InstructionId(order.reference),
            merchant_id=MerchantId("mrc_1"),
            amount_rupiah=order.amount_rupiah,
            bank_code=order.bank_code,
            account_number=order.account_number,
            holder=holder,
        ),
        state=PayoutState.UNDER_WAY,
        bank_reference=None,
    )
    at = datetime(2024, 10, 7, 7, tzinfo=UTC)
    batch = Batch(
        batch_id=BatchId("set_1"),
        number=7,
        cut_off_at=at,
        closed_at=at,
        closed_by="scheduler",
        totals=Totals(),
        hash=b"hash",
        under_way=1,
        paid=0,
        came_back=0,
    )
    assert read_orders(bank_file(batch, [payout], ZoneInfo("Asia/Makassar"))) == [order]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reference,amount\n",
        orders_file(an_order()).rpartition("T,")[0],
        orders_file(an_order(), count=2),
        orders_file(an_order(), rupiah=1),
        orders_file(an_order()).replace("150000", "Rp150.000"),
        orders_file(an_order()).replace("D,", "E,"),
        orders_file(an_order()) + "D\n",
    ],
)
def test_a_file_that_was_cut_or_changed_is_not_paid(text: str) -> None:
    with pytest.raises(OrdersRefused):
        read_orders(text)


def test_a_statement_goes_on_where_it_ended_and_no_movement_is_in_it_twice() -> None:
    statement = Statement(opened_on=DAY, opening_rupiah=500_000)
    of = {"reference": "pay_1", "bank_reference": "9", "description": 'KUBE "Melati", Loa'}
    assert statement.moves(DAY, -150_000, **of)
    assert not statement.moves(DAY, -150_000, **of)
    again = Statement.read(statement.text(DAY))
    assert again == statement
    assert again.moves(DAY.replace(day=9), 150_000, **of)
    assert not again.moves(DAY.replace(day=9), 150_000, **of)
    assert [row.balance for row in again.rows] == [350_000, 500_000]
    assert again.text(DAY).splitlines()[-1] == "2024-10-09,,,,,500000,SALDO AKHIR"


def test_the_statement_of_the_guide_is_one_of_this_bank() -> None:
    (shown,) = blocks("csv statement")
    read = Statement.read(shown)
    assert (read.opening_rupiah, len(read.rows)) == (1_776_600_000, 2)
    assert read.text(DAY) == shown


@pytest.mark.parametrize("text", ["", "date,balance\n", "date,balance,description\n2024-10-07,x,SALDO AWAL\n"])
def test_another_file_is_no_statement(text: str) -> None:
    with pytest.raises(StatementUnusable):
        Statement.read(text)
