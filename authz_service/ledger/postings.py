"""Which transfer each event makes, and what it does to a wallet. Pure.

hold, post and release refer to one authorisation, as pending, post and void do in TigerBeetle: a hold reserves
between the family and the shop, a post moves what was reserved, a release gives it back. Only posts and the kinds
that are no part of a hold change what an account has.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

from authz_service.ledger.accounts import CLEARING, FUND, SPONSOR, UNALLOCATED
from authz_service.vocabulary import (
    AccountId,
    AuthorisationId,
    BeneficiaryId,
    Cause,
    MerchantId,
    TransferId,
    TransferKind,
)


class Transfer(Struct, frozen=True, kw_only=True):
    """One immutable row: `amount_rupiah` > 0 leaves one account for another; `created_at` is business time."""

    transfer_id: TransferId
    kind: TransferKind
    cause: Cause
    debit_account_id: AccountId
    credit_account_id: AccountId
    amount_rupiah: int
    authorisation_id: AuthorisationId | None
    reason: str | None = None
    """What the till said, where it may say why."""
    created_at: datetime


class Balance(Struct, frozen=True, kw_only=True):
    """A wallet's three running figures, or a change of them (rupiah)."""

    available_rupiah: int = 0
    held_rupiah: int = 0
    spent_rupiah: int = 0

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(
            available_rupiah=self.available_rupiah + other.available_rupiah,
            held_rupiah=self.held_rupiah + other.held_rupiah,
            spent_rupiah=self.spent_rupiah + other.spent_rupiah,
        )


EFFECT_ON_WALLET: Final[dict[TransferKind, tuple[int, int, int]]] = {
    TransferKind.GRANT: (+1, 0, 0),
    TransferKind.HOLD: (-1, +1, 0),
    TransferKind.POST: (0, -1, +1),
    TransferKind.RELEASE: (+1, -1, 0),
    TransferKind.REFUND: (+1, 0, -1),
    TransferKind.RETURN: (-1, 0, 0),
}
"""Kind → how often its amount counts in available, held and spent of the beneficiary on one of its sides."""

ACCOUNT_KINDS: Final = frozenset(TransferKind) - {TransferKind.HOLD, TransferKind.RELEASE}
"""The kinds that move money between accounts; a hold only reserves."""


def effect_on_wallet(transfer: Transfer) -> Balance:
    available, held, spent = EFFECT_ON_WALLET.get(transfer.kind, (0, 0, 0))
    amount = transfer.amount_rupiah
    return Balance(available_rupiah=available * amount, held_rupiah=held * amount, spent_rupiah=spent * amount)


def fold(transfers: Iterable[Transfer]) -> Balance:
    """The wallet that one beneficiary's transfers make."""
    balance = Balance()
    for transfer in transfers:
        balance += effect_on_wallet(transfer)
    return balance


def funded(transfer_id: TransferId, amount_rupiah: int, at: datetime, reference: str | None = None) -> Transfer:
    """The sponsor's money has reached the bank, under `reference` where the bank told so; nobody's yet."""
    way = FUND, UNALLOCATED
    return _of_the_office(transfer_id, TransferKind.FUND, Cause.ENROL, way, amount_rupiah, at, reference)


def granted(transfer_id: TransferId, beneficiary_id: BeneficiaryId, amount_rupiah: int, at: datetime) -> Transfer:
    """A family has its entitlement."""
    way = UNALLOCATED, AccountId(beneficiary_id)
    return _of_the_office(transfer_id, TransferKind.GRANT, Cause.ENROL, way, amount_rupiah, at)


def returned(
    transfer_id: TransferId, beneficiary_id: BeneficiaryId, amount_rupiah: int, at: datetime, reason: str | None = None
) -> Transfer:
    """What a removed family has not spent is nobody's again."""
    way = AccountId(beneficiary_id), UNALLOCATED
    return _of_the_office(transfer_id, TransferKind.RETURN, Cause.REMOVE, way, amount_rupiah, at, reason)


def left_over(
    transfer_id: TransferId, beneficiary_id: BeneficiaryId, amount_rupiah: int, reason: str, at: datetime
) -> Transfer:
    """The programme has closed: what a family has not spent is nobody's again."""
    way = AccountId(beneficiary_id), UNALLOCATED
    return _of_the_office(transfer_id, TransferKind.RETURN, Cause.CLOSE, way, amount_rupiah, at, reason)


def returned_to_the_sponsor(transfer_id: TransferId, amount_rupiah: int, reason: str, at: datetime) -> Transfer:
    """The programme has closed: what is nobody's is the sponsor's again."""
    way = UNALLOCATED, SPONSOR
    return _of_the_office(transfer_id, TransferKind.RETURN, Cause.CLOSE, way, amount_rupiah, at, reason)


def payout(
    transfer_id: TransferId, merchant_id: MerchantId, amount_rupiah: int, reference: str, at: datetime
) -> Transfer:
    """What a shop is owed is on its way to it."""
    way = AccountId(merchant_id), CLEARING
    return _of_the_office(transfer_id, TransferKind.PAYOUT, Cause.SETTLE, way, amount_rupiah, at, reference)


def payout_settled(transfer_id: TransferId, amount_rupiah: int, reference: str, at: datetime) -> Transfer:
    """What was on its way has left the bank."""
    way = CLEARING, FUND
    return _of_the_office(transfer_id, TransferKind.PAYOUT_SETTLED, Cause.SETTLE, way, amount_rupiah, at, reference)


def payout_failed(
    transfer_id: TransferId, merchant_id: MerchantId, amount_rupiah: int, reference: str, at: datetime
) -> Transfer:
    """What was on its way never left the bank; the shop is owed it again."""
    way = CLEARING, AccountId(merchant_id)
    return _of_the_office(transfer_id, TransferKind.PAYOUT_FAILED, Cause.SETTLE, way, amount_rupiah, at, reference)


def payout_returned(
    transfer_id: TransferId, merchant_id: MerchantId, amount_rupiah: int, reference: str, at: datetime
) -> Transfer:
    """What had left the bank has come back to it; the shop is owed it again."""
    way = FUND, AccountId(merchant_id)
    return _of_the_office(transfer_id, TransferKind.RETURN, Cause.SETTLE, way, amount_rupiah, at, reference)


def _of_the_office(
    transfer_id: TransferId,
    kind: TransferKind,
    cause: Cause,
    way: tuple[AccountId, AccountId],
    amount_rupiah: int,
    at: datetime,
    reason: str | None = None,
) -> Transfer:
    """Of no purchase; `way` is the account that is debited and the one that is credited."""
    debit_account_id, credit_account_id = way
    return Transfer(
        transfer_id=transfer_id,
        kind=kind,
        cause=cause,
        debit_account_id=debit_account_id,
        credit_account_id=credit_account_id,
        amount_rupiah=amount_rupiah,
        authorisation_id=None,
        reason=reason,
        created_at=at,
    )


class Parties(Struct, frozen=True, kw_only=True):
    """Between whom an authorisation's transfers go, and why, if the till said so."""

    authorisation_id: AuthorisationId
    beneficiary_id: BeneficiaryId
    merchant_id: MerchantId
    reason: str | None = None


def of_hold(
    transfer_id: str, kind: TransferKind, cause: Cause, parties: Parties, amount_rupiah: int, at: datetime
) -> Transfer:
    """hold, post and release go from the family to the shop; a refund comes back."""
    family, shop = AccountId(parties.beneficiary_id), AccountId(parties.merchant_id)
    if kind is TransferKind.REFUND:
        family, shop = shop, family
    return Transfer(
        transfer_id=TransferId(transfer_id),
        kind=kind,
        cause=cause,
        debit_account_id=family,
        credit_account_id=shop,
        amount_rupiah=amount_rupiah,
        authorisation_id=parties.authorisation_id,
        reason=parties.reason,
        created_at=at,
    )
