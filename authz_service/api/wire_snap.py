"""SNAP's bodies as OpenAPI shows them; `snap.py` and `bank/notice.py` are what is really written and read."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field


class AccessToken(BaseModel):
    """Answer of `access-token/b2b`, service code 73."""

    responseCode: Annotated[str, Field(pattern=r"^20073[0-9]{2}$", examples=["2007300"])]  # noqa: N815
    responseMessage: Annotated[str, Field(max_length=150)]  # noqa: N815
    accessToken: Annotated[str, Field(max_length=2048)]  # noqa: N815
    tokenType: Literal["Bearer"]  # noqa: N815
    expiresIn: Annotated[str, Field(pattern=r"^[0-9]+$", examples=["900"])]  # noqa: N815


class Acknowledged(BaseModel):
    """Answer of `debit/notify`, service code 56."""

    responseCode: Annotated[str, Field(pattern=r"^[0-9]{7}$", examples=["2005600"])]  # noqa: N815
    responseMessage: Annotated[str, Field(max_length=150)]  # noqa: N815


REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Acknowledged, "description": "4005600, 4005601 or 4005602 (73 for a token): nothing was kept"},
    401: {
        "model": Acknowledged,
        "description": "4015600, or with a good signature 4015601 or 4015603: not genuine; nothing was kept",
    },
    405: {"model": Acknowledged, "description": "4055600: only POST is taken, as Allow says"},
    409: {"model": Acknowledged, "description": "4095600: another body came with this X-EXTERNAL-ID today"},
    429: {"model": Acknowledged, "description": "4295600: too many at once; wait as Retry-After says, send it again"},
    504: {"model": Acknowledged, "description": "5045600: the books cannot be reached; send it again"},
}


def _header(name: str, description: str, *, required: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
    }


_TIMESTAMP: Final = _header("X-TIMESTAMP", "yyyy-MM-ddTHH:mm:ssTZD, within five minutes of ours")
_SIGNATURE: Final = _header("X-SIGNATURE", "base64")
TOKEN_REQUEST: Final[dict[str, Any]] = {
    "parameters": [
        _header("X-CLIENT-KEY", "the partner id that we gave the bank"),
        _TIMESTAMP,
        _SIGNATURE,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["grantType"],
                    "properties": {
                        "grantType": {"type": "string", "enum": ["client_credentials"]},
                        "additionalInfo": {"type": "object"},
                    },
                }
            }
        },
    },
}
NOTIFY_REQUEST: Final[dict[str, Any]] = {
    "parameters": [
        _header("X-PARTNER-ID", "the partner id that we gave the bank"),
        _header("X-EXTERNAL-ID", "unique in a day in WITA, 36 at most"),
        _header("CHANNEL-ID", "the bank's channel, 5 at most"),
        _TIMESTAMP,
        _SIGNATURE,
        _header(
            "Authorization", "Bearer and the access token, where the bank signs with a client secret", required=False
        ),
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": [
                        "originalPartnerReferenceNo",
                        "originalReferenceNo",
                        "amount",
                        "latestTransactionStatus",
                    ],
                    "properties": {
                        "originalPartnerReferenceNo": {"type": "string", "minLength": 1, "maxLength": 64},
                        "originalReferenceNo": {"type": "string", "minLength": 1, "maxLength": 64},
                        "amount": {
                            "type": "object",
                            "required": ["value", "currency"],
                            "properties": {
                                "value": {"type": "string", "pattern": r"^[0-9]{1,16}\.00$"},
                                "currency": {"type": "string", "enum": ["IDR"]},
                            },
                        },
                        "latestTransactionStatus": {"type": "string", "enum": [f"0{each}" for each in range(8)]},
                        "transactionStatusDesc": {"type": "string"},
                    },
                },
                "example": {
                    "originalPartnerReferenceNo": "pay_01jd7q3v6n8r0a2b4c6d8e0f2g",
                    "originalReferenceNo": "2024120212000000000000000123",
                    "amount": {"value": "287500.00", "currency": "IDR"},
                    "latestTransactionStatus": "00",
                    "transactionStatusDesc": "SUCCESS",
                },
            }
        },
    },
}
