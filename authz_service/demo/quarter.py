"""The quarter is played: a day after the other, all tills at once, and every answer compared with the plan's.

What differs stops the demo with one sentence. The clock only ever goes forward; a wave of visits has ended before the
next one begins, so no decision is dated in a part of the day that the plan did not mean.
"""

import asyncio
from collections import deque
from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from os import urandom
from typing import Final, assert_never
from uuid import UUID

import asyncpg
from rich.console import Console

from authz_service.clock import ShiftedClock
from authz_service.database import asyncpg_dsn
from authz_service.declines import APPROVED
from authz_service.demo.goods import load_goods
from authz_service.demo.office import Office
from authz_service.demo.plan import (
    DAWN,
    Enquiry,
    LateCapture,
    Left,
    Plan,
    Repeat,
    Sale,
    Settling,
    Step,
    Visit,
    Vouching,
    Wave,
)
from authz_service.demo.progress import Told, told_as_it_goes
from authz_service.demo.report import print_report
from authz_service.demo.settling import Settles
from authz_service.demo.shoppers import plan_quarter
from authz_service.demo.suspected import print_suspected
from authz_service.demo.tills import Document, Line, Reply, Tally, Till
from authz_service.demo.town import DemoFailedError
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.keys import Keys
from authz_service.settings import settings_from_environment
from authz_service.vocabulary import BeneficiaryId, Chance, HoldStatus

TILLS_AT_ONCE: Final = 24
OVERTAKEN_AT_MOST: Final = timedelta(hours=1)
"""So much later than planned may a visit be dated, because others went on meanwhile."""
KEY_BYTES: Final = 16


async def run_quarter(
    *,
    base_url: str,
    database_url: str,
    tills: SandboxTills,
    clock: ShiftedClock,
    seed: int,
    console: Console,
    settling: Settles,
    keys: Keys | None = None,
    chance: Chance = urandom,
) -> Tally:
    """The quarter has been played over HTTP as the terms foresee, and the console shows what the database says of it.

    `keys` are those of the service that answers at `base_url`: cards that are replaced get new numbers.
    """
    keys = keys or Keys(settings_from_environment().root_key.get_secret_value())
    connection = await asyncpg.connect(asyncpg_dsn(database_url))
    try:
        office = Office(connection, keys, tills, clock, chance)
        plan = plan_quarter(await office.town(), load_goods(), seed=seed)
        zone = plan.town.terms.zone
        async with Line(base_url, clock, zone, lambda: str(UUID(bytes=chance(KEY_BYTES), version=4))) as line:
            player = Player(plan, office, settling, line, tills, clock)
            with told_as_it_goes(console, connection, tills.programme_id) as told:
                await player.play(told)
        await print_report(connection, tills.programme_id, console)
        await print_suspected(connection, settings_from_environment(), tills.programme_id, plan, clock, console)
    finally:
        await connection.close()
    return line.tally


class Player:
    """Plays the waves of a plan."""

    def __init__(
        self, plan: Plan, office: Office, settling: Settles, line: Line, tills: SandboxTills, clock: ShiftedClock
    ) -> None:
        self._plan = plan
        self._office = office
        self._settling = settling
        self._clock = clock
        self._tills = {each.terminal_id: Till(terminal=each, line=line) for each in tills.terminals}
        self._left_open: dict[tuple[BeneficiaryId, date], str] = {}
        """Whose sale of which day a till has left open → authorisation."""

    async def play(self, told: Told) -> None:
        """Every wave has been played in order; `told` hears of each day that is over."""
        waves = self._plan.waves()
        self._require_early_clock(waves[0])
        for number, wave in enumerate(waves, start=1):
            await self._play(wave)
            following = waves[number].on if number < len(waves) else None
            if following != wave.on:
                await self._settling.end_day()
                await told(wave.on, following, number / len(waves))

    async def _play(self, wave: Wave) -> None:
        if wave.changes:
            self._advance(datetime.combine(wave.on, DAWN, tzinfo=self._plan.town.terms.zone))
        for change in wave.changes:
            await self._office.change(change)
        try:
            async with asyncio.TaskGroup() as visits:
                await self._visits(wave, visits)
        except BaseExceptionGroup as failed:
            raise _first_of(failed) from failed

    async def _visits(self, wave: Wave, visits: asyncio.TaskGroup) -> None:
        """All have begun at their time; none was overtaken by the clock for more than an hour."""
        under_way: deque[tuple[datetime, asyncio.Task[None]]] = deque()
        for visit in wave.visits:
            while under_way and (len(under_way) == TILLS_AT_ONCE or under_way[0][0] < visit.at - OVERTAKEN_AT_MOST):
                await asyncio.wait({under_way.popleft()[1]})
            self._advance(visit.at)
            under_way.append((visit.at, visits.create_task(self._visit(visit))))

    def _advance(self, instant: datetime) -> None:
        if instant > self._clock.estimate():
            self._clock.set_to(instant)

    def _require_early_clock(self, first: Wave) -> None:
        start = datetime.combine(first.on, time(), tzinfo=self._plan.town.terms.zone)
        if self._clock.estimate() > start + timedelta(hours=DAWN.hour):
            raise DemoFailedError(f"The clock is past the quarter's first day, {first.on}.")

    # --- a visit -----------------------------------------------------------------------------------------------------

    async def _visit(self, visit: Visit) -> None:
        till = self._tills[visit.terminal_id]
        async with till.busy:
            for step in visit.steps:
                try:
                    await self._step(visit, step, till)
                except DemoFailedError as failed:
                    raise DemoFailedError(f"{visit.at:%-d %B %H:%M}, {till.terminal.name}: {failed}") from None

    async def _step(self, visit: Visit, step: Step, till: Till) -> None:
        match step:
            case Sale():
                await self._sale(visit, step, till)
            case Enquiry():
                answer = _required(await till.balance(step.card_number), HTTPStatus.OK, reason=APPROVED)
                _require_left(answer, step.left)
            case Vouching():
                await self._office.vouch(visit.beneficiary_id, step)
            case LateCapture():
                await self._late_capture(visit, step, till)
            case unreachable:
                assert_never(unreachable)

    async def _sale(self, visit: Visit, sale: Sale, till: Till) -> None:
        expected, at_once = sale.refused or APPROVED, sale.settling in (Settling.AT_ONCE, Settling.TAKEN_BACK)
        if sale.dry_run_first:
            _required(await till.dry_run(sale.card_number, sale.basket), HTTPStatus.OK, reason=expected)
        reply = await till.authorise(sale.card_number, sale.basket, capture=at_once, repeat=sale.repeat)
        answer = _required(reply, HTTPStatus.CREATED, reason=expected)
        if sale.left is not None:
            _require_left(answer, sale.left)
        if sale.refused is None:
            _require_amounts(answer, held=sale.amount_rupiah * (not at_once), captured=sale.amount_rupiah * at_once)
            await self._settle(visit, sale, till, answer["id"])

    async def _settle(self, visit: Visit, sale: Sale, till: Till, authorisation_id: str) -> None:
        repeat = Repeat.AFTERWARDS if sale.repeats_settling else Repeat.NEVER
        match sale.settling:
            case Settling.AT_ONCE:
                return
            case Settling.CAPTURED | Settling.CAPTURED_IN_PART:
                amount = None if sale.settling is Settling.CAPTURED else sale.captured_rupiah
                answer = _required(await till.capture(authorisation_id, amount, repeat), HTTPStatus.CREATED)
                _require_amounts(answer["authorization"], held=0, captured=sale.captured_rupiah)
            case Settling.REFUNDED_IN_PART:
                answer = _required(await till.capture(authorisation_id, None), HTTPStatus.CREATED)
                _require_amounts(answer["authorization"], held=0, captured=sale.amount_rupiah)
                spoilt_rupiah = sale.amount_rupiah - sale.captured_rupiah
                answer = _required(await till.refund(authorisation_id, spoilt_rupiah, repeat), HTTPStatus.CREATED)
                _require_amounts(answer["authorization"], held=0, captured=sale.amount_rupiah, refunded=spoilt_rupiah)
            case Settling.TAKEN_BACK:
                amount = sale.amount_rupiah
                answer = _required(await till.refund(authorisation_id, amount, repeat), HTTPStatus.CREATED)
                _require_amounts(answer["authorization"], held=0, captured=amount, refunded=amount)
            case Settling.VOIDED:
                answer = _required(await till.void(authorisation_id, repeat), HTTPStatus.OK)
                _require_amounts(answer, held=0, captured=0)
            case Settling.LEFT_OPEN:
                sold_on = visit.at.astimezone(self._plan.town.terms.zone).date()
                self._left_open[visit.beneficiary_id, sold_on] = authorisation_id
            case unreachable:
                assert_never(unreachable)

    async def _late_capture(self, visit: Visit, late: LateCapture, till: Till) -> None:
        """A promise kept, or an answer that says that the hold has ended."""
        reply = await till.capture(self._left_open.pop((visit.beneficiary_id, late.sold_on)), None)
        if not late.has_expired:
            answer = _required(reply, HTTPStatus.CREATED)
            return _require_amounts(answer["authorization"], held=0, captured=late.amount_rupiah)
        answer = _required(reply, HTTPStatus.CONFLICT)
        if answer.get("authorization_status") != HoldStatus.EXPIRED:
            raise DemoFailedError(f"a hold should have expired, and {answer.get('authorization_status')} came.")


def _required(reply: Reply, status: HTTPStatus, *, reason: str | None = None) -> Document:
    """The answer, which is the one that the terms foresee."""
    answer = reply.body if reply.raw.startswith(b"{") else {}
    if reply.status != status:
        said = answer.get("detail") or answer.get("reason") or "not JSON"
        raise DemoFailedError(f"HTTP {reply.status} ({said}) came, not {status}.")
    if reason is not None and answer["reason"] != reason:
        raise DemoFailedError(f"{answer['reason']} came where the programme's terms say {reason}.")
    return answer


def _require_amounts(answer: Document, *, held: int, captured: int, refunded: int = 0) -> None:
    came = {name: answer[f"{name}_amount"] for name in ("held", "captured", "refunded")}
    if came != (foreseen := {"held": held, "captured": captured, "refunded": refunded}):
        raise DemoFailedError(f"{came} came, not {foreseen}.")


def _require_left(answer: Document, left: Left) -> None:
    said = answer["remaining"]
    came = Left(
        packages=said["packages_this_month"],
        month_rupiah=said["month"],
        programme_rupiah=said["programme"],
        purchase_rupiah=min(said["package"], answer["largest_approvable_amount"]),
    )
    if came != left:
        raise DemoFailedError(f"{came} came where the programme's terms leave {left}.")


def _first_of(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that ended the others."""
    first = failed.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
