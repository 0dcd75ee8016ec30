"""The journal and the settings of its version are enough: the same rules on them give the same answer, byte for byte.

Pure: any purchase under any facts goes through the journal's JSON and comes back.
"""

import dataclasses
import re
from datetime import date, time, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authz_service.answers import Document, Identity, decision_document
from authz_service.api.explanation_examples import explanation_examples
from authz_service.api.wire_explanation import Explanation
from authz_service.authorisation import journal_of, placed_hold
from authz_service.declines import DeclineReason, Stage
from authz_service.explanation.checks import Check, Outcome, checks
from authz_service.explanation.document import explained
from authz_service.explanation.paragraphs import now_in_words
from authz_service.explanation.questions import QUESTIONS
from authz_service.explanation.recorded import Recorded, Seen, agrees, decided_again, facts_of, purchase_of
from authz_service.requests import Purchase
from authz_service.rules.decide import IDENTITY_STAGES, OUTSIDE_THE_BASKET, Decision, decide
from authz_service.rules.facts import Facts
from authz_service.rules.goods import LINE_RULES
from authz_service.vocabulary import (
    AboveCeiling,
    AuthorisationId,
    BeneficiaryStatus,
    CardStatus,
    HoldStatus,
    MerchantStatus,
    TerminalStatus,
)
from tests.builders import (
    A_MORNING,
    a_card,
    a_family,
    a_line,
    a_mark,
    a_month,
    a_priced_line,
    a_programme,
    a_purchase,
    a_shop,
    a_terminal,
    a_voucher,
    any_family,
    any_programme,
    facts,
    instant,
    quickly,
)

AUTHORISATION = AuthorisationId("auth_1")


def answer_to(purchase: Purchase, known: Facts, decision: Decision) -> bytes:
    """What the till was sent."""
    hold = placed_hold(AUTHORISATION, known, decision, captured=purchase.capture)
    expires_at = hold.expires_at if hold else None
    identity = Identity(authorisation_id=AUTHORISATION, approval_code="A7K2M9" if hold else None, expires_at=expires_at)
    return orjson.dumps(decision_document(purchase, known, decision, identity, hold))


def written(purchase: Purchase, known: Facts) -> Recorded:
    """The decision as the books have it: through JSON, without what is not kept."""
    decision = decide(purchase, known)
    answer = orjson.loads(answer_to(purchase, known, decision))
    return Recorded(
        programme_id=known.programme.programme_id,
        authorisation_id=AUTHORISATION,
        created_at=known.now,
        merchant_id=known.terminal.merchant_id,
        terminal_id=known.terminal.terminal_id,
        beneficiary_id=known.family.beneficiary_id if known.family else None,
        card_id=known.card.card_id if known.card else None,
        last_four="0013" if known.card else None,
        month=known.family.month.month if known.family else known.today.replace(day=1),
        reason=answer["reason"],
        amount_rupiah=purchase.amount,
        approved_rupiah=decision.approved_rupiah,
        reduction_rupiah=decision.reduction_rupiah,
        request_id="req_1",
        journal=orjson.loads(orjson.dumps(journal_of(purchase, known, decision, 7, 3))),
        answer=answer,
    )


def seen(known: Facts) -> Seen:
    sources = {
        (product.name, product.unit, ceiling.district_code, ceiling.valid_from): "a source"
        for product in known.programme.products.values()
        for ceiling in product.ceilings
    }
    marks = {"trm_1": known.marks} if known.marks else {}
    return Seen(programme=known.programme, shop=known.shop, ceiling_sources=sources, marks=marks)


LINES = st.sampled_from(
    [
        a_line(),
        a_line(amount=120_000),
        a_line("rokok", 20_000),
        a_line("Tarik-Tunai", 50_000),
        a_line("beras", 30_000),
        a_priced_line(),
        a_priced_line(unit_price=16_000),
        a_priced_line("telur ayam ras", "2.5", 30_001),
        a_priced_line("telur ayam ras", "0.001", 900_000),
        a_priced_line("beras siluman", category="beras", unit="kg"),
        a_priced_line(category="gula"),
    ]
)


@st.composite
def any_purchase(draw: st.DrawFn, /) -> Purchase:
    lines = draw(st.lists(LINES, min_size=1, max_size=5))
    return a_purchase(*lines, capture=draw(st.booleans()), partial_approval=draw(st.booleans()))


@st.composite
def any_facts(draw: st.DrawFn, /) -> Facts:
    """Mostly good, so that every stage is reached; each thing may be wrong."""
    now = draw(st.sampled_from([A_MORNING] * 4 + [instant("2024-09-30T15:00:00Z"), instant("2024-12-31T16:00:00Z")]))
    programme = draw(any_programme(above_ceiling=draw(st.sampled_from(AboveCeiling))))
    family = draw(any_family(programme))
    shop = a_shop(
        status=draw(st.sampled_from([MerchantStatus.ACTIVE] * 9 + [MerchantStatus.SUSPENDED])),
        leaves_on=draw(st.sampled_from([None] * 9 + [date(2024, 11, 4)])),
        opens_at=time(7),
        closes_at=draw(st.sampled_from([time(21)] * 9 + [time(8)])),
    )
    card = a_card(
        status=draw(st.sampled_from([CardStatus.ACTIVE] * 9 + list(CardStatus))),
        expires_on=draw(st.sampled_from([date(2029, 9, 30)] * 9 + [date(2024, 9, 1)])),
    )
    status = draw(st.sampled_from([BeneficiaryStatus.ACTIVE] * 9 + list(BeneficiaryStatus)))
    known = facts(
        now=now,
        programme=programme,
        shop=draw(st.sampled_from([shop] * 19 + [None])),
        terminal=a_terminal(status=draw(st.sampled_from([TerminalStatus.ACTIVE] * 9 + [TerminalStatus.UNBOUND]))),
        card=card,
        family=replace(family, status=status),
        marks=draw(st.sampled_from([()] * 9 + [(a_mark(now + timedelta(minutes=1)),), (a_mark(now),)])),
    )
    return replace(known, card=None, family=None) if draw(st.integers(0, 19)) == 0 else known


@quickly
@given(purchase=any_purchase(), known=any_facts())
def test_what_is_written_is_enough_to_give_the_same_answer_again(purchase: Purchase, known: Facts) -> None:
    recorded = written(purchase, known)
    again = decided_again(recorded, seen(known))
    assert again is not None
    assert again == decide(purchase, known)
    assert agrees(recorded, again)
    rebuilt = facts_of(recorded, seen(known))
    assert rebuilt == known
    assert answer_to(purchase_of(recorded), rebuilt, again) == answer_to(purchase, known, decide(purchase, known))


def outcomes(recorded: Recorded, then: Seen | None) -> dict[DeclineReason, Check]:
    return {check.reason: check for check in checks(recorded, then)}


def would_give(purchase: Purchase, known: Facts) -> set[DeclineReason]:
    """Every reason that a check of the first stages, the dates or a line gives, whoever looked at it."""
    rules = [*(rule for stage in IDENTITY_STAGES for rule in stage), *OUTSIDE_THE_BASKET]
    of_lines = {rule(line, known) for rule in LINE_RULES for line in purchase.lines}
    return {reason for reason in {rule(known) for rule in rules} | of_lines if reason is not None}


@quickly
@given(purchase=any_purchase(), known=any_facts())
def test_the_failed_checks_are_the_reasons_and_no_passed_one_would_have_given_its_own(
    purchase: Purchase, known: Facts
) -> None:
    recorded = written(purchase, known)
    found = outcomes(recorded, seen(known))
    told = {refusal.reason for refusal in recorded.refusals}
    assert list(found) == list(DeclineReason)
    assert {reason for reason, check in found.items() if check.outcome is Outcome.FAILED} == told
    assert Outcome.NOT_RECORDED not in {check.outcome for check in found.values()}
    passed = {reason for reason, check in found.items() if check.outcome is Outcome.PASSED}
    of_goods = {refusal for refusal in recorded.refusals if refusal.reason.stage is Stage.PROGRAMME_AND_GOODS}
    if not any(refusal.line for refusal in of_goods):
        assert not passed & would_give(purchase, known)


@quickly
@given(purchase=any_purchase(), known=any_facts())
def test_the_figures_of_a_money_check_say_by_themselves_how_it_came_out(purchase: Purchase, known: Facts) -> None:
    found = outcomes(written(purchase, known), seen(known))
    for reason, limit in (
        (DeclineReason.PACKAGE_CAP_EXCEEDED, "package"),
        (DeclineReason.ENTITLEMENT_EXCEEDED, "available"),
        (DeclineReason.MONTHLY_CAP_EXCEEDED, "room"),
    ):
        check = found[reason]
        if check.outcome is Outcome.NOT_LOOKED_AT:
            assert check.figures == {}
            continue
        room = check.figures[limit]
        is_above = room is not None and check.figures["asked"] > room
        assert is_above == (check.outcome is not Outcome.PASSED), (reason, check)


@quickly
@given(purchase=any_purchase(), known=any_facts())
def test_whatever_was_decided_is_explained_in_the_form_that_is_documented(purchase: Purchase, known: Facts) -> None:
    for then in (seen(known), None):
        document = explained(written(purchase, known), then, _now("declined"))
        assert purchase.card_number.encode() not in orjson.dumps(document)
        assert ("(not recorded)" not in document["in_words"]["english"]) or then is None
        Explanation.model_validate_json(orjson.dumps(_with_long_ids(document)))


def _with_long_ids(document: Document) -> Document:
    """The builders' ids are short."""
    form = next(iter(explanation_examples().values()))["value"]
    ids = ("authorization_id", "merchant_id", "terminal_id", "beneficiary_id", "card")
    assert set(ids) <= set(document)
    vouchers = [each | {"voucher_id": "vch_" + 26 * "0"} for each in document["facts"]["vouchers"]]
    return document | {name: form[name] for name in ids} | {"facts": document["facts"] | {"vouchers": vouchers}}


def _now(status: str, **amounts: int) -> Document:
    nothing = {"held_amount": 0, "captured_amount": 0, "refunded_amount": 0}
    event = {"type": "declined", "amount": 0, "created_at": "2024-11-05T10:00:00.000+08:00"}
    as_of = {"as_of": "2025-03-03T10:00:00.000+08:00", "vouchers_used": [], "events": [event]}
    return as_of | nothing | amounts | {"status": status}


def test_a_smaller_limit_that_cut_the_basket_leaves_the_larger_one_not_binding() -> None:
    """Decision 4's example: package 300.000, month left 100.000, basket 350.000."""
    known = facts(family=a_family(month=a_month(used_rupiah=500_000, packages_used=1)))
    purchase = a_purchase(a_line(amount=350_000), partial_approval=True)
    found = outcomes(written(purchase, known), seen(known))
    assert found[DeclineReason.PACKAGE_CAP_EXCEEDED].outcome is Outcome.NOT_BINDING
    month = found[DeclineReason.MONTHLY_CAP_EXCEEDED]
    assert (month.outcome, month.lines) == (Outcome.FAILED, (1,))
    assert month.figures == {
        "asked": 350_000,
        "cap": 600_000,
        "used": 500_000,
        "covered_by_vouchers": 0,
        "on_vouchers": 0,
        "room": 100_000,
    }


def test_a_line_is_not_looked_at_by_the_checks_after_its_first_reason() -> None:
    found = outcomes(written(a_purchase(a_line("rokok", 10_000)), facts()), seen(facts()))
    goods = [found[reason].outcome for reason in DeclineReason if reason.stage is Stage.PROGRAMME_AND_GOODS]
    passed, failed, unseen = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_LOOKED_AT
    assert goods == [passed, passed, passed, failed, unseen, unseen]
    mixed = outcomes(written(a_purchase(a_line("rokok", 10_000), a_line()), facts()), seen(facts()))
    assert mixed[DeclineReason.PRICE_ABOVE_CEILING].outcome is passed


def test_nothing_is_looked_at_on_a_card_that_nobody_knows() -> None:
    known = facts(card=None, family=None)
    found = outcomes(written(a_purchase(), known), seen(known))
    assert found[DeclineReason.MERCHANT_SUSPENDED].outcome is Outcome.PASSED
    assert found[DeclineReason.CARD_UNKNOWN].outcome is Outcome.FAILED
    later = list(DeclineReason)[list(DeclineReason).index(DeclineReason.CARD_UNKNOWN) + 1 :]
    assert {found[reason].outcome for reason in later} == {Outcome.NOT_LOOKED_AT}


def test_rules_that_say_something_else_today_are_said_to_and_what_was_decided_stays() -> None:
    recorded, then = written(a_purchase(), facts()), seen(facts())
    stricter = dataclasses.replace(then, programme=a_programme(package_rupiah=100_000))
    document = explained(recorded, stricter, _now("held", held_amount=150_000))
    assert (document["decision"], document["rules_agree"]) == ("approved", False)
    assert document["decided_today"]["reasons"] == [{"reason": "package_cap_exceeded"}]
    assert document["decided_today"]["decision"] == "declined"
    assert {check["outcome"] for check in document["checks"]} == {"passed"}


@pytest.mark.parametrize(
    ("taken_away", "missing", "is_decided_again"),
    [
        (("card_expires_on",), ["card_expires_on"], False),
        (("companion",), ["companion"], True),
        (("card_expires_on", "companion"), ["card_expires_on", "companion"], False),
    ],
)
def test_a_journal_from_before_a_member_was_kept_is_explained_without_it(
    taken_away: tuple[str, ...], missing: list[str], is_decided_again: bool
) -> None:
    known = facts(family=a_family(month=a_month(a_voucher(), used_rupiah=600_000, packages_used=2)))
    recorded = written(a_purchase(), known)
    for name in taken_away:
        del recorded.journal["facts"][name]
    document = explained(recorded, seen(known), _now("held", held_amount=150_000))
    assert document["not_recorded"] == missing
    assert document["rules_agree"] is (True if is_decided_again else None)
    assert not document["facts"].keys() & set(taken_away)
    assert document["in_words"]["english"].startswith("On 5 November 2024 at 10:00 WITA, KUBE Tunas Lempake asked")


def test_a_voucher_whose_end_was_not_kept_is_shown_without_one() -> None:
    known = facts(family=a_family(month=a_month(a_voucher(), used_rupiah=600_000, packages_used=2)))
    recorded = written(a_purchase(), known)
    recorded.journal["facts"]["vouchers"] = [each[:3] for each in recorded.journal["facts"]["vouchers"]]
    document = explained(recorded, seen(known), _now("held", held_amount=150_000))
    assert (document["not_recorded"], document["rules_agree"]) == (["voucher_expires_at"], True)
    assert document["facts"]["vouchers"] == [{"voucher_id": "vch_1", "amount_left": 100_000, "packages_left": 1}]


def test_without_the_settings_of_the_time_nothing_of_today_stands_in_for_them() -> None:
    known = facts(family=a_family(month=a_month(used_rupiah=500_000, packages_used=1)))
    document = explained(written(a_purchase(), known), None, _now("declined"))
    assert (document["settings_known"], document["rules_agree"]) == (False, None)
    assert document["not_recorded"] == ["settings"]
    assert "settings" not in document
    assert all("catalogue" not in line for line in document["lines"])
    by_name = {check["check"]: check for check in document["checks"]}
    # What the journal itself has is still said.
    assert by_name["monthly_cap_exceeded"]["figures"]["room"] == 100_000
    assert by_name["merchant_unknown"]["figures"] == {"day": "2024-11-05"}
    assert "asked" not in by_name["package_cap_exceeded"]["figures"]
    assert document["created_at"] == "2024-11-05T10:00:00.000+08:00"


@pytest.mark.parametrize("status", HoldStatus)
def test_how_the_money_stands_is_said_for_every_state(status: HoldStatus) -> None:
    said = now_in_words(_now(status, held_amount=50_000, captured_amount=100_000, refunded_amount=20_000))
    assert all(sentence.endswith(".") for sentence in said.values())
    refunded = status is not HoldStatus.REVERSED
    assert ("Rp20.000" in said["english"], "Rp20.000" in said["indonesian"]) == (refunded, refunded)


def test_every_check_has_its_question_in_both_languages() -> None:
    assert set(QUESTIONS) == set(DeclineReason)
    assert all(question.endswith("?") for pair in QUESTIONS.values() for question in pair)


def test_the_examples_of_the_documentation_have_the_form_that_is_documented() -> None:
    for example in explanation_examples().values():
        Explanation.model_validate_json(orjson.dumps(example["value"]))
        assert example["value"]["rules_agree"] is True


def test_the_page_about_explanations_shows_pieces_of_a_true_one() -> None:
    whole = explanation_examples()["monthly_cap_exceeded"]["value"]
    page = (Path(__file__).parent.parent / "docs" / "explanations.md").read_text(encoding="utf-8")
    pieces = [orjson.loads(block) for block in re.findall(r"```json\n(.+?)```", page, re.DOTALL)]
    for piece in pieces:
        assert piece in [*whole["checks"], *whole["lines"]] or piece.items() <= whole.items(), piece
    assert len(pieces) == 4
