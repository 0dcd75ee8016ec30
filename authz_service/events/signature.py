"""Standard Webhooks 1.0.0: what is signed, how, and how a secret is written. Pure."""

import hmac
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  (how every secret begins)


def written_secret(key: bytes) -> str:
    """As it is given to a receiver: `whsec_` and base64."""
    return SECRET_PREFIX + b64encode(key).decode()


def signed_headers(event_id: str, at: datetime, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """The three headers; one signature for each key, so that a receiver may have the old one or the new one."""
    timestamp = str(int(at.timestamp()))
    content = f"{event_id}.{timestamp}.".encode() + body
    signatures = (b64encode(hmac.new(key, content, sha256).digest()).decode() for key in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
