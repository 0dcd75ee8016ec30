"""The part of the books that was written since an instant, so that the invariants can be asked of it alone.

Ids begin with their time, so what is new is a range of each primary key, and it names its families. Of these every
row is read, however old: a wallet is compared with all that its family ever did. A query keeps its text; in front of
it the tables it names are narrowed by CTEs of the same names.

Not noticed: a row that somebody changed or removed by hand while its family did nothing. Only the whole check is.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from authz_service.database import Connection
from authz_service.ledger.accounts import PROGRAMME_ACCOUNTS
from authz_service.ledger.invariants.given import Reach
from authz_service.vocabulary import CHANCE_BYTES, new_id

TRANSFER_PREFIXES: Final = ("trf", "cap", "ref")
"""Captures and refunds are known to tills by the ids of their transfers; the others are nobody's concern."""

_NEW: Final = """
-- What was written since: its authorisations, the transfers of no purchase, and whom all of it concerns.
-- $1 programme, $2 the time with which new ids begin, $3 prefixes of transfers, $4 the programme's own accounts
WITH moved AS (
       SELECT t.transfer_id, t.authorisation_id, t.debit_account_id, t.credit_account_id
         FROM unnest($3::text[]) AS prefix
         JOIN transfer t ON t.programme_id = $1 AND t.transfer_id >= prefix || '_' || $2 AND t.transfer_id < prefix || '~'),
     decided AS (
       SELECT authorisation_id, beneficiary_id FROM authorisation
        WHERE programme_id = $1 AND authorisation_id >= 'auth_' || $2),
     named AS (
       SELECT authorisation_id FROM moved WHERE authorisation_id IS NOT NULL
        UNION
       SELECT authorisation_id FROM decided),
     concerned AS (
       SELECT beneficiary_id FROM decided WHERE beneficiary_id IS NOT NULL
        UNION
       SELECT h.beneficiary_id FROM named JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = named.authorisation_id
        UNION
       SELECT account_id FROM moved CROSS JOIN LATERAL (VALUES (debit_account_id), (credit_account_id)) AS side(account_id)
        WHERE account_id <> ALL ($4::text[])
          AND NOT EXISTS (SELECT FROM merchant m WHERE m.programme_id = $1 AND m.merchant_id = side.account_id)
        UNION
       SELECT beneficiary_id FROM family_change WHERE programme_id = $1 AND change_id >= 'chg_' || $2
        UNION
       SELECT beneficiary_id FROM voucher WHERE programme_id = $1 AND voucher_id >= 'vch_' || $2
        UNION
       SELECT beneficiary_id FROM card WHERE programme_id = $1 AND card_id >= 'crd_' || $2
        UNION
       SELECT beneficiary_id FROM beneficiary WHERE programme_id = $1 AND beneficiary_id >= 'ben_' || $2)
SELECT (SELECT array_agg(authorisation_id) FROM named) AS authorisations,
       (SELECT array_agg(transfer_id) FROM moved WHERE authorisation_id IS NULL) AS transfers,
       (SELECT array_agg(beneficiary_id) FROM concerned) AS families
"""
_FAMILIES: Final = """
-- Families $2 and those that they lead to: by a card that they bought with, by a merge.
SELECT unnest($2::text[]) AS beneficiary_id
 UNION
SELECT merged_into FROM beneficiary
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2) AND merged_into IS NOT NULL
 UNION
SELECT c.beneficiary_id
  FROM authorisation a
  JOIN card c ON c.programme_id = $1 AND c.card_id = a.card_id
 WHERE a.programme_id = $1
   AND (a.authorisation_id = ANY ($3::text[])
        OR a.authorisation_id = ANY (ARRAY(SELECT h.authorisation_id FROM hold h
                                            WHERE h.programme_id = $1 AND h.beneficiary_id = ANY ($2))))
"""
_ROWS: Final = """
-- Whatever families $2, authorisations $3 and transfers $4 need to be judged by; $5 are the programme's own accounts.
WITH of_purchase AS MATERIALIZED (
       SELECT authorisation_id FROM hold WHERE programme_id = $1 AND beneficiary_id = ANY ($2::text[])
        UNION
       SELECT unnest($3::text[])),
     covered AS MATERIALIZED (
       SELECT voucher_id FROM voucher WHERE programme_id = $1 AND beneficiary_id = ANY ($2)
        UNION
       SELECT voucher_id FROM voucher_movement
        WHERE programme_id = $1 AND authorisation_id = ANY (ARRAY(SELECT authorisation_id FROM of_purchase))),
     plastic AS (
       SELECT card_id FROM card WHERE programme_id = $1 AND beneficiary_id = ANY ($2) AND status = 'active'
        UNION
       SELECT card_id FROM authorisation
        WHERE programme_id = $1 AND authorisation_id = ANY (ARRAY(SELECT authorisation_id FROM of_purchase))
          AND card_id IS NOT NULL),
     -- The index on transfers of no purchase finds a family's own few among millions.
     of_office AS MATERIALIZED (
       SELECT unnest($4::text[]) AS transfer_id
        UNION
       SELECT transfer_id FROM transfer
        WHERE programme_id = $1 AND authorisation_id IS NULL AND kind = 'grant' AND credit_account_id = ANY ($2)
        UNION
       SELECT transfer_id FROM transfer
        WHERE programme_id = $1 AND authorisation_id IS NULL AND kind = 'return' AND debit_account_id = ANY ($2)),
     moved AS (
       SELECT debit_account_id, credit_account_id FROM transfer
        WHERE programme_id = $1 AND transfer_id = ANY (ARRAY(SELECT transfer_id FROM of_office))
        UNION ALL
       SELECT debit_account_id, credit_account_id FROM transfer
        WHERE programme_id = $1 AND authorisation_id = ANY (ARRAY(SELECT authorisation_id FROM of_purchase))),
     booked AS (
       SELECT debit_account_id AS account_id FROM moved
        UNION
       SELECT credit_account_id FROM moved
        UNION
       SELECT unnest($2)
        UNION
       SELECT unnest($5::text[])
        UNION
       SELECT merchant_id FROM merchant WHERE programme_id = $1)
SELECT (SELECT array_agg(authorisation_id) FROM of_purchase) AS authorisations,
       (SELECT array_agg(transfer_id) FROM of_office) AS transfers,
       (SELECT array_agg(voucher_id) FROM covered) AS vouchers,
       (SELECT array_agg(card_id) FROM plastic) AS cards,
       (SELECT array_agg(account_id) FROM booked) AS accounts
"""
_GIVEN: Final = """
     touched AS (
       SELECT $13::text[] AS families, $14::text[] AS authorisations, $15::text[] AS transfers, $16::text[] AS vouchers,
              $17::text[] AS cards, $18::text[] AS accounts, $19::timestamptz AS since, $20::text AS since_part),
"""
"""So that every statement has all arguments."""
NARROWED: Final = {
    Reach.FAMILY: _GIVEN
    + """
     beneficiary AS (SELECT * FROM beneficiary WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     wallet AS (SELECT * FROM wallet WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     allowance AS (SELECT * FROM allowance WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     family_change AS (SELECT * FROM family_change WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     authorisation AS (SELECT * FROM authorisation WHERE programme_id = $1 AND authorisation_id = ANY ($14)),
     hold AS (SELECT * FROM hold WHERE programme_id = $1 AND authorisation_id = ANY ($14)),
     transfer AS (SELECT * FROM transfer
                   WHERE programme_id = $1 AND (authorisation_id = ANY ($14) OR transfer_id = ANY ($15))),
     voucher AS (SELECT * FROM voucher WHERE programme_id = $1 AND voucher_id = ANY ($16)),
     voucher_movement AS (SELECT * FROM voucher_movement
                           WHERE programme_id = $1 AND (authorisation_id = ANY ($14) OR voucher_id = ANY ($16))),
     card AS (SELECT * FROM card WHERE programme_id = $1 AND card_id = ANY ($17)),
     account AS (SELECT * FROM account WHERE programme_id = $1 AND account_id = ANY ($18)),
""",
    Reach.DECISION: _GIVEN
    + """
     authorisation AS (SELECT * FROM authorisation WHERE programme_id = $1 AND authorisation_id >= 'auth_' || $20),
     request_key AS (SELECT * FROM request_key
                      WHERE programme_id = $1 AND created_at >= $19 AND authorisation_id >= 'auth_' || $20),
""",
}
"""The tables that grow, each without what no touched family needs; a table that is not named here is small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What was written since `since`, by the ids of all rows that it takes to judge it."""

    since: datetime
    families: list[str] = field(default_factory=list)
    authorisations: list[str] = field(default_factory=list)
    transfers: list[str] = field(default_factory=list)
    """Of no purchase; a purchase's are found by its authorisation."""
    vouchers: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)

    def arguments(self) -> list[Any]:
        """$13 to $20 of NARROWED."""
        ids = [self.families, self.authorisations, self.transfers, self.vouchers, self.cards, self.accounts]
        return [*ids, self.since, _time_part(self.since)]


async def read_recent(connection: Connection, programme_id: str, since: datetime) -> Recent:
    """All that the invariants must be asked of, in the caller's snapshot."""
    # An id counts whole milliseconds, and so must all that is compared with it.
    since = since.astimezone(UTC).replace(microsecond=since.microsecond // 1000 * 1000)
    new = await _one(connection, _NEW, programme_id, _time_part(since), TRANSFER_PREFIXES, PROGRAMME_ACCOUNTS)
    families = await _closed(connection, programme_id, new["families"], new["authorisations"])
    arguments = (families, new["authorisations"], new["transfers"], PROGRAMME_ACCOUNTS)
    return Recent(since=since, families=families, **await _one(connection, _ROWS, programme_id, *arguments))


async def _closed(
    connection: Connection, programme_id: str, families: list[str], authorisations: list[str]
) -> list[str]:
    """With every family that one of them leads to: else a link out of the part would look broken."""
    while True:
        rows = await connection.fetch(_FAMILIES, programme_id, families, authorisations)
        if len(rows) == len(families):
            return families
        families = [row["beneficiary_id"] for row in rows]


async def _one(connection: Connection, statement: str, *arguments: Any) -> dict[str, list[str]]:
    row = await connection.fetchrow(statement, *arguments)
    return {} if row is None else {name: ids or [] for name, ids in row.items()}


def _time_part(instant: datetime) -> str:
    """The characters with which ids of this millisecond begin, the first of them."""
    return new_id("", instant, bytes(CHANCE_BYTES)).removeprefix("_")[:10]
