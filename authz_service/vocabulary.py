"""The nouns: ids, money and the closed sets that several stations share.

Money is a whole number of rupiah (`int`, `bigint`); a field that holds it ends in `_rupiah` inside and is called
`amount` on the wire, where `"currency": "IDR"` stands beside it. Ids are a prefix and a time-ordered part that
nobody can guess from its neighbour.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

ProgrammeId = NewType("ProgrammeId", str)
AuthorisationId = NewType("AuthorisationId", str)
BatchId = NewType("BatchId", str)
BeneficiaryId = NewType("BeneficiaryId", str)
CardId = NewType("CardId", str)
CompanionId = NewType("CompanionId", str)
InstructionId = NewType("InstructionId", str)
MerchantId = NewType("MerchantId", str)
OperatorId = NewType("OperatorId", str)
TerminalId = NewType("TerminalId", str)
TransferId = NewType("TransferId", str)
VoucherId = NewType("VoucherId", str)
AccountId = NewType("AccountId", str)
"""The id of its owner (`ben_…`, `mrc_…`) or the name of one of the programme's own accounts (`fund`, …)."""

MONEY_LIMIT_RUPIAH: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact; the door refuses more."""
PAYOUT_LIMIT_FLOOR_RUPIAH: Final = 1_000_000
"""No limit of one payout is less. Banks limit a transfer to tens of millions and more (BI-FAST: Rp250.000.000), so less
is a figure in thousands or a slip; and the sum of a city's programme is then a few thousand instructions at most."""


class CardStatus(StrEnum):
    NOT_ACTIVATED = "not_activated"
    ACTIVE = "active"
    BLOCKED = "blocked"
    LOST = "lost"
    STOLEN = "stolen"
    REPLACED = "replaced"


class BeneficiaryStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class MerchantStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class TerminalStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    UNBOUND = "unbound"
    """No longer bound to the shop whose key it still sends."""
    REVOKED = "revoked"
    """Its key opens nothing any more."""


class PackageCounting(StrEnum):
    PER_PURCHASE = "per_purchase"
    BY_VALUE = "by_value"
    NO_LIMIT = "no_limit"


class AboveCeiling(StrEnum):
    """What a programme does with a line above its price ceiling."""

    DECLINE = "decline"
    REDUCE = "reduce"


class DetailsRequired(StrEnum):
    """For which lines product, unit, quantity and unit price must be given."""

    NEVER = "never"
    WHERE_CEILING = "where_ceiling"
    ALWAYS = "always"


class HoldStatus(StrEnum):
    """States of an authorisation; a declined one never has a hold and so never leaves `declined`."""

    DECLINED = "declined"
    HELD = "held"
    PARTLY_CAPTURED = "partly_captured"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"
    REVERSED = "reversed"


class TransferKind(StrEnum):
    FUND = "fund"
    GRANT = "grant"
    HOLD = "hold"
    POST = "post"
    RELEASE = "release"
    REFUND = "refund"
    PAYOUT = "payout"
    PAYOUT_SETTLED = "payout_settled"
    PAYOUT_FAILED = "payout_failed"
    RETURN = "return"


class Cause(StrEnum):
    """Which event of a purchase's life made a transfer."""

    AUTHORISE = "authorise"
    CAPTURE = "capture"
    VOID = "void"
    EXPIRE = "expire"
    REVERSE = "reverse"
    REFUND = "refund"
    ENROL = "enrol"
    REMOVE = "remove"
    SETTLE = "settle"
    CLOSE = "close"


_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _CROCKFORD for second in _CROCKFORD]
"""Ten bits → two characters."""
_FORTY_BITS: Final = 2**40 - 1
CHANCE_BYTES: Final = 10
Chance = Callable[[int], bytes]
"""So many random bytes; `os.urandom` in production."""


def new_id(prefix: str, instant: datetime, chance: bytes) -> str:
    """`prefix_` and 26 characters that sort by `instant` (milliseconds), then by `chance` (ten random bytes)."""
    return id_at(prefix, milliseconds_of(instant), chance)


def id_at(prefix: str, milliseconds: int, chance: bytes) -> str:
    """`new_id` of an instant in milliseconds of the epoch: a batch has one instant and many ids."""
    return written_id(prefix, milliseconds << 80 | int.from_bytes(chance))


def milliseconds_of(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def time_part(instant: datetime) -> str:
    """The characters with which ids of this millisecond begin, the first of them."""
    return new_id("", instant, bytes(CHANCE_BYTES)).removeprefix("_")[:10]


def written_id(prefix: str, number: int) -> str:
    """`prefix_` and the 26 characters of a number of 128 bits; they sort as the numbers do."""
    bits = number << 2
    first, middle, last = bits >> 80, bits >> 40 & _FORTY_BITS, bits & _FORTY_BITS
    # Written out: four ids a purchase, and a loop would take twice as long.
    return (
        f"{prefix}_{_PAIRS[first >> 40]}{_PAIRS[first >> 30 & 1023]}{_PAIRS[first >> 20 & 1023]}"
        f"{_PAIRS[first >> 10 & 1023]}{_PAIRS[first & 1023]}"
        f"{_PAIRS[middle >> 30]}{_PAIRS[middle >> 20 & 1023]}{_PAIRS[middle >> 10 & 1023]}{_PAIRS[middle & 1023]}"
        f"{_PAIRS[last >> 30]}{_PAIRS[last >> 20 & 1023]}{_PAIRS[last >> 10 & 1023]}{_PAIRS[last & 1023]}"
    )


_APPROVAL_ALPHABET: Final = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789" * 8
"""For each byte its character: the lowest five bits say which."""


def approval_code(chance: bytes) -> str:
    """Six characters that can be read aloud without mistaking one for another (DE38)."""
    return chance[:6].translate(_APPROVAL_ALPHABET).decode()


def in_rupiah(amount_rupiah: int) -> str:
    """`Rp1.800.000`: dots between thousands, no space, as Indonesian receipts print it."""
    return "Rp" + f"{amount_rupiah:,}".replace(",", ".")


def several(number: int, one: str, many: str | None = None) -> str:
    """`1 shop`, `27 shops`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def luhn_is_valid(card_number: str) -> bool:
    """The check digit at the end agrees with the digits before it (ISO/IEC 7812-1)."""
    return card_number.isascii() and card_number.isdigit() and _luhn_sum(card_number) % 10 == 0


def with_luhn(digits: str) -> str:
    """`digits` and their check digit."""
    return digits + str(-_luhn_sum(digits + "0") % 10)


_DOUBLED: Final[Mapping[str, int]] = {str(d): (d * 2) // 10 + (d * 2) % 10 for d in range(10)}


def _luhn_sum(digits: str) -> int:
    return sum(map(int, digits[-1::-2])) + sum(_DOUBLED[d] for d in digits[-2::-2])
