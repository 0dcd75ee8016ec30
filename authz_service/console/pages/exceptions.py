"""Where bank and books disagree: one person says what becomes of it, another one approves."""

from typing import Final

from fastapi import APIRouter, Response

from authz_service.console.ordering import REASON, Asked, Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.reconciliation.exceptions import KeptException, approve, listed, resolve
from authz_service.reconciliation.findings import State
from authz_service.reconciliation.outcomes import Outcome
from authz_service.vocabulary import in_rupiah

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 100


@router.get("/exceptions")
async def exceptions(visit: Here) -> Response:
    async with visit.lent() as connection:
        found = await listed(connection, visit.programme_id, with_closed=False, limit=SHOWN + 1)
    return visit.page(
        "exceptions.html",
        found=found[:SHOWN],
        more=len(found) > SHOWN,
        today=visit.now.astimezone(visit.zone).date(),
        me=visit.person.sign_in,
        may_order=may(visit, "POST /exceptions/{exception_id}/{deed}"),
    )


@router.get("/exceptions/{exception_id}/{deed}")
async def ask_exception(visit: Here, exception_id: str, deed: str) -> Response:
    return ask(visit, await _order(visit, exception_id, deed))


@router.post("/exceptions/{exception_id}/{deed}")
async def order_exception(visit: Here, exception_id: str, deed: str) -> Response:
    order = await _order(visit, exception_id, deed)

    async def done(connection: Connection) -> None:
        actor, now, chance = visit.person.sign_in, visit.now, visit.desk.chance
        if deed == "approve":
            what = (connection, visit.desk.settings, visit.programme_id, [exception_id])
            await approve(*what, actor=actor, now=now, chance=chance)
        else:
            await resolve(
                connection,
                visit.programme_id,
                [exception_id],
                outcome=Outcome(visit.form["outcome"]),
                reason=visit.form["reason"],
                actor=actor,
                now=now,
                chance=chance,
            )

    return await give(visit, order, done)


async def _order(visit: Visit, exception_id: str, deed: str) -> Order | None:
    """None where nobody has resolved what is to be approved, or the exception is not open any more."""
    async with visit.lent() as connection:
        found = await listed(connection, visit.programme_id, with_closed=False, limit=SHOWN)
    one = next((each for each in found if each.exception_id == exception_id), None)
    if one is None or deed not in {"resolve", "approve"} or (deed == "approve" and one.resolved_by is None):
        return None
    fitting = [
        outcome for outcome in Outcome if outcome is not Outcome.PAID_AFTER_ALL or one.kind is State.PAID_THOUGH_FAILED
    ]
    outcomes = Asked(
        name="outcome",
        word="exceptions.outcome",
        choices=[(outcome, visit.t(f"exceptions.outcome.{outcome}")) for outcome in fitting],
    )
    return Order(
        word=f"exceptions.{deed}",
        back="/exceptions",
        said=f"exception_{deed}d",
        facts=_facts(visit, one),
        asked=(outcomes, REASON) if deed == "resolve" else (),
    )


def _facts(visit: Visit, found: KeptException) -> list[tuple[str, str]]:
    facts = [
        ("exceptions.kind", visit.t(f"exceptions.kind.{found.kind}")),
        ("exceptions.reference", found.reference),
        ("exceptions.ours", _rupiah(found.ours_rupiah)),
        ("exceptions.theirs", _rupiah(found.theirs_rupiah)),
        ("exceptions.since", f"{found.since_on}"),
        ("exceptions.detail", found.detail),
    ]
    if found.resolved_by is not None and found.outcome is not None:
        facts += [
            ("exceptions.resolved_by", found.resolved_by),
            ("exceptions.outcome", visit.t(f"exceptions.outcome.{found.outcome}")),
            ("order.reason", found.reason or ""),
        ]
    return facts


def _rupiah(amount_rupiah: int | None) -> str:
    return "" if amount_rupiah is None else in_rupiah(amount_rupiah)
