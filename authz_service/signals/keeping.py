"""What was found is written: findings and their purchases, settlements that are held, and marks that decline.

Every step may be repeated: a finding is one of its signal, subject and day, and what was judged by people stays so.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import orjson

from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.metrics import SIGNALS_SEEN
from authz_service.settings import Settings
from authz_service.settlement.waits import WaitRefused, wait
from authz_service.signals.facts import Found
from authz_service.signals.judging import Setting, declines, held_score
from authz_service.signals.kinds import GRAVITY, Action, Signal
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id

WATCHER: Final = "signals"
"""Who holds a settlement that nobody ordered to be held."""
_REASON_LETTERS: Final = 200
_KEEP: Final = """
-- The finding of this signal, subject and day; null where people have judged it: then nothing is added.
INSERT INTO signal_finding AS f (programme_id, finding_id, signal, subject_kind, subject_id, day, score, evidence,
                                 action, found_at, standing)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open')
    ON CONFLICT (programme_id, signal, subject_id, day) DO UPDATE
   SET score = greatest(f.score, excluded.score),
       evidence = CASE WHEN excluded.score >= f.score THEN f.evidence || excluded.evidence ELSE f.evidence END
 WHERE f.standing = 'open'
RETURNING finding_id, finding_id = $2 AS is_new
"""
_ABOUT: Final = """
-- The purchases that were not known to be of it.
INSERT INTO signal_purchase (programme_id, finding_id, authorisation_id)
SELECT $1, $2, unnest($3::text[])
    ON CONFLICT DO NOTHING
RETURNING authorisation_id
"""
_EVIDENCE: Final = """
-- Everything that speaks against these purchases and is not dismissed; never again what was released by somebody.
SELECT p.authorisation_id, f.finding_id, f.signal, f.score
  FROM signal_purchase p
  JOIN signal_finding f ON f.programme_id = $1 AND f.finding_id = p.finding_id AND f.standing <> 'dismissed'
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = p.authorisation_id
 WHERE p.programme_id = $1 AND p.authorisation_id = ANY ($2)
   AND NOT EXISTS (SELECT FROM settlement_wait w WHERE w.programme_id = $1 AND w.authorisation_id = p.authorisation_id)
 ORDER BY p.authorisation_id, f.score DESC, f.finding_id
"""
_ACTED: Final = """
-- The gravest action of the finding, and how many of its purchases could not be held because they were paid already.
UPDATE signal_finding SET action = $3, evidence = evidence || $4
 WHERE programme_id = $1 AND finding_id = $2 AND standing = 'open'
"""
_ACTION: Final = "SELECT action FROM signal_finding WHERE programme_id = $1 AND finding_id = $2"
_MARK: Final = """
-- The next purchases there are declined until then.
INSERT INTO signal_mark AS m (programme_id, subject_id, signal, until, finding_id) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (programme_id, subject_id, signal) DO UPDATE
   SET until = excluded.until, finding_id = excluded.finding_id
 WHERE m.until < excluded.until
"""
_SWEEP_MARKS: Final = "DELETE FROM signal_mark WHERE programme_id = $1 AND until < $2"


@dataclass(slots=True, kw_only=True)
class Kept:
    """What came of it: findings that are new or have new purchases, and purchases whose settlement is held now."""

    findings: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    declines: list[str] = field(default_factory=list)
    """Findings for which the next purchases are declined."""


async def keep(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    on: date,
    found: Sequence[Found],
    *,
    setting: Setting,
    clock: Clock,
    chance: Chance,
) -> Kept:
    """The findings are kept, settlements held and marks set, as the rules say; what was so before stays so."""
    kept = Kept()
    now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
    news: dict[str, Found] = {}
    async with connection.transaction():
        for each in found:
            finding_id = await _keep_one(connection, programme_id, on, each, now, chance)
            if finding_id is None:
                continue
            news[finding_id] = each
            kept.findings.append(finding_id)
            if declines(each, setting):
                until = now + timedelta(minutes=setting.rules[each.signal].thresholds.decline_minutes)
                await connection.execute(_MARK, programme_id, each.subject_id, each.signal, until, finding_id)
                kept.declines.append(finding_id)
    await _hold(connection, settings, programme_id, kept, found, setting, clock, chance)
    for finding_id, each in news.items():
        SIGNALS_SEEN.labels(each.signal, await connection.fetchval(_ACTION, programme_id, finding_id)).inc()
    return kept


async def sweep_marks(connection: Connection, programme_id: ProgrammeId, now: datetime) -> None:
    """Marks that are over are gone; decisions passed over them before."""
    await connection.execute(_SWEEP_MARKS, programme_id, now)


async def _keep_one(
    connection: Connection, programme_id: ProgrammeId, on: date, each: Found, now: datetime, chance: Chance
) -> str | None:
    """Its id, where anything of it is new."""
    finding_id, evidence = new_id("sig", now, chance(CHANCE_BYTES)), orjson.dumps(each.evidence).decode()
    what = (each.signal, each.subject_kind, each.subject_id, on, each.score, evidence, Action.FLAG, now)
    row = await connection.fetchrow(_KEEP, programme_id, finding_id, *what)
    if row is None:
        return None
    known: str = row["finding_id"]
    purchases = await connection.fetch(_ABOUT, programme_id, known, list(each.purchases))
    return known if row["is_new"] or purchases else None


async def _hold(
    connection: Connection,
    settings: Settings,
    programme_id: ProgrammeId,
    kept: Kept,
    found: Iterable[Found],
    setting: Setting,
    clock: Clock,
    chance: Chance,
) -> None:
    """Settlements of purchases whose evidence adds up wait, each with that as its reason, unless they are paid."""
    purchases = list(dict.fromkeys(purchase for each in found for purchase in each.purchases))
    against: dict[str, list[tuple[str, Signal, int]]] = defaultdict(list)
    for row in await connection.fetch(_EVIDENCE, programme_id, purchases):
        if row["signal"] in setting.rules:
            against[row["authorisation_id"]].append((row["finding_id"], Signal(row["signal"]), row["score"]))
    too_late: dict[str, int] = defaultdict(int)
    acted: dict[str, Action] = dict.fromkeys(kept.declines, Action.DECLINE)
    for purchase, evidence in against.items():
        score = held_score([(signal, points) for _, signal, points in evidence], setting)
        if score < setting.hold_score:
            continue
        counted = [each for each in evidence if setting.rules[each[1]].action is not Action.FLAG]
        try:
            await wait(
                connection,
                settings,
                programme_id,
                purchase,
                reason=_reason(counted, score),
                actor=WATCHER,
                clock=clock,
                chance=chance,
            )
        except WaitRefused:
            for finding_id, _, _ in counted:
                too_late[finding_id] += 1
            continue
        kept.held.append(purchase)
        for finding_id, _, _ in counted:
            acted.setdefault(finding_id, Action.HOLD)
    await _say(connection, programme_id, acted, too_late)


async def _say(
    connection: Connection, programme_id: ProgrammeId, acted: Mapping[str, Action], too_late: Mapping[str, int]
) -> None:
    for finding_id in {*acted, *too_late}:
        before = Action(await connection.fetchval(_ACTION, programme_id, finding_id))
        action = max(before, acted.get(finding_id, before), key=GRAVITY.__getitem__)
        said = {"settled_already": too_late[finding_id]} if finding_id in too_late else {}
        await connection.execute(_ACTED, programme_id, finding_id, action, orjson.dumps(said).decode())


def _reason(evidence: Sequence[tuple[str, Signal, int]], score: int) -> str:
    """`score 84: many_cards 80 (sig_…), same_basket 44 (sig_…)`; the ids of the strongest, as many as there is room."""
    said = f"score {score}:"
    for finding_id, signal, points in evidence:
        more = f" {signal} {points} ({finding_id}),"
        if len(said) + len(more) > _REASON_LETTERS:
            break
        said += more
    return said.rstrip(",")
