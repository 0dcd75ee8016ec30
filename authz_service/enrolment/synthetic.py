"""Shops, companions and families that do not exist, drawn from a seed: the same seed draws the same ones.

No name, NIK, card number or key here can belong to anybody, and each can be seen to be synthetic: names say so, a NIK
has day 00 and month 00, card numbers have the edition's prefix that no bank issues, keys begin with `sandbox_`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from random import Random
from typing import Final

from authz_service.enrolment.edition import Bounds, District, Edition, EditionUnusable, Shop
from authz_service.vocabulary import (
    CHANCE_BYTES,
    BeneficiaryId,
    CardId,
    CompanionId,
    MerchantId,
    OperatorId,
    ProgrammeId,
    TerminalId,
    TransferId,
    new_id,
    with_luhn,
)

CARD_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticShop:
    merchant_id: MerchantId
    terminal_id: TerminalId
    terminal_key: str
    shop: Shop


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticCompanion:
    companion_id: CompanionId
    label: str
    name: str
    access_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticOperator:
    operator_id: OperatorId
    label: str
    access_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticFamily:
    beneficiary_id: BeneficiaryId
    companion_id: CompanionId
    district_code: str
    name: str
    nik: str
    card_id: CardId
    card_number: str
    grant_id: TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRoll:
    """All that an edition's files leave open."""

    fund_id: TransferId
    shops: tuple[SyntheticShop, ...]
    companions: tuple[SyntheticCompanion, ...]
    families: tuple[SyntheticFamily, ...]
    operators: tuple[SyntheticOperator, ...]


def draw(edition: Edition, programme_id: ProgrammeId, *, seed: int, at: datetime) -> SyntheticRoll:
    """The roll of this programme and seed; another programme id draws other ids, cards and keys."""
    lot = _Lot(seed, programme_id, at)
    shops = tuple(_shop(lot, shop) for shop in edition.merchants)
    companions, looked_after_by = _companions(lot, edition)
    return SyntheticRoll(
        fund_id=TransferId(lot.id("trf")),
        shops=shops,
        companions=companions,
        families=_families(lot, edition, looked_after_by),
        operators=(_operator(lot),),
    )


class _Lot:
    """Chance under a seed."""

    def __init__(self, seed: int, programme_id: str, at: datetime) -> None:
        self.mark = f"{seed}:{programme_id}"
        self.programme_id = programme_id
        self.random = Random(self.mark)  # noqa: S311 - repeatable on purpose, and nothing real hangs on it
        self._at = at

    def id(self, prefix: str) -> str:
        return new_id(prefix, self._at, self.random.randbytes(CHANCE_BYTES))

    def key(self, owner_id: str) -> str:
        secret = blake2b(f"{self.mark}:{owner_id}".encode(), digest_size=16).hexdigest()
        return f"sandbox_{self.programme_id}_{secret}"


def _shop(lot: _Lot, shop: Shop) -> SyntheticShop:
    terminal_id = lot.id("trm")
    return SyntheticShop(
        merchant_id=MerchantId(lot.id("mrc")),
        terminal_id=TerminalId(terminal_id),
        terminal_key=lot.key(terminal_id),
        shop=shop,
    )


def _companion(lot: _Lot, number: int) -> SyntheticCompanion:
    companion_id = lot.id("cmp")
    return SyntheticCompanion(
        companion_id=CompanionId(companion_id),
        label=f"P-{number:03d}",
        name=f"PENDAMPING SINTETIS {number:03d}",
        access_key=lot.key(companion_id),
    )


def _operator(lot: _Lot) -> SyntheticOperator:
    operator_id = lot.id("opr")
    return SyntheticOperator(operator_id=OperatorId(operator_id), label="Dinsos", access_key=lot.key(operator_id))


def _companions(lot: _Lot, edition: Edition) -> tuple[tuple[SyntheticCompanion, ...], list[CompanionId]]:
    """The companions, and for each family, kecamatan by kecamatan, whose it is."""
    sizes = group_sizes(edition.kecamatan, edition.terms.families_per_companion)
    companions = tuple(_companion(lot, number) for number in range(1, len(sizes) + 1))
    whose = [each.companion_id for each, size in zip(companions, sizes, strict=True) for _ in range(size)]
    return companions, whose


def group_sizes(districts: Sequence[District], bounds: Bounds) -> list[int]:
    """How many families each companion has; groups stay within a kecamatan if every kecamatan can be split so."""
    by_district = [_split(district.families, bounds) for district in districts]
    if all(sizes is not None for sizes in by_district):
        return [size for sizes in by_district for size in sizes or ()]
    in_all = sum(district.families for district in districts)
    if (sizes := _split(in_all, bounds)) is None:
        raise EditionUnusable(f"{in_all} families cannot be shared out by {bounds.least} to {bounds.most}.")
    return sizes


def _split(families: int, bounds: Bounds) -> list[int] | None:
    """As even as can be, in groups near the middle of the bounds."""
    if families == 0:
        return []
    groups = max(1, round(families * 2 / (bounds.least + bounds.most)))
    size, larger = divmod(families, groups)
    sizes = [size + 1] * larger + [size] * (groups - larger)
    return sizes if bounds.least <= min(sizes) and max(sizes) <= bounds.most else None


def _families(lot: _Lot, edition: Edition, looked_after_by: Sequence[CompanionId]) -> tuple[SyntheticFamily, ...]:
    districts = [district.code for district in edition.kecamatan for _ in range(district.families)]
    cards = _card_numbers(lot, edition.terms.card_prefix, len(districts))
    return tuple(
        SyntheticFamily(
            beneficiary_id=BeneficiaryId(lot.id("ben")),
            companion_id=companion_id,
            district_code=district_code,
            name=f"KELUARGA SINTETIS {number:04d}",
            nik=_nik(district_code, number),
            card_id=CardId(lot.id("crd")),
            card_number=card_number,
            grant_id=TransferId(lot.id("trf")),
        )
        for number, (district_code, companion_id, card_number) in enumerate(
            zip(districts, looked_after_by, cards, strict=True), start=1
        )
    )


def _card_numbers(lot: _Lot, prefix: str, families: int) -> list[str]:
    """All different, sixteen digits with a check digit."""
    free = CARD_DIGITS - 1 - len(prefix)
    if families > 10**free:
        raise EditionUnusable(f"The prefix {prefix} has no {families} card numbers.")
    return [with_luhn(f"{prefix}{number:0{free}d}") for number in lot.random.sample(range(10**free), families)]


def _nik(district_code: str, number: int) -> str:
    """The kecamatan, day 00, month 00 and a number: no civil registry gives that."""
    return f"{district_code.replace('.', '')}0000{number:06d}"
