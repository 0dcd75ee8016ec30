"""Every answer that the documentation shows is an answer as the contract has it: words, members and sums."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from msgspec.structs import replace

from authz_service import history, problems
from authz_service.answers import balance_document
from authz_service.api import backoffice
from authz_service.api.documentation import ALL_PROBLEMS, PROBLEMS_OF, documented
from authz_service.api.examples import REFUSED, REQUEST, SYNTHETIC_CARD, decided, examples
from authz_service.api.office_examples import office_examples
from authz_service.api.wire import Event
from authz_service.declines import PRECEDENCE, DeclineReason, Stage
from authz_service.enrolment.edition import load_edition
from authz_service.problems import Problem
from authz_service.requests import BalanceInquiry
from authz_service.rules.decide import Refusal
from authz_service.rules.facts import Facts
from authz_service.rules.money import room_of

MEMBERS = [
    *("id", "decision", "status", "response_code", "reason", "approval_code", "amount", "approved_amount"),
    *("tender_due", "price_reduction", "currency", "held_amount", "captured_amount", "refunded_amount", "lines"),
    *("reasons", "largest_approvable_amount", "remaining", "message", "vouchers_used", "merchant_id", "terminal_id"),
    *("stan", "expires_at", "created_at", "receipt"),
]
"""Those of the contract's answer, in its order, and the receipt."""
MONEY = re.compile(r".*amount|tender_due|price_reduction|price|package|month|programme|price_ceiling|unit_price")
PROBLEM_KINDS = [
    kind
    for kind in vars(problems).values()
    # There is no call at no address.
    if isinstance(kind, type) and issubclass(kind, Problem) and kind not in {Problem, problems.NoSuchAddress}
]
ANSWERS = {name: each["value"] for name, each in examples()["authorise"][201].items()}
ALL = [
    (f"{call}-{status}-{name}", example["value"])
    for call, by_status in {**examples(), **office_examples()}.items()
    for status, named in by_status.items()
    for name, example in named.items()
]


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object below `value`."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, each
            yield from members(each)
    elif isinstance(value, list):
        for each in value:
            yield from members(each)


def sentences(message: str) -> int:
    """A dot between thousands ends no sentence."""
    return len(re.findall(r"[.!?](?=\s|$)", message))


@cache
def operation_of(name: str) -> dict[str, Any]:
    """The operation of that id in the OpenAPI document."""
    app = FastAPI()
    app.include_router(backoffice.router)
    documented(app)
    found = [each for item in app.openapi()["paths"].values() for each in item.values() if each["operationId"] == name]
    (operation,) = found
    return dict(operation)


def in_samarinda(facts: Facts) -> Facts:
    """The same facts with the longest words that the programme has for its office and its goods."""
    edition = load_edition("samarinda-2024")
    goods = {each.category: each.name for each in edition.categories}
    return replace(
        facts, programme=replace(facts.programme, operator_name=edition.terms.operator_name, categories=goods)
    )


@pytest.mark.parametrize("reason", DeclineReason)
def test_every_reason_has_an_example_that_gives_it_first(reason: DeclineReason) -> None:
    answer = ANSWERS[reason]
    assert (answer["decision"], answer["status"], answer["approved_amount"]) == ("declined", "declined", 0)
    assert (answer["reason"], answer["response_code"]) == (reason, reason.response_code)
    assert answer["reasons"][0]["reason"] == reason
    for told in answer["reasons"]:
        assert told["response_code"] == DeclineReason(told["reason"]).response_code
    order = [(PRECEDENCE[DeclineReason(told["reason"])], told.get("line", 0)) for told in answer["reasons"]]
    assert order == sorted(order)
    assert answer["approval_code"] is None
    assert answer["expires_at"] is None


@pytest.mark.parametrize("reason", DeclineReason)
def test_before_shop_card_and_family_are_in_order_nothing_is_told_of_what_is_left(reason: DeclineReason) -> None:
    answer = ANSWERS[reason]
    told = {DeclineReason(each["reason"]).stage for each in answer["reasons"]}
    if reason.stage >= Stage.PROGRAMME_AND_GOODS:
        assert "remaining" in answer
        assert min(told) >= Stage.PROGRAMME_AND_GOODS
    else:
        assert "remaining" not in answer
        assert answer["largest_approvable_amount"] == 0
        assert told == {reason.stage}


@pytest.mark.parametrize("world", ["example", "samarinda"])
@pytest.mark.parametrize("reason", DeclineReason)
def test_a_decline_can_be_read_aloud(reason: DeclineReason, world: str) -> None:
    request, facts = REFUSED[reason]
    answer = decided(request, in_samarinda(facts) if world == "samarinda" else facts)
    assert facts.shop is not None
    for message in (answer["message"], *(told["message"] for told in answer["reasons"])):
        assert 1 <= sentences(message) <= 3
        assert len(message) <= 240
        assert not re.search(r"[{}]|None|  ", message)
        assert message.endswith(".")
        assert facts.shop.name not in message
    if reason in {DeclineReason.PACKAGES_USED_UP, DeclineReason.MONTHLY_CAP_EXCEEDED}:
        assert facts.family is not None
        assert facts.family.companion_label in answer["message"]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in list(DeclineReason)])
def test_an_approval_can_be_read_aloud(name: str) -> None:
    assert 1 <= sentences(ANSWERS[name]["message"]) <= 3
    assert len(ANSWERS[name]["message"]) <= 240


@pytest.mark.parametrize("name", ANSWERS)
def test_what_was_asked_is_approved_or_due_or_reduced(name: str) -> None:
    answer = ANSWERS[name]
    assert answer["amount"] == answer["approved_amount"] + answer["tender_due"] + answer["price_reduction"]
    assert answer["approved_amount"] == sum(line["approved_amount"] for line in answer["lines"])
    assert answer["approved_amount"] == answer["held_amount"] + answer["captured_amount"]
    assert (answer["response_code"] == "10") is (answer["decision"] == "approved" and answer["tender_due"] > 0)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_members_of_the_contract_in_its_order(name: str) -> None:
    answer = ANSWERS[name]
    assert list(answer) == [member for member in MEMBERS if member != "remaining" or "remaining" in answer]


def test_the_example_of_the_contract_gets_the_answer_of_the_contract() -> None:
    answer = ANSWERS["approved"]
    assert answer["lines"][0] == {"line": 1, "action": "accepted", "approved_amount": 77000}
    assert answer["message"] == (
        "Disetujui Rp150.000. Sisa bulan ini Rp450.000, 1 kali belanja lagi. Sisa bantuan Rp1.650.000."
    )
    assert answer["largest_approvable_amount"] == 300000
    assert answer["remaining"] == {
        "package": 300000,
        "packages_this_month": 1,
        "month": 450000,
        "programme": 1650000,
        "month_ends_at": "2025-01-01T00:00:00+08:00",
        "programme_ends_at": "2025-01-01T00:00:00+08:00",
    }


def test_the_kinds_of_approval_differ_in_what_they_show() -> None:
    assert ANSWERS["approved"]["status"] == "held"
    assert ANSWERS["approved_and_captured"]["status"] == "captured"
    assert ANSWERS["approved_with_voucher"]["vouchers_used"]
    partly, reduced = ANSWERS["partly_approved"], ANSWERS["price_reduced"]
    assert [line["action"] for line in partly["lines"]] == ["accepted", "rejected", "partly_funded"]
    assert [told["line"] for told in partly["reasons"]] == [2, 3]
    assert reduced["lines"][0]["action"] == "price_reduced"
    assert (reduced["price_reduction"], reduced["response_code"]) == (3000, "00")


@pytest.mark.parametrize("name", ["approved", "declined"])
def test_a_dry_run_names_nothing_and_holds_nothing(name: str) -> None:
    answer = examples()["authorise"][200][name]["value"]
    assert "id" not in answer
    assert answer["approval_code"] is None
    assert answer["held_amount"] == 0
    assert answer["decision"] == name


@pytest.mark.parametrize(("name", "value"), ALL, ids=[name for name, _ in ALL])
def test_money_is_whole_and_times_show_the_programmes_zone(name: str, value: dict[str, Any]) -> None:
    for member, each in members(value):
        assert not isinstance(each, float), member
        if MONEY.fullmatch(member) and not isinstance(each, str | dict | None):
            assert type(each) is int, member
        if member.endswith(("_at", "_time")) and each is not None:
            assert each.endswith("+08:00"), member


@pytest.mark.parametrize(("name", "value"), ALL, ids=[name for name, _ in ALL])
def test_no_card_number_but_the_synthetic_one_is_shown_and_only_in_requests(name: str, value: dict[str, Any]) -> None:
    numbers = {number for _, each in members(value) for number in re.findall(r"\d{12,19}", str(each))}
    assert numbers <= ({SYNTHETIC_CARD} if f"-{REQUEST}-" in name else set())


@pytest.mark.parametrize("kind", PROBLEM_KINDS, ids=lambda kind: kind.__name__)
def test_every_problem_has_an_example_and_a_call_that_gives_it(kind: type[Problem]) -> None:
    (problem,) = [each for each in ALL_PROBLEMS if type(each) is kind]
    calls = [name for name, kinds in PROBLEMS_OF.items() if kind in kinds]
    assert calls
    responses = [operation_of(call)["responses"][str(kind.status)] for call in calls]
    for response in responses:
        example = response["content"]["application/problem+json"]["examples"][kind.code]["value"]
        assert example == orjson.loads(problem.document(example["request_id"]))
        assert 1 <= sentences(example["message"]) <= 3
        assert ("Retry-After" in response["headers"]) or kind.retry_after_seconds is None


def test_an_event_has_a_name_that_history_gives() -> None:
    named = {*history._EVENT_NAMES.values(), "declined"}
    assert set(Event.model_fields["type"].annotation.__args__) == named  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", [*(each for each in DeclineReason if each.stage < Stage.PROGRAMME_AND_GOODS), None])
def test_a_balance_can_be_read_aloud(reason: DeclineReason | None) -> None:
    facts = REFUSED[reason or DeclineReason.PRICE_ABOVE_CEILING][1]
    room = room_of(facts.family, facts.programme) if reason is None and facts.family is not None else None
    answer = balance_document(
        BalanceInquiry(card_number=SYNTHETIC_CARD), facts, [] if reason is None else [Refusal(reason=reason)], room, 0
    )
    assert 1 <= sentences(answer["message"]) <= 3


@pytest.mark.parametrize("reason", [DeclineReason.PROGRAMME_NOT_STARTED, DeclineReason.PROGRAMME_ENDED])
def test_a_balance_outside_the_programmes_time_can_be_read_aloud(reason: DeclineReason) -> None:
    facts = REFUSED[reason][1]
    assert facts.family is not None
    room = room_of(facts.family, facts.programme)
    assert (
        sentences(
            balance_document(BalanceInquiry(card_number=SYNTHETIC_CARD), facts, [Refusal(reason=reason)], room, 0)[
                "message"
            ]
        )
        <= 3
    )
