"""What a bank told is kept as received before it is acknowledged, and every notice can be found with what became of
it. `following.py` makes it true in the books.

    InboxRefused    nothing was changed; the message is one sentence for the operator
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.bank.notice import Notice
from authz_service.bank.partners import Partner
from authz_service.bank.signature import minified
from authz_service.database import Connection
from authz_service.events.kinds import NoticeResolved
from authz_service.events.outbox import publish
from authz_service.orders import OrderKind, keep_order
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id, several

_RECEIVE: Final = """
-- Kept, and new; nothing at all where one with its X-EXTERNAL-ID came from that bank on that day.
WITH kept AS (
       INSERT INTO bank_notice (programme_id, notice_id, partner_id, external_id, received_on, received_at, body,
                                body_digest, reference, bank_reference, status, amount_rupiah)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING
       RETURNING programme_id, notice_id)
INSERT INTO notice_standing (programme_id, notice_id, standing) SELECT programme_id, notice_id, 'new' FROM kept
"""
_DIGEST: Final = """
-- What came first with that X-EXTERNAL-ID.
SELECT body_digest FROM bank_notice
 WHERE programme_id = $1 AND partner_id = $2 AND received_on = $3 AND external_id = $4
"""
_LISTED: Final = """
-- Notices, the newest first; or, where $2 says so, those that wait for people, the longest wait first.
SELECT n.notice_id, n.received_at, n.partner_id, n.reference, n.bank_reference, n.status, n.amount_rupiah,
       s.standing, s.reason, s.resolved_by, s.resolution, s.approved_by
  FROM bank_notice n
  JOIN notice_standing s USING (programme_id, notice_id)
 WHERE n.programme_id = $1 AND (NOT $2 OR s.standing = 'parked')
 ORDER BY CASE WHEN $2 THEN n.notice_id END, n.notice_id DESC
 LIMIT $3
"""
_RESOLVE: Final = """
-- Somebody has said what is to become of a parked notice; it waits for a second pair of eyes. Who has said it cannot
-- say otherwise: the second one may have read it by then.
UPDATE notice_standing SET resolved_at = $3, resolved_by = $4, resolution = $5
 WHERE programme_id = $1 AND notice_id = $2 AND standing = 'parked'
   AND (resolved_by IS NULL OR lower(btrim(resolved_by)) <> lower(btrim($4)))
"""
_APPROVE: Final = """
-- The second pair of eyes: not the first one's.
UPDATE notice_standing SET standing = 'resolved', approved_at = $3, approved_by = $4
 WHERE programme_id = $1 AND notice_id = $2 AND standing = 'parked'
   AND lower(btrim(resolved_by)) <> lower(btrim($4))
"""
_OPEN: Final = """
-- Notices that are not at their end: nobody has looked at them yet, or they wait for people.
SELECT count(*) FILTER (WHERE s.standing = 'new') AS new, count(*) FILTER (WHERE s.standing = 'parked') AS parked,
       min(n.received_at AT TIME ZONE p.zone) FILTER (WHERE s.standing = 'parked') AS parked_since
  FROM notice_standing s
  JOIN bank_notice n USING (programme_id, notice_id)
  JOIN programme p USING (programme_id)
 WHERE s.programme_id = $1 AND s.standing IN ('new', 'parked')
"""
REASON_LIMIT: Final = 200


class InboxRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


class Received(Enum):
    """What is so after a notice came."""

    KEPT = auto()
    KEPT_BEFORE = auto()
    """The same came before on this day: it is answered as it was then."""
    CONFLICTS = auto()
    """Another came before with this X-EXTERNAL-ID on this day; this one is not kept."""


class Kept(StrEnum):
    """What became of a notice."""

    NEW = "new"
    FOLLOWED = "followed"
    """The books say what it told."""
    PARKED = "parked"
    RESOLVED = "resolved"
    """Two people have said what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotice:
    """A notice and what became of it."""

    notice_id: str
    received_at: datetime
    partner_id: str
    reference: str
    bank_reference: str
    status: str
    amount_rupiah: int
    standing: Kept
    reason: str | None
    resolved_by: str | None
    resolution: str | None
    approved_by: str | None


async def receive(
    connection: Connection,
    partner: Partner,
    notice: Notice,
    *,
    external_id: str,
    body: bytes,
    now: datetime,
    chance: Chance,
) -> Received:
    """The notice is kept, once: X-EXTERNAL-ID is unique in a day of the programme's zone."""
    day, digest = now.astimezone(ZoneInfo(partner.zone)).date(), sha256(minified(body)).digest()
    kept = await connection.execute(
        _RECEIVE,
        partner.programme_id,
        new_id("ntc", now, chance(CHANCE_BYTES)),
        partner.partner_id,
        external_id,
        day,
        now,
        body,
        digest,
        notice.original_partner_reference_no,
        notice.original_reference_no,
        notice.told,
        notice.amount_rupiah,
    )
    if kept == "INSERT 0 1":
        return Received.KEPT
    first = await connection.fetchval(_DIGEST, partner.programme_id, partner.partner_id, day, external_id)
    return Received.KEPT_BEFORE if first == digest else Received.CONFLICTS


async def listed(
    connection: Connection, programme_id: ProgrammeId, *, parked_only: bool, limit: int
) -> Sequence[KeptNotice]:
    """The newest `limit` notices, or those that are parked longest."""
    return [
        KeptNotice(**{**row, "standing": Kept(row["standing"])})
        for row in await connection.fetch(_LISTED, programme_id, parked_only, limit)
    ]


async def resolve(
    connection: Connection,
    programme_id: ProgrammeId,
    notice_id: str,
    *,
    resolution: str,
    actor: str,
    now: datetime,
    chance: Chance,
) -> None:
    """It is said what becomes of a parked notice. It stays so until somebody else approves, or says otherwise."""
    if not resolution.strip() or not resolution.isprintable() or len(resolution) > REASON_LIMIT:
        raise InboxRefused(f"Say in 1 to {REASON_LIMIT} printable characters what becomes of it.")
    async with connection.transaction():
        done = await connection.execute(_RESOLVE, programme_id, notice_id, now, actor, resolution)
        if done != "UPDATE 1":
            raise InboxRefused(
                f"{notice_id} is not a parked notice, or you have said already what becomes of it:"
                " only somebody else can say otherwise."
            )
        await keep_order(
            connection,
            programme_id,
            OrderKind.NOTICE_RESOLVED,
            actor=actor,
            reason=resolution,
            now=now,
            chance=chance,
            detail={"notice_id": notice_id},
        )


async def approve(
    connection: Connection, programme_id: ProgrammeId, notice_id: str, *, actor: str, now: datetime, chance: Chance
) -> None:
    """The notice is resolved as somebody else has said. No money moves by that."""
    async with connection.transaction():
        done = await connection.execute(_APPROVE, programme_id, notice_id, now, actor)
        if done != "UPDATE 1":
            raise InboxRefused(f"{notice_id} is not a parked notice that somebody else has resolved.")
        await publish(connection, programme_id, NoticeResolved(notice_id=notice_id), at=now, chance=chance)
        await keep_order(
            connection,
            programme_id,
            OrderKind.NOTICE_APPROVED,
            actor=actor,
            now=now,
            chance=chance,
            detail={"notice_id": notice_id},
        )


async def open_notices(connection: Connection, programme_id: ProgrammeId) -> list[str]:
    """Why a programme cannot be closed, a sentence each; none where all that was told is followed or resolved."""
    row = await connection.fetchrow(_OPEN, programme_id)
    reasons = []
    if row is not None and row["new"]:
        reasons.append(
            f"Not followed: {several(row['new'], 'notice')} of the bank that came just now; a service that runs follows"
            " them within seconds: try again."
        )
    if row is not None and row["parked"]:
        reasons.append(
            f"Parked: {several(row['parked'], 'notice')} of the bank, the first of {row['parked_since']:%-d %B %Y};"
            " `authz inbox list --parked` shows why. Say with `authz inbox resolve` what becomes of each, and somebody"
            " else approves it with `authz inbox approve`."
        )
    return reasons
