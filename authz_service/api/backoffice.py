"""The calls of companions and operators: an ordinary FastAPI router, since nobody waits for it at a counter.

Each says by its caller (`Companion`, `Operator`, `Anyone`) whose it is. Another call is a function here and a name in
`office_documentation.py`; where its address is below `/v1/authorizations`, `PosDoor` passes it on.
"""

import re
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import TypeAdapter

from authz_service.access import Caller
from authz_service.answers import CREATED, OK, Answer
from authz_service.api import office_wire, wire
from authz_service.api.arrival import may_be_an_id
from authz_service.api.filters import AuthorisationFilters, FamilyFilters, VoucherFilters
from authz_service.api.office import Anyone, Companion, Here, OfficeRoute, Operator, as_response, told
from authz_service.api.wire_explanation import Explanation
from authz_service.database import Connection
from authz_service.explanation.explain import explanation_document
from authz_service.lists.authorisations import Sought, authorisations
from authz_service.lists.families import own_families
from authz_service.lists.pages import page
from authz_service.problems import NoSuchAuthorisation, NoSuchVoucher
from authz_service.requests import Approval, NewVoucher, Revocation
from authz_service.vouchers import Voucher, Wanted, voucher_as_shown, vouchers, with_uses
from authz_service.vouching import alone_with, approve, revoke, vouch

NEW_VOUCHER: Final = TypeAdapter(NewVoucher)
REVOCATION: Final = TypeAdapter(Revocation)
APPROVAL: Final = TypeAdapter(Approval)
_COMPANION: Final = Security(
    HTTPBearer(scheme_name="companion_key", description="A companion's key.", auto_error=False)
)
_OPERATOR: Final = Security(HTTPBearer(scheme_name="operator_key", description="An operator's key.", auto_error=False))
_VOUCHER_ID: Final = re.compile(r"vch_[0-9a-z]{26}")

router: Final = APIRouter(
    prefix="/v1",
    tags=["companions and operators"],
    route_class=OfficeRoute,
    # Brings the model into the document and keeps FastAPI's own 422 out, as for the terminals' calls.
    responses={422: {"model": wire.ProblemDocument}},
)


# --- Vouchers --------------------------------------------------------------------------------------------------------


@router.post(
    "/vouchers",
    operation_id="vouch",
    summary="Vouch for a family",
    response_description="The voucher: live, or waiting for an operator",
    response_model=office_wire.Voucher,
    status_code=201,
    dependencies=[_COMPANION],
)
async def _vouch(request: Request, here: Here, caller: Companion) -> Response:
    """One of the companion's own families may go over one month's cap. Above what the programme lets a companion give
    a family and month alone, the voucher waits for an operator and covers nothing until then."""
    asked, zone = await here.body(request, NEW_VOUCHER), await here.zone(caller)

    async def work(connection: Connection) -> Answer:
        now = await alone_with(connection, caller.programme_id, asked.beneficiary_id, here.clock)
        voucher_id = await vouch(
            connection,
            programme_id=caller.programme_id,
            companion_id=caller.companion_id,
            beneficiary_id=asked.beneficiary_id,
            month=asked.month,
            extra_rupiah=asked.extra_amount,
            extra_packages=asked.extra_packages,
            reason=asked.reason,
            now=now,
            chance=here.chance,
        )
        return told(CREATED, voucher_as_shown(await _found(connection, caller, voucher_id, now), zone))

    return await here.once(request, caller, asked, work)


@router.get(
    "/vouchers",
    operation_id="list_vouchers",
    summary="List vouchers",
    response_description="One page, the newest first",
    response_model=office_wire.VoucherPage,
    dependencies=[_COMPANION, _OPERATOR],
)
async def _list_vouchers(here: Here, caller: Anyone, asked: Annotated[VoucherFilters, Query()]) -> Response:
    """A companion sees those that it made, an operator all of the programme."""
    zone = await here.zone(caller)
    wanted = Wanted(
        seen_by=caller.companion_id,
        companion_id=asked.companion_id,
        beneficiary_ids=None if asked.beneficiary_id is None else [asked.beneficiary_id],
        month=asked.month,
        status=asked.status,
        after=asked.after,
        limit=asked.limit + 1,
    )
    async with here.pool.lent() as connection:
        found = await vouchers(connection, caller.programme_id, wanted, await here.now(connection))
    return as_response(told(OK, page([voucher_as_shown(each, zone) for each in found], asked.limit)))


@router.get(
    "/vouchers/{voucher_id}",
    operation_id="get_voucher",
    summary="Read a voucher",
    response_description="The voucher as it stands, with its uses and give-backs",
    response_model=office_wire.VoucherWithUses,
    dependencies=[_COMPANION, _OPERATOR],
)
async def _get_voucher(here: Here, caller: Anyone, voucher_id: str) -> Response:
    """A companion reads only those that it made; another's is a 404."""
    _require_id(voucher_id)
    zone = await here.zone(caller)
    async with (
        here.pool.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        voucher = await _found(connection, caller, voucher_id, await here.now(connection))
        document = await with_uses(connection, caller.programme_id, voucher, zone)
    return as_response(told(OK, document))


@router.post(
    "/vouchers/{voucher_id}/revoke",
    operation_id="revoke_voucher",
    summary="Revoke a voucher",
    response_description="The unused part is gone",
    response_model=office_wire.Voucher,
    dependencies=[_COMPANION, _OPERATOR],
)
async def _revoke(request: Request, here: Here, caller: Anyone, voucher_id: str) -> Response:
    """By the companion that made it, or by an operator. Purchases keep what it covers of them."""
    asked, zone = await here.body(request, REVOCATION), await here.zone(caller)
    _require_id(voucher_id)

    async def work(connection: Connection) -> Answer:
        now = await revoke(connection, caller, voucher_id, asked.reason, here.clock)
        return told(OK, voucher_as_shown(await _found(connection, caller, voucher_id, now), zone))

    return await here.once(request, caller, asked, work)


@router.post(
    "/vouchers/{voucher_id}/approve",
    operation_id="approve_voucher",
    summary="Approve a voucher that waits",
    response_description="The voucher is live",
    response_model=office_wire.Voucher,
    dependencies=[_OPERATOR],
)
async def _approve(request: Request, here: Here, caller: Operator, voucher_id: str) -> Response:
    """The second pair of eyes: a companion made it, an operator lets it cover."""
    asked, zone = await here.body(request, APPROVAL, optional=True), await here.zone(caller)
    _require_id(voucher_id)

    async def work(connection: Connection) -> Answer:
        now = await approve(connection, caller, voucher_id, here.clock)
        return told(OK, voucher_as_shown(await _found(connection, caller, voucher_id, now), zone))

    return await here.once(request, caller, asked, work)


def _require_id(voucher_id: str) -> None:
    if not _VOUCHER_ID.fullmatch(voucher_id):
        raise NoSuchVoucher("there is no such voucher")


async def _found(connection: Connection, caller: Caller, voucher_id: str, now: datetime) -> Voucher:
    """The voucher as it stands, if the caller may see it."""
    wanted = Wanted(voucher_id=voucher_id, seen_by=caller.companion_id)
    for voucher in await vouchers(connection, caller.programme_id, wanted, now):
        return voucher
    raise NoSuchVoucher("there is no such voucher")


# --- Families and authorisations -------------------------------------------------------------------------------------


@router.get(
    "/beneficiaries",
    operation_id="list_beneficiaries",
    summary="List one's own families",
    response_description="One page, in the order of their ids",
    response_model=office_wire.FamilyPage,
    dependencies=[_COMPANION],
)
async def _list_beneficiaries(here: Here, caller: Companion, asked: Annotated[FamilyFilters, Query()]) -> Response:
    """What is left to each family, so that its companion can choose whom to vouch for."""
    reference = await here.reference(caller)
    async with here.pool.lent() as connection:
        document = await own_families(connection, caller, asked.after, asked.limit, here.clock, reference)
    return as_response(told(OK, document))


@router.get(
    "/authorizations",
    operation_id="list_authorisations",
    summary="List authorisations",
    response_description="One page, the newest first",
    response_model=office_wire.AuthorisationPage,
    dependencies=[_OPERATOR],
)
async def _list_authorisations(
    here: Here, caller: Operator, asked: Annotated[AuthorisationFilters, Query()]
) -> Response:
    """All of the programme, each as it stands now."""
    sought = Sought(
        limit=asked.limit,
        after=asked.after,
        beneficiary_id=asked.beneficiary_id,
        merchant_id=asked.merchant_id,
        terminal_id=asked.terminal_id,
        approved=None if asked.decision is None else asked.decision == "approved",
        reason=asked.reason,
        status=asked.status,
        month=asked.month,
        created_from=asked.created_from,
        created_to=asked.created_to,
    )
    async with here.pool.lent() as connection:
        document = await authorisations(connection, caller.programme_id, sought, here.clock)
    return as_response(told(OK, document))


@router.get(
    "/authorizations/{authorization_id}/explanation",
    operation_id="explain_authorisation",
    summary="Explain a decision",
    response_description="What was asked, every check and its figures, what was seen, and how the money stands now",
    response_model=Explanation,
    dependencies=[_OPERATOR],
)
async def _explain_authorisation(here: Here, caller: Operator, authorization_id: str) -> Response:
    """The same long afterwards, whatever has changed since; only `now` and `rules_agree` follow time."""
    if not may_be_an_id(authorization_id):
        raise NoSuchAuthorisation("there is no such authorisation")
    async with here.pool.lent() as connection:
        document = await explanation_document(connection, caller.programme_id, authorization_id, here.clock)
    if document is None:
        raise NoSuchAuthorisation("the programme has no such authorisation")
    return as_response(told(OK, document))
