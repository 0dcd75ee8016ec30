"""The bank's statements are kept: a file once, and every booking once, in however many files it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from authz_service.database import Connection
from authz_service.reconciliation.statement_chain import Span
from authz_service.reconciliation.statement_lines import Statement, StatementLine, StatementRefused
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id

_OF_ANOTHER: Final = """
-- The account of the statements before, where it is another one.
SELECT account FROM bank_statement WHERE programme_id = $1 AND account <> $2 LIMIT 1
"""
_KEEP: Final = """
-- Nothing where this very file was read before.
INSERT INTO bank_statement (programme_id, statement_id, format, account, from_on, to_on, opening_rupiah, closing_rupiah,
                            lines, file_digest, read_at, read_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (programme_id, file_digest) DO NOTHING
"""
_KEEP_LINES: Final = """
-- Bookings that no statement had before.
WITH kept AS (
       INSERT INTO bank_statement_line (programme_id, statement_id, line, identity, booked_on, amount_rupiah, reference,
                                        bank_reference, description)
       SELECT $1, $2, new.*
         FROM unnest($3::int[], $4::bytea[], $5::date[], $6::bigint[], $7::text[], $8::text[], $9::text[]) AS new
       ON CONFLICT (programme_id, identity) DO NOTHING
       RETURNING line)
SELECT count(*) FROM kept
"""
_LINES: Final = """
-- All bookings that were ever read, and what each was found to be about.
SELECT l.line, l.identity, l.booked_on, l.amount_rupiah, l.reference, l.bank_reference, l.description,
       m.reference AS about
  FROM bank_statement_line l
  LEFT JOIN bank_statement_match m USING (programme_id, identity)
 WHERE l.programme_id = $1
"""
_SPANS: Final = """
-- The days of each statement, in the order in which they were read.
SELECT from_on, to_on, opening_rupiah, closing_rupiah FROM bank_statement WHERE programme_id = $1 ORDER BY statement_id
"""
_KEEP_MATCH: Final = """
-- A line that is about something already stays so.
INSERT INTO bank_statement_match (programme_id, identity, reference, matched_at)
SELECT $1, new.identity, new.reference, $4 FROM unnest($2::bytea[], $3::text[]) AS new(identity, reference)
ON CONFLICT DO NOTHING
"""
_OF_A_LINE: Final = ("line", "identity", "booked_on", "amount_rupiah", "reference", "bank_reference", "description")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStatement:
    """`is_new` is False where this very file was read before."""

    is_new: bool
    new_lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLines:
    """All that was ever read: `about` is what lines were found to be about, `spans` the days of each statement."""

    lines: Sequence[StatementLine]
    about: dict[bytes, str]
    spans: Sequence[Span]

    @property
    def covered_until(self) -> date | None:
        """The last day of all."""
        return max((span.to_on for span in self.spans), default=None)


async def keep_statement(
    connection: Connection,
    programme_id: ProgrammeId,
    statement: Statement,
    *,
    actor: str,
    now: datetime,
    chance: Chance,
) -> KeptStatement:
    """The statement is kept, and of its lines those that no statement had before."""
    if statement.account is not None:
        other = await connection.fetchval(_OF_ANOTHER, programme_id, statement.account)
        if other is not None:
            raise StatementRefused(f"It is of account {statement.account}; the statements before are of {other}.")
    statement_id = new_id("stm", now, chance(CHANCE_BYTES))
    head = (statement.format, statement.account, statement.from_on, statement.to_on)
    sums = (statement.opening_rupiah, statement.closing_rupiah, len(statement.lines), statement.digest)
    done = await connection.execute(_KEEP, programme_id, statement_id, *head, *sums, now, actor.strip())
    if done != "INSERT 0 1":
        return KeptStatement(is_new=False, new_lines=0)
    rows = [tuple(getattr(each, name) for name in _OF_A_LINE) for each in statement.lines]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in _OF_A_LINE]
    new_lines = await connection.fetchval(_KEEP_LINES, programme_id, statement_id, *columns)
    return KeptStatement(is_new=True, new_lines=new_lines)


async def kept_lines(connection: Connection, programme_id: ProgrammeId) -> KeptLines:
    """What all statements say."""
    rows = [dict(row) for row in await connection.fetch(_LINES, programme_id)]
    about = {row["identity"]: row["about"] for row in rows if row["about"] is not None}
    return KeptLines(
        lines=[StatementLine(**{name: value for name, value in row.items() if name != "about"}) for row in rows],
        about=about,
        spans=[Span(**row) for row in await connection.fetch(_SPANS, programme_id)],
    )


async def keep_matches(
    connection: Connection, programme_id: ProgrammeId, found: Sequence[tuple[bytes, str]], now: datetime
) -> None:
    """Each of these lines is about its thing from now on."""
    identities, references = [each[0] for each in found], [each[1] for each in found]
    await connection.execute(_KEEP_MATCH, programme_id, identities, references, now)
