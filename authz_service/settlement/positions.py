"""What a batch comes to for one shop: paid to its account, or carried into the next batch, and why. Pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from authz_service.settlement.canonical import Totals, instruction_line
from authz_service.vocabulary import InstructionId, MerchantId


class Carried(StrEnum):
    """Why a shop's sum is carried into the next batch."""

    BELOW_NOTHING = "below_nothing"
    """It refunded more than it is owed."""
    NO_ACCOUNT = "no_account"
    """Nobody has approved an account to pay it to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where a shop wants its money."""

    bank_code: str
    account_number: str = field(repr=False)
    holder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One shop in a batch."""

    merchant_id: MerchantId
    totals: Totals
    carried_because: Carried | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What the bank is told to pay; its id is our partner reference there."""

    instruction_id: InstructionId
    merchant_id: MerchantId
    amount_rupiah: int
    bank_code: str
    account_number: str = field(repr=False)
    holder: str

    def line(self) -> bytes:
        """As it is hashed."""
        return instruction_line(
            self.instruction_id,
            self.merchant_id,
            self.amount_rupiah,
            bank_code=self.bank_code,
            account_number=self.account_number,
            holder=self.holder,
        )


def position(merchant_id: MerchantId, moved: Totals, account: Account | None) -> Position:
    """A net above nothing is instructed where there is an account; all else is carried."""
    net_rupiah = moved.net_rupiah
    if net_rupiah > 0 and account is not None:
        paid = replace(moved, instructed_rupiah=net_rupiah)
        return Position(merchant_id=merchant_id, totals=paid, carried_because=None)
    why = None if not net_rupiah else Carried.NO_ACCOUNT if net_rupiah > 0 else Carried.BELOW_NOTHING
    return Position(merchant_id=merchant_id, totals=replace(moved, carried_rupiah=net_rupiah), carried_because=why)


def parts_of(amount_rupiah: int, limit_rupiah: int | None) -> list[int]:
    """The sums that make the amount, each above nothing and none above the limit; the last one is the smallest."""
    if limit_rupiah is None or amount_rupiah <= limit_rupiah:
        return [amount_rupiah] if amount_rupiah else []
    whole, rest = divmod(amount_rupiah, limit_rupiah)
    return [limit_rupiah] * whole + ([rest] if rest else [])


def number_of_parts(amount_rupiah: int, limit_rupiah: int | None) -> int:
    """How many `parts_of` gives, without making them."""
    return min(amount_rupiah, 1) if limit_rupiah is None else -(-amount_rupiah // limit_rupiah)


def sum_of(positions: Iterable[Position]) -> Totals:
    """The control totals of a batch."""
    rows = [asdict(each.totals) for each in positions]
    return Totals(**{name: sum(row[name] for row in rows) for name in asdict(Totals())})
