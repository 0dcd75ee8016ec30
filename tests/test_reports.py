"""The figures of a small world, computed by hand, and that reports of any world add up to its books."""

import asyncio
import csv
import os
import shlex
import stat
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from authz_service.audit import entries
from authz_service.declines import DeclineReason
from authz_service.keys import Keys
from authz_service.orders import OrderRefused
from authz_service.registry import Reference, read_reference
from authz_service.reports.csv_file import csv_file
from authz_service.reports.expiring import Of, Unused, UnusedRow, what_expires
from authz_service.reports.families import IdleFamily, idle_families
from authz_service.reports.names import keep_names_asked
from authz_service.reports.period import Period
from authz_service.reports.printed import printed
from authz_service.reports.reach import months_left, within_reach
from authz_service.reports.sales import Figures, Group, Row, SalesReport, hourly, sales_report
from authz_service.reports.sales_paper import sales_paper, sales_rows
from authz_service.reports.snapshot import ReportRefused, one_instant
from authz_service.reports.statements import (
    CATEGORIES,
    DECISIONS,
    DECLINED_CATEGORIES,
    DECLINED_SPANS,
    SALES,
    SPANS,
)
from authz_service.reports.words import Words
from authz_service.rules.facts import MonthCap
from authz_service.rules.phrases import Language
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.settlement.papers import PaperNotWritten
from authz_service.vocabulary import ProgrammeId
from tests.builders import a_family, a_month, a_programme, a_voucher
from tests.operators import Operator
from tests.world import PROGRAMME, WITA, World

SAMARINDA: Final = ProgrammeId(PROGRAMME)
MONDAY: Final = date(2024, 10, 7)
OCTOBER: Final = date(2024, 10, 1)
MONTHS: Final = (OCTOBER, date(2024, 11, 1), date(2024, 12, 1))


def at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=WITA)


def a_line(category: str, amount: int, **details: Any) -> dict[str, Any]:
    return {"category": category, "amount": amount, **details}


def of_rice(kilos: int, unit_price: int) -> dict[str, Any]:
    details = {"product": "beras premium", "unit": "kg", "quantity": str(kilos), "unit_price": unit_price}
    return a_line("beras", kilos * unit_price, **details)


async def reference_of(world: World) -> Reference:
    return await read_reference(world.database, SAMARINDA)


async def report_of(world: World, period: Period) -> SalesReport:
    async with one_instant(world.database, world.settings):
        return await sales_report(world.database, await reference_of(world), period, world.now)


async def idle_of(world: World, month: date, **how: Any) -> list[IdleFamily]:
    async with one_instant(world.database, world.settings):
        found = idle_families(world.database, await reference_of(world), month, world.now, **how)
        return [family async for family in found]


async def expiring_of(world: World, **how: Any) -> list[UnusedRow]:
    async with one_instant(world.database, world.settings):
        return [row async for row in what_expires(world.database, await reference_of(world), world.now, **how)]


def by_key(report: SalesReport, group: Group) -> dict[str, Figures]:
    """Only rows in which something happened."""
    return {row.key: row.figures for row in report.of(group) if row.figures != Figures()}


@pytest.fixture
async def two_days(world: World) -> World:
    """Everything that changes a figure, on Monday and Tuesday; the sums are in the tests below.

    Till 1 and till 2 are of two shops in Palaran. Family 0 buys three lines of Rp150.000; family 1 a cut purchase;
    family 2 at a reduced price, captured in parts on both days; family 3 one that is undone; family 4 is refunded on
    Tuesday; family 5 holds until it expires.
    """
    cards = [card.card_number for card in world.tills.cards]
    world.at(at(MONDAY, 9))
    assert (await world.authorise(capture=True))["approved_amount"] == 150_000
    world.at(at(MONDAY, 10, 30))
    cut = [a_line("ikan_kaleng", 60_000), a_line("rokok", 25_000), a_line("gula", 15_001)]
    await world.change(details_required="never", above_ceiling="reduce")
    cut_one = await world.authorise(card_number=cards[1], lines=cut, capture=True, partial_approval=True)
    assert (cut_one["approved_amount"], cut_one["tender_due"]) == (75_001, 25_000)
    # Ten kilos at Rp16.000 count at the ceiling of Rp15.400; then Rp40.000 of sugar: Rp194.000 of Rp200.000.
    world.at(at(MONDAY, 23, 59, 50))
    dear = [of_rice(10, 16_000), a_line("gula", 40_000)]
    await world.change(details_required="never")
    await world.database.execute("UPDATE merchant SET opens_at = NULL, closes_at = NULL")
    reduced = await world.authorise(card_number=cards[2], lines=dear, till=world.other_till)
    assert (reduced["approved_amount"], reduced["price_reduction"]) == (194_000, 6_000)
    await world.capture(reduced["id"], amount=100_000, final=False, till=world.other_till)
    await world.authorise(card_number=cards[3], amount=50_000, capture=True, key="undone")
    undone = await world.reverse(idempotency_key="undone")
    assert undone["undone"] is True
    sold = await world.authorise(card_number=cards[4], amount=30_000, capture=True)
    await world.authorise(card_number=cards[5], amount=20_000)
    assert (await world.authorise(card_number=cards[5], amount=400_000))["reason"] == "package_cap_exceeded"
    tyres = await world.authorise(card_number=cards[5], lines=[a_line("ban", 90_000), a_line("gula", 1_000)])
    assert tyres["reason"] == "category_not_permitted"
    assert world.now < at(MONDAY + timedelta(days=1), 0), "this machine is too slow for the last seconds of a day"
    world.at(at(MONDAY + timedelta(days=1), 0))
    await world.capture(reduced["id"], till=world.other_till)
    await world.refund(sold["id"], 12_000)
    await world.books_balance()
    return world


async def test_a_day_has_what_was_captured_given_back_and_declined_within_it(two_days: World) -> None:
    report = await report_of(two_days, Period.day(MONDAY, WITA))
    till, other = two_days.till, two_days.other_till
    # Captured: 150.000 + 75.001 + 50.000 (undone) + 30.000 at the one shop, 100.000 at the other.
    here = Figures(
        captured_rupiah=305_001,
        reversed_rupiah=50_000,
        kept_rupiah=255_001,
        purchases=3,
        families=3,
        declines={"category_not_permitted": 1, "package_cap_exceeded": 1},
    )
    there = Figures(captured_rupiah=100_000, kept_rupiah=100_000, purchases=1, families=1)
    assert by_key(report, Group.SHOP) == {till.merchant_id: here, other.merchant_id: there}
    assert (here.net_rupiah, here.basket_rupiah, here.declined) == (255_001, 85_000, 2)
    whole = Figures(
        captured_rupiah=405_001,
        reversed_rupiah=50_000,
        kept_rupiah=355_001,
        purchases=4,
        families=4,
        declines=here.declines,
    )
    assert report.total == whole
    assert by_key(report, Group.DISTRICT) == {till.district_code: whole}
    # Six approvals and the undone one are seven; one of them is of a part.
    assert (report.approved, report.cut) == (6, 1)
    assert report.of(Group.DAY) == []
    hours = await hourly(two_days.database, await reference_of(two_days), MONDAY)
    assert {hour: each.captured_rupiah for hour, each in enumerate(hours) if each.captured_rupiah} == {
        9: 150_000,
        10: 75_001,
        23: 180_000,
    }
    assert [hour for hour, each in enumerate(hours) if each.declined] == [23]
    await a_categorys_sum_is_its_share_of_each_capture_to_the_rupiah(two_days, by_key(report, Group.CATEGORY))


async def a_categorys_sum_is_its_share_of_each_capture_to_the_rupiah(
    two_days: World, monday: dict[str, Figures]
) -> None:
    # Of the Rp100.000 that were captured of Rp194.000, rice has 154/194: 79.381,4; sugar has what is left of it.
    assert monday["beras"] == Figures(
        captured_rupiah=77_000 + 79_381, kept_rupiah=77_000 + 79_381, purchases=2, families=2
    )
    # Rokok has nothing; the purchase that was cut is a purchase of what it was approved for.
    gula = Figures(
        captured_rupiah=15_001 + 20_619,
        kept_rupiah=15_001 + 20_619,
        purchases=2,
        families=2,
        declines={"category_not_permitted": 1},
    )
    assert monday["gula"] == gula
    assert monday["telur"] == Figures(captured_rupiah=60_000, kept_rupiah=60_000, purchases=1, families=1)
    assert monday["ikan_kaleng"] == Figures(
        captured_rupiah=13_000 + 60_000 + 50_000 + 30_000,
        reversed_rupiah=50_000,
        kept_rupiah=103_000,
        purchases=3,
        families=3,
        declines={"package_cap_exceeded": 1},
    )
    # What the programme does not sell, whatever a till calls it, is one row.
    assert monday[""] == Figures(declines={"category_not_permitted": 1})
    assert sum(each.captured_rupiah for each in monday.values()) == 405_001
    tuesday = by_key(await report_of(two_days, Period.day(MONDAY + timedelta(days=1), WITA)), Group.CATEGORY)
    assert tuesday["beras"].captured_rupiah == 94_000 * 154_000 // 194_000 == 74_618
    assert tuesday["gula"].captured_rupiah == 94_000 - 74_618
    assert tuesday["ikan_kaleng"] == Figures(refunded_rupiah=12_000)


async def test_a_month_is_its_days_but_a_purchase_and_a_family_count_once(two_days: World) -> None:
    report = await report_of(two_days, Period.month(MONDAY, WITA))
    days = by_key(report, Group.DAY)
    assert [*days] == ["2024-10-07", "2024-10-08"]
    for key, figures in days.items():
        assert figures == (await report_of(two_days, Period.day(date.fromisoformat(key), WITA))).total
    assert report.total.captured_rupiah == sum(each.captured_rupiah for each in days.values()) == 499_001
    assert report.total.refunded_rupiah == 12_000
    assert [each.purchases for each in days.values()] == [4, 1]
    assert (report.total.purchases, report.total.families) == (4, 4)
    header, *rows = sales_rows(report)
    table = [dict(zip(header, row, strict=True)) for row in rows]
    for group in ("all", "day", "shop", "kecamatan", "category"):
        of_group = [row for row in table if row["group"] == group and not row["reason"]]
        assert sum(int(row["net_rupiah"] or 0) for row in of_group) == 437_001, group
    declined = [row["declined"] for row in table if row["group"] == "shop" and row["reason"]]
    assert declined == [1, 1]


async def test_a_query_that_takes_too_long_is_one_sentence(world: World) -> None:
    impatient = world.settings.model_copy(update={"report_statement_timeout_ms": 10})
    with pytest.raises(ReportRefused, match="took more than 10 ms"):
        async with one_instant(world.database, impatient):
            await world.database.execute("SELECT pg_sleep(1)")


async def test_reports_of_all_months_add_up_to_the_books(two_days: World) -> None:
    world = two_days
    world.at(at(date(2024, 11, 4), 9))
    late = await world.authorise(card_number=world.tills.cards[4].card_number, amount=33_333, capture=True)
    world.at(at(date(2024, 12, 2), 9))
    await world.refund(late["id"], 11_111)
    await world.books_balance()
    reports = [await report_of(world, Period.month(month, WITA)) for month in MONTHS]
    for group in (Group.DAY, Group.SHOP, Group.DISTRICT, Group.CATEGORY):
        rows = [row.figures for report in reports for row in report.of(group)]
        for kind, rupiah in (
            ("post", sum(f.captured_rupiah for f in rows)),
            ("refund", sum(f.refunded_rupiah + f.reversed_rupiah for f in rows)),
        ):
            booked = await world.database.fetchval("SELECT sum(amount_rupiah) FROM transfer WHERE kind = $1", kind)
            assert rupiah == booked, (group, kind)
        assert sum(f.net_rupiah for f in rows) == await world.database.fetchval("SELECT sum(spent_rupiah) FROM wallet")
    declined = await world.database.fetchval("SELECT count(*) FROM authorisation WHERE reason <> 'approved'")
    assert sum(report.total.declined for report in reports) == declined


@pytest.mark.parametrize("statement", [SALES, SPANS, CATEGORIES, DECISIONS, DECLINED_SPANS, DECLINED_CATEGORIES])
async def test_a_period_is_a_range_of_a_primary_key(world: World, statement: str) -> None:
    period = Period.day(MONDAY, WITA)
    arguments = [PROGRAMME, period.starts_at, period.ends_at, *period.ids, WITA.key]
    arguments += ["hour"] if "$7" in statement else []
    await world.database.execute("SET enable_seqscan = off")
    plan = await world.database.fetch(f"EXPLAIN {statement}", *arguments)
    said = "\n".join(row[0] for row in plan)
    key = "authorisation_id >= 'auth_" if "cap_" not in statement else "transfer_id >= 'cap_"
    assert key in said, said
    assert "Seq Scan on transfer" not in said
    assert "Seq Scan on authorisation" not in said


async def test_only_active_families_that_use_nothing_of_the_month_are_idle(two_days: World, operator: Operator) -> None:
    world, cards = two_days, two_days.tills.cards
    idle = {family.beneficiary_id for family in await idle_of(world, OCTOBER)}
    # The undone purchase is none; what is held is one; a purchase of which a part came back is one.
    bought = {cards[n].beneficiary_id for n in (0, 1, 2, 4, 5)}
    assert idle == {card.beneficiary_id for card in world.tills.cards} - bought
    assert len(idle) == 987 - 5
    labels = [family.companion_label for family in await idle_of(world, OCTOBER)]
    assert labels == sorted(labels)
    own = await idle_of(two_days, OCTOBER, companion=labels[0])
    assert [family.companion_label for family in own] == [labels[0]] * labels.count(labels[0])
    # The hold is over, although nobody has written it: its family has not shopped.
    world.at(at(MONDAY + timedelta(days=3), 9))
    again = {family.beneficiary_id: family for family in await idle_of(world, OCTOBER)}
    assert set(again) - idle == {cards[5].beneficiary_id}
    assert (again[cards[5].beneficiary_id].left_rupiah, again[cards[5].beneficiary_id].purchase_rupiah) == (
        1_800_000,
        300_000,
    )
    quiet = [card for card in cards if card.beneficiary_id in idle][:2]
    await operator.suspend(quiet[0])
    await operator.remove(quiet[1])
    left = {family.beneficiary_id for family in await idle_of(world, OCTOBER)}
    assert set(again) - left == {quiet[0].beneficiary_id, quiet[1].beneficiary_id}
    # A roll that was imported takes a family off it at its instant, before anybody has written it.
    gone = next(card for card in cards if card.beneficiary_id in left - {each.beneficiary_id for each in quiet})
    await leaves(world, gone.beneficiary_id, world.now)
    assert gone.beneficiary_id not in {family.beneficiary_id for family in await idle_of(world, OCTOBER)}
    (whole,) = [row.unused for row in await expiring_of(world) if row.of is Of.ALL]
    assert whole.families == 987 - 2
    await leaves(world, gone.beneficiary_id, None)
    # A month that has not come: nobody has used it, and what a purchase in it may cost is not known yet.
    november = await idle_of(world, date(2024, 11, 1))
    assert len(november) == 985
    assert {family.purchase_rupiah for family in november} == {None}
    assert {family.name for family in november} == {None}


async def leaves(world: World, beneficiary_id: str, at_instant: datetime | None) -> None:
    """As an imported roll orders it."""
    await world.database.execute(
        "UPDATE beneficiary SET leaves_at = $2 WHERE beneficiary_id = $1", beneficiary_id, at_instant
    )


async def test_names_are_listed_for_a_reason_alone_and_the_audit_log_has_it(world: World) -> None:
    how: dict[str, Any] = {"actor": "dinsos", "now": world.now, "chance": os.urandom}
    about = {"report": "idle", "companion": "P-001"}
    for actor, reason in (("", "kunjungan"), ("dinsos", ""), ("dinsos", "6472051234567890")):
        with pytest.raises((ReportRefused, OrderRefused)):
            await keep_names_asked(world.database, PROGRAMME, about, **{**how, "actor": actor, "reason": reason})
    assert await entries(world.database, PROGRAMME, limit=9) == []
    await keep_names_asked(world.database, PROGRAMME, about, reason="kunjungan", **how)
    (entry,) = await entries(world.database, PROGRAMME, limit=9)
    assert (entry.actor, entry.action, entry.subject.id, entry.reason) == ("dinsos", "names_read", "idle", "kunjungan")
    found = await idle_of(world, OCTOBER, companion="P-001", keys=Keys(SANDBOX_ROOT_KEY))
    assert found
    assert all(family.name for family in found)
    with pytest.raises(ReportRefused, match="another AUTHZ_ROOT_KEY"):
        await idle_of(world, OCTOBER, companion="P-001", keys=Keys("another"))


async def test_what_expires_is_what_the_rooms_of_the_months_do_not_let_pass(world: World, operator: Operator) -> None:
    world.at(at(date(2024, 10, 1), 9))
    (whole,) = [row.unused for row in await expiring_of(world) if row.of is Of.ALL]
    assert whole == Unused(families=987, within_reach_rupiah=987 * 1_800_000)
    # Nothing was bought in October: one month's room is beyond reach for everybody but those who did.
    await world.authorise(amount=300_000, capture=True)
    other = world.tills.cards[1]
    for _ in range(2):
        await world.authorise(card_number=other.card_number, amount=20_000, capture=True)
    world.at(at(date(2024, 11, 1), 9))
    rows = await expiring_of(world)
    (whole,) = [row.unused for row in rows if row.of is Of.ALL]
    assert whole.left_rupiah == await world.database.fetchval("SELECT sum(available_rupiah) FROM wallet")
    assert whole.beyond_reach_rupiah == 985 * 600_000 + 300_000 + 560_000
    assert whole.beyond_reach_families == 987
    for of in (Of.COMPANION, Of.DISTRICT):
        parts = [row.unused for row in rows if row.of is of]
        assert sum(parts, Unused()) == whole
    await operator.suspend(world.card)
    (whole,) = [row.unused for row in await expiring_of(world) if row.of is Of.ALL]
    assert (whole.families, whole.suspended_rupiah) == (987, 1_500_000)
    world.at(at(date(2025, 1, 1), 0))
    (whole,) = [row.unused for row in await expiring_of(world) if row.of is Of.ALL]
    assert whole.within_reach_rupiah == 0
    assert whole.left_rupiah == await world.database.fetchval("SELECT sum(available_rupiah) FROM wallet")


FROM_NOVEMBER: Final = (date(2024, 11, 1), date(2024, 12, 1))


@pytest.mark.parametrize(
    ("month", "left", "reach"),
    [
        ({}, 1_800_000, 1_200_000),
        ({}, 900_000, 900_000),
        # A package is used for Rp50.000: the other one carries Rp300.000, though the month has Rp550.000.
        ({"used_rupiah": 50_000, "packages_used": 1}, 1_750_000, 900_000),
        ({"used_rupiah": 600_000, "packages_used": 2}, 1_200_000, 600_000),
        # Two packages more, of which the first carries all that the month has left.
        ({"used_rupiah": 50_000, "packages_used": 1, "vouchers": (0, 2)}, 1_750_000, 1_150_000),
        ({"used_rupiah": 50_000, "packages_used": 1, "vouchers": (600_000, 2)}, 1_750_000, 1_500_000),
    ],
)
def test_reach_is_what_rooms_and_packages_of_the_months_carry(month: dict[str, Any], left: int, reach: int) -> None:
    month = dict(month)
    gives = month.pop("vouchers", None)
    vouchers = [] if gives is None else [a_voucher("vch_1", rupiah_left=gives[0], packages_left=gives[1])]
    family = a_family(available_rupiah=left, month=a_month(*vouchers, **{"month": FROM_NOVEMBER[0], **month}))
    assert within_reach(family, a_programme(), FROM_NOVEMBER, []) == reach


def test_a_voucher_for_a_later_month_and_a_cap_that_changes_count_in_it() -> None:
    family = a_family(available_rupiah=1_800_000, month=a_month(month=FROM_NOVEMBER[0]))
    later = [(FROM_NOVEMBER[1], a_voucher("vch_1", rupiah_left=300_000, packages_left=1))]
    assert within_reach(family, a_programme(), FROM_NOVEMBER, later) == 1_500_000
    lowered = MonthCap(valid_from=FROM_NOVEMBER[1], cap_rupiah=100_000, packages_cap=2)
    assert within_reach(family, a_programme(month_caps=(lowered,)), FROM_NOVEMBER, []) == 700_000
    no_limit = a_programme(month_cap_rupiah=None, month_packages=None)
    family = a_family(available_rupiah=1_800_000, month=a_month(month=OCTOBER, cap_rupiah=None, packages_cap=None))
    assert within_reach(family, no_limit, MONTHS, []) == 1_800_000
    assert months_left(a_programme(), at(date(2024, 12, 31), 23, 59, 59)) == [FROM_NOVEMBER[1]]
    assert months_left(a_programme(), at(date(2024, 9, 1), 0)) == [*MONTHS]
    assert months_left(a_programme(), at(date(2025, 1, 1), 0)) == []


def test_a_page_is_whole_in_both_languages_and_runs_nothing() -> None:
    figures = Figures(captured_rupiah=499_001, kept_rupiah=499_001, purchases=3, families=2, declines={"card_lost": 1})
    report = SalesReport(
        programme_id=PROGRAMME,
        programme_name="Sembako <b>",
        period=Period.month(MONDAY, WITA),
        made_at=at(MONDAY, 9),
        approved=3,
        cut=0,
        total=figures,
        rows=[Row(group=Group.SHOP, key="mrc_1", name="<script>alert(1)</script>", figures=figures)],
    )
    for language in Language:
        page = printed(sales_paper(report, Words(language)), language)
        assert f'<html lang="{language}">' in page
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "http" not in page
        assert "Rp499.001" in page
        assert "Rp166.334" in page
    assert "Laporan bulanan: Oktober 2024" in printed(sales_paper(report, Words(Language.INDONESIAN)), Language("id"))


def test_every_reason_has_its_words_in_both_languages() -> None:
    for language in Language:
        words = [Words(language).reason(reason) for reason in DeclineReason]
        assert len(set(words)) == len(words)
        assert not set(words) & {str(reason) for reason in DeclineReason}


async def typed(world: World, command: str, directory: Path) -> str:
    """What a command printed, in the world's database and at its time."""
    assert world.settings.database_url is not None
    environment = {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "REDIS_URL": "redis://nowhere",
        "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", *shlex.split(command, comments=True)[1:]),
        env={**os.environ, **environment},
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_reports_of_the_readme_are_typed_and_kept(two_days: World, tmp_path: Path) -> None:
    world = two_days
    await world.database.execute("UPDATE merchant SET name = '=1+1' WHERE merchant_id = $1", world.till.merchant_id)
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    commands = readme.partition("## What was sold")[2].split("```")[1].strip().splitlines()
    daily, monthly, idle, expiring, silent = [await typed(world, command, tmp_path) for command in commands]
    assert "Laporan harian: 7 Oktober 2024" in daily
    assert "Lebih dari nilai satu paket" in daily
    assert monthly == "Written to october.csv.\nWritten to october.html.\n"
    with (tmp_path / "october.csv").open(newline="") as file:
        shops = [row["name"] for row in csv.DictReader(file) if row["group"] == "shop"]
    assert "'=1+1" in shops
    assert idle == "Written to idle.csv.\n"
    assert len((tmp_path / "idle.csv").read_text().splitlines()) == 1 + 982
    assert expiring == "Written to expiring.html.\n"
    assert "31 Desember 2024" in (tmp_path / "expiring.html").read_text()
    assert silent == "No shop is silent that should not be.\n"
    written = sorted(tmp_path.glob("*.csv")) + sorted(tmp_path.glob("*.html"))
    assert [each.name for each in written] == ["idle.csv", "october.csv", "expiring.html", "october.html"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in written} == {0o600}


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(PaperNotWritten, match="Nothing was written"), csv_file(tmp_path / "nowhere" / "x.csv"):
        pass
    (tmp_path / "x.csv").write_text("before")
    with pytest.raises(ZeroDivisionError), csv_file(tmp_path / "x.csv") as write_row:
        write_row(["half", 1 // 0, None])
    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "before"
    with csv_file(tmp_path / "x.csv") as write_row:
        write_row(["-1", -5, None])
    assert (tmp_path / "x.csv").read_text() == "'-1,-5,\n"
