"""Vouchers: those that wait for an operator, and those that are live; approved, refused and revoked by people."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response

from authz_service.access import Caller
from authz_service.audit import Subject, keep_audit
from authz_service.console.ordering import Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.orders import require_reason
from authz_service.vocabulary import OperatorId, in_rupiah
from authz_service.vouchers import ENDED, Voucher, VoucherStatus, Wanted, vouchers
from authz_service.vouching import approve, revoke

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 100
_Deed = Callable[[Connection, Visit, str], Awaitable[datetime]]


async def _approved(connection: Connection, visit: Visit, voucher_id: str) -> datetime:
    return await approve(connection, _caller(visit), voucher_id, visit.desk.clock)


async def _revoked(connection: Connection, visit: Visit, voucher_id: str) -> datetime:
    return await revoke(connection, _caller(visit), voucher_id, visit.form["reason"], visit.desk.clock)


_DEEDS: Final[dict[str, tuple[_Deed, str]]] = {
    "approve": (_approved, "voucher_approved"),
    "reject": (_revoked, "voucher_rejected"),
    "revoke": (_revoked, "voucher_revoked"),
}
"""Deed → what it does, and what the audit log calls it. Who waits is rejected by being revoked: nothing was used."""


@router.get("/vouchers")
async def listed(visit: Here) -> Response:
    async with visit.lent() as connection:
        waiting = await _of(connection, visit, VoucherStatus.AWAITING_APPROVAL)
        live = await _of(connection, visit, VoucherStatus.LIVE)
    return visit.page(
        "vouchers.html",
        waiting=list(reversed(waiting[:SHOWN])),
        live=live[:SHOWN],
        more_live=len(live) > SHOWN,
        more_waiting=len(waiting) > SHOWN,
        labels=visit.programme.companion_labels,
        may_order=may(visit, "POST /vouchers/{voucher_id}/{deed}"),
    )


@router.get("/vouchers/{voucher_id}/{deed}")
async def ask_voucher(visit: Here, voucher_id: str, deed: str) -> Response:
    return ask(visit, await _order(visit, voucher_id, deed))


@router.post("/vouchers/{voucher_id}/{deed}")
async def order_voucher(visit: Here, voucher_id: str, deed: str) -> Response:
    order = await _order(visit, voucher_id, deed)

    async def done(connection: Connection) -> None:
        act, action = _DEEDS[deed]
        require_reason(visit.form["reason"])
        async with connection.transaction():
            at = await act(connection, visit, voucher_id)
            await keep_audit(
                connection,
                visit.programme_id,
                actor=visit.person.sign_in,
                role=visit.person.role,
                action=action,
                subject=Subject(kind="voucher", id=voucher_id),
                reason=visit.form["reason"],
                before=None,
                after=None,
                now=at,
                chance=visit.desk.chance,
                request_id=visit.request_id,
            )

    return await give(visit, order, done)


async def _order(visit: Visit, voucher_id: str, deed: str) -> Order | None:
    """None for a voucher that is not there, or is past that deed."""
    async with visit.lent() as connection:
        wanted = Wanted(voucher_id=voucher_id, limit=1)
        found = next(iter(await vouchers(connection, visit.programme_id, wanted, visit.now)), None)
    if found is None or deed not in _DEEDS or found.status in ENDED:
        return None
    if (deed == "revoke") == (found.status is VoucherStatus.AWAITING_APPROVAL):
        return None
    return Order(
        word=f"vouchers.{deed}",
        back="/vouchers",
        said=_DEEDS[deed][1],
        facts=_facts(visit, found),
        kind="plain" if deed == "approve" else "danger",
    )


def _facts(visit: Visit, voucher: Voucher) -> list[tuple[str, str]]:
    label = visit.programme.companion_labels.get(voucher.companion_id, voucher.companion_id)  # type: ignore[call-overload]
    return [
        ("vouchers.family", voucher.beneficiary_id),
        ("vouchers.companion", label),
        ("vouchers.month", f"{voucher.month:%Y-%m}"),
        ("vouchers.extra", in_rupiah(voucher.extra_rupiah)),
        ("vouchers.packages", str(voucher.extra_packages)),
        ("vouchers.why", voucher.reason),
    ]


async def _of(connection: Connection, visit: Visit, status: VoucherStatus) -> list[Voucher]:
    return await vouchers(connection, visit.programme_id, Wanted(status=status, limit=SHOWN + 1), visit.now)


def _caller(visit: Visit) -> Caller:
    """An operator's rights, under the person's own name."""
    return Caller(programme_id=visit.programme_id, companion_id=None, operator_id=OperatorId(visit.person.sign_in))
