"""What a bank's engineer makes sure of before the first notice: each point is what is sent and the code that must come.

Pure. What is genuine tells of a payment that is pending, which moves no money; the rest is refused, and only the
security log has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from authz_service.bank.partners import SignatureStyle
from authz_service.simulation.identity import Identity
from authz_service.simulation.requests import Request, notice_body, notice_request, token_request

PENDING: Final = "03"
NOT_A_TOKEN: Final = "c29tZWJvZHkgZWxzZSdz"  # noqa: S105  (nobody's)
NOT_A_SIGNATURE: Final = "bm8gc2lnbmF0dXJl"
FAR_OFF: Final = timedelta(minutes=10)
NEAR: Final = timedelta(minutes=1)
_NOW: Final = timedelta()
_OTHER: Final = {
    SignatureStyle.WITH_TOKEN: SignatureStyle.WITHOUT_TOKEN,
    SignatureStyle.WITHOUT_TOKEN: SignatureStyle.WITH_TOKEN,
}


@dataclass(slots=True, kw_only=True)
class Talk:
    """One run of the checklist: about which payment, with which token, under which X-EXTERNAL-IDs."""

    identity: Identity
    now: Callable[[], datetime]
    reference: str
    amount_rupiah: int
    run: str
    """Digits that no other run has."""
    token: str = ""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def notice(
        self, body: bytes | None = None, *, external_id: str = "", later: timedelta = _NOW, **how: Any
    ) -> Request:
        """A genuine one, but for what is said."""
        at, token = self.now() + later, how.pop("token", self.token)
        return notice_request(self.identity, body or self.body(), external_id or self.new_id(), at, token=token, **how)

    def ask_for_token(self, *, later: timedelta = _NOW, **how: Any) -> Request:
        return token_request(self.identity, self.now() + later, **how)

    def body(self, reference: str | None = None, **changes: bytes) -> bytes:
        """Pending; `changes` replace what stands in the bytes of a member's value."""
        body = notice_body(
            reference or self.reference, PENDING, self.amount_rupiah, bank_reference=f"CERTIFY{self.run}"
        )
        return body.replace(self.written_amount, changes.get("amount", self.written_amount))

    @property
    def written_amount(self) -> bytes:
        return b'"%d.00"' % self.amount_rupiah

    def spaced(self) -> bytes:
        """The same notice as `body` once it is minified."""
        return b"{ " + self.body().strip(b"{}").replace(b'","', b'" ,\n\t"').replace(b":{", b" : { ") + b"\r\n }"

    def new_id(self) -> str:
        return f"{self.run}{next(self._numbers):03d}"


Send = Callable[[Talk], Sequence[Request]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`send` in this order; the last answer has `code`, and where it is the same again, all have the same bytes."""

    title: str
    code: str
    send: Send
    same: bool = False
    only: SignatureStyle | None = None
    """For a bank that signs so."""
    ends_a_token: bool = False
    """Only after so long that the token is not good any more."""


def _twice(talk: Talk) -> Sequence[Request]:
    external_id = talk.new_id()
    spaced = talk.notice(talk.spaced(), external_id=external_id)
    return [talk.notice(external_id=external_id), talk.notice(external_id=external_id), spaced]


def _another_body(talk: Talk) -> Sequence[Request]:
    external_id = talk.new_id()
    other = talk.body(f"{talk.reference}X")
    return [talk.notice(external_id=external_id), talk.notice(other, external_id=external_id)]


def _in_the_other_way(talk: Talk) -> Sequence[Request]:
    return [talk.notice(style=_OTHER[talk.identity.style], token=talk.token or "none")]


def _unknown_reference(talk: Talk) -> Sequence[Request]:
    return [talk.notice(talk.body(f"CERTIFY-{talk.run}"))]


def _without(header: str) -> Send:
    return lambda talk: [talk.notice().without(header)]


WITH: Final = SignatureStyle.WITH_TOKEN
POINTS: Final[tuple[Point, ...]] = (
    Point(title="token", code="2007300", send=lambda talk: [talk.ask_for_token()]),
    Point(
        title="token: wrong signature",
        code="4017300",
        send=lambda talk: [talk.ask_for_token().having(x_signature=NOT_A_SIGNATURE)],
    ),
    Point(
        title="token: signed at another time than X-TIMESTAMP says",
        code="4017300",
        send=lambda talk: [
            talk.ask_for_token().having(x_signature=talk.ask_for_token(later=NEAR).headers["x-signature"])
        ],
    ),
    Point(title="token: ten minutes late", code="4017300", send=lambda talk: [talk.ask_for_token(later=-FAR_OFF)]),
    Point(
        title="token: no X-CLIENT-KEY",
        code="4007302",
        send=lambda talk: [talk.ask_for_token().without("x-client-key")],
    ),
    Point(
        title="token: another grantType",
        code="4007301",
        send=lambda talk: [talk.ask_for_token(body=b'{"grantType":"password"}')],
    ),
    Point(title="notice", code="2005600", send=lambda talk: [talk.notice()]),
    Point(
        title="notice: wrong signature",
        code="4015600",
        send=lambda talk: [talk.notice().having(x_signature=NOT_A_SIGNATURE)],
    ),
    Point(
        title="notice: signature of another body",
        code="4015600",
        send=lambda talk: [talk.notice(signed_body=talk.body("another"))],
    ),
    Point(title="notice: signed in the other way", code="4015600", send=_in_the_other_way),
    Point(title="notice: no token", code="4015603", send=lambda talk: [talk.notice(token="")], only=WITH),
    Point(
        title="notice: a token of somebody else",
        code="4015601",
        send=lambda talk: [talk.notice(token=NOT_A_TOKEN)],
        only=WITH,
    ),
    Point(
        title="notice: an expired token",
        code="4015601",
        send=lambda talk: [talk.notice()],
        only=WITH,
        ends_a_token=True,
    ),
    *(
        Point(
            title=f"notice: no {header.upper()}",
            code="4005602",
            send=_without(header),
        )
        for header in ("x-partner-id", "x-external-id", "channel-id", "x-timestamp", "x-signature")
    ),
    Point(
        title="notice: unknown X-PARTNER-ID",
        code="4015600",
        send=lambda talk: [talk.notice().having(x_partner_id="NOBODYATALL")],
    ),
    Point(
        title="notice: X-EXTERNAL-ID of 37 characters",
        code="4005601",
        send=lambda talk: [talk.notice(external_id="1" * 37)],
    ),
    Point(title="notice: a minute early", code="2005600", send=lambda talk: [talk.notice(later=NEAR)]),
    Point(title="notice: ten minutes late", code="4015600", send=lambda talk: [talk.notice(later=-FAR_OFF)]),
    Point(title="notice: ten minutes early", code="4015600", send=lambda talk: [talk.notice(later=FAR_OFF)]),
    Point(
        title="notice: X-TIMESTAMP without a time",
        code="4005601",
        send=lambda talk: [talk.notice().having(x_timestamp="2024-10-07")],
    ),
    Point(
        title="minify: white space in the body, signed without it",
        code="2005600",
        send=lambda talk: [talk.notice(talk.spaced())],
    ),
    Point(
        title="minify: blanks within a string are signed",
        code="4015600",
        send=lambda talk: [
            talk.notice(talk.body("two  blanks"), signed_body=talk.body("two  blanks").replace(b"  ", b""))
        ],
    ),
    Point(title="the same X-EXTERNAL-ID and body: the same answer", code="2005600", send=_twice, same=True),
    Point(title="the same X-EXTERNAL-ID, another body", code="4095600", send=_another_body),
    Point(title="unknown reference: kept", code="2005600", send=_unknown_reference),
    Point(title="not JSON", code="4005600", send=lambda talk: [talk.notice(b"pending")]),
    Point(title="an empty object", code="4005602", send=lambda talk: [talk.notice(b"{}")]),
    Point(
        title="amount without its two decimals",
        code="4005601",
        send=lambda talk: [talk.notice(talk.body(amount=b'"%d"' % talk.amount_rupiah))],
    ),
    Point(
        title="amount with sen",
        code="4005601",
        send=lambda talk: [talk.notice(talk.body(amount=b'"%d.50"' % talk.amount_rupiah))],
    ),
    Point(
        title="amount as a number",
        code="4005601",
        send=lambda talk: [talk.notice(talk.body(amount=b"%d.00" % talk.amount_rupiah))],
    ),
)
