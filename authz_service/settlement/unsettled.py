"""What of the shops' money is not settled yet: in words and figures, for who wants to close a programme."""

from collections.abc import Iterator
from typing import Final

from authz_service.database import Connection
from authz_service.settlement.doubt import payouts_in_doubt
from authz_service.vocabulary import ProgrammeId, in_rupiah, several

_IN_NO_BATCH: Final = """
-- Captures that no batch has; and of purchases that wait, refunds as well.
SELECT count(*) FILTER (WHERE NOT waits AND kind = 'post') AS captures,
       coalesce(sum(amount_rupiah) FILTER (WHERE NOT waits AND kind = 'post'), 0)::bigint AS captured_rupiah,
       count(DISTINCT authorisation_id) FILTER (WHERE waits) AS waiting,
       coalesce(sum(CASE kind WHEN 'post' THEN amount_rupiah ELSE -amount_rupiah END) FILTER (WHERE waits), 0)::bigint
         AS waiting_rupiah
  FROM (SELECT t.kind, t.amount_rupiah, t.authorisation_id, w.authorisation_id IS NOT NULL AS waits
          FROM transfer t
          LEFT JOIN settlement_wait w ON w.programme_id = $1 AND w.authorisation_id = t.authorisation_id
                                     AND w.released_at IS NULL
         WHERE t.programme_id = $1 AND t.kind IN ('post', 'refund')
           AND NOT EXISTS (SELECT FROM settlement_item i
                            WHERE i.programme_id = $1 AND i.transfer_id = t.transfer_id)) unbatched
"""
_PAYOUTS: Final = """
-- Instructions that are not at their end: on their way, come back, in doubt, or released and in no batch yet.
-- $2: those in doubt.
SELECT state, count(*) AS payouts, sum(amount_rupiah)::bigint AS rupiah
  FROM (SELECT i.amount_rupiah,
               CASE WHEN e.events IS NULL THEN 'under_way'
                    WHEN 'settled' = ANY (e.events) AND NOT 'returned' = ANY (e.events) THEN 'paid'
                    WHEN i.instruction_id = ANY ($2) THEN 'in_doubt'
                    WHEN NOT 'released' = ANY (e.events) THEN 'came_back'
                    WHEN NOT EXISTS (SELECT FROM transfer t
                                       JOIN settlement_item s ON s.programme_id = $1 AND s.transfer_id = t.transfer_id
                                      WHERE t.programme_id = $1 AND t.authorisation_id IS NULL
                                        AND t.kind IN ('payout_failed', 'return') AND t.reason = i.instruction_id)
                    THEN 'released'
                    ELSE 'paid_again' END AS state
          FROM payout_instruction i
          LEFT JOIN LATERAL (SELECT array_agg(event) AS events
                               FROM payout_event
                              WHERE programme_id = $1 AND instruction_id = i.instruction_id) e ON true
         WHERE i.programme_id = $1) life
 GROUP BY state
"""
_CARRIED: Final = """
-- What shops without an account carried out of the last batch.
SELECT count(*) AS shops, coalesce(sum(p.carried_rupiah), 0)::bigint AS rupiah
  FROM settlement_position p
 WHERE p.programme_id = $1 AND p.carried_rupiah > 0
   AND p.batch_id = (SELECT batch_id FROM settlement_batch WHERE programme_id = $1 ORDER BY number DESC LIMIT 1)
"""
_CLOSE_ONE: Final = "`authz settlement close --now` takes"


async def what_is_unsettled(connection: Connection, programme_id: ProgrammeId) -> list[str]:
    """Every reason why the shops are not done with; a shop that owes something is none: that is a receivable."""
    found = await connection.fetchrow(_IN_NO_BATCH, programme_id)
    reasons = []
    if found is not None and found["captures"]:
        captures = several(found["captures"], "capture")
        reasons.append(
            f"Captured but in no batch: {in_rupiah(found['captured_rupiah'])} in {captures};"
            f" {_CLOSE_ONE} what is captured."
        )
    if found is not None and found["waiting"]:
        reasons.append(
            f"Waiting: {in_rupiah(found['waiting_rupiah'])} of {several(found['waiting'], 'flagged purchase')};"
            " release them with `authz settlement unwait`."
        )
    doubtful = await payouts_in_doubt(connection, programme_id)
    rows = {row["state"]: row for row in await connection.fetch(_PAYOUTS, programme_id, doubtful)}
    reasons += _about_payouts({state: (row["payouts"], row["rupiah"]) for state, row in rows.items()})
    carried = await connection.fetchrow(_CARRIED, programme_id)
    if carried is not None and carried["shops"]:
        reasons.append(
            f"Carried: {in_rupiah(carried['rupiah'])} of {several(carried['shops'], 'shop')} without an approved"
            f" account; approve one, and {_CLOSE_ONE} them."
        )
    return reasons


def _about_payouts(found: dict[str, tuple[int, int]]) -> Iterator[str]:
    """State → how many, and how much."""
    if "under_way" in found:
        payouts, rupiah = found["under_way"]
        yield (
            f"On its way: {in_rupiah(rupiah)} in {several(payouts, 'payout')}, of which the bank has said nothing yet."
        )
    if "came_back" in found:
        payouts, rupiah = found["came_back"]
        yield (
            f"Failed or returned: {in_rupiah(rupiah)} in {several(payouts, 'payout')};"
            " `authz settlement release` lets the next batch pay them."
        )
    if "in_doubt" in found:
        payouts, rupiah = found["in_doubt"]
        yield (
            f"In doubt: {in_rupiah(rupiah)} in {several(payouts, 'payout')} that failed or came back by the books, and"
            " that the bank has told or shown as paid: paid again, a shop would have it twice. Read the next statement;"
            " `authz exceptions list` and `authz inbox list --parked` show what two people must say of them."
        )
    if "released" in found:
        payouts, rupiah = found["released"]
        yield f"Released: {in_rupiah(rupiah)} in {several(payouts, 'payout')} in no batch yet; {_CLOSE_ONE} them."
