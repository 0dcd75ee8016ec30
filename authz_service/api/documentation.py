"""The terminals' calls for OpenAPI. `pos.py` answers them before FastAPI sees them, so the routes here are only stubs.

Every example is true: purchases go through the real rules and the real answers, problems write themselves.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Final, NoReturn
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Body, FastAPI, Header, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import TypeAdapter

from authz_service import problems as p
from authz_service.answers import Document, Identity, as_it_stands, balance_document, decision_document, shown
from authz_service.api import wire
from authz_service.catalogue import catalogue
from authz_service.declines import DeclineReason
from authz_service.holds import Change, Hold, capture, void
from authz_service.registry import Reference
from authz_service.requests import BalanceInquiry, Capture, Purchase, Void
from authz_service.rules.decide import WINDOW_RULES, Decision, Refusal, decide, identity_refusals, largest_approvable
from authz_service.rules.facts import Card, Ceiling, Facts, Family, Month, Product, Programme, Shop, Terminal, Voucher
from authz_service.rules.money import packages_of_a_purchase, room_of
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

DUTIES: Final = """\
1. **Before you send**, make an `Idempotency-Key` (random, for example a UUID), a `stan` and a `terminal_time`, and \
save them together with the basket where a power cut cannot reach them. Keep them until the sale has its answer.
2. **Nothing is sold until the host has said so.** Print and say the `message` of the answer. Never say "berhasil" \
before the host did, and never offer to approve while the line is down.
3. **No answer, a time-out, a 5xx or `in_progress`?** Wait for `Retry-After`, or a second, then send the same request \
again: the same key, the same content. You get the one true answer, however often you ask. \
Never send the sale under a new key: that would be a second purchase.
4. **The customer walks away, or you cannot wait?** Reverse: `POST /v1/reversals` with the `stan` and \
`terminal_time`, or with the key. Repeat the reversal until it is answered 201, also after a restart. From then on \
that key and that `stan` are dead.
5. **A decline is an answer, not an error**: 201 with `"decision": "declined"`. Sending it again gives the same \
decline. Mend what the `message` says, then send it as a new sale with a new key and a new `stan`.
6. **Programs read** `decision`, `reason`, `code` and `retryable`; people read `message`. Ignore members that you do \
not know. Amounts are whole rupiah; never compute with fractions.
7. **Keep no card number and no PIN**: not in logs, not on receipts, not after the answer.
"""
_INTRODUCTION: Final = f"""\
## Duties of a terminal

{DUTIES}
## Who a request is

- Every POST that changes something needs an `Idempotency-Key` of 1 to 64 visible ASCII characters. It belongs to the \
terminal, for the life of the programme. A dry run and a balance inquiry take none.
- The same key with the same content gets the first answer again, byte for byte, with `Idempotent-Replayed: true`. \
White space, the order of members and `pin_block` do not count; times are compared as instants.
- The same key with other content is 422 `key_reused`. While the first request is still being decided, the second \
waits for the same answer, and after 1.5 seconds is told 409 `in_progress`.
- A sale is also known by terminal, `stan` and `terminal_time`: the same pair under another key is 409 \
`stan_already_used` with the `authorization_id` of the first, and nothing is decided.
- Kept and replayed: every 2xx, and the 409 and 422 that state or amount caused on a later call. Nothing else uses up \
a key: after 400, 401, 403, 404, 413, 422 `invalid`, 429 or 5xx the same key may be sent again.
- 503 `not_decided`: nothing was written. 503 `outcome_unknown`: it may have been. In both cases repeat the request \
unchanged, or reverse it.
"""
KEY_PATTERN: Final = r'^(?:[!#-~]|[!#-~][!-~]{0,62}[!#-~]|"[!-~]{1,64}")$'


class StubIsReached(RuntimeError):  # noqa: N818  (an error's name is its sentence)
    """A terminal's call came to FastAPI: `PosDoor` does not stand in front of it."""


class _Stub(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def refuse(_: Request) -> NoReturn:
            raise StubIsReached(self.path)

        return refuse


def documented(app: FastAPI) -> None:
    """The OpenAPI document of `app` describes every call of a terminal, with an example of every answer."""
    app.include_router(_router)
    app.description = "\n\n".join(part for part in (app.description, _INTRODUCTION) if part)
    plain = app.openapi
    app.openapi = lambda: _completed(plain())  # type: ignore[method-assign]  # the way that FastAPI's manual gives


_HEADERS: Final[Mapping[str, Document]] = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "Name it when you ask the operators."},
    "Idempotent-Replayed": {"schema": {"const": "true"}, "description": "Only where the answer was given before."},
    "ETag": {"schema": {"type": "string"}, "description": "Send it as `If-None-Match` the next time."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."},
    "WWW-Authenticate": {"schema": {"const": "Bearer"}},
}
_REPLAYABLE: Final = {"headers": {"Idempotent-Replayed": _HEADERS["Idempotent-Replayed"]}}
_router: Final = APIRouter(
    prefix="/v1",
    tags=["terminals"],
    route_class=_Stub,
    dependencies=[
        Security(HTTPBearer(scheme_name="terminal_key", description="The terminal's key.", auto_error=False))
    ],
    # Brings the model into the document and keeps FastAPI's own 422 out; `_complete` writes the problems of each call.
    responses={422: {"model": wire.ProblemDocument}},
)
_Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=KEY_PATTERN,
        description="1 to 64 visible ASCII characters, bare or in double quotes. A dry run takes none.",
        examples=["0b9c6c0e-9a5b-4a43-8f0e-3f2f6f1c7a55"],
    ),
]


@_router.post(
    "/authorizations",
    operation_id="authorise",
    summary="Authorise a purchase",
    status_code=201,
    response_description="Decided: approved or declined",
    responses={
        200: {"model": wire.DryRun, "description": "Only with `dry_run=true`: what would be decided now"},
        201: _REPLAYABLE,
    },
)
async def _authorise(  # type: ignore[empty-body]
    body: Annotated[Purchase, Body()],
    key: _Key,
    dry_run: Annotated[bool, Query(description="Decides and explains, changes nothing.")] = False,  # noqa: FBT002
) -> wire.Authorisation:
    """May this family buy these goods, here, now, for this much? With `capture` the sale is posted in the same step."""


@_router.get(
    "/authorizations/{authorization_id}",
    operation_id="get_authorisation",
    summary="Read an authorisation",
    response_description="The authorisation as it stands, with what happened to it",
)
async def _get_authorisation(authorization_id: str) -> wire.AuthorisationWithEvents:  # type: ignore[empty-body]
    """Only an authorisation of this shop; another shop's is a 404."""


@_router.post(
    "/authorizations/{authorization_id}/captures",
    operation_id="capture",
    summary="Capture what is held",
    status_code=201,
    response_description="Captured",
    responses={201: _REPLAYABLE},
)
async def _capture(  # type: ignore[empty-body]
    authorization_id: str, body: Annotated[Capture, Body(default_factory=Capture)], key: _Key
) -> wire.CaptureAnswer:
    """Posts all that is held, or `amount` of it. `final` (the default) gives the rest back to the family."""


@_router.post(
    "/authorizations/{authorization_id}/void",
    operation_id="void",
    summary="Void a hold",
    response_description="What was still held went back to the family",
    responses={200: _REPLAYABLE},
)
async def _void(  # type: ignore[empty-body]
    authorization_id: str, body: Annotated[Void, Body(default_factory=Void)], key: _Key
) -> wire.Authorisation:
    """Gives back what is still held. What was captured before stands."""


@_router.post(
    "/balance-inquiries",
    operation_id="balance_inquiry",
    summary="Ask what is left",
    response_description="What is left, or why that may not be told",
)
async def _balance_inquiry(body: Annotated[BalanceInquiry, Body()]) -> wire.BalanceAnswer:  # type: ignore[empty-body]
    """How much the family may still spend: now, this month and in all. Changes nothing and takes no key."""


@_router.get(
    "/catalogue",
    operation_id="catalogue",
    summary="Read the catalogue",
    response_description="What may be bought today",
    responses={
        200: {"headers": {"ETag": _HEADERS["ETag"]}},
        304: {"description": "Unchanged since the answer with that `ETag`", "headers": {"ETag": _HEADERS["ETag"]}},
    },
)
async def _catalogue(  # type: ignore[empty-body]
    if_none_match: Annotated[str | None, Header(description="The `ETag` of the last answer.")] = None,
) -> wire.Catalogue:
    """Categories, products, units and the price ceilings in force today in the shop's kecamatan."""


_EVERY: Final = (p.Unauthenticated, p.MethodNotAllowed, p.InternalError, p.NotDecided)
_POSTED: Final = (
    *(*_EVERY, p.NotJson, p.BodyTooSlow, p.BodyTooLarge, p.Invalid, p.QueryInvalid),
    *(p.TooManyRequests, p.Overloaded, p.OutcomeUnknown),
)
_KEYED: Final = (*_POSTED, p.KeyMissing, p.KeyMalformed, p.InProgress, p.KeyReused)
PROBLEMS_OF: Final[Mapping[str, tuple[type[p.Problem], ...]]] = {
    "authorise": (*_KEYED, p.NotYours, p.StanAlreadyUsed),
    "get_authorisation": (*_EVERY, p.NotFound),
    "capture": (*_KEYED, p.NotFound, p.StateConflict, p.CaptureExceedsHold),
    "void": (*_KEYED, p.NotFound, p.StateConflict),
    "balance_inquiry": (*_POSTED, p.NotYours),
    "catalogue": _EVERY,
}


def _completed(document: Document) -> Document:
    """`document` with what FastAPI cannot say: problems under their own media type, and examples with their nulls."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if operation.get("operationId") in PROBLEMS_OF:
                _complete(operation)
    line = document["components"]["schemas"]["Line"]
    line["description"] = (
        "One line of a basket. `product`, `unit`, `quantity` and `unit_price` come together or not at all; then "
        "`amount` is quantity x unit_price, rounded half up to whole rupiah."
    )
    quantity = line["properties"]["quantity"]
    quantity["description"] = "A decimal number above 0 as a string, with at most 3 decimals: `2.5`."
    quantity["anyOf"][0].pop("gt", None)
    return document


def _complete(operation: Document) -> None:
    name, examples = operation["operationId"], _examples()[operation["operationId"]]
    if "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["examples"] = examples[_REQUEST]
    answers = {status: told for status, told in operation["responses"].items() if status < "400"}
    for status, told in answers.items():
        if "content" in told:
            told["content"]["application/json"]["examples"] = examples[int(status)]
    operation["responses"] = answers | _problem_responses(PROBLEMS_OF[name])
    for told in operation["responses"].values():
        told["headers"] = told.get("headers", {}) | {"X-Request-Id": _HEADERS["X-Request-Id"]}


def _problem_responses(kinds: tuple[type[p.Problem], ...]) -> Document:
    responses: Document = {}
    for problem in sorted((each for each in _PROBLEMS if type(each) in kinds), key=lambda each: each.status):
        told = responses.setdefault(str(problem.status), {"description": problem.title, "headers": {}, "content": {}})
        if problem.title not in told["description"]:
            told["description"] += f"; or: {problem.title}"
        if problem.retry_after_seconds is not None:
            told["headers"]["Retry-After"] = _HEADERS["Retry-After"]
        if "www-authenticate" in problem.headers:
            told["headers"]["WWW-Authenticate"] = _HEADERS["WWW-Authenticate"]
        content = told["content"].setdefault(
            "application/problem+json", {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "examples": {}}
        )
        value = orjson.loads(problem.document("req_01jdzp8h2gq3v5x7z9b1d3f5h7"))
        content["examples"][problem.code] = {"summary": problem.title, "value": value}
    return responses


# --- the examples: a small world, and what the service says in it ----------------------------------------------------

_REQUEST: Final = 0
"""Beside the statuses: the key of a call's example requests."""
_ZONE: Final = ZoneInfo("Asia/Makassar")
_NOW: Final = datetime(2024, 12, 1, 9, 15, tzinfo=_ZONE)
_SYNTHETIC_CARD: Final = "9360000000000013"


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
        status=MerchantStatus.ACTIVE,
        admitted_on=date(2024, 9, 1),
        leaves_on=None,
        opens_at=None,
        closes_at=None,
    ),
    terminal=Terminal(terminal_id=TerminalId(_id("trm")), status=TerminalStatus.ACTIVE),
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
        "card_number": _SYNTHETIC_CARD,
        "stan": "000123",
        "terminal_time": "2024-12-01T09:15:00+08:00",
        "amount": sum(line["amount"] for line in bought),
        "currency": "IDR",
        "lines": bought,
        **changes,
    }


_REFUSED: Final[Mapping[DeclineReason, tuple[Document, Facts]]] = {
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
_PROBLEMS: Final[tuple[p.Problem, ...]] = (
    p.NotJson("the body is not JSON in UTF-8"),
    p.KeyMissing("send an Idempotency-Key of 1 to 64 visible ASCII characters"),
    p.KeyMalformed("send one Idempotency-Key"),
    p.Unauthenticated("no terminal has this key"),
    p.NotYours("merchant_id or terminal_id is not that of the terminal key"),
    p.NotFound("this shop has no such authorisation"),
    p.MethodNotAllowed("this address does not take that method"),
    p.BodyTooSlow("the body took more than 5 seconds"),
    p.InProgress("the first request with this key has no answer yet"),
    p.StanAlreadyUsed("this STAN and terminal_time belong to an earlier request", authorization_id=_AUTHORISATION),
    p.StateConflict("the authorisation is voided", authorization_status=HoldStatus.VOIDED),
    p.BodyTooLarge("at most 65536 bytes"),
    p.Invalid([{"field": "lines[0].quantity", "code": "missing", "detail": "This field is required"}]),
    p.QueryInvalid("only dry_run=true or dry_run=false is known, and only for an authorisation"),
    p.KeyReused("the key was used for a request with other content"),
    p.CaptureExceedsHold("amount is more than is held", held_amount=150_000),
    p.TooManyRequests("at most 8 requests of a terminal wait at a time"),
    p.InternalError("an error of ours; operators were told"),
    p.Overloaded("too many requests are waiting"),
    p.NotDecided("the deadline came before anything was written"),
    p.OutcomeUnknown("the deadline came while the decision was being written"),
)


@cache
def _examples() -> Mapping[str, Mapping[int, Document]]:
    """Operation → status → name → OpenAPI example."""
    approved = {name: _shown(_in_words(name), _decided(*it)) for name, it in _APPROVED.items()}
    declined = {reason.value: _shown(_told(reason), _decided(*it)) for reason, it in _REFUSED.items()}
    dry_runs = {"approved": _APPROVED["approved"], "declined": _REFUSED[DeclineReason.PRICE_ABOVE_CEILING]}
    poor = {reason.value: _REFUSED[reason][1] for reason in (DeclineReason.CARD_LOST, DeclineReason.PROGRAMME_ENDED)}
    part, gone = capture(_held(), 100_000, final=False), void(_held())
    return {
        "authorise": {
            _REQUEST: {
                "purchase": _shown("Three lines, one without details", _purchase()),
                "partial_approval": _shown("Cut out what may not be bought or is not funded", _CUT),
            },
            200: {name: _shown(f"Would be {name}", _decided(*it, dry_run=True)) for name, it in dry_runs.items()},
            201: approved | declined,
        },
        "get_authorisation": {200: {"partly_captured": _shown("Partly captured", _with_events(part))}},
        "capture": {
            _REQUEST: {
                "whole": _shown("All that is held", {}),
                "in_part": _shown("A part now, the rest later", {"amount": 100_000, "final": False}),
            },
            201: {"in_part": _shown("A part now, the rest later", _captured(part))},
        },
        "void": {
            _REQUEST: {"reason": _shown("With a reason", {"reason": "pembeli batal"})},
            200: {"voided": _shown("Voided", _standing(gone))},
        },
        "balance_inquiry": {
            _REQUEST: {"balance": _shown("What is left on this card?", {"card_number": _SYNTHETIC_CARD})},
            200: {name: _shown(_in_words(name), _left(it)) for name, it in ({"approved": _FACTS} | poor).items()},
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


def _decided(request: Document, facts: Facts, *, dry_run: bool = False) -> Document:
    purchase = TypeAdapter(Purchase).validate_json(orjson.dumps(request))
    decision = decide(purchase, facts)
    if dry_run:
        return decision_document(purchase, facts, decision, None, None)
    hold = _hold(decision, facts, captured=purchase.capture) if decision.approved else None
    identity = Identity(
        authorisation_id=_AUTHORISATION,
        approval_code="A7K2M9" if hold else None,
        expires_at=hold.expires_at if hold else None,
    )
    return decision_document(purchase, facts, decision, identity, hold)


def _hold(decision: Decision, facts: Facts, *, captured: bool) -> Hold:
    hold = Hold(
        authorisation_id=_AUTHORISATION,
        beneficiary_id=BeneficiaryId(_id("ben")),
        merchant_id=MerchantId(_id("mrc")),
        month=_MONTH.month,
        status=HoldStatus.HELD,
        approved_rupiah=decision.approved_rupiah,
        held_rupiah=decision.approved_rupiah,
        captured_rupiah=0,
        refunded_rupiah=0,
        packages=packages_of_a_purchase(facts.programme),
        expires_at=facts.now + timedelta(seconds=facts.programme.hold_seconds),
        voucher_uses=decision.voucher_uses,
    )
    return _changed(capture(hold, None, final=True)).hold if captured else hold


def _held() -> Hold:
    return _hold(decide(TypeAdapter(Purchase).validate_json(orjson.dumps(_purchase())), _FACTS), _FACTS, captured=False)


def _changed(change: object) -> Change:
    if not isinstance(change, Change):
        raise TypeError("an example shows what works")
    return change


def _standing(change: object) -> Document:
    return as_it_stands(orjson.dumps(_decided(*_APPROVED["approved"])), _changed(change).hold)


def _captured(change: object) -> Document:
    amount = _changed(change).moves[0].amount_rupiah
    posted = {"id": _id("cap"), "amount": amount, "created_at": shown(_NOW + timedelta(hours=1), _ZONE)}
    return {"capture": posted, "authorization": _standing(change)}


def _with_events(change: object) -> Document:
    standing, posted = _standing(change), _captured(change)["capture"]
    held = {"id": _id("trf"), "type": "authorised", "amount": standing["amount"], "created_at": shown(_NOW, _ZONE)}
    return standing | {"events": [held, {"type": "captured", **posted}]}


def _left(facts: Facts) -> Document:
    refusals, room, largest = identity_refusals(facts), None, 0
    if not refusals and facts.family is not None:
        room = room_of(facts.family, facts.programme)
        largest = largest_approvable(facts, room)
        refusals = [Refusal(reason=reason) for rule in WINDOW_RULES if (reason := rule(facts)) is not None]
    return balance_document(facts, refusals, room, largest)


def _listed() -> Document:
    reference = Reference(version=1, programme=_FACTS.programme, shops={}, terminals={}, companion_labels={})
    listed: Document = orjson.loads(catalogue(reference, _FACTS.today, "64.72.01").body)
    return listed
