"""Who sent it: the bank that signed it, or nobody that it would be said to.

Whoever has not shown to be a bank of ours is answered alike, in the same words and after the same work, whether such a
bank is known or not, which way it signs, and whatever stands where the token should. So the signature comes first, and
what is wrong with the token is told to the bank alone.
"""

from datetime import datetime

from authz_service.api.arrival import Arrived
from authz_service.api.office import Office
from authz_service.api.snap import invalid_token, token_not_found, unauthorised
from authz_service.bank.partners import Partner, SignatureStyle, partner_of, stranger
from authz_service.bank.signature import (
    is_signed_with_key,
    is_signed_with_secret,
    text_of_token_request,
    text_to_sign,
)
from authz_service.database import Connection


async def claimed(connection: Connection, here: Office, partner_id: str) -> tuple[Partner, datetime]:
    """The bank that the request says it is of, or a stranger with keys that nobody has; and now."""
    now = await here.now(connection)
    return await partner_of(connection, partner_id, now) or stranger(partner_id), now


def require_token_request_signed(partner: Partner, timestamp: str, signature: str) -> None:
    """By the bank's own private key."""
    text = text_of_token_request(partner.partner_id, timestamp)
    _require(partner, signed=any(is_signed_with_key(key, text, signature) for key in partner.public_keys))


def require_notice_signed(
    here: Office, head: Arrived, partner: Partner, body: bytes, timestamp: str, signature: str, now: datetime
) -> None:
    """By the way that this bank signs, with a key that is good now; and with a token that is, where it needs one."""
    endpoint = head.path
    if partner.signs_the_query and head.query:
        endpoint += f"?{head.query.decode('latin-1')}"
    with_token = text_to_sign(head.method, endpoint, body, timestamp, head.token or "")
    without = text_to_sign(head.method, endpoint, body, timestamp, None)
    secrets = [here.keys.bank_secret(partner.partner_id, number) for number in partner.secret_numbers]
    # Both ways are tried, of a wrong one with all keys: how long it takes tells nothing of who it is.
    signed = {
        SignatureStyle.WITH_TOKEN: any(is_signed_with_secret(secret, with_token, signature) for secret in secrets),
        SignatureStyle.WITHOUT_TOKEN: any(is_signed_with_key(key, without, signature) for key in partner.public_keys),
    }
    _require(partner, signed=signed[partner.signature])
    if partner.signature is SignatureStyle.WITH_TOKEN:
        _require_token(here, head, partner, now)


def _require(partner: Partner, *, signed: bool) -> None:
    """The words are the same; operators see in the security log which it was."""
    if not signed or not partner.is_known:
        raise unauthorised("Signature", "signature" if partner.is_known else "unknown_partner")


def _require_token(here: Office, head: Arrived, partner: Partner, now: datetime) -> None:
    if head.token is None:
        raise token_not_found()
    until = here.keys.bank_token_until(partner.partner_id, head.token)
    if until is None or until <= now.timestamp():
        raise invalid_token()
