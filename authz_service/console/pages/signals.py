"""Signals of misuse: what was found, on what evidence, and what people say of it. One may dismiss; two confirm."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Response

from authz_service.console.drawing import day
from authz_service.console.ordering import Order, ask, give, may
from authz_service.console.visit import Here, Page, Visit
from authz_service.database import Connection
from authz_service.signals.standing import (
    Finding,
    FindingRefused,
    Standing,
    confirm,
    dismiss,
    findings,
    one_finding,
)
from authz_service.vocabulary import in_rupiah

router: Final = APIRouter(route_class=Page)
SHOWN: Final = 100
CLOSED_SHOWN: Final = 20
PURCHASES_SHOWN: Final = 100
_PLAIN: Final = (
    *("companion", "product", "unit", "cards", "families", "purchases", "in_a_row", "of_the_day", "of_its_families"),
    *("of_everybody_then", "of_vouched_families", "refused", "settled_already", "days", "minutes", "from", "to"),
)
_RUPIAH: Final = (
    *("unit_price", "highest_price", "rupiah", "paid_rupiah", "worth_rupiah", "without_details_rupiah"),
    *("rupiah_for_a_family", "median_of_others"),
)
_PERCENT: Final = ("percent", "percent_above")
EVIDENCE: Final = (*_PLAIN, *_RUPIAH, *_PERCENT)
"""What a finding may bring, in the order in which it is read; each has a word `signals.evidence.…`."""
_DEEDS: Final = {"dismiss": "finding_dismissed", "confirm": "finding_confirmed"}


@router.get("/signals")
async def signals(visit: Here) -> Response:
    async with visit.lent() as connection:
        what: Any = (connection, visit.programme_id)
        found = await findings(*what, standing=Standing.OPEN, signal=None, limit=SHOWN + 1)
        closed = [
            each
            for standing in (Standing.CONFIRMED, Standing.DISMISSED)
            for each in await findings(*what, standing=standing, signal=None, limit=CLOSED_SHOWN)
        ]
    newest = sorted(closed, key=lambda each: (each.day, each.finding_id), reverse=True)[:CLOSED_SHOWN]
    return visit.page(
        "signals.html",
        found=found[:SHOWN],
        more=len(found) > SHOWN,
        closed=newest,
        about=lambda each: _about(visit, each),
        evidence=lambda each: _evidence(visit, each.evidence),
        seen=lambda each: _seen(visit, each),
        me=visit.person.sign_in,
        may_order=may(visit, "POST /signals/{finding_id}/{deed}"),
    )


@router.get("/signals/{finding_id}")
async def finding(visit: Here, finding_id: str) -> Response:
    try:
        async with visit.lent() as connection:
            found, purchases = await one_finding(connection, visit.programme_id, finding_id)
    except FindingRefused:
        return visit.refused(HTTPStatus.NOT_FOUND, "refused.address")
    return visit.page(
        "signal.html",
        found=found,
        facts=_facts(visit, found),
        seen=_seen(visit, found),
        purchases=purchases[:PURCHASES_SHOWN],
        more=len(purchases) > PURCHASES_SHOWN,
        shops=visit.programme.shops,
        me=visit.person.sign_in,
        may_order=found.standing is Standing.OPEN and may(visit, "POST /signals/{finding_id}/{deed}"),
    )


@router.get("/signals/{finding_id}/{deed}")
async def ask_finding(visit: Here, finding_id: str, deed: str) -> Response:
    return ask(visit, await _order(visit, finding_id, deed))


@router.post("/signals/{finding_id}/{deed}")
async def order_finding(visit: Here, finding_id: str, deed: str) -> Response:
    order = await _order(visit, finding_id, deed)

    async def done(connection: Connection) -> None:
        how: Any = {"clock": visit.desk.clock, "chance": visit.desk.chance}
        how |= {"reason": visit.form["reason"], "actor": visit.person.sign_in}
        act: Any = dismiss if deed == "dismiss" else confirm
        await act(connection, visit.desk.settings, visit.programme_id, finding_id, **how)

    return await give(visit, order, done)


async def _order(visit: Visit, finding_id: str, deed: str) -> Order | None:
    """None for a finding that is not there, or not open any more."""
    try:
        async with visit.lent() as connection:
            found, _ = await one_finding(connection, visit.programme_id, finding_id)
    except FindingRefused:
        return None
    if deed not in _DEEDS or found.standing is not Standing.OPEN:
        return None
    accuses = deed == "confirm" and found.accused_by is None
    return Order(
        word="signals.accuse" if accuses else f"signals.{deed}",
        back="/signals",
        said="finding_accused" if accuses else _DEEDS[deed],
        facts=[("signals.seen", _seen(visit, found)), *_facts(visit, found)],
        kind="danger" if deed == "confirm" else "plain",
    )


def _facts(visit: Visit, found: Finding) -> list[tuple[str, str]]:
    facts = [
        ("signals.day", day(found.day, visit)),
        ("signals.about", _about(visit, found)),
        *((f"signals.evidence.{name}", said) for name, said in _said(found.evidence)),
        ("signals.score", f"{found.score} / 100"),
        ("signals.action", visit.t(f"signals.action.{found.action}")),
        ("signals.standing", visit.t(f"signals.standing.{found.standing}")),
    ]
    if found.accused_by is not None:
        facts.append(("signals.accused_by", f"{found.accused_by}: {found.accused_because}"))
    if found.closed_by is not None:
        facts.append(("signals.closed_by", f"{found.closed_by}: {found.closed_because}"))
    return facts


def _seen(visit: Visit, found: Finding) -> str:
    return found.signal.indonesian if visit.language == "id" else found.signal.english


def _about(visit: Visit, found: Finding) -> str:
    """`Pendamping P-050 · KUBE Mawar`: a label that people know, before any id."""
    named = [found.evidence.get("companion"), found.shop]
    known = " · ".join(str(each) for each in named if each)
    return f"{visit.t(f'signals.subject.{found.subject_kind}')}: {known or found.subject_id}"


def _evidence(visit: Visit, evidence: Mapping[str, Any]) -> str:
    return "; ".join(f"{visit.t(f'signals.evidence.{name}')}: {said}" for name, said in _said(evidence))


def _said(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What there is of EVIDENCE, as people write it; ids are left to those who look at the row."""
    return [(name, _written(name, evidence[name])) for name in EVIDENCE if evidence.get(name) not in (None, "")]


def _written(name: str, value: Any) -> str:
    if name in _RUPIAH:
        return in_rupiah(int(value))
    return f"{value}%" if name in _PERCENT else f"{value}"
