"""Of the bank's statements: what each line is about, and that the books followed only what a line shows.

Asked of the whole programme: a statement is of an account, and no family's books tell anything of it.
"""

from typing import Final

from authz_service.ledger.invariants.given import Invariant, Reach

STATEMENTS: Final = (
    Invariant(
        name="statement_lines_are_of_their_statement",
        reach=Reach.PROGRAMME,
        sentence="Every line of a bank's statement stands in one that was read, on one of its days.",
        query="""
SELECT format('%s, line %s of %s: %s', l.statement_id, l.line, l.booked_on,
              coalesce(format('it has %s lines, from %s until %s', s.lines, s.from_on, s.to_on), 'is missing')) AS what
  FROM bank_statement_line l
  LEFT JOIN bank_statement s ON s.programme_id = $1 AND s.statement_id = l.statement_id
 WHERE l.programme_id = $1
   AND (s.statement_id IS NULL OR l.line > s.lines OR l.booked_on NOT BETWEEN s.from_on AND s.to_on)
""",
    ),
    Invariant(
        name="statement_lines_are_about_one_thing",
        reach=Reach.PROGRAMME,
        sentence="What a line of a bank's statement is about is one payout or one sum that was announced.",
        query="""
SELECT format('%s: %s', m.reference, CASE WHEN l.identity IS NULL THEN 'its line is missing'
              ELSE format('it is %s payouts and sums', coalesce(things.number, 0)) END) AS what
  FROM bank_statement_match m
  LEFT JOIN bank_statement_line l ON l.programme_id = $1 AND l.identity = m.identity
  LEFT JOIN (SELECT reference, count(*) AS number
               FROM (SELECT instruction_id AS reference FROM payout_instruction WHERE programme_id = $1
                      UNION ALL
                     SELECT reference FROM expected_funding WHERE programme_id = $1) thing
              GROUP BY reference) things ON things.reference = m.reference
 WHERE m.programme_id = $1 AND (l.identity IS NULL OR things.number IS DISTINCT FROM 1)
""",
    ),
    Invariant(
        name="what_a_statement_did_is_on_it",
        reach=Reach.PROGRAMME,
        sentence="A payout that was settled, came back or was released by a statement has a line that shows it.",
        query="""
SELECT format('%s: %s of %s; it left %s times and came back %s times', e.instruction_id, e.event, i.amount_rupiah,
              coalesce(shown.went, 0), coalesce(shown.came, 0)) AS what
  FROM payout_event e
  LEFT JOIN payout_instruction i ON i.programme_id = $1 AND i.instruction_id = e.instruction_id
  LEFT JOIN (SELECT m.reference, l.rupiah, count(*) FILTER (WHERE l.has_left) AS went,
                    count(*) FILTER (WHERE NOT l.has_left) AS came
               FROM bank_statement_match m
               JOIN (SELECT identity, abs(amount_rupiah) AS rupiah, amount_rupiah < 0 AS has_left
                       FROM bank_statement_line WHERE programme_id = $1) l ON l.identity = m.identity
              WHERE m.programme_id = $1
              GROUP BY m.reference, l.rupiah) shown
       ON shown.reference = e.instruction_id AND shown.rupiah = i.amount_rupiah
 WHERE e.programme_id = $1 AND e.source = 'statement'
   AND CASE e.event WHEN 'settled' THEN coalesce(shown.went, 0) = 0 ELSE coalesce(shown.came, 0) = 0 END
""",
    ),
)
