"""A receipt fits its paper whatever stands on it, tells no more than its answer does, and is replayed with it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authz_service.answers import Document
from authz_service.api import wire
from authz_service.paper import laid_out, plain, wrapped
from authz_service.receipts import LINES_SHOWN
from authz_service.requests import LINES_LIMIT, Line, times_quantity
from authz_service.rules.facts import Facts
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH, AboveCeiling, CardStatus, MerchantStatus
from tests.builders import (
    a_card,
    a_family,
    a_line,
    a_month,
    a_priced_line,
    a_programme,
    a_purchase,
    a_shop,
    any_family,
    any_programme,
    facts,
    quickly,
)
from tests.receipt_stories import PAGES, STORIES, answer_to, balance_of, page, refund_of
from tests.world import Reply, World

WIDTHS = {"columns_32": 32, "columns_48": 48}


def fits(receipt: Document) -> bool:
    """Every line is as wide as the paper at most, in ASCII that every printer has."""
    assert set(receipt) == set(WIDTHS)
    for columns, width in WIDTHS.items():
        for line in receipt[columns].split("\n"):
            assert len(line) <= width, line
            assert all(" " <= each <= "~" for each in line), line
    return True


def figure(receipt: Document, label: str) -> int:
    """The rupiah that stand after `label`; 0 where the receipt has no such line."""
    found = {re.search(rf"^{label}\s+(-?)Rp([0-9.]+)$", receipt[columns], re.MULTILINE) for columns in WIDTHS}
    figures = {int(f"{each[1]}{each[2].replace('.', '')}") if each else 0 for each in found}
    assert len(figures) == 1
    return figures.pop()


# --- Pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_a_receipt_is_printed_as_the_page_shows_it(name: str) -> None:
    """`python -m tests.receipt_stories` prints the pages anew."""
    assert page(name) == PAGES.joinpath(f"{name}.txt").read_text(encoding="ascii")


def test_every_page_is_of_a_story() -> None:
    assert {each.stem for each in PAGES.iterdir()} == set(STORIES)


@pytest.mark.parametrize("name", STORIES)
def test_either_paper_has_the_same_words(name: str) -> None:
    receipt = STORIES[name]()["receipt"]
    assert fits(receipt)
    assert receipt["columns_32"].split() == receipt["columns_48"].split()


# --- Whatever stands on it -------------------------------------------------------------------------------------------

NAMES = st.text(max_size=90) | st.sampled_from(["x" * 64, "Kécap ½ l, Nº 3", "a?b?" * 16, "warung\nbaru", " ", ""])
AMOUNTS = st.sampled_from([1, 13_000, 300_000, MONEY_LIMIT_RUPIAH // LINES_LIMIT]) | st.integers(1, 400_000)


@st.composite
def any_line(draw: st.DrawFn, /) -> Line:
    category = draw(st.sampled_from(["beras", "ikan_kaleng", "rokok", "tunai"]) | NAMES)
    if draw(st.booleans()):
        return a_line(category, draw(AMOUNTS))
    if draw(st.booleans()):
        return a_priced_line(unit_price=draw(st.sampled_from([15_000, 15_400, 99_999])))
    quantity, unit_price = draw(st.sampled_from([1, 1_000, 2_500, 999_999_999_999])), draw(st.integers(1, 90_000))
    return Line(
        category=category,
        product=draw(NAMES),
        unit=draw(NAMES),
        quantity=quantity,
        unit_price=unit_price,
        amount=times_quantity(unit_price, quantity),
    )


@st.composite
def any_facts(draw: st.DrawFn, /) -> Facts:
    programme = draw(any_programme(above_ceiling=draw(st.sampled_from(AboveCeiling)), operator_name=draw(NAMES)))
    known = facts(
        programme=programme,
        shop=draw(st.just(None) | st.builds(a_shop, name=NAMES, district_name=NAMES)),
        card=a_card(status=draw(st.sampled_from([CardStatus.ACTIVE] * 4 + [CardStatus.LOST]))),
        family=replace(draw(any_family(programme)), companion_label=draw(NAMES)),
    )
    return replace(known, shop=known.shop or a_shop()) if draw(st.booleans()) else known


@quickly
@given(lines=st.lists(any_line(), min_size=1, max_size=LINES_LIMIT), under=any_facts(), partial=st.booleans())
def test_no_name_and_no_amount_is_too_wide_for_the_paper(lines: list[Line], under: Facts, partial: bool) -> None:
    answer = answer_to(a_purchase(*lines, partial_approval=partial), under)
    receipt = answer["receipt"]
    assert fits(receipt)
    if answer["decision"] == "approved":
        assert figure(receipt, "TOTAL") == answer["amount"]
        assert figure(receipt, "Dibayar bantuan") == answer["approved_amount"]
        assert figure(receipt, "BAYAR SENDIRI") == answer["tender_due"]
        assert -figure(receipt, "Potongan harga warung") == answer["price_reduction"]
    assert figure(receipt, "Sisa bantuan") == answer.get("remaining", {"programme": 0})["programme"]
    assert fits(balance_of(under)["receipt"])


@quickly
@given(under=any_facts(), amount=st.integers(1, 150_000))
def test_no_refund_is_too_wide_for_the_paper(under: Facts, amount: int) -> None:
    assert fits(refund_of(amount, under)["receipt"])


@quickly
@given(rows=st.lists(st.tuples(NAMES.map(plain), st.sampled_from(["", "Rp1", "Rp9.007.199.254.740.991"]))))
def test_all_that_is_said_stands_on_either_paper(rows: list[tuple[str, str]]) -> None:
    said = "".join("".join(row) for row in rows).replace(" ", "")
    for width in WIDTHS.values():
        assert laid_out(rows, width).replace(" ", "").replace("\n", "") == said


def test_a_long_basket_ends_in_a_line_for_the_rest_and_still_says_what_was_cut() -> None:
    lines = [a_line(amount=1_000)] * (LINES_LIMIT - 2) + [a_line("rokok", 5_000), a_line("ban_motor", 7_000)]
    receipt = answer_to(a_purchase(*lines, partial_approval=True), facts())["receipt"]
    printed = receipt["columns_32"].split("\n")
    assert len(printed) <= 2 * LINES_SHOWN + 25
    assert [line for line in printed if line.startswith(("rokok", "ban motor"))] == [
        "rokok                      5.000",
        "ban motor                  7.000",
    ]
    assert "39 barang lain            39.000" in printed


def test_a_long_list_of_refused_lines_ends_in_how_many_more() -> None:
    receipt = answer_to(a_purchase(*[a_line("rokok", 1_000)] * 20), facts())["receipt"]
    assert "Baris 12: rokok\n  bukan barang bantuan\ndan 8 baris lain\n" in receipt["columns_32"]
    assert "Baris 13" not in receipt["columns_48"]


def test_the_name_of_what_was_sent_by_its_gtin_is_printed() -> None:
    programme = a_programme()
    rice = programme.products["beras premium", "kg"]
    under = facts(programme=replace(programme, products={("8991002101234", "kg"): rice}))
    line = a_priced_line("8991002101234", category="beras", unit="kg")
    receipt = answer_to(a_purchase(line), under)["receipt"]
    assert "beras premium\n  5 kg x 15.400" in receipt["columns_32"]
    assert "8991002101234" not in receipt["columns_32"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Simpan struk ini.", ["Simpan struk", "ini."]),
        ("  dari dua belas", ["  dari dua", "  belas"]),
        ("abcdefghijklmnop", ["abcdefghijkl", "mnop"]),
        ("            dari dua belas", ["      dari", "      dua", "      belas"]),
        ("dua abcdefghijklmnop lagi", ["dua", "abcdefghijkl", "mnop lagi"]),
    ],
)
def test_a_text_is_broken_between_words_and_keeps_its_indent(text: str, lines: list[str]) -> None:
    assert wrapped(text, 12).split("\n") == lines


@quickly
@given(
    blanks=st.integers(0, 64), text=NAMES.map(plain), amount=st.sampled_from(["", "1.000", "Rp9.007.199.254.740.991"])
)
def test_no_blanks_before_a_text_push_it_off_the_paper(blanks: int, text: str, amount: str) -> None:
    for width in WIDTHS.values():
        lines = wrapped(" " * blanks + text, width).split("\n")
        assert max(map(len, lines)) <= width
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert {word for word in text.split() if len(word) <= width // 2} <= set(" ".join(lines).split())
        printed = laid_out([(" " * blanks + text, amount)], width)
        assert max(map(len, printed.split("\n"))) <= width
        assert printed.replace(" ", "").replace("\n", "") == text.replace(" ", "") + amount


@pytest.mark.parametrize("blanks", [31, 32, 33, 48, 60])
def test_a_category_that_begins_with_blanks_is_printed(blanks: int) -> None:
    for category in ("_" * blanks + "tahu", " " * blanks + "tahu"):
        line = a_line(category, 7_000)
        receipt = answer_to(a_purchase(a_line(), line, partial_approval=True), facts())["receipt"]
        assert fits(receipt)
        assert all("tahu" in printed for printed in receipt.values())


@pytest.mark.parametrize(
    ("text", "printed"),
    [("Kécap", "Kecap"), ("½ l", "1?2 l"), ("Toko 店", "Toko ?"), ("a\tb\n", "a?b?"), ("ﬁ", "fi")],
)
def test_what_a_printer_may_not_have_is_printed_without_accents_or_as_a_question_mark(text: str, printed: str) -> None:
    assert plain(text) == printed


# --- What it may tell ------------------------------------------------------------------------------------------------


def test_of_the_card_only_four_digits_are_printed() -> None:
    receipt = answer_to(a_purchase(), facts())["receipt"]
    for columns in WIDTHS:
        assert "Kartu **** 0013\n" in receipt[columns]
        assert "93600000" not in receipt[columns]


def test_a_shop_that_may_not_sell_learns_nothing_of_the_card() -> None:
    """Neither that it is known, nor what it is."""
    suspended = a_shop(status=MerchantStatus.SUSPENDED)
    known, unknown = facts(shop=suspended), facts(shop=suspended, card=None, family=None)
    for of in (lambda under: answer_to(a_purchase(), under), balance_of):
        assert of(known)["receipt"] == of(unknown)["receipt"]
        assert "Kartu **" not in of(known)["receipt"]["columns_32"]


@pytest.mark.parametrize("name", STORIES)
def test_where_the_answer_withholds_what_is_left_the_receipt_has_no_figure(name: str) -> None:
    answer = STORIES[name]()
    if answer.get("decision") != "declined" or "remaining" in answer:
        return
    for columns in WIDTHS:
        assert "DITOLAK\n" in answer["receipt"][columns]
        assert "Rp" not in answer["receipt"][columns]
        assert "Sisa" not in answer["receipt"][columns]


@pytest.mark.parametrize("now", ["2024-09-30T02:00:00Z", "2025-01-01T02:00:00Z"])
def test_outside_the_programmes_time_no_month_is_promised(now: str) -> None:
    under = facts(now=now)
    for answer in (answer_to(a_purchase(), under), balance_of(under)):
        assert "Sisa bulan ini" not in answer["receipt"]["columns_32"]
        assert figure(answer["receipt"], "Sisa bantuan") == 1_800_000


def test_the_companion_is_named_once_the_month_is_used_up_and_only_then() -> None:
    used_up = facts(family=a_family(month=a_month(packages_used=2)))
    assert "pendamping Pendamping 07." in balance_of(used_up)["receipt"]["columns_48"]
    assert "pendamping" not in balance_of(facts())["receipt"]["columns_48"]
    nothing_left = facts(family=a_family(available_rupiah=0, month=a_month(packages_used=2)))
    assert "pendamping" not in balance_of(nothing_left)["receipt"]["columns_48"]


# --- Over HTTP -------------------------------------------------------------------------------------------------------


async def test_a_decided_sale_brings_its_receipt_and_the_replay_brings_the_same(world: World) -> None:
    for changes, word in [
        ({}, "DISETUJUI"),
        ({"amount": 350_000, "partial_approval": True}, "DISETUJUI SEBAGIAN"),
        ({"amount": 350_000}, "DITOLAK"),
    ]:
        purchase, key = world.a_purchase(**changes), world.fresh_key()
        first, again = [await world.post("/v1/authorizations", purchase, key=key) for _ in range(2)]
        wire.AuthorisationWithReceipt.model_validate_json(first.raw)
        assert (again.raw, again.headers["idempotent-replayed"]) == (first.raw, "true")
        receipt = first["receipt"]
        assert fits(receipt)
        for columns in WIDTHS:
            lines = receipt[columns].split("\n")
            assert word in lines
            assert f"Kartu **** {world.card.card_number[-4:]}" in lines
            assert first["id"] in lines
            assert lines[2] == f"{datetime.fromisoformat(first['created_at']):%d-%m-%Y %H:%M} WITA"


async def test_the_shop_and_its_kecamatan_are_named_as_they_are_now(world: World) -> None:
    row = await world.database.fetchrow(
        "SELECT m.name, d.name AS district FROM merchant m JOIN district d USING (programme_id, district_code)"
        " WHERE merchant_id = $1",
        world.till.merchant_id,
    )
    assert row is not None
    receipt = (await world.authorise())["receipt"]["columns_48"]
    assert receipt.split("\n")[:2] == [row["name"], f"Kec. {row['district']}"]
    await world.database.execute("UPDATE district SET name = 'Ibu Kota'")
    await world.database.execute("UPDATE merchant SET name = 'KUBE Baru'")
    receipt = (await world.balance())["receipt"]["columns_48"]
    assert receipt.split("\n")[:2] == ["KUBE Baru", "Kec. Ibu Kota"]


async def test_a_dry_run_is_no_sale_and_has_no_receipt(world: World) -> None:
    for purchase in (world.a_purchase(), world.a_purchase(amount=400_000)):
        reply = await world.post("/v1/authorizations?dry_run=true", purchase)
        wire.DryRun.model_validate_json(reply.raw)
        assert "receipt" not in reply.body


async def test_what_comes_later_does_not_repeat_the_receipt_of_the_sale(world: World) -> None:
    sale = await world.authorise()
    captured = await world.capture(sale["id"], amount=100_000, final=False)
    wire.CaptureAnswer.model_validate_json(captured.raw)
    shown = await world.get(f"/v1/authorizations/{sale['id']}")
    wire.AuthorisationWithEvents.model_validate_json(shown.raw)
    wire.Authorisation.model_validate_json((await world.void(sale["id"])).raw)


async def refunded(world: World, authorisation_id: str, amount: int, *, key: str | None = None) -> Reply:
    body: dict[str, Any] = {"amount": amount, "reason": "telur pecah"}
    return await world.post(f"/v1/authorizations/{authorisation_id}/refunds", body, key=key or world.fresh_key())


async def test_a_refund_brings_a_message_and_a_receipt_that_say_where_it_went(world: World) -> None:
    sale = await world.authorise(capture=True)
    first, again = [await refunded(world, sale["id"], 60_000, key="eggs") for _ in range(2)]
    wire.RefundAnswer.model_validate_json(first.raw)
    assert (again.raw, again.headers["idempotent-replayed"]) == (first.raw, "true")
    assert first["message"] == "Dikembalikan Rp60.000 ke kartu, bukan tunai."
    assert fits(first["receipt"])
    lines = first["receipt"]["columns_32"].split("\n")
    assert "PENGEMBALIAN            Rp60.000" in lines
    assert f"Belanja 07-10-2024   Kode {sale['approval_code']}" in lines
    assert {sale["id"], first["refund"]["id"]} <= set(lines)


async def test_a_refund_of_a_past_month_says_that_spending_it_may_need_a_voucher(world: World) -> None:
    sale = await world.authorise(capture=True)
    world.at(datetime(2024, 11, 5, 2, 0, tzinfo=UTC))
    reply = await refunded(world, sale["id"], 60_000)
    said = "Jatah Oktober 2024 sudah lewat: untuk memakainya mungkin perlu izin (voucher) pendamping "
    assert said in reply["message"]
    assert said in reply["receipt"]["columns_48"].replace("\n", " ")


async def test_a_balance_brings_its_receipt_also_when_it_is_refused(world: World) -> None:
    good = await world.balance()
    wire.BalanceAnswer.model_validate_json(good.raw)
    assert fits(good["receipt"])
    assert figure(good["receipt"], "Sekali belanja maks.") == good["largest_approvable_amount"]
    assert figure(good["receipt"], "Sisa bulan ini") == good["remaining"]["month"]
    await world.database.execute("UPDATE card SET status = 'lost'")
    refused = await world.balance()
    wire.BalanceAnswer.model_validate_json(refused.raw)
    assert "CEK SALDO\nDITOLAK\n" in refused["receipt"]["columns_32"]
    assert "Rp" not in refused["receipt"]["columns_32"]
