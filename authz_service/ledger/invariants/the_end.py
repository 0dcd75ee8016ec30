"""Of a programme that is closed."""

from typing import Final

from authz_service.ledger.invariants.given import Invariant, Reach

THE_END: Final = (
    Invariant(
        name="closed_programmes_are_empty",
        reach=Reach.PROGRAMME,
        sentence="A closed programme has nothing available, held, unallocated or in clearing, and owes no shop.",
        query="""
SELECT format('%s still has %s', left_in.place, left_in.rupiah) AS what
  FROM programme p
  JOIN (SELECT programme_id, beneficiary_id AS place, available_rupiah + held_rupiah AS rupiah
          FROM wallet
         WHERE programme_id = $1
         UNION ALL
        SELECT $1, account_id, rupiah
          FROM balance
         WHERE kind IN ('unallocated', 'clearing') OR (kind = 'merchant' AND rupiah > 0)) left_in USING (programme_id)
 WHERE p.programme_id = $1 AND p.closed_at IS NOT NULL AND left_in.rupiah <> 0
""",
    ),
    Invariant(
        name="nothing_moves_after_the_close",
        sentence="No transfer of a closed programme is dated after its close.",
        query="""
SELECT format('%s: a %s dated %s, closed %s', t.transfer_id, t.kind, t.created_at, p.closed_at) AS what
  FROM transfer t
  JOIN programme p USING (programme_id)
 WHERE t.programme_id = $1 AND t.created_at > p.closed_at
""",
    ),
)
