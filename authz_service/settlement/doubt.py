"""What speaks against paying a payout again: the bank has told or shown that it was paid, and not that it came back."""

from typing import Final

from authz_service.database import Connection
from authz_service.vocabulary import ProgrammeId

_IN_DOUBT: Final = """
-- Payouts that are not released, and of which the bank's statements show that more left than came back; and those that
-- failed by the books, without a line, while a notice that they were paid is new or parked. $2: all of them, or this.
SELECT i.instruction_id, coalesce(l.rupiah, 0) < 0 AS has_left
  FROM payout_instruction i
  JOIN (SELECT instruction_id, array_agg(event) AS events
          FROM payout_event
         WHERE programme_id = $1 AND ($2::text IS NULL OR instruction_id = $2)
         GROUP BY instruction_id) e USING (instruction_id)
  LEFT JOIN (SELECT m.reference, sum(b.amount_rupiah) AS rupiah
               FROM bank_statement_match m
               JOIN bank_statement_line b ON b.programme_id = $1 AND b.identity = m.identity
              WHERE m.programme_id = $1 AND ($2::text IS NULL OR m.reference = $2)
              GROUP BY m.reference) l ON l.reference = i.instruction_id
 WHERE i.programme_id = $1
   AND (e.events && '{returned}' OR e.events && '{failed}' AND NOT e.events && '{settled}')
   AND NOT e.events && '{released}'
   AND (l.rupiah < 0
        OR l.rupiah IS NULL AND NOT e.events && '{settled}'
           AND EXISTS (SELECT FROM bank_notice n
                         JOIN notice_standing s ON s.programme_id = $1 AND s.notice_id = n.notice_id
                        WHERE n.programme_id = $1 AND n.reference = i.instruction_id AND n.status = 'success'
                          AND s.standing IN ('new', 'parked')))
"""


async def payouts_in_doubt(connection: Connection, programme_id: ProgrammeId) -> list[str]:
    """Instructions that must not be paid again before somebody knows more."""
    return [row["instruction_id"] for row in await connection.fetch(_IN_DOUBT, programme_id, None)]


async def why_not_again(connection: Connection, programme_id: ProgrammeId, instruction_id: str) -> str | None:
    """A sentence that says what to do first; None where nothing speaks against paying it again."""
    doubt = await connection.fetchrow(_IN_DOUBT, programme_id, instruction_id)
    if doubt is None:
        return None
    if doubt["has_left"]:
        return (
            f"The bank's statement shows that {instruction_id} left, and not that it came back: paid again, it is paid"
            " twice. Read the statement on which it comes back; or, if it failed by the books alone, resolve its"
            " exception as paid_after_all (`authz exceptions list`)."
        )
    return (
        f"The bank has told that {instruction_id} was paid, and its notice is parked: paid again, it may be paid twice."
        " Read the bank's statement of that day; if nothing left, two people resolve the notice first"
        " (`authz inbox list --parked`)."
    )
