"""The rows with which a programme begins, table by table. Pure but for the nonces under which names are sealed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Final

from msgspec.structs import asdict as columns_of

from authz_service.clock import month_end
from authz_service.enrolment.edition import Ceiling, Edition, Terms
from authz_service.enrolment.synthetic import SyntheticCompanion, SyntheticFamily, SyntheticRoll, SyntheticShop
from authz_service.keys import KEY_ID, Keys
from authz_service.ledger.accounts import PROGRAMME_ACCOUNTS
from authz_service.ledger.postings import Balance, Transfer, effect_on_wallet, funded, granted
from authz_service.names import name_digests
from authz_service.vocabulary import (
    BeneficiaryStatus,
    CardStatus,
    CompanionId,
    MerchantStatus,
    OperatorId,
    ProgrammeId,
    TerminalStatus,
    TransferKind,
)

Row = Mapping[str, object]
"""Column → value, without the programme's id."""
_SYNTHETIC_BANK: Final = "124"
_HOLDER_LIMIT: Final = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One enrolment before it is written."""

    programme_id: ProgrammeId
    edition: Edition
    roll: SyntheticRoll
    keys: Keys
    at: datetime
    always_open: bool
    is_funded: bool = True

    @property
    def terms(self) -> Terms:
        return self.edition.terms


def first_rows(plan: Plan) -> dict[str, list[Row]]:
    """Rows by table. Parents first; wallets after what raises their version, so that they begin at 1."""
    edition, roll = plan.edition, plan.roll
    transfers = _transfers(plan)
    return {
        "programme": [_programme(plan)],
        "district": [{"district_code": each.code, "name": each.name} for each in edition.kecamatan],
        "merchant": [_merchant(plan, shop) for shop in roll.shops],
        "payout_account": [_payout_account(plan, shop, number) for number, shop in enumerate(roll.shops, start=1)],
        "terminal": [_terminal(plan, shop) for shop in roll.shops],
        "category": [{**asdict(each), "position": position} for position, each in enumerate(edition.categories)],
        "product": [asdict(product) for product in edition.products],
        "price_ceiling": [_ceiling(ceiling) for ceiling in edition.price_ceilings if ceiling.price_ceiling_rupiah],
        "companion": [_companion(plan, companion) for companion in roll.companions],
        "operator": [{"operator_id": each.operator_id, "label": each.label} for each in roll.operators],
        "access_key": _access_keys(plan),
        "beneficiary": [_beneficiary(plan, family) for family in roll.families],
        "card": [_card(plan, family) for family in roll.families],
        "account": _accounts(plan),
        "wallet": [_wallet(transfer) for transfer in transfers if transfer.kind is TransferKind.GRANT]
        or [_empty_wallet(family) for family in roll.families],
        "transfer": [columns_of(transfer) for transfer in transfers],
    }


def _programme(plan: Plan) -> Row:
    terms = plan.terms
    return {
        "name": terms.name,
        "operator_name": terms.operator_name,
        "zone": terms.zone.key,
        "starts_at": datetime.combine(terms.starts_on, time(), tzinfo=terms.zone),
        # The last day itself still counts.
        "ends_at": datetime.combine(terms.ends_on + timedelta(days=1), time(), tzinfo=terms.zone),
        "entitlement_rupiah": terms.entitlement_rupiah,
        "package_rupiah": terms.package_rupiah,
        "month_cap_rupiah": terms.month_cap_rupiah,
        "month_packages": terms.month_packages,
        "package_counting": terms.package_counting,
        "above_ceiling": terms.above_ceiling,
        "details_required": terms.details_required,
        "hold_seconds": terms.hold_seconds,
        "cash_categories": list(terms.cash_categories),
        "voucher_limit_rupiah": terms.voucher_limit_rupiah,
        "voucher_limit_packages": terms.voucher_limit_packages,
        "voucher_month_limit_rupiah": terms.voucher_month_limit_rupiah,
        "voucher_month_limit_packages": terms.voucher_month_limit_packages,
        "voucher_approval_above_rupiah": terms.voucher_approval_above_rupiah,
        "voucher_approval_above_packages": terms.voucher_approval_above_packages,
        "settlement_cut_off": terms.settlement.cut_off if terms.settlement else None,
        "settlement_days": sorted(terms.settlement.days) if terms.settlement else None,
        "dispute_claim_days": terms.disputes.claim_days if terms.disputes else None,
        "dispute_answer_days": terms.disputes.answer_working_days if terms.disputes else None,
        "holidays": sorted(terms.holidays),
        "payout_limit_rupiah": terms.settlement.payout_limit_rupiah if terms.settlement else None,
    }


def _merchant(plan: Plan, shop: SyntheticShop) -> Row:
    return {
        "merchant_id": shop.merchant_id,
        "district_code": shop.shop.kecamatan,
        "name": shop.shop.name,
        "status": MerchantStatus.ACTIVE,
        "admitted_on": plan.terms.starts_on - timedelta(days=plan.terms.shops_admitted_days_before),
        "opens_at": None if plan.always_open else shop.shop.opens_at,
        "closes_at": None if plan.always_open else shop.shop.closes_at,
    }


def _payout_account(plan: Plan, shop: SyntheticShop, number: int) -> Row:
    """Nobody's, as one can see: no bank's account number has so many noughts, and `contoh` is a sample."""
    return {
        "account_ref": f"acc_{shop.merchant_id.partition('_')[2]}",
        "merchant_id": shop.merchant_id,
        "bank_code": _SYNTHETIC_BANK,
        "account_number": f"{number:012d}",
        "holder": f"CONTOH {shop.shop.name}"[:_HOLDER_LIMIT],
        "requested_at": plan.at,
        "requested_by": "sandbox",
        "approved_at": plan.at,
        "approved_by": "sandbox, second pair of eyes",
    }


def _terminal(plan: Plan, shop: SyntheticShop) -> Row:
    return {
        "terminal_id": shop.terminal_id,
        "merchant_id": shop.merchant_id,
        "status": TerminalStatus.ACTIVE,
        "key_digest": plan.keys.terminal_key_digest(shop.terminal_key),
        "key_id": KEY_ID,
    }


def _ceiling(ceiling: Ceiling) -> Row:
    return {
        "product": ceiling.product,
        "unit": ceiling.unit,
        "district_code": ceiling.kecamatan or "",
        "valid_from": ceiling.valid_from,
        "valid_to": ceiling.valid_to,
        "price_rupiah": ceiling.price_ceiling_rupiah,
        "source": ceiling.source,
    }


def _companion(plan: Plan, companion: SyntheticCompanion) -> Row:
    place = f"companion.name_sealed:{companion.companion_id}"
    return {
        "companion_id": companion.companion_id,
        "label": companion.label,
        "name_sealed": plan.keys.seal_field(companion.name, place),
    }


def _access_keys(plan: Plan) -> list[Row]:
    roll = plan.roll
    return [
        *(_access_key(plan, each.access_key, each.companion_id, None) for each in roll.companions),
        *(_access_key(plan, each.access_key, None, each.operator_id) for each in roll.operators),
    ]


def _access_key(plan: Plan, key: str, companion_id: CompanionId | None, operator_id: OperatorId | None) -> Row:
    return {
        "key_digest": plan.keys.access_key_digest(key),
        "key_id": KEY_ID,
        "companion_id": companion_id,
        "operator_id": operator_id,
        "created_at": plan.at,
    }


def _beneficiary(plan: Plan, family: SyntheticFamily) -> Row:
    keys, row_id = plan.keys, family.beneficiary_id
    return {
        "beneficiary_id": row_id,
        "companion_id": family.companion_id,
        "district_code": family.district_code,
        "status": BeneficiaryStatus.ACTIVE,
        "entered_on": plan.at.astimezone(plan.terms.zone).date(),
        "name_sealed": keys.seal_field(family.name, f"beneficiary.name_sealed:{row_id}"),
        "nik_sealed": keys.seal_field(family.nik, f"beneficiary.nik_sealed:{row_id}"),
        "nik_digest": keys.nik_digest(family.nik),
        "name_words": name_digests(keys, plan.programme_id, family.name),
    }


def _card(plan: Plan, family: SyntheticFamily) -> Row:
    terms = plan.terms
    last_month = terms.starts_on.replace(year=terms.starts_on.year + terms.card_valid_years, day=1)
    return {
        "card_id": family.card_id,
        "beneficiary_id": family.beneficiary_id,
        "card_digest": plan.keys.card_digest(family.card_number),
        "key_id": KEY_ID,
        "last_four": family.card_number[-4:],
        "status": CardStatus.ACTIVE,
        "expires_on": month_end(last_month, terms.zone).date() - timedelta(days=1),
    }


def _accounts(plan: Plan) -> list[Row]:
    return [
        *({"account_id": name, "kind": name} for name in PROGRAMME_ACCOUNTS),
        *({"account_id": shop.merchant_id, "kind": "merchant"} for shop in plan.roll.shops),
        *({"account_id": family.beneficiary_id, "kind": "beneficiary"} for family in plan.roll.families),
    ]


def _transfers(plan: Plan) -> list[Transfer]:
    """The sponsor's money, then every family's entitlement out of it; nothing where that money has still to come."""
    terms, roll = plan.terms, plan.roll
    if not plan.is_funded:
        return []
    return [
        funded(roll.fund_id, terms.funding_rupiah, plan.at),
        *(granted(each.grant_id, each.beneficiary_id, terms.entitlement_rupiah, plan.at) for each in roll.families),
    ]


def _wallet(grant: Transfer) -> Row:
    return {"beneficiary_id": grant.credit_account_id, "version": 1, **columns_of(effect_on_wallet(grant))}


def _empty_wallet(family: SyntheticFamily) -> Row:
    return {"beneficiary_id": family.beneficiary_id, "version": 1, **columns_of(Balance())}
