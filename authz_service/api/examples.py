"""The examples of the documentation, all true: a small world, and what the real rules and answers say in it."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from msgspec.structs import replace
from pydantic import TypeAdapter

from authz_service import problems as p
from authz_service.answers import (
    Document,
    Identity,
    as_it_stands,
    balance_document,
    decision_document,
    moved_document,
    refund_document,
    shown,
)
from authz_service.authorisation import placed_hold
from authz_service.catalogue import catalogue
from authz_service.declines import DeclineReason
from authz_service.holds import Change, Hold, capture, refund, reverse, void
from authz_service.registry import Reference
from authz_service.requests import BalanceInquiry, Purchase
from authz_service.rules.decide import OUTSIDE_THE_BASKET, Refusal, decide, identity_refusals, largest_approvable
from authz_service.rules.facts import (
    Card,
    Ceiling,
    Facts,
    Family,
    Mark,
    Month,
    Product,
    Programme,
    Shop,
    Terminal,
    Voucher,
)
from authz_service.rules.money import room_of
from authz_service.vocabulary import (
    AboveCeiling,
    AuthorisationId,
    BeneficiaryId,
    BeneficiaryStatus,
    CardId,
    CardStatus,
    DetailsRequired,
    HoldStatus,
    MerchantId,
    MerchantStatus,
    PackageCounting,
    ProgrammeId,
    TerminalId,
    TerminalStatus,
    VoucherId,
    new_id,
)

REQUEST: Final = 0
"""Beside the statuses: the key of a call's example requests."""
_ZONE: Final = ZoneInfo("Asia/Makassar")
_NOW: Final = datetime(2024, 12, 1, 9, 15, tzinfo=_ZONE)
_LATER: Final = _NOW + timedelta(hours=1)
SYNTHETIC_CARD: Final = "9360000000000013"


def _id(prefix: str) -> str:
    return new_id(prefix, _NOW, b"contoh----")


_AUTHORISATION: Final = AuthorisationId(_id("auth"))


def _product(category: str, name: str, unit: str, ceiling_rupiah: int | None) -> Product:
    ceiling = Ceiling(district_code=None, price_rupiah=ceiling_rupiah or 0, valid_from=date(2024, 6, 5), valid_to=None)
    return Product(category=category, name=name, unit=unit, gtin=None, ceilings=(ceiling,) if ceiling_rupiah else ())


_GOODS: Final = (
    _product("beras", "beras premium", "kg", 15_400),
    _product("telur", "telur ayam ras", "kg", 30_000),
    _product("ikan_kaleng", "sarden 155 g", "kaleng", None),
)
_MONTH: Final = Month(
    month=date(2024, 12, 1),
    cap_rupiah=600_000,
    packages_cap=2,
    used_rupiah=0,
    packages_used=0,
    covered_rupiah=0,
    covered_packages=0,
    vouchers=(),
)
_FACTS: Final = Facts(
    now=_NOW,
    today=_NOW.date(),
    programme=Programme(
        programme_id=ProgrammeId("contoh"),
        name="Program Contoh",
        operator_name="Dinsos PM",
        zone=_ZONE,
        starts_at=datetime(2024, 10, 1, tzinfo=_ZONE),
        ends_at=datetime(2025, 1, 1, tzinfo=_ZONE),
        entitlement_rupiah=1_800_000,
        package_rupiah=300_000,
        month_cap_rupiah=600_000,
        month_packages=2,
        package_counting=PackageCounting.PER_PURCHASE,
        above_ceiling=AboveCeiling.DECLINE,
        details_required=DetailsRequired.WHERE_CEILING,
        hold_seconds=86_400,
        cash_categories=frozenset({"tunai", "tarik_tunai", "transfer", "pulsa"}),
        categories={"beras": "beras", "telur": "telur", "ikan_kaleng": "ikan kaleng"},
        products={(product.name, product.unit): product for product in _GOODS},
        ceiling_categories=frozenset({"beras", "telur"}),
    ),
    shop=Shop(
        merchant_id=MerchantId(_id("mrc")),
        name="KUBE Contoh",
        district_code="64.72.01",
        district_name="Palaran",
        status=MerchantStatus.ACTIVE,
        admitted_on=date(2024, 9, 1),
        leaves_on=None,
        opens_at=None,
        closes_at=None,
    ),
    terminal=Terminal(
        terminal_id=TerminalId(_id("trm")), merchant_id=MerchantId(_id("mrc")), status=TerminalStatus.ACTIVE
    ),
    card=Card(card_id=CardId(_id("crd")), status=CardStatus.ACTIVE, expires_on=date(2029, 9, 30)),
    family=Family(
        beneficiary_id=BeneficiaryId(_id("ben")),
        status=BeneficiaryStatus.ACTIVE,
        companion_label="P-001",
        available_rupiah=1_800_000,
        month=_MONTH,
    ),
)
_VOUCHER: Final = Voucher(
    voucher_id=VoucherId(_id("vch")),
    rupiah_left=100_000,
    packages_left=1,
    expires_at=datetime(2025, 1, 1, tzinfo=_ZONE),
)


_MARK: Final = Mark(subject_id=_FACTS.terminal.terminal_id, signal="many_cards", until=_NOW + timedelta(hours=1))


def _where(now: datetime = _NOW, **changed: Mapping[str, Any]) -> Facts:
    """The good facts, but for `changed`: `card={"status": …}`, `family={…}`, `month={…}` and so on."""
    facts = replace(_FACTS, now=now, today=now.date())
    for name, changes in changed.items():
        if name == "month":
            facts = replace(facts, family=replace(facts.family, month=replace(_MONTH, **changes)))  # type: ignore[type-var]
        else:
            facts = replace(facts, **{name: replace(getattr(facts, name), **changes)})
    return facts


_RICE: Final = {
    "category": "beras", "product": "beras premium", "unit": "kg",
    "quantity": "5", "unit_price": 15400, "amount": 77000,
}  # fmt: skip
_EGGS: Final = {
    "category": "telur", "product": "telur ayam ras", "unit": "kg",
    "quantity": "2", "unit_price": 30000, "amount": 60000,
}  # fmt: skip
_DEAR_RICE: Final = _RICE | {"unit_price": 16000, "amount": 80000}


def _fish(amount: int) -> Document:
    return {"category": "ikan_kaleng", "amount": amount}


def _purchase(*lines: Document, **changes: Any) -> Document:
    """A good request: rice, eggs and tinned fish unless `lines` say otherwise."""
    bought = list(lines) or [_RICE, _EGGS, _fish(13000)]
    return {
        "card_number": SYNTHETIC_CARD,
        "stan": "000123",
        "terminal_time": "2024-12-01T09:15:00+08:00",
        "amount": sum(line["amount"] for line in bought),
        "currency": "IDR",
        "lines": bought,
        **changes,
    }


REFUSED: Final[Mapping[DeclineReason, tuple[Document, Facts]]] = {
    DeclineReason.MERCHANT_UNKNOWN: (_purchase(), _where(shop={"leaves_on": date(2024, 11, 30)})),
    DeclineReason.MERCHANT_SUSPENDED: (_purchase(), _where(shop={"status": MerchantStatus.SUSPENDED})),
    DeclineReason.TERMINAL_NOT_PERMITTED: (_purchase(), _where(terminal={"status": TerminalStatus.UNBOUND})),
    DeclineReason.CARD_UNKNOWN: (_purchase(), replace(_FACTS, card=None, family=None)),
    DeclineReason.CARD_NOT_ACTIVATED: (_purchase(), _where(card={"status": CardStatus.NOT_ACTIVATED})),
    DeclineReason.CARD_LOST: (_purchase(), _where(card={"status": CardStatus.LOST})),
    DeclineReason.CARD_STOLEN: (_purchase(), _where(card={"status": CardStatus.STOLEN})),
    DeclineReason.CARD_EXPIRED: (_purchase(), _where(card={"expires_on": date(2024, 11, 30)})),
    DeclineReason.CARD_BLOCKED: (_purchase(), _where(card={"status": CardStatus.REPLACED})),
    DeclineReason.BENEFICIARY_SUSPENDED: (_purchase(), _where(family={"status": BeneficiaryStatus.SUSPENDED})),
    DeclineReason.BENEFICIARY_REMOVED: (_purchase(), _where(family={"status": BeneficiaryStatus.REMOVED})),
    DeclineReason.PROGRAMME_NOT_STARTED: (
        _purchase(),
        _where(datetime(2024, 9, 30, 9, tzinfo=_ZONE), month={"month": date(2024, 9, 1)}),
    ),
    DeclineReason.PROGRAMME_ENDED: (
        _purchase(),
        _where(datetime(2025, 1, 1, tzinfo=_ZONE), month={"month": date(2025, 1, 1)}),
    ),
    DeclineReason.CASH_NOT_PERMITTED: (_purchase(_RICE, {"category": "tarik_tunai", "amount": 50000}), _FACTS),
    DeclineReason.CATEGORY_NOT_PERMITTED: (_purchase(_RICE, {"category": "rokok", "amount": 30000}), _FACTS),
    DeclineReason.PRODUCT_NOT_PERMITTED: (_purchase(_RICE | {"unit": "karung"}, _EGGS), _FACTS),
    DeclineReason.PRICE_ABOVE_CEILING: (_purchase(_DEAR_RICE, _EGGS), _FACTS),
    DeclineReason.PACKAGE_CAP_EXCEEDED: (_purchase(_RICE, _fish(273000)), _FACTS),
    DeclineReason.ENTITLEMENT_EXCEEDED: (_purchase(), _where(family={"available_rupiah": 100_000})),
    DeclineReason.PACKAGES_USED_UP: (_purchase(), _where(month={"used_rupiah": 250_000, "packages_used": 2})),
    DeclineReason.MONTHLY_CAP_EXCEEDED: (_purchase(), _where(month={"used_rupiah": 500_000, "packages_used": 1})),
    DeclineReason.SUSPECTED_MISUSE: (_purchase(), replace(_FACTS, marks=(_MARK,))),
}
_CUT: Final = _purchase(_RICE, {"category": "rokok", "amount": 30000}, _fish(250_000), partial_approval=True)
_APPROVED: Final[Mapping[str, tuple[Document, Facts]]] = {
    "approved": (_purchase(), _FACTS),
    "approved_and_captured": (_purchase(capture=True), _FACTS),
    "approved_with_voucher": (
        _purchase(),
        _where(month={"used_rupiah": 500_000, "packages_used": 2, "vouchers": (_VOUCHER,)}),
    ),
    "partly_approved": (_CUT, _FACTS),
    "price_reduced": (_purchase(_DEAR_RICE, _EGGS), _where(programme={"above_ceiling": AboveCeiling.REDUCE})),
}
PROBLEMS: Final[tuple[p.Problem, ...]] = (
    p.NotJson("the body is not JSON in UTF-8"),
    p.KeyMissing("send an Idempotency-Key of 1 to 64 visible ASCII characters"),
    p.KeyMalformed("send one Idempotency-Key"),
    p.Unauthenticated("no terminal has this key"),
    p.NotYours("merchant_id or terminal_id is not that of the terminal key"),
    p.NotFound("this shop has no such authorisation"),
    p.MethodNotAllowed("POST"),
    p.BodyTooSlow("the body took more than 5 seconds"),
    p.InProgress("the first request with this key has no answer yet"),
    p.StanAlreadyUsed("this STAN and terminal_time belong to an earlier request", authorization_id=_AUTHORISATION),
    p.RequestReversed("a reversal came for this Idempotency-Key"),
    p.StateConflict("the authorisation is voided", authorization_status=HoldStatus.VOIDED),
    p.ProgrammeClosed("what is refunded could not reach the card any more"),
    p.BodyTooLarge("at most 65536 bytes"),
    p.Invalid([{"field": "lines[0].quantity", "code": "missing", "detail": "This field is required"}]),
    p.QueryInvalid("only dry_run=true or dry_run=false is known, and only for an authorisation"),
    p.KeyReused("the key was used for a request with other content"),
    p.CaptureExceedsHold("amount is more than is held", held_amount=150_000),
    p.RefundExceedsCaptured("amount is more than can be refunded", refundable_amount=100_000),
    p.TooManyRequests("at most 8 requests of a terminal wait at a time"),
    p.InternalError("an error of ours; operators were told"),
    p.Overloaded("too many requests are waiting"),
    p.NotDecided("the deadline came before anything was written"),
    p.OutcomeUnknown("the deadline came while the decision was being written"),
)


@cache
def examples() -> Mapping[str, Mapping[int, Document]]:
    """Operation → status → name → OpenAPI example."""
    approved = {name: _shown(_in_words(name), decided(*it)) for name, it in _APPROVED.items()}
    declined = {reason.value: _shown(_told(reason), decided(*it)) for reason, it in REFUSED.items()}
    dry_runs = {"approved": _APPROVED["approved"], "declined": REFUSED[DeclineReason.PRICE_ABOVE_CEILING]}
    refused = {reason.value: REFUSED[reason][1] for reason in (DeclineReason.CARD_LOST, DeclineReason.PROGRAMME_ENDED)}
    part, gone = capture(_held(), 100_000, final=False), void(_held())
    return {
        "authorise": {
            REQUEST: {
                "purchase": _shown("Three lines, one without details", _purchase()),
                "partial_approval": _shown("Cut out what may not be bought or is not funded", _CUT),
            },
            200: {name: _shown(f"Would be {name}", decided(*it, dry_run=True)) for name, it in dry_runs.items()},
            201: approved | declined,
        },
        "get_authorisation": {200: {"partly_captured": _shown("Partly captured", _with_events(part))}},
        "capture": {
            REQUEST: {
                "whole": _shown("All that is held", {}),
                "in_part": _shown("A part now, the rest later", {"amount": 100_000, "final": False}),
            },
            201: {"in_part": _shown("A part now, the rest later", _captured(part))},
        },
        "refund": {
            REQUEST: {"eggs": _shown("Broken eggs", {"amount": 30_000, "reason": "telur pecah"})},
            201: {"eggs": _shown("Broken eggs", _refunded(refund(_changed(part).hold, 30_000)))},
        },
        "void": {
            REQUEST: {"reason": _shown("With a reason", {"reason": "pembeli batal"})},
            200: {"voided": _shown("Voided", _standing(gone))},
        },
        "reverse": {
            REQUEST: {
                "by_stan": _shown("By STAN", {"stan": "000123", "terminal_time": _purchase()["terminal_time"]}),
                "by_key": _shown("By key", {"idempotency_key": "5f0c7c52-till-7"}),
            },
            201: {
                "undone": _shown(
                    "Undone",
                    {
                        "id": _id("rev"),
                        "status": _changed(reverse(_held(), captured_at_once=False)).hold.status,
                        "undone": True,
                        "reversed_amount": _held().held_rupiah,
                        "authorization_id": _AUTHORISATION,
                    },
                )
            },
        },
        "balance_inquiry": {
            REQUEST: {"balance": _shown("What is left on this card?", {"card_number": SYNTHETIC_CARD})},
            200: {name: _shown(_in_words(name), _left(it)) for name, it in ({"approved": _FACTS} | refused).items()},
        },
        "catalogue": {200: {"catalogue": _shown("A short list", _listed())}},
    }


def _shown(summary: str, value: object) -> Document:
    return {"summary": summary, "value": orjson.loads(orjson.dumps(value))}


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _told(reason: DeclineReason) -> str:
    return f"{reason.value} ({reason.response_code}): {re.sub(r'{(.+?)}', _blank, reason.english)}"


def _blank(name: re.Match[str]) -> str:
    return f"({name[1].replace('_', ' ')})"


def decided(request: Document, facts: Facts, *, dry_run: bool = False) -> Document:
    purchase = TypeAdapter(Purchase).validate_json(orjson.dumps(request))
    decision = decide(purchase, facts)
    if dry_run:
        return decision_document(purchase, facts, decision, None, None)
    hold = placed_hold(_AUTHORISATION, facts, decision, captured=purchase.capture)
    identity = Identity(
        authorisation_id=_AUTHORISATION,
        approval_code="A7K2M9" if hold else None,
        expires_at=hold.expires_at if hold else None,
    )
    return decision_document(purchase, facts, decision, identity, hold)


def _held() -> Hold:
    purchase = TypeAdapter(Purchase).validate_json(orjson.dumps(_purchase()))
    hold = placed_hold(_AUTHORISATION, _FACTS, decide(purchase, _FACTS), captured=False)
    if hold is None:
        raise TypeError("an example shows what works")
    return hold


def _changed(change: object) -> Change:
    if not isinstance(change, Change):
        raise TypeError("an example shows what works")
    return change


def _standing(change: object) -> Document:
    return as_it_stands(orjson.dumps(decided(*_APPROVED["approved"])), _changed(change).hold)


def _captured(change: object) -> Document:
    amount = _changed(change).moves[0].amount_rupiah
    return {"capture": moved_document(_id("cap"), amount, _LATER, _ZONE), "authorization": _standing(change)}


def _refunded(change: object) -> Document:
    return refund_document(replace(_FACTS, now=_LATER), _changed(change), _id("ref"), _standing(change))


def _with_events(change: object) -> Document:
    standing, posted = _standing(change), _captured(change)["capture"]
    held = {"id": _id("trf"), "type": "authorised", "amount": standing["amount"], "created_at": shown(_NOW, _ZONE)}
    return standing | {"events": [held, {"type": "captured", **posted}]}


def _left(facts: Facts) -> Document:
    refusals, room, largest = identity_refusals(facts), None, 0
    if not refusals and facts.family is not None:
        room = room_of(facts.family, facts.programme)
        largest = largest_approvable(facts, room)
        refusals = [Refusal(reason=reason) for rule in OUTSIDE_THE_BASKET if (reason := rule(facts)) is not None]
    inquiry = BalanceInquiry(card_number=SYNTHETIC_CARD)
    return balance_document(inquiry, facts, refusals, room, largest)


def _listed() -> Document:
    reference = Reference(version=1, programme=_FACTS.programme, shops={}, terminals={}, companion_labels={})
    listed: Document = orjson.loads(catalogue(reference, _FACTS.today, "64.72.01").body)
    return listed
