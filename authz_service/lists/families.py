"""A companion's own families: what is left to each, so that it can choose whom to vouch for. No names, no NIK."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.access import Caller
from authz_service.answers import CURRENCY, Document
from authz_service.clock import Clock, month_end, month_of
from authz_service.database import Connection
from authz_service.families import family_at_work
from authz_service.ledger.book import Question, read_facts
from authz_service.lists.pages import page
from authz_service.registry import Reference
from authz_service.rules.money import room_of
from authz_service.vocabulary import ProgrammeId
from authz_service.vouchers import ENDED, Voucher, Wanted, voucher_as_shown, vouchers

_FAMILIES: Final = """
-- A companion's families at $3 with the card that each has in hand: the active one, else the newest.
-- $1 programme, $2 companion, $3 now, $4 after this family, $5 at most
SELECT b.beneficiary_id, b.district_code,
       CASE WHEN b.leaves_at <= $3 THEN 'removed' WHEN b.next_status_at <= $3 THEN b.next_status
            ELSE b.status END AS status,
       card.card_digest, card.last_four, card.status AS card_status
  FROM beneficiary b
  LEFT JOIN LATERAL (
       (SELECT c.card_digest, c.last_four, c.status FROM card c
         WHERE c.programme_id = $1 AND c.beneficiary_id = b.beneficiary_id AND c.status = 'active')
        UNION ALL
       (SELECT c.card_digest, c.last_four, c.status FROM card c
         WHERE c.programme_id = $1 AND c.beneficiary_id = b.beneficiary_id ORDER BY c.card_id DESC LIMIT 1)
        LIMIT 1) card ON true
 WHERE b.programme_id = $1 AND b.companion_id = $2 AND ($4::text IS NULL OR b.beneficiary_id > $4)
 ORDER BY b.beneficiary_id
 LIMIT $5::bigint
"""


async def own_families(
    connection: Connection, caller: Caller, after: str | None, limit: int, clock: Clock, reference: Reference
) -> Document:
    """One page of the companion's families; what is left is what the next decision would find."""
    programme_id, zone = caller.programme_id, reference.programme.zone
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now = clock.at(await connection.fetchval("SELECT clock_timestamp()"))
        rows = await connection.fetch(_FAMILIES, programme_id, caller.companion_id, now, after, limit + 1)
        with_card = [row for row in rows if row["card_digest"] is not None]
        digests = [row["card_digest"] for row in with_card]
        remaining = await left_of_families(connection, programme_id, digests, now, reference)
        wanted = Wanted(seen_by=caller.companion_id, beneficiary_ids=[row["beneficiary_id"] for row in rows])
        made: dict[str, list[Voucher]] = defaultdict(list)
        for voucher in await vouchers(connection, programme_id, wanted, now):
            made[voucher.beneficiary_id].append(voucher)
    families = [(row, row["beneficiary_id"]) for row in rows]
    return page([family_as_shown(dict(row), remaining.get(who), made[who], zone) for row, who in families], limit)


async def left_of_families(
    connection: Connection, programme_id: ProgrammeId, card_digests: list[bytes], now: datetime, reference: Reference
) -> dict[str, Document]:
    """Family → what is left to it: what the next decision about these cards would find."""
    questions = [_question(digest) for digest in card_digests]
    facts = await read_facts(connection, programme_id, month_of(now, reference.programme.zone), now, questions)
    return {row["beneficiary_id"]: _remaining(row, now, reference) for row in facts}


def _question(card_digest: bytes) -> Question:
    return Question(
        principal_id="",
        key_digest=None,
        original_digest=None,
        stan=None,
        terminal_time=None,
        card_digest=card_digest,
        authorisation_id=None,
    )


def _remaining(row: asyncpg.Record, now: datetime, reference: Reference) -> Document:
    programme, month = reference.programme, month_of(now, reference.programme.zone)
    # Holds that are over are given back in what is seen; nothing of it is written, so no id is needed.
    family = family_at_work(row, month, now, reference, lambda prefix: prefix)
    room = room_of(family.seen, programme)
    return {
        "package": room.purchase_rupiah,
        "packages_this_month": room.packages,
        "month": room.month_rupiah,
        "programme": room.programme_rupiah,
        "month_ends_at": month_end(month, programme.zone).isoformat(),
        "programme_ends_at": programme.ends_at.astimezone(programme.zone).isoformat(),
    }


def family_as_shown(
    row: Mapping[str, Any], remaining: Document | None, made: list[Voucher], zone: ZoneInfo
) -> Document:
    return {
        "id": row["beneficiary_id"],
        "district_code": row["district_code"],
        "status": row["status"],
        "card_last_four": row["last_four"],
        "card_status": row["card_status"],
        "currency": CURRENCY,
        "remaining": remaining,
        "vouchers": [voucher_as_shown(each, zone) for each in made if each.status not in ENDED],
    }
