"""Each event's transfer says from whom to whom, why and when; a wallet is what its transfers add up to."""

from collections.abc import Callable

import pytest

from authz_service.ledger.postings import (
    ACCOUNT_KINDS,
    EFFECT_ON_WALLET,
    Balance,
    Parties,
    Transfer,
    fold,
    funded,
    granted,
    left_over,
    of_hold,
    payout,
    payout_settled,
    returned,
    returned_to_the_sponsor,
)
from authz_service.vocabulary import (
    AccountId,
    AuthorisationId,
    BeneficiaryId,
    Cause,
    MerchantId,
    TransferId,
    TransferKind,
)
from tests.builders import A_MORNING

TRANSFER, FAMILY = TransferId("trf_1"), BeneficiaryId("ben_1")
PARTIES = Parties(
    authorisation_id=AuthorisationId("auth_1"),
    beneficiary_id=FAMILY,
    merchant_id=MerchantId("mrc_1"),
    reason="telur pecah",
)


Made = Callable[[], Transfer]


@pytest.mark.parametrize(
    ("made", "between", "why", "of_authorisation"),
    [
        (
            lambda: funded(TRANSFER, 7, A_MORNING),
            ("fund", "unallocated"),
            (TransferKind.FUND, Cause.ENROL, None),
            None,
        ),
        (
            lambda: granted(TRANSFER, FAMILY, 7, A_MORNING),
            ("unallocated", "ben_1"),
            (TransferKind.GRANT, Cause.ENROL, None),
            None,
        ),
        (
            lambda: returned(TRANSFER, FAMILY, 7, A_MORNING),
            ("ben_1", "unallocated"),
            (TransferKind.RETURN, Cause.REMOVE, None),
            None,
        ),
        (
            lambda: left_over(TRANSFER, FAMILY, 7, "berita acara 1", A_MORNING),
            ("ben_1", "unallocated"),
            (TransferKind.RETURN, Cause.CLOSE, "berita acara 1"),
            None,
        ),
        (
            lambda: returned_to_the_sponsor(TRANSFER, 7, "berita acara 1", A_MORNING),
            ("unallocated", "sponsor"),
            (TransferKind.RETURN, Cause.CLOSE, "berita acara 1"),
            None,
        ),
        (
            lambda: payout(TRANSFER, MerchantId("mrc_1"), 7, "BKT-1", A_MORNING),
            ("mrc_1", "clearing"),
            (TransferKind.PAYOUT, Cause.SETTLE, "BKT-1"),
            None,
        ),
        (
            lambda: payout_settled(TRANSFER, 7, "BKT-1", A_MORNING),
            ("clearing", "fund"),
            (TransferKind.PAYOUT_SETTLED, Cause.SETTLE, "BKT-1"),
            None,
        ),
        (
            lambda: of_hold("trf_1", TransferKind.RELEASE, Cause.VOID, PARTIES, 7, A_MORNING),
            ("ben_1", "mrc_1"),
            (TransferKind.RELEASE, Cause.VOID, "telur pecah"),
            "auth_1",
        ),
        (
            lambda: of_hold("trf_1", TransferKind.REFUND, Cause.REVERSE, PARTIES, 7, A_MORNING),
            ("mrc_1", "ben_1"),
            (TransferKind.REFUND, Cause.REVERSE, "telur pecah"),
            "auth_1",
        ),
    ],
    ids=["funded", "granted", "returned", "left over", "to the sponsor", "paid", "settled", "released", "reversed"],
)
def test_a_transfer_keeps_all_that_is_known_of_its_event(
    made: Made, between: tuple[str, str], why: tuple[TransferKind, Cause, str | None], of_authorisation: str | None
) -> None:
    assert made() == Transfer(
        transfer_id=TRANSFER,
        kind=why[0],
        cause=why[1],
        debit_account_id=AccountId(between[0]),
        credit_account_id=AccountId(between[1]),
        amount_rupiah=7,
        authorisation_id=None if of_authorisation is None else AuthorisationId(of_authorisation),
        reason=why[2],
        created_at=A_MORNING,
    )


def test_a_wallet_is_the_sum_of_its_transfers() -> None:
    life = [
        granted(TRANSFER, FAMILY, 1_800_000, A_MORNING),
        of_hold("trf_2", TransferKind.HOLD, Cause.AUTHORISE, PARTIES, 150_000, A_MORNING),
        of_hold("trf_3", TransferKind.POST, Cause.CAPTURE, PARTIES, 100_000, A_MORNING),
        of_hold("trf_4", TransferKind.RELEASE, Cause.CAPTURE, PARTIES, 50_000, A_MORNING),
        of_hold("trf_5", TransferKind.REFUND, Cause.REFUND, PARTIES, 30_000, A_MORNING),
        of_hold("trf_6", TransferKind.HOLD, Cause.AUTHORISE, PARTIES, 20_000, A_MORNING),
    ]
    assert fold(life) == Balance(available_rupiah=1_710_000, held_rupiah=20_000, spent_rupiah=70_000)


@pytest.mark.parametrize("kind", TransferKind)
def test_only_a_kind_that_leaves_a_wallet_as_rich_as_it_was_moves_no_money(kind: TransferKind) -> None:
    """A hold and its release move rupiah between available and held; all other kinds, between accounts."""
    available, held, _ = EFFECT_ON_WALLET.get(kind, (0, 0, 0))
    stays_in_the_wallet = kind in EFFECT_ON_WALLET and available + held == 0
    assert (kind in ACCOUNT_KINDS) is not stays_in_the_wallet
