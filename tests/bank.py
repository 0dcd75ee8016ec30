"""The bank as a test plays it: its keys, and notices that are signed as Bank Indonesia's SNAP wants them."""

import os
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from authz_service.bank.following import follow
from authz_service.bank.inbox import Received, receive
from authz_service.bank.notice import read_notice
from authz_service.bank.partners import Partner, SignatureStyle, add_key, add_partner
from authz_service.bank.signature import signed_with_key, signed_with_secret, text_of_token_request, text_to_sign
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.vocabulary import ProgrammeId
from tests.world import PROGRAMME, Reply, World

SAMARINDA = ProgrammeId(PROGRAMME)
NOTIFY = "/snap/v1.0/debit/notify"
TOKEN = "/snap/v1.0/access-token/b2b"
STATUS = {"success": "00", "pending": "03", "returned": "04", "failed": "06", "unknown": "07"}


@dataclass(slots=True)
class Bank:
    """A bank that the programme knows, with one private key and one client secret."""

    world: World
    partner_id: str
    private_key: rsa.RSAPrivateKey
    secret: str
    style: SignatureStyle
    token: str = ""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def fetch_token(self, **headers: str) -> Reply:
        timestamp = self.timestamp()
        signature = signed_with_key(self.private_key, text_of_token_request(self.partner_id, timestamp))
        return await self._post(
            TOKEN,
            b'{"grantType":"client_credentials","additionalInfo":{}}',
            {"x-client-key": self.partner_id, "x-timestamp": timestamp, "x-signature": signature, **headers},
        )

    async def tell(self, reference: str, told: str, amount: int | str, **changes: Any) -> Reply:
        """A notice, genuinely signed; `changes` replace headers or, as `body`, its bytes."""
        body = changes.pop("body", None) or a_notice(reference, told, amount)
        return await self._post(changes.pop("path", NOTIFY), body, self.headers(body, **changes))

    def headers(
        self, body: bytes, *, path: str = NOTIFY, signed_body: bytes | None = None, **changes: str
    ) -> dict[str, str]:
        timestamp = changes.pop("x_timestamp", self.timestamp())
        token = self.token if self.style is SignatureStyle.WITH_TOKEN else None
        text = text_to_sign("POST", path, signed_body or body, timestamp, token)
        with_secret = self.style is SignatureStyle.WITH_TOKEN
        headers = {
            "x-timestamp": timestamp,
            "x-partner-id": self.partner_id,
            "x-external-id": f"{next(self._numbers)}",
            "channel-id": "00009",
            "x-signature": signed_with_secret(self.secret, text)
            if with_secret
            else signed_with_key(self.private_key, text),
        }
        if with_secret and self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return headers | {name.replace("_", "-"): value for name, value in changes.items()}

    def timestamp(self) -> str:
        return self.world.now.astimezone().isoformat(timespec="seconds")

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        sent = {"content-type": "application/json", **headers}
        async with self.world.http.post(self.world.base_url + path, data=body, headers=sent) as response:
            return Reply(response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()})


def a_notice(
    reference: str, told: str, amount: int | str, *, bank_reference: str = "2024100700000000000000000001"
) -> bytes:
    value = amount if isinstance(amount, str) else f"{amount}.00"
    return orjson.dumps(
        {
            "originalPartnerReferenceNo": reference,
            "originalReferenceNo": bank_reference,
            "amount": {"value": value, "currency": "IDR"},
            "latestTransactionStatus": STATUS[told],
            "transactionStatusDesc": told.upper(),
        }
    )


async def a_bank(world: World, style: SignatureStyle, partner_id: str = "BANKALTIMTARA") -> Bank:
    """Known to the programme with both kinds of key; it has a token where it needs one."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    how: dict[str, Any] = {"actor": "Dinsos", "now": world.now, "chance": os.urandom}
    await add_partner(world.database, SAMARINDA, partner_id, label="Bank", signature=style, signs_the_query=True, **how)
    public_key = private_key.public_key()
    await add_key(world.database, SAMARINDA, partner_id, public_key, older_end_at=world.now, **how)
    number = await add_key(world.database, SAMARINDA, partner_id, None, older_end_at=world.now, **how)
    secret = Keys(world.settings.root_key.get_secret_value()).bank_secret(partner_id, number)
    bank = Bank(world=world, partner_id=partner_id, private_key=private_key, secret=secret, style=style)
    if style is SignatureStyle.WITH_TOKEN:
        bank.token = (await bank.fetch_token())["accessToken"]
    return bank


async def kept_notice(
    world: World,
    reference: str,
    told: str,
    amount: int,
    *,
    connection: "Connection | None" = None,
    at: datetime | None = None,
    bank_reference: str = "2024100700000000000000000001",
) -> Received:
    """The bank's notice is kept, as by another process: nobody here is told that it came."""
    partner = Partner(
        programme_id=SAMARINDA,
        partner_id="BANKALTIMTARA",
        label="Bank",
        signature=SignatureStyle.WITHOUT_TOKEN,
        signs_the_query=True,
        zone="Asia/Makassar",
        secret_numbers=(),
        public_keys=(),
    )
    body = a_notice(reference, told, amount, bank_reference=bank_reference)
    return await receive(
        connection or world.database,
        partner,
        read_notice(body),
        external_id=world.fresh_key(),
        body=body,
        now=at or world.now,
        chance=os.urandom,
    )


async def followed(world: World) -> None:
    """The books follow all that the bank has told so far."""
    while (await follow(world.database, world.settings, SAMARINDA, clock=world.clock, chance=os.urandom)).references:
        pass


async def became(world: World) -> list[tuple[str, str, str | None]]:
    """(what it told, what became of it, why) of every notice, in the order in which they came."""
    rows = await world.database.fetch(
        "SELECT n.status, s.standing, s.reason"
        "  FROM bank_notice n JOIN notice_standing s USING (programme_id, notice_id) ORDER BY n.notice_id"
    )
    return [tuple(row) for row in rows]
