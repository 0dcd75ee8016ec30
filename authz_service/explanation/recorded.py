"""What was written at a decision, made into a purchase and facts again, so that the same rules can be run once more.

A journal of an older version of the service may lack a member: that is said (`not_recorded`), and never filled in with
what is true today.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

from authz_service.answers import CURRENCY, Document
from authz_service.declines import APPROVED, DeclineReason
from authz_service.requests import Line, Purchase
from authz_service.rules.decide import Decision, Refusal, decide
from authz_service.rules.facts import (
    Card,
    Ceiling,
    Facts,
    Family,
    Month,
    Product,
    Programme,
    Shop,
    Terminal,
    Voucher,
)
from authz_service.rules.goods import ceiling_in_force
from authz_service.rules.misuse import Marks, marks_on
from authz_service.vocabulary import (
    AuthorisationId,
    BeneficiaryId,
    BeneficiaryStatus,
    CardId,
    CardStatus,
    MerchantId,
    ProgrammeId,
    TerminalId,
    TerminalStatus,
    VoucherId,
)

SETTINGS: Final = "settings"
CARD_EXPIRES_ON: Final = "card_expires_on"
COMPANION: Final = "companion"
VOUCHER_EXPIRES_AT: Final = "voucher_expires_at"
_NEEDED_TO_DECIDE: Final = frozenset({SETTINGS, CARD_EXPIRES_ON})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A decision as it was written; `journal` and `answer` are its two documents, `last_four` its card's digits."""

    programme_id: ProgrammeId
    authorisation_id: AuthorisationId
    created_at: datetime
    merchant_id: MerchantId
    terminal_id: TerminalId
    beneficiary_id: BeneficiaryId | None
    card_id: CardId | None
    last_four: str | None
    month: date
    reason: str
    amount_rupiah: int
    approved_rupiah: int
    reduction_rupiah: int
    request_id: str
    journal: Document
    answer: Document

    @property
    def approved(self) -> bool:
        return self.reason == APPROVED

    @property
    def facts(self) -> Document:
        """What the rules saw of shop, terminal, card and family, as the journal has it."""
        seen: Document = self.journal["facts"]
        return seen

    @property
    def reference_version(self) -> int:
        version: int = self.journal["versions"]["reference"]
        return version

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        return tuple(Refusal(reason=DeclineReason(reason), line=line) for reason, line in self.journal["reasons"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The programme, its goods and the shop as they were at the decision's version of the reference data."""

    programme: Programme
    shop: Shop | None
    ceiling_sources: Mapping[tuple[str, str, str | None, date], str]
    """(product, unit, kecamatan, first day) → where the ceiling comes from."""
    marks: Marks = field(default_factory=dict)
    """On this shop, this terminal and this card, whether or not they were over."""


def not_recorded(recorded: Recorded, seen: Seen | None) -> list[str]:
    """What nobody wrote down at the time; empty for every decision since the history of the reference data began."""
    facts, missing = recorded.facts, [SETTINGS] if seen is None else []
    if facts["card"] is not None and CARD_EXPIRES_ON not in facts:
        missing.append(CARD_EXPIRES_ON)
    if facts["family"] is not None and COMPANION not in facts:
        missing.append(COMPANION)
    if any(until is None for *_, until in map(_whole, facts["vouchers"] or [])):
        missing.append(VOUCHER_EXPIRES_AT)
    return missing


def decided_again(recorded: Recorded, seen: Seen | None) -> Decision | None:
    """What today's rules say to the same purchase and facts; None where too little was written to ask them."""
    if seen is None or _NEEDED_TO_DECIDE.intersection(not_recorded(recorded, seen)):
        return None
    return decide(purchase_of(recorded), facts_of(recorded, seen))


def agrees(recorded: Recorded, decision: Decision) -> bool:
    """The same answer, line by line, with the same reasons, vouchers and largest amount."""
    lines = [[line.approved_rupiah, line.reduction_rupiah, line.action] for line in decision.lines]
    uses = [[use.voucher_id, use.amount_rupiah, use.packages] for use in decision.voucher_uses]
    return (
        decision.approved == recorded.approved
        and decision.refusals == recorded.refusals
        and (decision.approved_rupiah, decision.reduction_rupiah)
        == (recorded.approved_rupiah, recorded.reduction_rupiah)
        and lines == [line[2:5] for line in recorded.journal["lines"]]
        and uses == [[use["voucher_id"], use["amount"], use["packages"]] for use in recorded.answer["vouchers_used"]]
        and decision.largest_rupiah == recorded.answer["largest_approvable_amount"]
    )


def zone_of(recorded: Recorded, seen: Seen | None) -> tzinfo:
    """The programme's zone then; where it is not known, the offset that the answer itself was given in."""
    if seen is not None:
        return seen.programme.zone
    return datetime.fromisoformat(recorded.answer["created_at"]).tzinfo or UTC


def purchase_of(recorded: Recorded) -> Purchase:
    """What was asked. Of the card only its last digits are known; `terminal_time` is not kept, and no rule reads it."""
    asked = recorded.journal["asked"]
    return Purchase(
        card_number=recorded.last_four or "",
        stan=recorded.answer["stan"],
        terminal_time=recorded.created_at,
        amount=recorded.amount_rupiah,
        currency=CURRENCY,
        lines=tuple(
            Line(category=category, amount=amount, product=product, unit=unit, quantity=quantity, unit_price=unit_price)
            for category, amount, _, _, _, product, unit, quantity, unit_price in recorded.journal["lines"]
        ),
        capture=asked["capture"],
        partial_approval=asked["partial_approval"],
    )


def facts_of(recorded: Recorded, seen: Seen) -> Facts:
    """What the rules saw. Where the card's last day is not recorded it is taken for not over."""
    told = recorded.facts
    return Facts(
        now=recorded.created_at,
        today=recorded.created_at.astimezone(seen.programme.zone).date(),
        programme=seen.programme,
        shop=seen.shop,
        terminal=Terminal(
            terminal_id=recorded.terminal_id,
            merchant_id=recorded.merchant_id,
            status=TerminalStatus(told["terminal"]),
        ),
        card=_card(recorded, told),
        family=_family(recorded, told),
        marks=marks_on(seen.marks, recorded.terminal_id, recorded.merchant_id, recorded.card_id),
    )


def listed(recorded: Recorded, seen: Seen, number: int) -> tuple[Product | None, Ceiling | None]:
    """What the programme's list then had for line `number`, and its ceiling in force on that day at that shop."""
    product_name, unit = recorded.journal["lines"][number - 1][5:7]
    product = seen.programme.products.get((product_name, unit))
    if product is None:
        return None, None
    today = recorded.created_at.astimezone(seen.programme.zone).date()
    return product, ceiling_in_force(product, today, seen.shop.district_code if seen.shop is not None else None)


def month_of_family(recorded: Recorded) -> Month | None:
    """The family's month as it was before the decision; None where there was no family."""
    told = recorded.facts
    if told["month"] is None:
        return None
    cap, packages_cap, used, packages_used, covered, covered_packages = told["month"]
    return Month(
        month=recorded.month,
        cap_rupiah=cap,
        packages_cap=packages_cap,
        used_rupiah=used,
        packages_used=packages_used,
        covered_rupiah=covered,
        covered_packages=covered_packages,
        vouchers=tuple(
            Voucher(
                voucher_id=VoucherId(voucher_id),
                rupiah_left=rupiah,
                packages_left=packages,
                expires_at=datetime.fromisoformat(until) if until else _NO_END,
            )
            for voucher_id, rupiah, packages, until in map(_whole, told["vouchers"])
        ),
    )


_NO_END: Final = datetime.max.replace(tzinfo=UTC)


def _whole(voucher: list[Any]) -> list[Any]:
    """(voucher, rupiah left, packages left, its end); older journals have no end."""
    return [*voucher, None][:4]


def _card(recorded: Recorded, told: Document) -> Card | None:
    if told["card"] is None or recorded.card_id is None:
        return None
    until = told.get(CARD_EXPIRES_ON)
    return Card(
        card_id=recorded.card_id,
        status=CardStatus(told["card"]),
        expires_on=date.fromisoformat(until) if until else date.max,
    )


def _family(recorded: Recorded, told: Document) -> Family | None:
    month = month_of_family(recorded)
    if month is None or recorded.beneficiary_id is None:
        return None
    return Family(
        beneficiary_id=recorded.beneficiary_id,
        status=BeneficiaryStatus(told["family"]),
        companion_label=told.get(COMPANION, ""),
        available_rupiah=told["available"],
        month=month,
    )
