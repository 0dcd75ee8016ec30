"""New decisions are looked at within seconds, whole days in the night after, and a day so far before its cut-off.

A decision has long been answered when it is looked at here. One process at a time does it for a programme, under a
lock of the database that goes with its connection; every step may be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from authz_service.clock import Clock
from authz_service.database import Connection, OfficePool
from authz_service.settings import Settings
from authz_service.settlement.batches import schedule_of
from authz_service.signals.judging import AT_ONCE, Setting, found_on
from authz_service.signals.keeping import Kept, keep, sweep_marks
from authz_service.signals.kinds import Signal
from authz_service.signals.reading import Scope, id_from, read_day, zone_of
from authz_service.signals.rules import Watch, setting_of, watch_of
from authz_service.vocabulary import Chance, ProgrammeId

log = structlog.get_logger()
_PROGRAMMES: Final = """
-- Those in which something may still be decided or settled.
SELECT programme_id, starts_at, ends_at, zone FROM programme WHERE closed_at IS NULL ORDER BY programme_id
"""
_ALONE: Final = "SELECT pg_try_advisory_lock(hashtext('signals'), hashtext($1))"
_NOT_ALONE: Final = "SELECT pg_advisory_unlock(hashtext('signals'), hashtext($1))"
_NEW: Final = """
-- Decisions after id $3, the oldest first and at most $4; and those from id $2 to there once more: one of them may have
-- been committed since.
(SELECT authorisation_id, merchant_id, created_at, true AS is_after FROM authorisation
  WHERE programme_id = $1 AND authorisation_id > $3 ORDER BY authorisation_id LIMIT $4)
 UNION ALL
SELECT authorisation_id, merchant_id, created_at, false FROM authorisation
 WHERE programme_id = $1 AND authorisation_id >= $2 AND authorisation_id <= $3
"""
_NEW_REFUNDS: Final = """
-- Refunds from id $2 on, with their shops.
SELECT debit_account_id AS merchant_id, created_at FROM transfer
 WHERE programme_id = $1 AND transfer_id >= $2 AND transfer_id < 'ref~' AND cause = 'refund'
 ORDER BY transfer_id
 LIMIT $3
"""
_AT: Final = "SELECT created_at FROM authorisation WHERE programme_id = $1 AND authorisation_id = $2"
_READ_THROUGH: Final = "UPDATE signal_watch SET read_through = $2 WHERE programme_id = $1"
_NIGHT_IS_DONE: Final = """
UPDATE signal_watch SET nights_through = greatest(nights_through, $2) WHERE programme_id = $1
"""


@dataclass(slots=True, kw_only=True)
class SignalWatcher:
    """One in each process; the database says whose turn it is."""

    settings: Settings
    pool: OfficePool
    clock: Clock
    chance: Chance
    _seen: dict[ProgrammeId, tuple[str, int, int]] = field(default_factory=dict)
    """What the last round read a second time at the end of the journal: the same again is not looked at again."""
    _before: dict[ProgrammeId, datetime] = field(default_factory=dict)
    """The cut-off before which the day so far was computed last."""

    async def watch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.signal_seconds)
            await self.watch()

    async def watch(self) -> None:
        """Every programme has had a round; a fault is tried again."""
        try:
            async with self.pool.lent() as connection:
                programmes = await connection.fetch(_PROGRAMMES)
        except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
            log.warning("signals_not_looked_at", error=type(fault).__name__)
            return
        for row in programmes:
            try:
                await self.watch_programme(ProgrammeId(row["programme_id"]))
            except Exception as fault:  # noqa: BLE001  (nor does one programme's fault keep the others waiting)
                log.warning("signals_not_computed", programme=row["programme_id"], error=type(fault).__name__)

    async def watch_programme(self, programme_id: ProgrammeId) -> None:
        """What is new is looked at, and nights and cut-offs that are due; nothing where another process is at it."""
        async with (
            self.pool.lent(self.settings.signal_run_seconds) as connection,
            alone_at(connection, programme_id) as is_alone,
        ):
            if not is_alone:
                return
            while await self.look_at_new(connection, programme_id):
                pass
            await self._nights(connection, programme_id)
            await self._cut_off(connection, programme_id)

    async def look_at_new(self, connection: Connection, programme_id: ProgrammeId) -> bool:
        """The signals that are seen at once, in the decisions that are new; whether there are more."""
        watch, limit = await watch_of(connection, programme_id), self.settings.signal_decisions_in_a_round
        now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        margin = timedelta(seconds=self.settings.signal_margin_seconds)
        known_at = await connection.fetchval(_AT, programme_id, watch.read_through) if watch.read_through else None
        since = (known_at or now) - margin
        through = watch.read_through or id_from("auth", since)
        rows = await connection.fetch(_NEW, programme_id, id_from("auth", since), through, limit)
        refunds = await connection.fetch(_NEW_REFUNDS, programme_id, id_from("ref", since), limit)
        after = [row["authorisation_id"] for row in rows if row["is_after"]]
        end = (max([through, *after]), len(rows) - len(after), len(refunds))
        if not after and (self._seen.get(programme_id) == end or not (rows or refunds)):
            return False
        zone, setting = await zone_of(connection, programme_id), await setting_of(connection, programme_id)
        days: dict[date, tuple[datetime, set[str]]] = {}
        for row in sorted((*rows, *refunds), key=lambda row: row["created_at"]):
            on = row["created_at"].astimezone(zone).date()
            days.setdefault(on, (row["created_at"], set()))[1].add(row["merchant_id"])
        window = timedelta(hours=self.settings.signal_window_hours)
        for on, (first, shops) in sorted(days.items()):
            scope = Scope(on=on, signals=AT_ONCE, since=first - window, shops=sorted(shops))
            await self._computed(connection, programme_id, scope, setting)
        if after:
            await connection.execute(_READ_THROUGH, programme_id, end[0])
        else:
            self._seen[programme_id] = end
        return len(after) == limit

    async def _nights(self, connection: Connection, programme_id: ProgrammeId) -> None:
        """Days that are over and whose hour has come are computed whole, the oldest first."""
        watch, zone = await watch_of(connection, programme_id), await zone_of(connection, programme_id)
        now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        for on in nights_due(now, zone, watch, self.settings.signal_nights_at_most):
            kept = await compute_day(connection, self.settings, programme_id, on, clock=self.clock, chance=self.chance)
            _say(programme_id, on, kept)
            await sweep_marks(connection, programme_id, now)

    async def _cut_off(self, connection: Connection, programme_id: ProgrammeId) -> None:
        """What a batch would pay in half an hour is looked at before it does."""
        now = self.clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        ahead = now + timedelta(minutes=self.settings.signal_before_cut_off_minutes)
        cut_off_at = (await schedule_of(connection, programme_id)).last_before(ahead)
        if cut_off_at is None or cut_off_at <= now or self._before.get(programme_id) == cut_off_at:
            return
        zone, setting = await zone_of(connection, programme_id), await setting_of(connection, programme_id)
        scope = Scope(on=now.astimezone(zone).date(), until=now)
        await self._computed(connection, programme_id, scope, setting)
        self._before[programme_id] = cut_off_at

    async def _computed(
        self, connection: Connection, programme_id: ProgrammeId, scope: Scope, setting: Setting
    ) -> None:
        kept = await _computed(
            connection, self.settings, programme_id, scope, setting, clock=self.clock, chance=self.chance
        )
        _say(programme_id, scope.on, kept)


def nights_due(now: datetime, zone: ZoneInfo, watch: Watch, most: int) -> list[date]:
    """Days whose night has come and that are not computed; the first time only yesterday, later at most so many."""
    local = now.astimezone(zone)
    last = local.date() - timedelta(days=1 if local.time() >= watch.nightly_at else 2)
    first = last if watch.nights_through is None else watch.nights_through + timedelta(days=1)
    first = max(first, last - timedelta(days=most - 1))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


async def compute_day(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    on: date,
    *,
    clock: Clock,
    chance: Chance,
    signals: Collection[Signal] = tuple(Signal),
) -> Kept:
    """All signals of the whole day, as they are set now; what was found before is found again and changes nothing."""
    setting = await setting_of(connection, programme_id)
    now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
    scope = Scope(on=on, signals=signals)
    kept = await _computed(connection, settings, programme_id, scope, setting, clock=clock, chance=chance)
    if on < now.astimezone(await zone_of(connection, programme_id)).date():
        await connection.execute(_NIGHT_IS_DONE, programme_id, on)
    return kept


async def _computed(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    scope: Scope,
    setting: Setting,
    *,
    clock: Clock,
    chance: Chance,
) -> Kept:
    day = await read_day(connection, settings, programme_id, scope, setting.rules)
    found = found_on(day, setting.rules, scope.signals)
    how = {"setting": setting, "clock": clock, "chance": chance}
    return await keep(connection, settings, programme_id, scope.on, found, **how)  # type: ignore[arg-type]


def _say(programme_id: ProgrammeId, on: date, kept: Kept) -> None:
    """The service's log has what it found by itself; a command says it to who typed it."""
    if kept.findings:
        log.info(
            "signals_found",
            programme=programme_id,
            day=on.isoformat(),
            findings=len(kept.findings),
            held=len(kept.held),
            declined_for=len(kept.declines),
        )


@asynccontextmanager
async def alone_at(connection: Connection, programme_id: ProgrammeId) -> AsyncIterator[bool]:
    """Whether nobody else is at it; nobody is until the end, or until this connection is lost."""
    is_alone = bool(await connection.fetchval(_ALONE, programme_id))
    try:
        yield is_alone
    finally:
        if is_alone:
            await connection.fetchval(_NOT_ALONE, programme_id)
