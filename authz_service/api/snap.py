"""SNAP's answers: a code of seven digits, of which the first three are the HTTP status, and a message. Pure.

Source: Bank Indonesia's SNAP Developer Site, response codes; `responseCode` is String(7), `responseMessage`
String(150). A message names a field or a header, and never what stood in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

import orjson


class ServiceCode(StrEnum):
    """Which call it was."""

    ACCESS_TOKEN = "73"  # noqa: S105  (a code)
    DEBIT_NOTIFY = "56"


class SnapRefusal(Exception):  # noqa: N818  (an answer's own word)
    """Why a request of a bank was not accepted. `security` names it for the security log, where it belongs there."""

    def __init__(self, status: int, case: str, message: str, *, security: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.case, self.message, self.security = status, case, message, security
        self.headers: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapAnswer:
    """An HTTP status and the bytes under it."""

    status: int
    body: bytes


SUCCESSFUL: Final = "Successful"


def successful(service: ServiceCode, **more: str) -> SnapAnswer:
    return _answer(200, service, "00", SUCCESSFUL, **more)


def refused(service: ServiceCode, refusal: SnapRefusal) -> SnapAnswer:
    return _answer(refusal.status, service, refusal.case, refusal.message)


def bad_request(why: str) -> SnapRefusal:
    return SnapRefusal(400, "00", f"Bad Request. {why}", security="bad_request")


def invalid_format(field: str) -> SnapRefusal:
    return SnapRefusal(400, "01", f"Invalid Field Format {field}", security="invalid_format")


def missing_field(field: str) -> SnapRefusal:
    return SnapRefusal(400, "02", f"Invalid Mandatory Field {field}", security="missing_field")


def unauthorised(why: str, security: str) -> SnapRefusal:
    return SnapRefusal(401, "00", f"Unauthorized. {why}", security=security)


def invalid_token() -> SnapRefusal:
    return SnapRefusal(401, "01", "Invalid Token (B2B)", security="invalid_token")


def token_not_found() -> SnapRefusal:
    return SnapRefusal(401, "03", "Token Not Found (B2B)", security="token_not_found")


def not_supported(allowed: str) -> SnapRefusal:
    return SnapRefusal(405, "00", "Requested Function Is Not Supported", security="method", allow=allowed)


def conflict() -> SnapRefusal:
    return SnapRefusal(409, "00", "Conflict")


def too_many_requests(wait_seconds: float) -> SnapRefusal:
    """Retry-After is in whole seconds (RFC 9110, 10.2.3)."""
    return SnapRefusal(429, "00", "Too Many Requests", security="too_many", retry_after=f"{ceil(wait_seconds)}")


def general_error() -> SnapRefusal:
    return SnapRefusal(500, "00", "General Error")


def timed_out() -> SnapRefusal:
    """The books cannot be reached; the bank is to send it again."""
    return SnapRefusal(504, "00", "Timeout")


def _answer(status: int, service: ServiceCode, case: str, message: str, **more: str) -> SnapAnswer:
    document = {"responseCode": f"{status}{service}{case}", "responseMessage": message, **more}
    return SnapAnswer(status=status, body=orjson.dumps(document))
