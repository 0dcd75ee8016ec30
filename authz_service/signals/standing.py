"""What people say of a finding: listed, shown, dismissed by one, confirmed by two.

Dismissing gives the shop its money, and everybody can see who did it. Confirming accuses somebody and keeps it back:
that takes two people, as everything does here that takes money from a poor shop.

FindingRefused    nothing was changed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

import asyncpg
import orjson

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.ledger.entries import alone_with
from authz_service.orders import OrderKind, keep_order, require_reason
from authz_service.settings import Settings
from authz_service.settlement.waits import unwait
from authz_service.signals.judging import held_score
from authz_service.signals.keeping import WATCHER
from authz_service.signals.kinds import Action, Signal, Subject
from authz_service.signals.rules import setting_of
from authz_service.vocabulary import Chance, ProgrammeId

_COLUMNS: Final = """
SELECT f.finding_id, f.signal, f.subject_kind, f.subject_id, f.day, f.score, f.evidence::text, f.action, f.found_at,
       f.standing, f.accused_by, f.accused_because, f.closed_at, f.closed_by, f.closed_because,
       (SELECT name FROM merchant WHERE programme_id = $1
           AND merchant_id IN (f.subject_id, f.evidence ->> 'merchant_id',
                               (SELECT t.merchant_id FROM terminal t
                                 WHERE t.programme_id = $1 AND t.terminal_id = f.subject_id))
         LIMIT 1) AS shop,
       (SELECT count(*) FROM signal_purchase p WHERE p.programme_id = $1 AND p.finding_id = f.finding_id)::int
         AS purchases
  FROM signal_finding f
"""
_LIST: Final = (
    "-- The newest first.\n"
    + _COLUMNS
    + """ WHERE f.programme_id = $1 AND ($2::text IS NULL OR f.standing = $2) AND ($3::text IS NULL OR f.signal = $3)
 ORDER BY f.day DESC, f.score DESC, f.finding_id
 LIMIT $4
"""
)
_OPEN: Final = "SELECT count(*) FROM signal_finding WHERE programme_id = $1 AND standing = 'open'"
_ONE: Final = "-- One of them.\n" + _COLUMNS + " WHERE f.programme_id = $1 AND f.finding_id = $2\n"
_PURCHASES: Final = """
-- What it is about, and what of its settlement waits or waited.
SELECT p.authorisation_id, a.created_at, a.merchant_id, a.beneficiary_id, a.reason, a.approved_rupiah,
       w.flagged_by, w.released_at
  FROM signal_purchase p
  JOIN authorisation a ON a.programme_id = $1 AND a.authorisation_id = p.authorisation_id
  LEFT JOIN LATERAL (SELECT flagged_by, released_at FROM settlement_wait
                      WHERE programme_id = $1 AND authorisation_id = p.authorisation_id
                      ORDER BY flagged_at DESC LIMIT 1) w ON true
 WHERE p.programme_id = $1 AND p.finding_id = $2
 ORDER BY a.created_at, p.authorisation_id
"""
_LOCK: Final = "SELECT standing, accused_by FROM signal_finding WHERE programme_id = $1 AND finding_id = $2 FOR UPDATE"
_ACCUSE: Final = """
UPDATE signal_finding SET accused_at = $3, accused_by = $4, accused_because = $5
 WHERE programme_id = $1 AND finding_id = $2
"""
_CLOSE: Final = """
UPDATE signal_finding SET standing = $3, closed_at = $4, closed_by = $5, closed_because = $6
 WHERE programme_id = $1 AND finding_id = $2
"""
_UNMARK: Final = "DELETE FROM signal_mark WHERE programme_id = $1 AND finding_id = $2"
_WAITING: Final = """
-- Its purchases that the signals hold back, with what else still speaks against each.
SELECT p.authorisation_id, f.signal, f.score
  FROM signal_purchase p
  JOIN settlement_wait w ON w.programme_id = $1 AND w.authorisation_id = p.authorisation_id
                        AND w.released_at IS NULL AND w.flagged_by = $3
  LEFT JOIN signal_purchase o ON o.programme_id = $1 AND o.authorisation_id = p.authorisation_id
                             AND o.finding_id <> $2
  LEFT JOIN signal_finding f ON f.programme_id = $1 AND f.finding_id = o.finding_id AND f.standing <> 'dismissed'
 WHERE p.programme_id = $1 AND p.finding_id = $2
 ORDER BY p.authorisation_id
"""


class FindingRefused(Exception):  # noqa: N818
    """Nothing was changed; the message says why."""


class Standing(StrEnum):
    OPEN = "open"
    DISMISSED = "dismissed"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    finding_id: str
    signal: Signal
    subject_kind: Subject
    subject_id: str
    shop: str | None
    """The name of the shop that it is about, where it is about one."""
    day: date
    score: int
    evidence: Mapping[str, Any]
    action: Action
    found_at: datetime
    standing: Standing
    accused_by: str | None
    accused_because: str | None
    closed_at: datetime | None
    closed_by: str | None
    closed_because: str | None
    purchases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutPurchase:
    authorisation_id: str
    created_at: datetime
    merchant_id: str
    beneficiary_id: str | None
    reason: str
    approved_rupiah: int
    flagged_by: str | None
    released_at: datetime | None


async def findings(
    connection: Connection,
    programme_id: ProgrammeId,
    *,
    standing: Standing | None,
    signal: Signal | None,
    limit: int,
) -> list[Finding]:
    """The newest day first, on it the strongest."""
    return [_finding(row) for row in await connection.fetch(_LIST, programme_id, standing, signal, limit)]


async def open_findings(connection: Connection, programme_id: ProgrammeId) -> int:
    """Of which nobody has said yet what they are."""
    count: int = await connection.fetchval(_OPEN, programme_id)
    return count


async def one_finding(
    connection: Connection, programme_id: ProgrammeId, finding_id: str
) -> tuple[Finding, list[AboutPurchase]]:
    row = await connection.fetchrow(_ONE, programme_id, finding_id)
    if row is None:
        raise FindingRefused(f"{programme_id} has no finding {finding_id}.")
    purchases = await connection.fetch(_PURCHASES, programme_id, finding_id)
    return _finding(row), [AboutPurchase(**dict(each)) for each in purchases]


async def dismiss(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    finding_id: str,
    *,
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> list[str]:
    """It counts no more: nothing is declined for it, and what was held for it alone is in the next batch (its ids).

    What other findings still say of a purchase keeps that waiting.
    """
    require_reason(reason)
    setting = await setting_of(connection, programme_id)
    async with alone_with(connection, settings, programme_id):
        await _require_open(connection, programme_id, finding_id)
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        await connection.execute(_CLOSE, programme_id, finding_id, Standing.DISMISSED, now, actor.strip(), reason)
        await connection.execute(_UNMARK, programme_id, finding_id)
        still = await _still_held_for(connection, programme_id, finding_id)
        released = [each for each, others in still.items() if held_score(others, setting) < setting.hold_score]
        for authorisation_id in released:
            how: Any = {"actor": actor, "clock": clock, "chance": chance, "reason": reason}
            await unwait(connection, settings, programme_id, authorisation_id, **how)
        await keep_order(
            connection,
            programme_id,
            OrderKind.SIGNAL_DISMISSED,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"finding_id": finding_id, "released": len(released)},
        )
    return released


async def confirm(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    finding_id: str,
    *,
    reason: str,
    actor: str,
    clock: Clock,
    chance: Chance,
) -> Standing:
    """The first says so and it stays open; with the second, who is somebody else, it is confirmed.

    What is held stays held: the shop refunds it, or somebody releases it with `authz settlement unwait`.
    """
    require_reason(reason)
    async with alone_with(connection, settings, programme_id):
        accused_by = await _require_open(connection, programme_id, finding_id)
        if accused_by is not None and accused_by.strip().casefold() == actor.strip().casefold():
            raise FindingRefused(f"{actor.strip()} has said so already; somebody else has to confirm it.")
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        if accused_by is None:
            standing, kind = Standing.OPEN, OrderKind.SIGNAL_ACCUSED
            await connection.execute(_ACCUSE, programme_id, finding_id, now, actor.strip(), reason)
        else:
            standing, kind = Standing.CONFIRMED, OrderKind.SIGNAL_CONFIRMED
            await connection.execute(_CLOSE, programme_id, finding_id, standing, now, actor.strip(), reason)
        await keep_order(
            connection,
            programme_id,
            kind,
            actor=actor,
            reason=reason,
            now=now,
            chance=chance,
            detail={"finding_id": finding_id},
        )
    return standing


async def _require_open(connection: Connection, programme_id: ProgrammeId, finding_id: str) -> str | None:
    """Who has accused already."""
    row = await connection.fetchrow(_LOCK, programme_id, finding_id)
    if row is None:
        raise FindingRefused(f"{programme_id} has no finding {finding_id}.")
    if row["standing"] != Standing.OPEN:
        raise FindingRefused(f"{finding_id} is {row['standing']} already.")
    accused_by: str | None = row["accused_by"]
    return accused_by


async def _still_held_for(
    connection: Connection, programme_id: ProgrammeId, finding_id: str
) -> dict[str, list[tuple[Signal, int]]]:
    others: dict[str, list[tuple[Signal, int]]] = {}
    for row in await connection.fetch(_WAITING, programme_id, finding_id, WATCHER):
        evidence = others.setdefault(row["authorisation_id"], [])
        if row["signal"] is not None and row["signal"] in set(Signal):
            evidence.append((Signal(row["signal"]), row["score"]))
    return others


def _finding(row: asyncpg.Record) -> Finding:
    found = dict(row) | {"evidence": orjson.loads(row["evidence"])}
    return Finding(
        **found
        | {
            "signal": Signal(row["signal"]),
            "subject_kind": Subject(row["subject_kind"]),
            "action": Action(row["action"]),
            "standing": Standing(row["standing"]),
        }
    )


def in_words(evidence: Mapping[str, Any]) -> str:
    """`cards 14, minutes 5`: for tables."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evidence.items())
