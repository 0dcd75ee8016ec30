"""Reads what was written at a decision and what was in force then, in one snapshot, and explains it.

For the office pool. What was in force at a version of the reference data is the latest row of each key with that
version or an older one. `jsonb_populate_record` gives it the types of the table as it is now.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from authz_service.answers import Document, shown
from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.explanation.document import explained
from authz_service.explanation.recorded import Recorded, Seen
from authz_service.history import authorisation_document
from authz_service.registry import marks_of, programme_of, shop_of
from authz_service.rules.facts import Shop

_RECORDED: Final = """
-- A decision as it was written, the last digits of its card, and the zone in which to say how things stand now.
SELECT a.*, c.last_four, p.zone AS zone_now, clock_timestamp() AS database_now
  FROM authorisation a
  JOIN programme p ON p.programme_id = a.programme_id
  LEFT JOIN card c ON c.programme_id = a.programme_id AND c.card_id = a.card_id
 WHERE a.programme_id = $1 AND a.authorisation_id = $2
"""
_PROGRAMME: Final = """
-- The programme's row at version $2.
SELECT p.*
  FROM (SELECT row FROM reference_history
         WHERE programme_id = $1 AND relation = 'programme' AND version <= $2
         ORDER BY version DESC, place DESC LIMIT 1) h,
       jsonb_populate_record(NULL::programme, h.row) p
"""
_SHOP: Final = """
-- The row of the shop with key $3 at version $2, if it had one.
SELECT m.*
  FROM (SELECT operation, row FROM reference_history
         WHERE programme_id = $1 AND relation = 'merchant' AND key = $3 AND version <= $2
         ORDER BY version DESC, place DESC LIMIT 1) h,
       jsonb_populate_record(NULL::merchant, h.row) m
 WHERE h.operation <> 'DELETE'
"""
_DISTRICT_NAME: Final = """
-- What the kecamatan with key $3 was called at version $2.
SELECT row ->> 'name' FROM reference_history
 WHERE programme_id = $1 AND relation = 'district' AND key = $3 AND version <= $2
 ORDER BY version DESC, place DESC LIMIT 1
"""
_MONTH_CAPS: Final = """
-- The changes of the programme's caps that were planned at version $2.
SELECT c.*
  FROM (SELECT DISTINCT ON (key) operation, row FROM reference_history
         WHERE programme_id = $1 AND relation = 'month_cap' AND version <= $2
         ORDER BY key DESC, version DESC, place DESC) h,
       jsonb_populate_record(NULL::month_cap, h.row) c
 WHERE h.operation <> 'DELETE'
 ORDER BY c.valid_from
"""
_CATEGORIES: Final = """
-- The categories of the programme's list at version $2.
SELECT c.*
  FROM (SELECT DISTINCT ON (key) operation, row FROM reference_history
         WHERE programme_id = $1 AND relation = 'category' AND version <= $2
         ORDER BY key DESC, version DESC, place DESC) h,
       jsonb_populate_record(NULL::category, h.row) c
 WHERE h.operation <> 'DELETE'
 ORDER BY c.position
"""
_PRODUCTS: Final = """
-- The products of the programme's list at version $2.
SELECT p.*
  FROM (SELECT DISTINCT ON (key) operation, row FROM reference_history
         WHERE programme_id = $1 AND relation = 'product' AND version <= $2
         ORDER BY key DESC, version DESC, place DESC) h,
       jsonb_populate_record(NULL::product, h.row) p
 WHERE h.operation <> 'DELETE'
 ORDER BY p.name, p.unit
"""
_CEILINGS: Final = """
-- The price ceilings at version $2.
SELECT c.*
  FROM (SELECT DISTINCT ON (key) operation, row FROM reference_history
         WHERE programme_id = $1 AND relation = 'price_ceiling' AND version <= $2
         ORDER BY key DESC, version DESC, place DESC) h,
       jsonb_populate_record(NULL::price_ceiling, h.row) c
 WHERE h.operation <> 'DELETE'
 ORDER BY c.valid_from, c.district_code
"""
_MARKS: Final = """
-- What was declined for at the terminal, the shop or with the card of $3 at version $2.
SELECT m.*
  FROM (SELECT DISTINCT ON (key) operation, row FROM reference_history
         WHERE programme_id = $1 AND relation = 'signal_mark' AND version <= $2 AND key[1] = ANY ($3::text[])
         ORDER BY key DESC, version DESC, place DESC) h,
       jsonb_populate_record(NULL::signal_mark, h.row) m
 WHERE h.operation <> 'DELETE'
 ORDER BY m.subject_id, m.signal
"""
_TERMS: Final = {
    "month_caps": _MONTH_CAPS,
    "categories": _CATEGORIES,
    "products": _PRODUCTS,
    "ceilings": _CEILINGS,
}
_STANDING: Final = ("status", "held_amount", "captured_amount", "refunded_amount", "vouchers_used", "events")


async def explanation_document(
    connection: Connection, programme_id: str, authorisation_id: str, clock: Clock
) -> Document | None:
    """Why the authorisation came out as it did, and how its money stands; None where the programme has none such."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        row = await connection.fetchrow(_RECORDED, programme_id, authorisation_id)
        if row is None:
            return None
        recorded = recorded_of(row)
        marked = [each for each in (recorded.terminal_id, recorded.merchant_id, recorded.card_id) if each is not None]
        version = recorded.reference_version
        seen = await seen_at(connection, programme_id, version, recorded.merchant_id, marked)
        return explained(recorded, seen, await _now(connection, row, clock))


async def seen_at(
    connection: Connection, programme_id: str, version: int, merchant_id: str, marked: Sequence[str] = ()
) -> Seen | None:
    """Programme, goods, shop and the marks on `marked` as `version` of the reference data had them; None where the
    history begins later."""
    programme = await connection.fetchrow(_PROGRAMME, programme_id, version)
    if programme is None:
        return None
    terms = {name: await connection.fetch(statement, programme_id, version) for name, statement in _TERMS.items()}
    return Seen(
        programme=programme_of(programme, terms),
        shop=await _shop_at(connection, programme_id, version, merchant_id),
        ceiling_sources={_ceiling_key(each): each["source"] for each in terms["ceilings"]},
        marks=marks_of(await connection.fetch(_MARKS, programme_id, version, list(marked))) if marked else {},
    )


async def _shop_at(connection: Connection, programme_id: str, version: int, merchant_id: str) -> Shop | None:
    shop = await connection.fetchrow(_SHOP, programme_id, version, [merchant_id])
    if shop is None:
        return None
    district_name = await connection.fetchval(_DISTRICT_NAME, programme_id, version, [shop["district_code"]])
    return shop_of(shop, district_name or "")


def _ceiling_key(row: asyncpg.Record) -> tuple[str, str, str | None, date]:
    return row["product"], row["unit"], row["district_code"] or None, row["valid_from"]


def recorded_of(row: asyncpg.Record) -> Recorded:
    """The decision of a row of `authorisation` with its card's `last_four`."""
    return Recorded(
        programme_id=row["programme_id"],
        authorisation_id=row["authorisation_id"],
        created_at=row["created_at"],
        merchant_id=row["merchant_id"],
        terminal_id=row["terminal_id"],
        beneficiary_id=row["beneficiary_id"],
        card_id=row["card_id"],
        last_four=row["last_four"],
        month=row["month"],
        reason=row["reason"],
        amount_rupiah=row["amount_rupiah"],
        approved_rupiah=row["approved_rupiah"],
        reduction_rupiah=row["reduction_rupiah"],
        request_id=row["request_id"],
        journal=orjson.loads(row["journal"]),
        answer=orjson.loads(row["answer"]),
    )


async def _now(connection: Connection, row: asyncpg.Record, clock: Clock) -> Document:
    key, zone = (row["programme_id"], row["authorisation_id"], row["merchant_id"]), ZoneInfo(row["zone_now"])
    standing = await authorisation_document(connection, key, clock, zone)
    if standing is None:
        raise LookupError("one snapshot both has the authorisation and has it not")
    return {"as_of": shown(clock.at(row["database_now"]), zone)} | {name: standing[name] for name in _STANDING}
