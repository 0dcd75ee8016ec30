"""What a signal would have touched in the past under a setting, before anybody is held up by it.

A day at a time, so a year takes no more memory than a day; families and shops are counted by their ids. How many
purchases would have been declined is worked out as if each finding had been marked at the decision that made it strong
enough (for a signal of the night: at the hour of the night), and no declined purchase had been tried again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import orjson

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.settings import Settings
from authz_service.signals.facts import Day, Decided, Found
from authz_service.signals.judging import SIGNALS, TILLS_KNOW
from authz_service.signals.kinds import Signal
from authz_service.signals.reading import Scope, read_day, zone_of
from authz_service.signals.rules import RuleRefused, Watch, watch_of
from authz_service.signals.thresholds import Rule, Thresholds, default_rules
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id

_KEEP: Final = """
INSERT INTO signal_backtest (programme_id, backtest_id, signal, thresholds, from_on, to_on, days, figures, ran_at,
                             ran_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_JUDGED: Final = """
-- What people have said of the signal's findings on these days.
SELECT standing, count(*)::int FROM signal_finding
 WHERE programme_id = $1 AND signal = $2 AND day BETWEEN $3 AND $4 AND standing <> 'open' GROUP BY standing
"""
_STARTS: Final = "SELECT starts_at FROM programme WHERE programme_id = $1"


@dataclass(slots=True, kw_only=True)
class Figures:
    """Sets of ids while it runs; counts afterwards."""

    findings: int = 0
    strong: int = 0
    purchases: set[str] = field(default_factory=set)
    families: set[str] = field(default_factory=set)
    shops: set[str] = field(default_factory=set)
    rupiah: int = 0
    held: int = 0
    held_rupiah: int = 0
    declined: int = 0
    declined_families: set[str] = field(default_factory=set)
    declined_rupiah: int = 0

    def counted(self) -> dict[str, int]:
        return {
            "findings": self.findings,
            "strong_findings": self.strong,
            "purchases": len(self.purchases),
            "families": len(self.families),
            "shops": len(self.shops),
            "rupiah": self.rupiah,
            "held_purchases": self.held,
            "held_rupiah": self.held_rupiah,
            "declined_purchases": self.declined,
            "declined_families": len(self.declined_families),
            "declined_rupiah": self.declined_rupiah,
        }


@dataclass(frozen=True, slots=True)
class _Marked:
    """From when until when the next purchases of a subject would have been declined."""

    subject_id: str
    after: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    backtest_id: str
    signal: Signal
    thresholds: Thresholds
    from_on: date
    to_on: date
    figures: Mapping[str, int]


async def backtest(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    signal: Signal,
    thresholds: Thresholds,
    from_on: date,
    to_on: date,
    *,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> Backtest:
    """Run over every day of the stored history from `from_on` to `to_on`, and kept with who ran it.

    RuleRefused where the programme has none of these days: a decline would rest on nothing.
    """
    watch, zone = await watch_of(connection, programme_id), await zone_of(connection, programme_id)
    first = (await connection.fetchval(_STARTS, programme_id)).astimezone(zone).date()
    today = clock.at(await connection.fetchval("SELECT clock_timestamp()")).astimezone(zone).date()
    if to_on < first or from_on > today:
        raise RuleRefused(f"There is no history of these days: it goes from {first} to {today}.")
    rules = default_rules() | {signal: Rule(signal=signal, thresholds=thresholds)}
    figures, marks = Figures(), list[_Marked]()
    for on in days_of(from_on, to_on):
        day = await read_day(connection, settings, programme_id, Scope(on=on, signals=(signal,)), rules)
        found = SIGNALS[signal](day, thresholds)
        add(figures, day, found, watch.hold_score)
        marks += _marks(day, found, signal, thresholds, watch, zone)
        _decline(figures, day, marks)
        begins = datetime.combine(on, datetime.min.time(), tzinfo=zone)
        marks = [mark for mark in marks if mark.until > begins + timedelta(days=1)]
    judged = {row[0]: row[1] for row in await connection.fetch(_JUDGED, programme_id, signal, from_on, to_on)}
    counted = figures.counted() | {name: judged.get(name, 0) for name in ("confirmed", "dismissed")}
    now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
    done = Backtest(
        backtest_id=new_id("bkt", now, chance(CHANCE_BYTES)),
        signal=signal,
        thresholds=thresholds,
        from_on=from_on,
        to_on=to_on,
        figures=counted,
    )
    all_of_them = orjson.dumps(msgspec.structs.asdict(thresholds)).decode()
    what = (signal, all_of_them, from_on, to_on, (to_on - from_on).days + 1, orjson.dumps(counted).decode())
    await connection.execute(_KEEP, programme_id, done.backtest_id, *what, now, actor.strip())
    return done


def days_of(from_on: date, to_on: date) -> Iterator[date]:
    """Both counted."""
    return (from_on + timedelta(days=number) for number in range((to_on - from_on).days + 1))


def add(figures: Figures, day: Day, found: list[Found], hold_score: int) -> None:
    """What was found on the day is in the figures; a purchase once, however many findings it is in."""
    by_id = {each.authorisation_id: each for each in day.decided}
    strong = {purchase for each in found if each.score >= hold_score for purchase in each.purchases}
    figures.findings += len(found)
    figures.strong += sum(each.score >= hold_score for each in found)
    for purchase in {purchase for each in found for purchase in each.purchases} - figures.purchases:
        figures.purchases.add(purchase)
        decided = by_id.get(purchase)
        if decided is None:
            continue
        figures.shops.add(decided.merchant_id)
        figures.rupiah += decided.approved_rupiah
        if decided.beneficiary_id is not None:
            figures.families.add(decided.beneficiary_id)
        if purchase in strong and decided.approved:
            figures.held += 1
            figures.held_rupiah += decided.approved_rupiah


def _marks(
    day: Day, found: list[Found], signal: Signal, thresholds: Thresholds, watch: Watch, zone: ZoneInfo
) -> Iterator[_Marked]:
    lasts = timedelta(minutes=thresholds.decline_minutes)
    for each in found:
        if each.score < watch.hold_score or each.subject_kind not in TILLS_KNOW:
            continue
        after = datetime.combine(day.on + timedelta(days=1), watch.nightly_at, tzinfo=zone)
        if signal.is_seen_at_once:
            after = _when_strong(day, each, signal, thresholds, watch.hold_score) or after
        yield _Marked(each.subject_id, after, after + lasts)


def _when_strong(day: Day, found: Found, signal: Signal, thresholds: Thresholds, hold_score: int) -> datetime | None:
    """The decision with which the finding was strong enough: the more of a day is known, the stronger it is."""

    def is_strong(count: int) -> bool:
        so_far = msgspec.structs.replace(day, decided=day.decided[:count])
        return any(
            each.subject_id == found.subject_id and each.score >= hold_score
            for each in SIGNALS[signal](so_far, thresholds)
        )

    low, high = 0, len(day.decided)
    if is_strong(low):
        return None  # refunds made it so, which have no place among the decisions
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_strong(middle) else (middle, high)
    return day.decided[high - 1].at


def _decline(figures: Figures, day: Day, marks: list[_Marked]) -> None:
    for each in day.decided:
        if each.approved and any(_is_declined(each, mark) for mark in marks):
            figures.declined += 1
            figures.declined_rupiah += each.approved_rupiah
            if each.beneficiary_id is not None:
                figures.declined_families.add(each.beneficiary_id)


def _is_declined(each: Decided, mark: _Marked) -> bool:
    is_there = mark.subject_id in {each.terminal_id, each.merchant_id, each.card_id}
    return is_there and mark.after < each.at < mark.until
