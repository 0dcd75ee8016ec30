"""What an invariant is, and what all their queries are given: small tables, directions, one sum."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from authz_service.ledger.accounts import CLEARING, FUND, PROGRAMME_ACCOUNTS, SPONSOR, UNALLOCATED
from authz_service.ledger.postings import ACCOUNT_KINDS, EFFECT_ON_WALLET
from authz_service.vocabulary import TransferKind

FAMILY: Final = "beneficiary"
SHOP: Final = "merchant"

DIRECTIONS: Final[tuple[tuple[TransferKind, str, str], ...]] = (
    (TransferKind.FUND, FUND, UNALLOCATED),
    (TransferKind.GRANT, UNALLOCATED, FAMILY),
    (TransferKind.HOLD, FAMILY, SHOP),
    (TransferKind.POST, FAMILY, SHOP),
    (TransferKind.RELEASE, FAMILY, SHOP),
    (TransferKind.REFUND, SHOP, FAMILY),
    (TransferKind.PAYOUT, SHOP, CLEARING),
    (TransferKind.PAYOUT_SETTLED, CLEARING, FUND),
    (TransferKind.PAYOUT_FAILED, CLEARING, SHOP),
    (TransferKind.RETURN, FAMILY, UNALLOCATED),
    (TransferKind.RETURN, UNALLOCATED, SPONSOR),
    (TransferKind.RETURN, FUND, SHOP),
)
"""Kind → the kinds of account that it may debit and credit."""


class Reach(Enum):
    """What has to be read to ask an invariant of what was written lately; `recent.py` narrows the tables to it."""

    FAMILY = auto()
    """Whole families, each with all its past. Sums over them hold too: every family's books balance by themselves."""
    DECISION = auto()
    """Decisions and their keys, which never change once they are written."""
    PROGRAMME = auto()
    """Everything: no part of the books tells anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """`query` gives `what` of every row that makes `sentence` false."""

    name: str
    sentence: str
    query: str
    reach: Reach = Reach.FAMILY


GIVEN: Final = """
     effect AS (       -- how often a transfer's amount counts in the wallet of the family on that side
       SELECT * FROM unnest($3::text[], $4::text[], $5::int[], $6::int[], $7::int[])
              AS effect(kind, side, available, held, spent)),
     direction AS (
       SELECT * FROM unnest($8::text[], $9::text[], $10::text[]) AS direction(kind, debit_kind, credit_kind)),
     own_account AS (
       SELECT * FROM unnest($11::text[]) AS own_account(account_id)),
     balance AS (      -- credits less debits of every account that money has moved on; all families' are one
       SELECT CASE a.kind WHEN 'beneficiary' THEN 'families' ELSE a.account_id END AS account_id, a.kind,
              sum(side.rupiah) AS rupiah
         FROM transfer t
        CROSS JOIN LATERAL (VALUES (t.debit_account_id, -t.amount_rupiah),
                                   (t.credit_account_id, t.amount_rupiah)) AS side(account_id, rupiah)
         JOIN account a ON a.programme_id = $1 AND a.account_id = side.account_id
        WHERE t.programme_id = $1 AND t.kind = ANY ($12::text[])
        GROUP BY 1, 2),
     checked AS (
       SELECT $1::text AS programme_id, $2::timestamptz AS now),
"""
"""The small tables and the one sum that several queries use; what a query does not name is not computed."""


def given_arguments() -> list[Any]:
    """$3 to $12 of GIVEN, from the tables that the books themselves are kept by."""
    sides = {kind: "debit" if debit_kind == FAMILY else "credit" for kind, debit_kind, _ in reversed(DIRECTIONS)}
    effects = [(kind, sides[kind], *counts) for kind, counts in EFFECT_ON_WALLET.items()]
    return [*map(list, zip(*effects, strict=True)), *map(list, zip(*DIRECTIONS, strict=True)),
            list(PROGRAMME_ACCOUNTS), sorted(ACCOUNT_KINDS)]  # fmt: skip
