"""Where each rule turns: instants in UTC, days in WITA, prices in whole rupiah.

WITA is UTC+8: its midnight is 16:00Z of the day before.
"""

from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from authz_service.clock import month_end, month_of
from authz_service.requests import Line
from authz_service.rules.decide import decide, largest_approvable
from authz_service.rules.facts import Ceiling, Family
from authz_service.rules.family import status_at
from authz_service.rules.goods import ceiling_of, ceiling_on
from authz_service.rules.money import room_of
from authz_service.vocabulary import AboveCeiling, BeneficiaryStatus, CardStatus, DetailsRequired, TerminalStatus
from tests.builders import (
    WITA,
    a_card,
    a_ceiling,
    a_family,
    a_line,
    a_month,
    a_priced_line,
    a_product,
    a_programme,
    a_purchase,
    a_shop,
    a_terminal,
    facts,
    instant,
    listed,
    reasons,
)

APPROVED: list[str] = []
GTIN_OF_EGGS = "8991002101234"


def told(*lines: Line, **changes: Any) -> list[str]:
    """The reasons that a purchase gets under these facts; none is an approval."""
    decision = decide(a_purchase(*lines), facts(**changes))
    assert decision.approved is not bool(decision.refusals)
    return reasons(decision)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2024-09-30T15:59:59.999999Z", ["programme_not_started"]),
        ("2024-09-30T16:00:00Z", APPROVED),
        ("2024-10-01T00:00:00+07:00", APPROVED),
        ("2024-12-31T15:59:59Z", APPROVED),
        ("2024-12-31T15:59:59.999999Z", APPROVED),
        ("2024-12-31T16:00:00Z", ["programme_ended"]),
        ("2024-12-31T23:59:59Z", ["programme_ended"]),
        ("2025-01-01T00:00:00+08:00", ["programme_ended"]),
    ],
)
def test_the_programme_runs_from_its_first_midnight_to_its_last(now: str, reason: list[str]) -> None:
    assert told(now=now) == reason


@pytest.mark.parametrize(
    ("now", "largest"),
    [
        ("2024-09-30T15:59:59.999999Z", 0),
        ("2024-09-30T16:00:00Z", 300_000),
        ("2024-12-31T15:59:59.999999Z", 300_000),
        ("2024-12-31T16:00:00Z", 0),
    ],
)
def test_a_balance_says_that_nothing_can_be_bought_outside_the_programme(now: str, largest: int) -> None:
    assert largest_approvable(facts(now=now), room_of(a_family(), a_programme())) == largest


def test_the_last_day_of_the_programme_is_the_last_of_the_year_in_wita() -> None:
    programme = a_programme()
    assert programme.starts_at == instant("2024-09-30T16:00:00Z")
    assert programme.ends_at == instant("2024-12-31T16:00:00Z")


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2024-10-31T15:59:59.999999Z", date(2024, 10, 1)),
        ("2024-10-31T16:00:00Z", date(2024, 11, 1)),
        ("2024-11-30T23:59:59+08:00", date(2024, 11, 1)),
        ("2024-12-01T00:00:00+08:00", date(2024, 12, 1)),
        ("2024-12-31T15:59:59.999999Z", date(2024, 12, 1)),
        ("2024-12-31T16:00:00Z", date(2025, 1, 1)),
        ("2024-02-28T16:00:00Z", date(2024, 2, 1)),
        ("2024-02-29T15:59:59.999999Z", date(2024, 2, 1)),
        ("2024-02-29T16:00:00Z", date(2024, 3, 1)),
        ("2023-02-28T16:00:00Z", date(2023, 3, 1)),
    ],
)
def test_a_purchase_is_charged_to_the_month_in_wita(now: str, month: date) -> None:
    assert month_of(instant(now), WITA) == month


@pytest.mark.parametrize(
    ("month", "end"),
    [
        (date(2024, 2, 1), "2024-02-29T16:00:00Z"),
        (date(2025, 2, 1), "2025-02-28T16:00:00Z"),
        (date(2024, 11, 1), "2024-11-30T16:00:00Z"),
        (date(2024, 12, 1), "2024-12-31T16:00:00Z"),
    ],
)
def test_a_month_ends_with_the_first_instant_of_the_next(month: date, end: str) -> None:
    assert month_end(month, WITA) == instant(end)
    assert month_of(month_end(month, WITA), WITA) > month


@pytest.mark.parametrize(
    ("local", "opens", "closes", "is_open"),
    [
        ("06:59:59.999999", "07:00", "21:00", False),
        ("07:00:00", "07:00", "21:00", True),
        ("20:59:59.999999", "07:00", "21:00", True),
        ("21:00:00", "07:00", "21:00", False),
        ("00:00:00", "07:00", "21:00", False),
        # Past midnight.
        ("17:59:59.999999", "18:00", "02:00", False),
        ("18:00:00", "18:00", "02:00", True),
        ("23:59:59.999999", "18:00", "02:00", True),
        ("00:00:00", "18:00", "02:00", True),
        ("01:59:59.999999", "18:00", "02:00", True),
        ("02:00:00", "18:00", "02:00", False),
        # Until midnight, and from it.
        ("23:59:59.999999", "07:00", "00:00", True),
        ("00:00:00", "07:00", "00:00", False),
        ("00:00:00", "00:00", "06:00", True),
        ("06:00:00", "00:00", "06:00", False),
        # Day and night.
        ("06:59:59.999999", "07:00", "07:00", True),
        ("07:00:00", "07:00", "07:00", True),
    ],
)
def test_a_shop_sells_from_opening_to_before_closing(local: str, opens: str, closes: str, is_open: bool) -> None:
    shop = a_shop(opens_at=time.fromisoformat(opens), closes_at=time.fromisoformat(closes))
    reason = APPROVED if is_open else ["terminal_not_permitted"]
    assert told(now=f"2024-11-05T{local}+08:00", shop=shop) == reason


@pytest.mark.parametrize(
    ("zone", "opening", "closing"),
    [
        ("Asia/Makassar", "2024-11-05T22:00:00Z", "2024-11-05T12:00:00Z"),
        ("Asia/Jayapura", "2024-11-05T21:00:00Z", "2024-11-05T11:00:00Z"),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(zone: str, opening: str, closing: str) -> None:
    """The programme's, wherever the server stands: six in the morning is 22:00Z in Samarinda, 21:00Z in Jayapura."""
    shop, programme = a_shop(opens_at=time(6), closes_at=time(20)), a_programme(zone=ZoneInfo(zone))
    assert told(now=opening, shop=shop, programme=programme) == APPROVED
    assert told(now=closing, shop=shop, programme=programme) == ["terminal_not_permitted"]


@pytest.mark.parametrize("now", ["2024-11-05T16:00:00Z", "2024-11-05T19:00:00Z"])
@pytest.mark.parametrize(("opens", "closes"), [(None, None), (time(7), None), (None, time(21))])
def test_a_shop_without_whole_hours_is_open_at_night(now: str, opens: time | None, closes: time | None) -> None:
    assert told(now=now, shop=a_shop(opens_at=opens, closes_at=closes)) == APPROVED


@pytest.mark.parametrize("status", TerminalStatus)
def test_only_an_active_terminal_may_sell(status: TerminalStatus) -> None:
    expected = APPROVED if status is TerminalStatus.ACTIVE else ["terminal_not_permitted"]
    assert told(terminal=a_terminal(status=status)) == expected


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2024-10-09T15:59:59.999999Z", ["merchant_unknown"]),
        ("2024-10-09T16:00:00Z", APPROVED),
        ("2024-11-20T15:59:59.999999Z", APPROVED),
        ("2024-11-20T16:00:00Z", ["merchant_unknown"]),
    ],
)
def test_a_shops_first_and_last_day_count(now: str, reason: list[str]) -> None:
    shop = a_shop(admitted_on=date(2024, 10, 10), leaves_on=date(2024, 11, 20))
    assert told(now=now, shop=shop) == reason


def test_a_shop_may_be_in_the_programme_for_one_day() -> None:
    shop = a_shop(admitted_on=date(2024, 11, 5), leaves_on=date(2024, 11, 5))
    assert told(now="2024-11-05T12:00:00+08:00", shop=shop) == APPROVED


def test_a_terminal_without_a_shop_is_of_an_unknown_shop() -> None:
    assert told(shop=None) == ["merchant_unknown"]


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2024-11-30T15:59:59.999999Z", APPROVED),
        ("2024-11-30T16:00:00Z", ["card_expired"]),
    ],
)
def test_a_cards_last_day_counts(now: str, reason: list[str]) -> None:
    assert told(now=now, card=a_card(expires_on=date(2024, 11, 30))) == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (CardStatus.NOT_ACTIVATED, ["card_not_activated"]),
        (CardStatus.ACTIVE, APPROVED),
        (CardStatus.BLOCKED, ["card_blocked"]),
        (CardStatus.LOST, ["card_lost"]),
        (CardStatus.STOLEN, ["card_stolen"]),
        (CardStatus.REPLACED, ["card_blocked"]),
    ],
)
def test_only_an_active_card_buys(status: CardStatus, reason: list[str]) -> None:
    assert told(card=a_card(status=status)) == reason


@pytest.mark.parametrize(
    ("unit_price", "reason"), [(15_399, APPROVED), (15_400, APPROVED), (15_401, ["price_above_ceiling:1"])]
)
def test_the_ceiling_itself_may_be_asked(unit_price: int, reason: list[str]) -> None:
    assert told(a_priced_line("beras premium", "5", unit_price)) == reason


@pytest.mark.parametrize(
    ("today", "ceiling_rupiah"),
    [
        (date(2023, 12, 31), None),
        (date(2024, 1, 1), 14_000),
        (date(2024, 8, 13), 14_000),
        (date(2024, 8, 14), 15_700),
        (date(2024, 12, 31), 15_700),
    ],
)
def test_minyakitas_ceiling_changed_on_14_august_2024(today: date, ceiling_rupiah: int | None) -> None:
    minyakita = a_programme().products["Minyakita", "liter"]
    assert ceiling_on(minyakita, today, "64.72.05") == ceiling_rupiah


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2024-08-13T15:59:59.999999Z", ["price_above_ceiling:1"]),
        ("2024-08-13T16:00:00Z", APPROVED),
    ],
)
def test_a_ceiling_changes_at_midnight_in_wita(now: str, reason: list[str]) -> None:
    running = a_programme(starts_at=instant("2024-01-01T00:00:00Z"))
    lived_in = facts(now=now, programme=running, shop=a_shop(admitted_on=date(2024, 1, 1)))
    assert reasons(decide(a_purchase(a_priced_line("Minyakita", "2", 15_700)), lived_in)) == reason


OF_THE_DISTRICT = a_ceiling(31_000, district_code="64.72.05")
FOR_ALL = a_ceiling(30_000)


@pytest.mark.parametrize("ceilings", [(OF_THE_DISTRICT, FOR_ALL), (FOR_ALL, OF_THE_DISTRICT)])
@pytest.mark.parametrize(("district_code", "expected"), [("64.72.05", 31_000), ("64.72.01", 30_000), (None, 30_000)])
def test_a_kecamatans_own_ceiling_goes_before_the_one_for_all(
    ceilings: tuple[Ceiling, ...], district_code: str | None, expected: int
) -> None:
    assert ceiling_on(a_product(*ceilings), date(2024, 11, 5), district_code) == expected


def test_the_ceiling_is_that_of_the_shops_kecamatan() -> None:
    programme = a_programme(products=listed(a_product(OF_THE_DISTRICT, FOR_ALL)))
    eggs = a_priced_line("telur ayam ras", "1", 31_000)
    assert told(eggs, programme=programme, shop=a_shop(district_code="64.72.05")) == APPROVED
    assert told(eggs, programme=programme, shop=a_shop(district_code="64.72.01")) == ["price_above_ceiling:1"]


def test_without_a_shop_the_ceiling_for_all_is_in_force() -> None:
    programme = a_programme(products=listed(a_product(OF_THE_DISTRICT, FOR_ALL)))
    assert ceiling_of(a_priced_line("telur ayam ras"), facts(programme=programme, shop=None)) == 30_000


def test_elsewhere_a_kecamatans_ceiling_binds_nobody() -> None:
    assert ceiling_on(a_product(OF_THE_DISTRICT), date(2024, 11, 5), "64.72.01") is None


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2024, 10, 31), None),
        (date(2024, 11, 1), 29_000),
        (date(2024, 11, 30), 29_000),
        (date(2024, 12, 1), None),
    ],
)
def test_a_ceilings_first_and_last_day_count(today: date, expected: int | None) -> None:
    in_november = a_ceiling(29_000, valid_from=date(2024, 11, 1), valid_to=date(2024, 11, 30))
    assert ceiling_on(a_product(in_november), today, None) == expected


def test_a_kecamatans_ceiling_that_has_ended_leaves_the_one_for_all() -> None:
    ended = a_ceiling(31_000, district_code="64.72.05", valid_to=date(2024, 11, 4))
    assert ceiling_on(a_product(ended, FOR_ALL), date(2024, 11, 5), "64.72.05") == 30_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (a_priced_line("telur ayam ras", "2", 30_000), APPROVED),
        (a_priced_line("telur ayam ras", "10", 2_000, unit="butir"), ["product_not_permitted:1"]),
        (a_priced_line("telur ayam ras", "2", 30_000, unit="Kg"), ["product_not_permitted:1"]),
        (a_priced_line("telur bebek", "2", 30_000, category="telur"), ["product_not_permitted:1"]),
        (a_priced_line("telur ayam ras", "2", 30_000, category="susu"), ["product_not_permitted:1"]),
        (a_priced_line("sarden 425 g", "1", 299_999), APPROVED),
        (a_line("rokok", 35_000), ["category_not_permitted:1"]),
        (a_line("Beras", 35_000), ["category_not_permitted:1"]),
    ],
)
def test_goods_are_bought_by_the_programmes_list(line: Line, reason: list[str]) -> None:
    assert told(line) == reason


@pytest.mark.parametrize("category", sorted(a_programme().cash_categories))
def test_money_is_never_bought(category: str) -> None:
    assert told(a_line(category, 10_000)) == ["cash_not_permitted:1"]


@pytest.mark.parametrize(
    "written",
    ["Tarik Tunai", "TARIK_TUNAI", "tarik-tunai", " tarik  tunai ", "tarik__tunai", "Tarik - Tunai", "_tunai"],
)
def test_money_is_not_bought_under_another_spelling(written: str) -> None:
    assert told(a_line(written, 10_000)) == ["cash_not_permitted:1"]


FULL_WIDTH = {each: each + 0xFEE0 for each in range(ord("!"), ord("~") + 1)}
"""What is a letter wide in the alphabets of East Asia: it reads the same, and is another character."""


@pytest.mark.parametrize("written", ["tunai", "Tunai", "TARIK_TUNAI", "tarik-tunai"])
def test_money_is_not_bought_in_full_width_letters(written: str) -> None:
    assert told(a_line(written.translate(FULL_WIDTH), 10_000)) == ["cash_not_permitted:1"]


@pytest.mark.parametrize(
    ("required", "category", "reason"),
    [
        (DetailsRequired.NEVER, "beras", APPROVED),
        (DetailsRequired.NEVER, "ikan_kaleng", APPROVED),
        (DetailsRequired.WHERE_CEILING, "beras", ["product_not_permitted:1"]),
        (DetailsRequired.WHERE_CEILING, "ikan_kaleng", APPROVED),
        (DetailsRequired.ALWAYS, "beras", ["product_not_permitted:1"]),
        (DetailsRequired.ALWAYS, "ikan_kaleng", ["product_not_permitted:1"]),
    ],
)
def test_missing_details_are_refused_where_they_are_required(
    required: DetailsRequired, category: str, reason: list[str]
) -> None:
    assert told(a_line(category), programme=a_programme(details_required=required)) == reason


@pytest.mark.parametrize("category", ["beras", "telur", "ayam", "minyak_goreng", "gula"])
def test_in_samarinda_a_ceiling_cannot_be_passed_by_leaving_the_price_out(category: str) -> None:
    assert told(a_line(category)) == ["product_not_permitted:1"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (a_priced_line(GTIN_OF_EGGS, "2", 30_000), APPROVED),
        (a_priced_line("telur ayam ras", "2", 30_000), APPROVED),
        (a_priced_line(GTIN_OF_EGGS, "2", 30_001), ["price_above_ceiling:1"]),
        (a_priced_line(GTIN_OF_EGGS, "2", 30_000, unit="butir"), ["product_not_permitted:1"]),
        (a_priced_line(GTIN_OF_EGGS, "2", 30_000, category="beras"), ["product_not_permitted:1"]),
        (a_priced_line("8991002101235", "2", 30_000), ["product_not_permitted:1"]),
    ],
)
def test_a_product_may_be_named_by_its_gtin(line: Line, reason: list[str]) -> None:
    eggs = a_product(FOR_ALL, gtin=GTIN_OF_EGGS)
    assert told(line, programme=a_programme(products=listed(eggs))) == reason


def test_where_the_programme_reduces_a_high_price_is_no_reason() -> None:
    reducing = a_programme(above_ceiling=AboveCeiling.REDUCE)
    assert told(a_priced_line("beras premium", "5", 19_000), programme=reducing) == APPROVED


@pytest.mark.parametrize(
    ("amount", "family", "reason"),
    [
        (300_000, a_family(), APPROVED),
        (300_001, a_family(), ["package_cap_exceeded"]),
        (100_000, a_family(available_rupiah=100_000), APPROVED),
        (100_001, a_family(available_rupiah=100_000), ["entitlement_exceeded"]),
        (1, a_family(available_rupiah=0), ["entitlement_exceeded"]),
        (1, a_family(available_rupiah=-5), ["entitlement_exceeded"]),
        (1, a_family(month=a_month(packages_used=1)), APPROVED),
        (1, a_family(month=a_month(packages_used=2)), ["packages_used_up"]),
        (100_000, a_family(month=a_month(used_rupiah=500_000)), APPROVED),
        (100_001, a_family(month=a_month(used_rupiah=500_000)), ["monthly_cap_exceeded"]),
    ],
)
def test_money_checks_turn_at_the_rupiah(amount: int, family: Family, reason: list[str]) -> None:
    assert told(a_line(amount=amount), family=family) == reason


def test_a_naive_instant_never_becomes_a_decision() -> None:
    naive = datetime(2024, 11, 5, 10)  # noqa: DTZ001 - that is the point
    with pytest.raises(TypeError):
        told(now=naive)


@pytest.mark.parametrize(
    ("waits", "now", "status"),
    [
        (None, "2024-11-05T16:00:00Z", BeneficiaryStatus.ACTIVE),
        (BeneficiaryStatus.REMOVED, "2024-11-05T15:59:59.999999Z", BeneficiaryStatus.ACTIVE),
        (BeneficiaryStatus.REMOVED, "2024-11-05T16:00:00Z", BeneficiaryStatus.REMOVED),
        (BeneficiaryStatus.SUSPENDED, "2024-11-06T16:00:00Z", BeneficiaryStatus.SUSPENDED),
    ],
)
def test_a_dated_change_of_a_family_holds_from_its_very_instant(
    waits: BeneficiaryStatus | None, now: str, status: BeneficiaryStatus
) -> None:
    due = instant("2024-11-05T16:00:00Z") if waits else None
    assert status_at(instant(now), BeneficiaryStatus.ACTIVE, waits, due) is status
