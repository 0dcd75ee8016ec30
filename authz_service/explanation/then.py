"""The facts and the settings that the rules saw then, as an operator reads them."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from authz_service.answers import Document
from authz_service.explanation.recorded import CARD_EXPIRES_ON, COMPANION, Recorded, Seen, month_of_family
from authz_service.rules.facts import Month, Programme, Shop


def facts_then(recorded: Recorded) -> Document:
    """Of the shop, the terminal, the card and the family; null where there was none."""
    told, month = recorded.facts, month_of_family(recorded)
    return {
        **{name: told[name] for name in ("shop", "terminal", "card", "family", "available")},
        **{name: told[name] for name in (CARD_EXPIRES_ON, COMPANION) if name in told},
        "month": month and _month(month),
        "vouchers": [_voucher(*each) for each in told["vouchers"] or []],
    }


def settings_then(seen: Seen) -> Document:
    """The programme's terms and the shop; null where there is no limit, no end or no hours."""
    programme, shop = seen.programme, seen.shop
    return {"programme": _programme(programme), "shop": shop and _shop(shop)}


def _month(month: Month) -> Document:
    """The caps are those that the family's month began with."""
    return {
        "month": f"{month.month:%Y-%m}",
        "cap": month.cap_rupiah,
        "used": month.used_rupiah,
        "covered_by_vouchers": month.covered_rupiah,
        "packages_cap": month.packages_cap,
        "packages_used": month.packages_used,
        "packages_covered_by_vouchers": month.covered_packages,
    }


def _voucher(voucher_id: str, rupiah: int, packages: int, expires_at: str | None = None) -> Document:
    document = {"voucher_id": voucher_id, "amount_left": rupiah, "packages_left": packages}
    return document if expires_at is None else document | {"expires_at": expires_at}


def _programme(programme: Programme) -> Document:
    return {
        "name": programme.name,
        "operator_name": programme.operator_name,
        "zone": programme.zone.key,
        "starts_at": _instant(programme.starts_at, programme.zone),
        "ends_at": _instant(programme.ends_at, programme.zone),
        "entitlement": programme.entitlement_rupiah,
        "package": programme.package_rupiah,
        "month_cap": programme.month_cap_rupiah,
        "month_packages": programme.month_packages,
        "month_caps": [
            {"valid_from": each.valid_from.isoformat(), "cap": each.cap_rupiah, "packages_cap": each.packages_cap}
            for each in programme.month_caps
        ],
        "package_counting": programme.package_counting,
        "above_ceiling": programme.above_ceiling,
        "details_required": programme.details_required,
        "hold_seconds": programme.hold_seconds,
        "cash_categories": sorted(programme.cash_categories),
        "categories": [{"category": category, "name": name} for category, name in programme.categories.items()],
    }


def _shop(shop: Shop) -> Document:
    return {
        "name": shop.name,
        "district_code": shop.district_code,
        "status": shop.status,
        "admitted_on": shop.admitted_on.isoformat(),
        "leaves_on": _day_or_hour(shop.leaves_on),
        "opens_at": _day_or_hour(shop.opens_at),
        "closes_at": _day_or_hour(shop.closes_at),
    }


def _instant(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat()


def _day_or_hour(value: date | time | None) -> str | None:
    return None if value is None else value.isoformat()
