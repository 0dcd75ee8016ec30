"""How a programme has set its signals: read, and set by somebody whose order is kept.

RuleRefused    nothing was set
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import msgspec
import orjson

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order, require_reason
from authz_service.settings import Settings
from authz_service.signals.judging import Setting
from authz_service.signals.kinds import Action, Signal
from authz_service.signals.thresholds import (
    HOLD_SCORE,
    Rule,
    changed_from_default,
    default_rules,
    thresholds_of,
)
from authz_service.vocabulary import Chance, ProgrammeId

NIGHTLY_AT: Final = time(2)
"""The default hour of the night in which the day before is computed: nobody shops, and little else runs."""
_RULES: Final = """
SELECT signal, enabled, action, thresholds FROM signal_rule WHERE programme_id = $1
"""
_SET: Final = """
INSERT INTO signal_rule (programme_id, signal, enabled, action, thresholds, set_at, set_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (programme_id, signal) DO UPDATE
   SET enabled = excluded.enabled, action = excluded.action, thresholds = excluded.thresholds,
       set_at = excluded.set_at, set_by = excluded.set_by
"""
_UNMARK: Final = """
-- What this signal declined for is declined no more.
DELETE FROM signal_mark WHERE programme_id = $1 AND signal = $2
"""
_BACKTEST: Final = """
-- The last backtest of the signal under just these thresholds.
SELECT from_on, to_on, figures, ran_at FROM signal_backtest
 WHERE programme_id = $1 AND signal = $2 AND thresholds = $3::jsonb
 ORDER BY ran_at DESC LIMIT 1
"""
_WATCH_IS_THERE: Final = """
INSERT INTO signal_watch (programme_id, hold_score, nightly_at)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM signal_watch WHERE programme_id = $1)
    ON CONFLICT DO NOTHING
"""
_WATCH: Final = """
SELECT read_through, nights_through, hold_score, nightly_at FROM signal_watch WHERE programme_id = $1
"""
_SET_WATCH: Final = """
UPDATE signal_watch SET hold_score = $2, nightly_at = $3 WHERE programme_id = $1
"""


class RuleRefused(Exception):  # noqa: N818
    """Nothing was set; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The two numbers of all signals together, and how far the watcher has come."""

    read_through: str | None
    nights_through: date | None
    hold_score: int
    nightly_at: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtested:
    """The last backtest of a setting."""

    from_on: date
    to_on: date
    figures: Mapping[str, int]
    ran_at: datetime


async def rules_of(connection: Connection, programme_id: ProgrammeId) -> dict[Signal, Rule]:
    """Every signal, as it is set or by default. A row of a release that knows more signals is passed over."""
    rules = default_rules()
    for row in await connection.fetch(_RULES, programme_id):
        if row["signal"] in rules:
            signal = Signal(row["signal"])
            rules[signal] = Rule(
                signal=signal,
                enabled=row["enabled"],
                action=Action(row["action"]),
                thresholds=thresholds_of(signal, orjson.loads(row["thresholds"])),
            )
    return rules


async def watch_of(connection: Connection, programme_id: ProgrammeId) -> Watch:
    await connection.execute(_WATCH_IS_THERE, programme_id, HOLD_SCORE, NIGHTLY_AT)
    row = await connection.fetchrow(_WATCH, programme_id)
    if row is None:
        raise LookupError(f"there is no programme {programme_id}")
    return Watch(**dict(row))


async def setting_of(connection: Connection, programme_id: ProgrammeId) -> Setting:
    """Both together."""
    watch = await watch_of(connection, programme_id)
    return Setting(rules=await rules_of(connection, programme_id), hold_score=watch.hold_score)


async def set_rule(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    signal: Signal,
    *,
    enabled: bool | None,
    action: Action | None,
    thresholds: Mapping[str, Any],
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> tuple[Rule, Backtested | None]:
    """The signal is set from now on, what is not named as before; and the backtest on which a decline rests."""
    require_reason(reason)
    async with alone_with(connection, settings, programme_id):
        before = (await rules_of(connection, programme_id))[signal]
        changed = changed_from_default(signal, before.thresholds) | dict(thresholds)
        rule = Rule(
            signal=signal,
            enabled=before.enabled if enabled is None else enabled,
            action=before.action if action is None else action,
            thresholds=thresholds_of(signal, changed),
        )
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        rests_on = None
        if rule.enabled and rule.action is Action.DECLINE:
            rests_on = await _recent_backtest(connection, settings, programme_id, rule, now)
        else:
            await connection.execute(_UNMARK, programme_id, signal)
        kept = orjson.dumps(changed_from_default(signal, rule.thresholds)).decode()
        row = (programme_id, signal, rule.enabled, rule.action, kept, now, actor.strip())
        await connection.execute(_SET, *row)
        await keep_order(
            connection,
            programme_id,
            OrderKind.SIGNAL_SET,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={
                "signal": signal,
                "enabled": rule.enabled,
                "action": rule.action,
                "thresholds": msgspec.structs.asdict(rule.thresholds),
            },
        )
    return rule, rests_on


async def set_watch(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    *,
    hold_score: int | None,
    nightly_at: time | None,
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> Watch:
    """From which score on settlements are held, and when the nights are computed."""
    require_reason(reason)
    if hold_score is not None and not 1 <= hold_score <= 100:  # noqa: PLR2004
        raise RuleRefused("The score is a part of 100.")
    async with alone_with(connection, settings, programme_id):
        watch = await watch_of(connection, programme_id)
        score, at = hold_score or watch.hold_score, nightly_at or watch.nightly_at
        await connection.execute(_SET_WATCH, programme_id, score, at)
        await keep_order(
            connection,
            programme_id,
            OrderKind.SIGNAL_SET,
            actor=actor,
            reason=reason,
            now=clock.at(await connection.fetchval("SELECT clock_timestamp()")),
            chance=chance,
            detail={"hold_score": score, "nightly_at": at.isoformat()},
        )
        return await watch_of(connection, programme_id)


async def _recent_backtest(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, rule: Rule, now: datetime
) -> Backtested:
    """Of the very thresholds, and not too old; RuleRefused otherwise."""
    asked = orjson.dumps(msgspec.structs.asdict(rule.thresholds)).decode()
    row = await connection.fetchrow(_BACKTEST, programme_id, rule.signal, asked)
    first = f"run `authz signals backtest --signal {rule.signal}` with the same thresholds first."
    if row is None:
        raise RuleRefused(f"Families would be declined at the counter, and nobody has looked how many: {first}")
    if row["ran_at"] < now - timedelta(days=settings.signal_backtest_days):
        raise RuleRefused(
            f"The last backtest of these thresholds is older than {settings.signal_backtest_days} days: {first}"
        )
    return Backtested(
        from_on=row["from_on"], to_on=row["to_on"], figures=orjson.loads(row["figures"]), ran_at=row["ran_at"]
    )
