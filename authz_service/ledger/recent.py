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
from authz_service.vocabulary import time_part

_NEW: Final = """
-- What was written since: its authorisations, the transfers of no purchase, and the families that it concerns.
-- Captures and refunds have prefixes of their own. $2 is what new ids begin with, $3 the programme's own accounts.
WITH moved AS MATERIALIZED (
       SELECT transfer_id, authorisation_id, debit_account_id, credit_account_id
         FROM transfer
        WHERE programme_id = $1 AND (transfer_id >= 'trf_' || $2 AND transfer_id < 'trf~'
                                     OR transfer_id >= 'cap_' || $2 AND transfer_id < 'cap~'
                                     OR transfer_id >= 'ref_' || $2 AND transfer_id < 'ref~')),
     decided AS MATERIALIZED (
       SELECT authorisation_id, beneficiary_id
         FROM authorisation
        WHERE programme_id = $1 AND authorisation_id >= 'auth_' || $2),
     named AS MATERIALIZED (
       SELECT authorisation_id FROM moved WHERE authorisation_id IS NOT NULL
        UNION
       SELECT authorisation_id FROM decided),
     concerned AS (
       SELECT beneficiary_id FROM decided WHERE beneficiary_id IS NOT NULL
        UNION
       SELECT beneficiary_id FROM hold
        WHERE programme_id = $1 AND authorisation_id = ANY (ARRAY(SELECT authorisation_id FROM named))
        UNION
       SELECT side.account_id
         FROM moved CROSS JOIN LATERAL (VALUES (debit_account_id), (credit_account_id)) AS side(account_id)
        WHERE side.account_id <> ALL ($3::text[])
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
-- Families $2 and those that they lead to: by a merge, or by a card that they or authorisations $3 bought with.
WITH bought AS MATERIALIZED (
       SELECT authorisation_id FROM hold WHERE programme_id = $1 AND beneficiary_id = ANY ($2::text[])
        UNION
       SELECT unnest($3::text[]))
SELECT unnest($2) AS beneficiary_id
 UNION
SELECT merged_into FROM beneficiary
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2) AND merged_into IS NOT NULL
 UNION
SELECT beneficiary_id FROM card
 WHERE programme_id = $1
   AND card_id = ANY (ARRAY(SELECT card_id FROM authorisation
                             WHERE programme_id = $1 AND card_id IS NOT NULL
                               AND authorisation_id = ANY (ARRAY(SELECT authorisation_id FROM bought))))
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
     of_office AS MATERIALIZED (
       SELECT unnest($4::text[]) AS transfer_id
        UNION
       SELECT transfer_id FROM transfer
        WHERE programme_id = $1 AND kind = 'grant' AND credit_account_id = ANY ($2)
        UNION
       SELECT transfer_id FROM transfer
        WHERE programme_id = $1 AND kind = 'return' AND debit_account_id = ANY ($2)),
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
_FAMILY: Final = """
     recent AS (SELECT $19::timestamptz AS since, $20::text AS first_part),
     beneficiary AS (SELECT * FROM beneficiary WHERE programme_id = $1 AND beneficiary_id = ANY ($13::text[])),
     wallet AS (SELECT * FROM wallet WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     allowance AS (SELECT * FROM allowance WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     family_change AS (SELECT * FROM family_change WHERE programme_id = $1 AND beneficiary_id = ANY ($13)),
     authorisation AS (SELECT * FROM authorisation WHERE programme_id = $1 AND authorisation_id = ANY ($14::text[])),
     hold AS (SELECT * FROM hold WHERE programme_id = $1 AND authorisation_id = ANY ($14)),
     transfer AS (SELECT * FROM transfer
                   WHERE programme_id = $1 AND (authorisation_id = ANY ($14) OR transfer_id = ANY ($15::text[]))),
     settlement_item AS (SELECT * FROM settlement_item
                          WHERE programme_id = $1 AND transfer_id = ANY (ARRAY(SELECT transfer_id FROM transfer))),
     voucher AS (SELECT * FROM voucher WHERE programme_id = $1 AND voucher_id = ANY ($16::text[])),
     voucher_movement AS (SELECT * FROM voucher_movement
                           WHERE programme_id = $1 AND (authorisation_id = ANY ($14) OR voucher_id = ANY ($16))),
     card AS (SELECT * FROM card WHERE programme_id = $1 AND card_id = ANY ($17::text[])),
     account AS (SELECT * FROM account WHERE programme_id = $1 AND account_id = ANY ($18::text[])),
"""
_DECISION: Final = """
     recent AS (SELECT $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[]),
     authorisation AS (SELECT * FROM authorisation
                        WHERE programme_id = $1 AND authorisation_id >= 'auth_' || $20::text),
     request_key AS (SELECT * FROM request_key
                      WHERE programme_id = $1 AND created_at >= $19::timestamptz
                        AND authorisation_id >= 'auth_' || $20),
"""
NARROWED: Final = {Reach.FAMILY: _FAMILY, Reach.DECISION: _DECISION}
"""The tables that grow, each without what no touched family needs; a table that is not named here is small.

`recent` names the arguments that the others leave over, since PostgreSQL wants to know what each of them is.
"""


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
        return [*ids, self.since, time_part(self.since)]


async def read_recent(connection: Connection, programme_id: str, since: datetime) -> Recent:
    """All that the invariants must be asked of, in the caller's snapshot."""
    # An id counts whole milliseconds, and so must all that is compared with it.
    since = since.astimezone(UTC).replace(microsecond=since.microsecond // 1000 * 1000)
    new = await _one(connection, _NEW, programme_id, time_part(since), PROGRAMME_ACCOUNTS)
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
