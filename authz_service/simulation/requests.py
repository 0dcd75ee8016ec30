"""What a bank sends us, as SNAP wants it signed: a request for a token, and a notice of one payment. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self
from zoneinfo import ZoneInfo

import orjson

from authz_service.bank.partners import SignatureStyle
from authz_service.bank.signature import (
    signed_with_key,
    signed_with_secret,
    text_of_token_request,
    text_to_sign,
)
from authz_service.simulation.identity import Identity

TOKEN_PATH: Final = "/snap/v1.0/access-token/b2b"  # noqa: S105  (an address)
NOTIFY_PATH: Final = "/snap/v1.0/debit/notify"
TOKEN_BODY: Final = b'{"grantType":"client_credentials","additionalInfo":{}}'
CHANNEL: Final = "00009"
"""As BRI numbers its channels: an API."""
DESCRIPTIONS: Final = {"00": "SUCCESS", "03": "PENDING", "04": "RETURNED", "06": "FAILED", "07": "NOT FOUND"}
_WITA: Final = ZoneInfo("Asia/Makassar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Ready to be sent."""

    path: str
    headers: dict[str, str]
    body: bytes

    def without(self, header: str) -> Self:
        return replace(self, headers={name: value for name, value in self.headers.items() if name != header})

    def having(self, **headers: str) -> Self:
        """With these headers instead, whose names have `_` for `-`."""
        return replace(self, headers=self.headers | {name.replace("_", "-"): value for name, value in headers.items()})


def timestamp_of(instant: datetime) -> str:
    """As it stands in X-TIMESTAMP: the bank's own time, with its offset."""
    return instant.astimezone(_WITA).isoformat(timespec="seconds")


def token_request(identity: Identity, at: datetime, body: bytes = TOKEN_BODY) -> Request:
    """Signed with the bank's private key, whatever it signs its notices with."""
    timestamp = timestamp_of(at)
    headers = {
        "x-client-key": identity.partner_id,
        "x-timestamp": timestamp,
        "x-signature": signed_with_key(identity.private_key, text_of_token_request(identity.partner_id, timestamp)),
    }
    return Request(path=TOKEN_PATH, headers=_JSON | headers, body=body)


def notice_request(
    identity: Identity,
    body: bytes,
    external_id: str,
    at: datetime,
    *,
    token: str = "",
    style: SignatureStyle | None = None,
    signed_body: bytes | None = None,
) -> Request:
    """In the bank's own style, or in `style`; `signed_body` is what is signed instead of `body`."""
    timestamp, style = timestamp_of(at), style or identity.style
    with_token = style is SignatureStyle.WITH_TOKEN
    signed = body if signed_body is None else signed_body
    text = text_to_sign("POST", NOTIFY_PATH, signed, timestamp, token if with_token else None)
    headers = {
        "x-timestamp": timestamp,
        "x-partner-id": identity.partner_id,
        "x-external-id": external_id,
        "channel-id": CHANNEL,
        "x-signature": signed_with_secret(identity.secret, text)
        if with_token
        else signed_with_key(identity.private_key, text),
    }
    if with_token and token:
        headers["authorization"] = f"Bearer {token}"
    return Request(path=NOTIFY_PATH, headers=_JSON | headers, body=body)


def notice_body(reference: str, status: str, amount_rupiah: int, *, bank_reference: str) -> bytes:
    """Service 56's body, without white space."""
    return orjson.dumps(
        {
            "originalPartnerReferenceNo": reference,
            "originalReferenceNo": bank_reference,
            "amount": {"value": f"{amount_rupiah}.00", "currency": "IDR"},
            "latestTransactionStatus": status,
            "transactionStatusDesc": DESCRIPTIONS[status],
        }
    )


_JSON: Final = {"content-type": "application/json"}
