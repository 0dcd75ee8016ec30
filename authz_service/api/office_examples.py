"""The examples of the back office's calls, all true: in the world of `examples.py`, by the code that answers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import orjson

from authz_service import problems as p
from authz_service.answers import Document, as_it_stands
from authz_service.api.examples import REQUEST, examples
from authz_service.api.explanation_examples import explanation_examples
from authz_service.lists.families import family_as_shown
from authz_service.lists.pages import page
from authz_service.vocabulary import BeneficiaryStatus, CardStatus, new_id
from authz_service.vouchers import Use, Voucher, VoucherStatus, month_as_shown, uses_as_shown, voucher_as_shown

_ZONE: Final = ZoneInfo("Asia/Makassar")
_NOW: Final = datetime(2024, 12, 1, 9, 0, tzinfo=_ZONE)


def _id(prefix: str) -> str:
    return new_id(prefix, _NOW, b"contoh----")


_LIVE: Final = Voucher(
    voucher_id=_id("vch"),
    beneficiary_id=_id("ben"),
    companion_id=_id("cmp"),
    month=date(2024, 12, 1),
    extra_rupiah=300_000,
    extra_packages=1,
    used_rupiah=0,
    packages_used=0,
    reason="tidak berbelanja bulan lalu karena sakit",
    created_at=_NOW,
    expires_at=datetime(2025, 1, 1, tzinfo=_ZONE),
    approved_at=_NOW,
    approved_by=None,
    revoked_at=None,
    revoked_by=None,
    revocation_reason=None,
    status=VoucherStatus.LIVE,
    due=[],
)
_LATER: Final = _NOW + timedelta(hours=2)
_LARGE: Final = replace(_LIVE, extra_rupiah=600_000, extra_packages=2)
_WAITING: Final = replace(_LARGE, approved_at=None, status=VoucherStatus.AWAITING_APPROVAL)
_APPROVED: Final = replace(_LARGE, approved_at=_LATER, approved_by=_id("opr"))
_USED: Final = replace(_LIVE, used_rupiah=150_000, packages_used=1)
_REVOKED: Final = replace(
    _USED,
    status=VoucherStatus.REVOKED,
    revoked_at=_LATER,
    revoked_by=_LIVE.companion_id,
    revocation_reason="salah keluarga",
)
OFFICE_PROBLEMS: Final[tuple[p.Problem, ...]] = (
    p.KeyUnknown("no companion and no operator has this key"),
    p.NotForThisKey("only an operator may do this"),
    p.NoSuchFamily("the companion has no such family"),
    p.NoSuchVoucher("there is no such voucher"),
    p.NoSuchAuthorisation("the programme has no such authorisation"),
    p.MonthNotOpen("the month is over"),
    p.FamilyRemoved("the family was removed from the programme"),
    p.VoucherStateConflict("the voucher is revoked", voucher_status=VoucherStatus.REVOKED),
    p.VoucherLimitExceeded(
        "one voucher gives at most Rp600.000 and 2 packages", limit_amount=600_000, limit_packages=2
    ),
    p.VoucherMonthLimitExceeded(
        "the vouchers of a family and month give at most Rp1.200.000 and 6 packages; those that there are give"
        " Rp900.000 and 3 packages",
        limit_amount=1_200_000,
        limit_packages=6,
        given_amount=900_000,
        given_packages=3,
    ),
)


@cache
def office_examples() -> Mapping[str, Mapping[int, Document]]:
    """Operation → status → name → OpenAPI example."""
    wish = {"beneficiary_id": _LIVE.beneficiary_id, "month": month_as_shown(_LIVE.month), "reason": _LIVE.reason}
    small = wish | {"extra_amount": _LIVE.extra_rupiah, "extra_packages": _LIVE.extra_packages}
    large = wish | {"extra_amount": _LARGE.extra_rupiah, "extra_packages": _LARGE.extra_packages}
    return {
        "vouch": {
            REQUEST: {
                "one_package": _example("One package more", small),
                "a_missed_month": _example("As much as a missed month", large),
            },
            201: {
                "live": _example("Live at once", _shown(_LIVE)),
                "awaiting_approval": _example("Waits for an operator", _shown(_WAITING)),
            },
        },
        "list_vouchers": {200: {"page": _example("The only one", page([_shown(_USED)], 50))}},
        "get_voucher": {200: {"used": _example("Used once", _with_a_use())}},
        "revoke_voucher": {
            REQUEST: {"reason": _example("With a reason", {"reason": _REVOKED.revocation_reason})},
            200: {"revoked": _example("The rest is gone", _shown(_REVOKED))},
        },
        "approve_voucher": {
            REQUEST: {"nothing": _example("Nothing more is to be said", {})},
            200: {"approved": _example("Live now", _shown(_APPROVED))},
        },
        "list_beneficiaries": {200: {"page": _example("One family", page([_family()], 50))}},
        "list_authorisations": {200: {"page": _example("The only one", page([_authorisation()], 50))}},
        "explain_authorisation": {200: dict(explanation_examples())},
    }


def _example(summary: str, value: object) -> Document:
    return {"summary": summary, "value": orjson.loads(orjson.dumps(value))}


def _held() -> Document:
    """The purchase of the terminals' examples."""
    document: Document = examples()["authorise"][201]["approved"]["value"]
    return document


def _shown(voucher: Voucher) -> Document:
    return voucher_as_shown(voucher, _ZONE)


def _with_a_use() -> Document:
    use = Use(at=_NOW, authorisation_id=_held()["id"], rupiah=150_000, packages=1)
    return _shown(_USED) | uses_as_shown([use], _ZONE)


def _family() -> Document:
    remaining = _held()["remaining"]
    row = {
        "beneficiary_id": _LIVE.beneficiary_id,
        "district_code": "64.72.01",
        "status": BeneficiaryStatus.ACTIVE,
        "last_four": "0013",
        "card_status": CardStatus.ACTIVE,
    }
    return family_as_shown(row, remaining, [_LIVE], _ZONE)


def _authorisation() -> Document:
    return as_it_stands(orjson.dumps(_held()), None) | {
        "beneficiary_id": _LIVE.beneficiary_id,
        "month": month_as_shown(_LIVE.month),
    }
