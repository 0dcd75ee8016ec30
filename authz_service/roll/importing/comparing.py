"""What a list would do to the roll: who enters, leaves, merges and changes, and the money that it means."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from authz_service.database import Connection
from authz_service.ledger.bookings import look_at_unallocated
from authz_service.orders import OrderKind, keep_order
from authz_service.roll.importing.looks import SEEN
from authz_service.roll.orders import Order, RollRefused
from authz_service.settings import Settings
from authz_service.vocabulary import CHANCE_BYTES, Chance, in_rupiah, new_id, several

_TERMS: Final = "SELECT zone, ends_at, closed_at, entitlement_rupiah FROM programme WHERE programme_id = $1"
_OPEN: Final = "SELECT import_id, applied_at FROM roll_import WHERE programme_id = $1 AND finished_at IS NULL"
_NAMED: Final = """
-- The families that the list names. Of known ones only what is other than on the roll, or was not known.
INSERT INTO roll_import_row (programme_id, import_id, beneficiary_id, kind, row_number, seen, changes, companion_id,
                             district_code, name_sealed, name_words, nik_sealed, nik_digest, kk_digest, card_digest,
                             last_four, amount_rupiah)
SELECT $1, $2, r.beneficiary_id,
       CASE WHEN NOT r.is_known THEN 'enter' WHEN r.changes IS NULL THEN 'same' ELSE 'change' END,
       r.row_number, r.seen, r.changes, r.companion_id, r.district_code, r.name_sealed, r.name_words,
       r.nik_sealed,
       CASE WHEN NOT r.is_known THEN r.nik_digest END,
       CASE WHEN r.kk_digest IS DISTINCT FROM b.kk_digest THEN r.kk_digest END,
       r.card_digest, r.last_four, CASE WHEN NOT r.is_known THEN coalesce(r.amount_rupiah, $3) END
  FROM roll_read r
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = r.beneficiary_id
"""
_NOT_NAMED: Final = f"""
-- The families that the list leaves out. Who has the family card of one that it names is the same family: it is merged
-- into that one, unless another was merged into it before, or that one is to be merged itself.
INSERT INTO roll_import_row (programme_id, import_id, beneficiary_id, kind, seen, survivor_id)
SELECT $1, $2, b.beneficiary_id, CASE WHEN survivor.beneficiary_id IS NULL THEN 'leave' ELSE 'merge' END, {SEEN},
       survivor.beneficiary_id
  FROM beneficiary b
  LEFT JOIN LATERAL (
       SELECT r.beneficiary_id FROM roll_read r
        WHERE r.kk_digest = b.kk_digest
          AND r.beneficiary_id NOT IN (SELECT m.beneficiary_id FROM beneficiary m
                                        WHERE m.programme_id = $1 AND m.merged_into IS NOT NULL)
        ORDER BY r.is_known DESC, r.row_number
        LIMIT 1) survivor
    ON b.beneficiary_id NOT IN (SELECT m.merged_into FROM beneficiary m
                                 WHERE m.programme_id = $1 AND m.merged_into IS NOT NULL)
 WHERE b.programme_id = $1 AND b.status <> 'removed'
   AND NOT EXISTS (SELECT FROM roll_read r WHERE r.beneficiary_id = b.beneficiary_id)
"""  # noqa: S608  (an expression of ours)
_COUNTS: Final = """
SELECT count(*) FILTER (WHERE kind = 'same') AS unchanged, count(*) FILTER (WHERE kind = 'enter') AS entering,
       count(*) FILTER (WHERE kind = 'change') AS changing, count(*) FILTER (WHERE kind = 'merge') AS merging,
       count(*) FILTER (WHERE kind = 'leave') AS leaving,
       coalesce(sum(amount_rupiah) FILTER (WHERE kind = 'enter'), 0)::bigint AS granting_rupiah
  FROM roll_import_row WHERE programme_id = $1 AND import_id = $2
"""
_LEAVERS: Final = """
-- What those who leave have not spent: at once where nothing is held, and what is held may follow.
SELECT coalesce(sum(w.available_rupiah) FILTER (WHERE w.held_rupiah = 0), 0)::bigint AS returning_rupiah,
       coalesce(sum(w.available_rupiah + w.held_rupiah) FILTER (WHERE w.held_rupiah > 0), 0)::bigint AS later_rupiah
  FROM roll_import_row r
  JOIN wallet w ON w.programme_id = $1 AND w.beneficiary_id = r.beneficiary_id
 WHERE r.programme_id = $1 AND r.import_id = $2 AND r.kind IN ('leave', 'merge')
"""
_SHARED: Final = """
-- Families of the list whose family card another of it has, too.
SELECT coalesce(sum(rows), 0)::bigint FROM (SELECT count(*) AS rows FROM roll_read WHERE kk_digest IS NOT NULL
                                             GROUP BY kk_digest HAVING count(*) > 1) shared
"""
_ELSEWHERE: Final = """
-- Newcomers that another programme has on its roll today; allowed, and said.
SELECT count(DISTINCT r.row_number)
  FROM roll_read r
  JOIN programme p ON p.programme_id <> $1 AND p.closed_at IS NULL AND p.ends_at > $2
  JOIN beneficiary b ON b.programme_id = p.programme_id AND b.nik_digest = r.nik_digest AND b.status <> 'removed'
 WHERE NOT r.is_known
"""
_WAITING: Final = """
-- Families that would leave, and for which a change waits or into which another is to be merged.
SELECT DISTINCT b.beneficiary_id
  FROM roll_import_row r
  JOIN beneficiary b ON b.programme_id = $1
   AND (b.beneficiary_id = r.beneficiary_id AND b.next_status IS NOT NULL
        OR b.merged_into = r.beneficiary_id AND b.status <> 'removed')
 WHERE r.programme_id = $1 AND r.import_id = $2 AND r.kind IN ('leave', 'merge')
 ORDER BY b.beneficiary_id
"""
_WRITE: Final = """
INSERT INTO roll_import (programme_id, import_id, imported_at, imported_by, reason, file_digest, effective_on,
                         unchanged, entering, changing, merging, leaving, granting_rupiah, returning_rupiah,
                         unallocated_rupiah)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTerms:
    """The programme that a list is for."""

    programme_id: str
    zone: ZoneInfo
    entitlement_rupiah: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the list `import_id` does to the roll once it is applied: families and rupiah.

    `returning_rupiah` comes back at once; `later_rupiah` is of leavers with open holds, and may follow when these end.
    """

    import_id: str
    effective_on: date | None
    unchanged: int
    entering: int
    changing: int
    merging: int
    leaving: int
    granting_rupiah: int
    returning_rupiah: int
    later_rupiah: int
    unallocated_rupiah: int
    shared_family_cards: int
    elsewhere: int


async def require_sense(connection: Connection, programme_id: str, order: Order, now: datetime) -> ListTerms:
    """A list may be imported now, and hold from the order's day on."""
    row = await connection.fetchrow(_TERMS, programme_id)
    if row is None:
        raise RollRefused(f"There is no programme {programme_id}.")
    if row["closed_at"] is not None:
        raise RollRefused(f"{programme_id} is closed: its roll does not change any more.")
    if now >= row["ends_at"]:
        raise RollRefused("The programme has ended: nobody enters any more.")
    zone = ZoneInfo(row["zone"])
    if order.on is not None:
        if order.on < now.astimezone(zone).date():
            raise RollRefused("A list holds from today or a coming day on.")
        if order.on >= row["ends_at"].astimezone(zone).date():
            raise RollRefused(f"The programme ends before {order.on}: nothing would change any more.")
    other = await connection.fetchrow(_OPEN, programme_id)
    if other is not None:
        is_applied = other["applied_at"] is not None
        what = "is not written yet: `authz roll apply` it again" if is_applied else "waits: apply or withdraw it first"
        raise RollRefused(f"The list {other['import_id']} {what}.")
    return ListTerms(programme_id=programme_id, zone=zone, entitlement_rupiah=row["entitlement_rupiah"])


async def compare(
    connection: Connection,
    settings: Settings,
    terms: ListTerms,
    order: Order,
    leavers: int | None,
    digest: bytes,
    *,
    now: datetime,
    chance: Chance,
) -> Difference:
    """What was read waits as a list; RollRefused where it takes too many off the roll, or the money is not there."""
    programme_id, import_id = terms.programme_id, new_id("imp", now, chance(CHANCE_BYTES))
    await connection.execute(_NAMED, programme_id, import_id, terms.entitlement_rupiah)
    await connection.execute(_NOT_NAMED, programme_id, import_id)
    await connection.execute("ANALYZE roll_import_row")
    counts = await connection.fetchrow(_COUNTS, programme_id, import_id)
    money = await connection.fetchrow(_LEAVERS, programme_id, import_id)
    found = Difference(
        import_id=import_id,
        effective_on=order.on,
        **dict(counts or {}),
        **dict(money or {}),
        unallocated_rupiah=await look_at_unallocated(connection, programme_id),
        shared_family_cards=await connection.fetchval(_SHARED),
        elsewhere=await connection.fetchval(_ELSEWHERE, programme_id, now),
    )
    _require_belt(found, settings.roll_leaving_percent, leavers)
    require_nobody_waits([row[0] for row in await connection.fetch(_WAITING, programme_id, import_id)])
    require_money(found.granting_rupiah, found.unallocated_rupiah, found.entering, found.returning_rupiah)

    # Nothing stands against it. From here on it is only written.
    await connection.execute(
        _WRITE,
        programme_id,
        import_id,
        now,
        order.actor,
        order.reason,
        digest,
        order.on,
        found.unchanged,
        found.entering,
        found.changing,
        found.merging,
        found.leaving,
        found.granting_rupiah,
        found.returning_rupiah,
        found.unallocated_rupiah,
    )
    await keep_order(
        connection,
        programme_id,
        OrderKind.ROLL_IMPORTED,
        actor=order.actor,
        reason=order.reason,
        now=now,
        chance=chance,
        detail={
            "import_id": import_id,
            "entering": found.entering,
            "changing": found.changing,
            "merging": found.merging,
            "leaving": found.leaving,
            "granting_rupiah": found.granting_rupiah,
        },
    )
    return found


def _require_belt(found: Difference, percent: float, leavers: int | None) -> None:
    leaving, now_on_it = found.leaving + found.merging, found.unchanged + found.changing + found.leaving + found.merging
    if leavers is not None and leavers != leaving:
        raise RollRefused(f"{leaving} families would leave the roll, and not {leavers}.")
    if leavers is None and leaving * 100 > now_on_it * percent:
        raise RollRefused(
            f"It would take {leaving} of {now_on_it} families off the roll, more than {percent:g} %: if that is right,"
            f" give it again with --leavers {leaving}."
        )


def require_nobody_waits(families: Sequence[str]) -> None:
    """No leaver has a change that is still to come."""
    if families:
        raise RollRefused(
            f"A change waits for {several(len(families), 'family', 'families')} whose place the list touches, the first"
            f" of them {families[0]}: withdraw it first (`authz family resume`)."
        )


def require_money(granting_rupiah: int, unallocated_rupiah: int, entering: int, returning_rupiah: int) -> None:
    """What those who enter get is unallocated now. What leavers give back is not counted: they may still spend it."""
    if granting_rupiah > unallocated_rupiah:
        raise RollRefused(
            f"{in_rupiah(granting_rupiah)} for {several(entering, 'family', 'families')} is not there:"
            f" {in_rupiah(unallocated_rupiah)} is unallocated. Those who leave give back {in_rupiah(returning_rupiah)}"
            " once they have left: apply the list --without-newcomers first, then the whole list."
        )
