"""The terminals' calls for OpenAPI: stubs, because `pos.py` answers them before FastAPI sees them."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final, NoReturn

import orjson
from fastapi import APIRouter, Body, FastAPI, Header, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from authz_service import problems as p
from authz_service.answers import Document
from authz_service.api import wire
from authz_service.api.examples import PROBLEMS, REQUEST, examples
from authz_service.api.office_documentation import INTRODUCTION, OFFICE_PROBLEMS_OF, complete_requests
from authz_service.api.office_examples import OFFICE_PROBLEMS, office_examples
from authz_service.requests import BalanceInquiry, Capture, Purchase, Refund, Reversal, Void

DUTIES: Final = """\
1. **Before you send**, make an `Idempotency-Key` (random, for example a UUID), a `stan` and a `terminal_time`, and \
save them together with the basket where a power cut cannot reach them. Keep them until the sale has its answer.
2. **Nothing is sold until the host has said so.** Say the `message` of the answer and print its `receipt` as it is, \
after a decline too: `columns_32` on paper of 58 mm, `columns_48` on 80 mm. Never say "berhasil" before the host did, \
and never offer to approve while the line is down.
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
- The one exception: after a reversal, any request with that key or `stan` is 409 `request_reversed`, whatever was \
answered before.
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
    """The OpenAPI document of `app` describes every call of a terminal and its own, with an example of every answer."""
    app.include_router(_router)
    app.description = "\n\n".join(part for part in (app.description, _INTRODUCTION, INTRODUCTION) if part)
    plain = app.openapi
    app.openapi = lambda: _completed(plain())  # type: ignore[method-assign]  # the way that FastAPI's manual gives


_REQUEST_ID = (
    "What you called the request by `X-Request-Id`, if that may stand in a log; else what we call it. Name it when you"
    " ask the operators."
)
_HEADERS: Final[Mapping[str, Document]] = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": _REQUEST_ID},
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
) -> wire.AuthorisationWithReceipt:
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
    "/authorizations/{authorization_id}/refunds",
    operation_id="refund",
    summary="Refund what was captured",
    status_code=201,
    response_description="Refunded",
    responses={201: _REPLAYABLE},
)
async def _refund(  # type: ignore[empty-body]
    authorization_id: str, body: Annotated[Refund, Body()], key: _Key
) -> wire.RefundAnswer:
    """Back to the card's entitlement and to the month that was charged, never to cash. Several, up to what was paid."""


@_router.post(
    "/reversals",
    operation_id="reverse",
    summary="Reverse an authorise request",
    status_code=201,
    response_description="What became of it; the request that was named is dead",
    responses={201: _REPLAYABLE},
)
async def _reverse(body: Annotated[Reversal, Body()], key: _Key) -> wire.ReversalAnswer:  # type: ignore[empty-body]
    """For a terminal that heard no answer: names its own request, by STAN and time or by key. Repeat it until 201."""


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
    "authorise": (*_KEYED, p.NotYours, p.StanAlreadyUsed, p.RequestReversed),
    "get_authorisation": (*_EVERY, p.NotFound),
    "capture": (*_KEYED, p.NotFound, p.StateConflict, p.CaptureExceedsHold),
    "void": (*_KEYED, p.NotFound, p.StateConflict),
    "reverse": _KEYED,
    "refund": (*_KEYED, p.NotFound, p.StateConflict, p.ProgrammeClosed, p.RefundExceedsCaptured),
    "balance_inquiry": (*_POSTED, p.NotYours),
    "catalogue": _EVERY,
    **OFFICE_PROBLEMS_OF,
}
ALL_PROBLEMS: Final = (*PROBLEMS, *OFFICE_PROBLEMS)


def _completed(document: Document) -> Document:
    """`document` with what FastAPI cannot say: problems under their own media type, and examples with their nulls."""
    complete_requests(document, KEY_PATTERN)
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
    name = operation["operationId"]
    shown_here = {**examples(), **office_examples()}[name]
    if "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["examples"] = shown_here[REQUEST]
    answers = {status: told for status, told in operation["responses"].items() if status < "400"}
    for status, told in answers.items():
        if "content" in told:
            told["content"]["application/json"]["examples"] = shown_here[int(status)]
    operation["responses"] = answers | _problem_responses(PROBLEMS_OF[name])
    for told in operation["responses"].values():
        told["headers"] = told.get("headers", {}) | {"X-Request-Id": _HEADERS["X-Request-Id"]}


def _problem_responses(kinds: tuple[type[p.Problem], ...]) -> Document:
    responses: Document = {}
    for problem in sorted((each for each in ALL_PROBLEMS if type(each) in kinds), key=lambda each: each.status):
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
        value = orjson.loads(problem.document("req_3f2b8c1d9a7e4f60b5c2d1e0f9a8b7c6"))
        content["examples"][problem.code] = {"summary": problem.title, "value": value}
    return responses
