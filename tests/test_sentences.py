"""Every refusal says in both languages what is wrong, what would pass and whom to ask."""

import re
from string import Formatter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import TypeAdapter

from authz_service.api.examples import REFUSED
from authz_service.declines import DeclineReason
from authz_service.requests import Purchase
from authz_service.rules.decide import Decision, decide
from authz_service.rules.facts import Facts
from authz_service.rules.message import decision_message, line_of, refusal_message
from authz_service.rules.phrases import Language
from authz_service.vocabulary import PackageCounting, in_rupiah
from tests.builders import a_line, a_programme, a_purchase, any_family, any_programme, facts, quickly

MONEY = {
    DeclineReason.PACKAGE_CAP_EXCEEDED,
    DeclineReason.ENTITLEMENT_EXCEEDED,
    DeclineReason.PACKAGES_USED_UP,
    DeclineReason.MONTHLY_CAP_EXCEEDED,
}
NAMES_THE_COMPANION = {DeclineReason.PACKAGES_USED_UP, DeclineReason.MONTHLY_CAP_EXCEEDED}
WOULD_PASS = {
    Language.INDONESIAN: re.compile(r"Sekarang bisa belanja sampai (Rp[0-9.]+)\.$"),
    Language.ENGLISH: re.compile(r"What would pass now: up to (Rp[0-9.]+)\.$"),
}


def sentences(message: str) -> int:
    """A dot between thousands ends no sentence."""
    return len(re.findall(r"[.!?](?=\s|$)", message))


def blanks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def example(reason: DeclineReason) -> tuple[Purchase, Facts, Decision]:
    """The documentation's own request that is refused for `reason`, under the longest names that there are."""
    request, under = REFUSED[reason]
    long = a_programme()
    known = replace(
        under,
        programme=replace(under.programme, operator_name=long.operator_name, categories=long.categories),
    )
    purchase = TypeAdapter(Purchase).validate_json(orjson.dumps(request))
    return purchase, known, decide(purchase, known)


@pytest.mark.parametrize("reason", DeclineReason)
def test_the_two_languages_have_the_same_blanks_and_two_sentences_at_most(reason: DeclineReason) -> None:
    assert blanks(reason.indonesian) == blanks(reason.english)
    for sentence in (reason.indonesian, reason.english):
        assert 1 <= sentences(sentence) <= 2
        assert sentence.endswith(".")


@pytest.mark.parametrize("reason", DeclineReason)
def test_every_refusal_names_somebody_to_ask_and_never_a_person(reason: DeclineReason) -> None:
    asks = "companion" if reason in NAMES_THE_COMPANION else "operator"
    assert blanks(reason.indonesian) & {"companion", "operator"} == {asks}
    assert blanks(reason.indonesian) <= {
        *("companion", "operator", "line", "goods", "ceiling", "unit", "starts_on", "ends_on"),
        *("package", "packages_left", "month_left", "programme_left"),
    }


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("reason", DeclineReason)
def test_a_refusal_is_whole_and_short_in_both_languages(reason: DeclineReason, language: Language) -> None:
    purchase, known, decision = example(reason)
    each = [
        refusal_message(refusal, known, decision.room, line_of(purchase.lines, refusal), language)
        for refusal in decision.refusals
    ]
    message = decision_message(purchase, known, decision, language)
    assert message.startswith(each[0])
    for said in (message, *each):
        assert 1 <= sentences(said) <= 3
        assert len(said) <= 260
        assert not re.search(r"[{}]|None|  ", said)
    assert known.family is None or known.family.companion_label.startswith("P-")
    if reason in NAMES_THE_COMPANION:
        assert known.family is not None
        assert known.family.companion_label in message
    else:
        assert known.programme.operator_name in message


@pytest.mark.parametrize("reason", DeclineReason)
def test_only_where_money_is_a_reason_does_a_refusal_say_what_would_pass(reason: DeclineReason) -> None:
    _, _, decision = example(reason)
    for language in Language:
        told = WOULD_PASS[language].search(decision_message(*example(reason), language))
        assert (told is None) or reason in MONEY
        assert told is None or told[1] == in_rupiah(decision.largest_rupiah)


@quickly
@given(
    data=st.data(),
    programme=any_programme(),
    amount=st.sampled_from([1, 60_000, 137_502, 300_001, 700_000, 1_800_001]) | st.integers(1, 2_000_000),
    tobacco=st.booleans(),
    partial=st.booleans(),
)
def test_where_money_is_a_reason_the_amount_that_would_pass_is_named(
    data: st.DataObject, programme: object, amount: int, tobacco: bool, partial: bool
) -> None:
    """Of all limits together, not of the first that was in the way; and where nothing passes, why not."""
    known = facts(programme=programme, family=data.draw(any_family(programme)))  # type: ignore[arg-type]
    lines = [a_line(amount=amount), *([a_line("rokok", 20_000)] if tobacco else [])]
    purchase = a_purchase(*lines, partial_approval=partial)
    decision = decide(purchase, known)
    if decision.approved or not {refusal.reason for refusal in decision.refusals} & MONEY:
        return
    assert known.family is not None
    for language in Language:
        message = decision_message(purchase, known, decision, language)
        assert 1 <= sentences(message) <= 3
        told = WOULD_PASS[language].search(message)
        if decision.largest_rupiah:
            assert in_rupiah(decision.largest_rupiah) in message
            assert told is None or told[1] == in_rupiah(decision.largest_rupiah)
        else:
            assert told is None
            nothing_left = known.family.available_rupiah == 0
            assert nothing_left or known.family.companion_label in message


def test_by_value_an_open_package_is_not_called_used_up() -> None:
    by_value = a_programme(package_counting=PackageCounting.BY_VALUE)
    known = facts(programme=by_value)
    assert known.family is not None
    month = replace(known.family.month, used_rupiah=550_000, cap_rupiah=None)
    known = replace(known, family=replace(known.family, month=month))
    purchase = a_purchase(amount=60_000)
    message = decision_message(purchase, known, decide(purchase, known), Language.ENGLISH)
    assert message == (
        "This month's packages are down to Rp50.000. If there is need, ask companion Pendamping 07."
        " What would pass now: up to Rp50.000."
    )
