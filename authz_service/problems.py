"""Everything that is not an answer to the question: RFC 9457 problems, each written once.

A problem says to a program what happened (`code`, `retryable`), to a till what to print (`message`, `response_code`)
and to nobody what was sent: input is never echoed, and no stack trace, card number or PIN is in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import orjson

from authz_service.vocabulary import in_rupiah

SYSTEM_FAULT_MESSAGE: Final = "Sistem terganggu, saldo aman. Jangan gesek ulang; tekan Ulangi atau Batalkan."
PROBLEM_TYPE_PREFIX: Final = "urn:authz:problem:"


class Problem(Exception):  # noqa: N818  (the RFC's own word)
    """Why a request got no answer."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    response_code: ClassVar[str] = "30"
    retryable: ClassVar[bool] = False
    message: str = "Permintaan mesin tidak dapat dibaca. Hubungi petugas mesin."
    kept: ClassVar[bool] = False
    """State or amount caused it: an answer that is stored under its key and replayed."""
    retry_after_seconds: int | None = None
    headers: Mapping[str, str] = {}
    may_be_logged: ClassVar[bool] = True

    def __init__(self, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.more = more

    def document(self, request_id: str) -> bytes:
        """The body, `application/problem+json`."""
        return orjson.dumps(
            {
                "type": PROBLEM_TYPE_PREFIX + self.code,
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
                "code": self.code,
                "retryable": self.retryable,
                "request_id": request_id,
                "message": self.message,
                "response_code": self.response_code,
                **self.more,
            }
        )


class NotJson(Problem):
    status, code, title = 400, "not_json", "The body is not JSON"


class KeyMissing(Problem):
    status, code, title = 400, "idempotency_key_missing", "Idempotency-Key is required"


class KeyMalformed(Problem):
    status, code, title = 400, "idempotency_key_malformed", "Idempotency-Key is malformed"


class QueryInvalid(Problem):
    status, code, title = 422, "query_invalid", "The query is not valid"


class Unauthenticated(Problem):
    status, code, title = 401, "unauthenticated", "The terminal key is missing, unknown or revoked"
    response_code = "58"
    message = "Mesin ini tidak dikenal. Hubungi petugas mesin."
    headers: Mapping[str, str] = {"www-authenticate": "Bearer"}


class KeyUnknown(Unauthenticated):
    title = "The key is missing, unknown or revoked"
    message = "Kunci ini tidak dikenal. Hubungi operator."


class NotYours(Problem):
    status, code, title = 403, "not_permitted", "The shop or terminal in the body is not the key's"
    response_code = "58"
    message = "Mesin ini terdaftar untuk warung lain. Hubungi petugas mesin."


class NotForThisKey(NotYours):
    title = "This call is not for this kind of key"
    message = "Kunci ini bukan untuk permintaan ini. Hubungi operator."


class NotFound(Problem):
    status, code, title = 404, "not_found", "There is no such thing here"
    response_code = "25"
    message = "Transaksi tidak ditemukan. Periksa nomor pada struk."


class NoSuchAddress(NotFound):
    message = "Permintaan mesin tidak dikenal. Hubungi petugas mesin."


class NoSuchFamily(NotFound):
    message = "Keluarga ini bukan dampingan Anda. Periksa nomornya."


class NoSuchVoucher(NotFound):
    message = "Izin tambahan tidak ditemukan. Periksa nomornya."


class NoSuchAuthorisation(NotFound):
    message = "Transaksi ini tidak ada pada program ini. Periksa nomornya."


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "This address does not take that method"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this address takes {allowed}")
        self.headers = {"allow": allowed}


class InProgress(Problem):
    status, code, title = 409, "in_progress", "The same request is still being decided"
    response_code, retryable, retry_after_seconds = "91", True, 1
    message = "Permintaan yang sama masih diproses. Tunggu sebentar, lalu tekan Ulangi."


class StanAlreadyUsed(Problem):
    status, code, title = 409, "stan_already_used", "Another request of this terminal has this STAN and time"
    response_code = "94"
    message = "Nomor transaksi ini sudah dipakai. Periksa transaksi yang lalu sebelum mengulang."


class RequestReversed(Problem):
    status, code, title = 409, "request_reversed", "This request was reversed and is dead"
    response_code = "12"
    message = "Transaksi ini sudah dibatalkan. Mulailah transaksi baru."


class StateConflict(Problem):
    status, code, title = 409, "state_conflict", "The authorisation is in a state that does not allow this"
    response_code, kept = "12", True
    message = "Transaksi ini sudah selesai atau ditolak, tidak dapat diubah lagi."


class ProgrammeClosed(Problem):
    status, code, title = 409, "programme_closed", "The programme is closed: no money moves any more"
    response_code, kept = "12", True
    message = "Program sudah ditutup, uang tidak dapat kembali ke kartu lagi. Hubungi petugas program."


class MonthNotOpen(Problem):
    status, code, title = 409, "month_not_open", "Nobody can vouch for that month (any more)"
    response_code, kept = "12", True
    message = "Bulan itu sudah lewat atau di luar program. Pilih bulan lain."


class FamilyRemoved(Problem):
    status, code, title = 409, "beneficiary_removed", "The family has left the programme"
    response_code, kept = "62", True
    message = "Keluarga ini sudah tidak ikut program. Hubungi operator."


class VoucherStateConflict(Problem):
    status, code, title = 409, "voucher_state_conflict", "The voucher is in a state that does not allow this"
    response_code, kept = "12", True
    message = "Izin tambahan ini sudah selesai, tidak dapat diubah lagi."


class BodyTooLarge(Problem):
    status, code, title = 413, "body_too_large", "The body is too large"


class BodyTooSlow(Problem):
    status, code, title = 408, "body_too_slow", "The body did not arrive in time"
    response_code, retryable = "91", True
    message = SYSTEM_FAULT_MESSAGE


class Invalid(Problem):
    """Well-formed but not valid: `errors` names each field, and never what stood in it."""

    status, code, title = 422, "invalid", "The request is not valid"

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__("; ".join(f"{error['field']}: {error['detail']}" for error in errors), errors=list(errors))


class KeyReused(Problem):
    status, code, title = 422, "key_reused", "This Idempotency-Key belongs to another request"
    response_code = "94"
    message = "Nomor permintaan ini sudah dipakai untuk permintaan lain. Ulangi dari awal."


class CaptureExceedsHold(Problem):
    status, code, title = 422, "capture_exceeds_hold", "More than what is held"
    kept = True
    message = "Jumlah melebihi yang ditahan. Periksa jumlahnya."


class RefundExceedsCaptured(Problem):
    status, code, title = 422, "refund_exceeds_captured", "More than was captured and not refunded"
    kept = True
    message = "Jumlah melebihi yang sudah dibayar. Periksa jumlahnya."


class VoucherLimitExceeded(Problem):
    status, code, title = 422, "voucher_limit_exceeded", "More than one voucher may give"
    kept = True
    message = "Izin tambahan melebihi batas satu izin. Kurangi jumlahnya."

    def __init__(self, detail: str, *, limit_amount: int, limit_packages: int) -> None:
        super().__init__(detail, limit_amount=limit_amount, limit_packages=limit_packages)
        self.message = f"Satu izin paling banyak {_extra(limit_amount, limit_packages)}. Kurangi jumlahnya."


class VoucherMonthLimitExceeded(Problem):
    status, code, title = 422, "voucher_month_limit_exceeded", "More than vouchers may give a family in a month"
    kept = True
    message = "Izin tambahan melebihi batas keluarga ini bulan itu. Kurangi jumlahnya atau hubungi operator."

    def __init__(
        self, detail: str, *, limit_amount: int, limit_packages: int, given_amount: int, given_packages: int
    ) -> None:
        limit = {"limit_amount": limit_amount, "limit_packages": limit_packages}
        super().__init__(detail, **limit, given_amount=given_amount, given_packages=given_packages)
        self.message = (
            f"Izin keluarga ini bulan itu paling banyak {_extra(limit_amount, limit_packages)}; sudah diberikan"
            f" {_extra(given_amount, given_packages)}. Kurangi jumlahnya atau hubungi operator."
        )


def _extra(amount: int, packages: int) -> str:
    return f"{in_rupiah(amount)} dan {packages} kali belanja"


class TooManyRequests(Problem):
    status, code, title = 429, "too_many_requests", "This terminal has too many requests waiting"
    response_code, retryable, retry_after_seconds = "91", True, 1
    message = SYSTEM_FAULT_MESSAGE


class Overloaded(Problem):
    status, code, title = 503, "overloaded", "The wait would be too long; nothing was decided"
    response_code, retryable, retry_after_seconds = "91", True, 1
    message = SYSTEM_FAULT_MESSAGE


class NotDecided(Problem):
    """Nothing was written; the request may be repeated unchanged."""

    status, code, title = 503, "not_decided", "Nothing was decided and nothing was written"
    response_code, retryable, retry_after_seconds = "91", True, 1
    message = SYSTEM_FAULT_MESSAGE


class OutcomeUnknown(Problem):
    """It may have been written; the same request, unchanged, gets the one true answer."""

    status, code, title = (
        503,
        "outcome_unknown",
        "The decision may have been made; repeat the request unchanged or reverse it",
    )
    response_code, retryable, retry_after_seconds = "91", True, 1
    message = SYSTEM_FAULT_MESSAGE


class InternalError(Problem):
    status, code, title = 500, "internal_error", "An error of ours"
    response_code, retryable, retry_after_seconds = "91", True, 1
    message = SYSTEM_FAULT_MESSAGE
