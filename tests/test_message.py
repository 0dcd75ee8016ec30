"""What is said at the counter, word for word: what is wrong, what would pass, whom to ask."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from authz_service.declines import DeclineReason
from authz_service.requests import Line
from authz_service.rules.decide import Refusal, decide, identity_refusals
from authz_service.rules.facts import Facts
from authz_service.rules.message import (
    balance_message,
    decision_message,
    in_words,
    line_of,
    refund_message,
    refusal_message,
)
from authz_service.rules.money import room_of
from authz_service.vocabulary import (
    AboveCeiling,
    BeneficiaryStatus,
    CardStatus,
    MerchantStatus,
    PackageCounting,
    TerminalStatus,
)
from tests.builders import (
    A_MORNING,
    a_card,
    a_ceiling,
    a_family,
    a_line,
    a_mark,
    a_month,
    a_priced_line,
    a_product,
    a_programme,
    a_purchase,
    a_shop,
    a_terminal,
    a_voucher,
    facts,
    instant,
    listed,
)

FISH = a_line("ikan_kaleng", 100_000)
RICE = a_priced_line("beras premium", "5", 15_400)
TOBACCO = a_line("rokok", 30_000)
DEAR_EGGS = a_priced_line("telur ayam ras", "2", 30_001)
QUESTIONS = "Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda."
USED_UP = "Jatah belanja bulan ini sudah habis; jika sangat perlu, hubungi pendamping Pendamping 07."
BY_VALUE = a_programme(package_counting=PackageCounting.BY_VALUE)


def said(*lines: Line, partial: bool = False, under: Facts | None = None) -> str:
    """The message of the decision over these lines; without lines the contract's example."""
    purchase, under = a_purchase(*lines, partial_approval=partial), under or facts()
    return decision_message(purchase, under, decide(purchase, under))


def with_month(**changes: Any) -> Facts:
    return facts(family=a_family(month=a_month(**changes)))


def by_value(**changes: Any) -> Facts:
    return facts(programme=BY_VALUE, family=a_family(month=a_month(**changes)))


DECLINES: dict[DeclineReason, tuple[list[Line], Facts, str]] = {
    DeclineReason.MERCHANT_UNKNOWN: (
        [],
        facts(shop=None),
        "Warung ini tidak terdaftar pada program hari ini. Belanjalah di warung KUBE lain, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.MERCHANT_SUSPENDED: (
        [],
        facts(shop=a_shop(status=MerchantStatus.SUSPENDED)),
        "Warung ini sedang dihentikan sementara. Belanjalah di warung KUBE lain, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.TERMINAL_NOT_PERMITTED: (
        [],
        facts(terminal=a_terminal(status=TerminalStatus.UNBOUND)),
        "Mesin ini tidak boleh dipakai sekarang. Coba lagi pada jam buka warung, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.CARD_UNKNOWN: (
        [],
        facts(card=None, family=None),
        "Kartu tidak dikenal pada program ini. Periksa nomor kartu, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.CARD_NOT_ACTIVATED: (
        [],
        facts(card=a_card(status=CardStatus.NOT_ACTIVATED)),
        "Kartu belum diaktifkan. Hubungi Dinsos PM Kota Samarinda untuk mengaktifkannya.",
    ),
    DeclineReason.CARD_LOST: (
        [],
        facts(card=a_card(status=CardStatus.LOST)),
        "Kartu ini dilaporkan hilang. Hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.CARD_STOLEN: (
        [],
        facts(card=a_card(status=CardStatus.STOLEN)),
        "Kartu ini tidak dapat dipakai. Hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.CARD_EXPIRED: (
        [],
        facts(card=a_card(expires_on=date(2024, 11, 4))),
        "Masa berlaku kartu sudah habis. Hubungi Dinsos PM Kota Samarinda untuk kartu baru.",
    ),
    DeclineReason.CARD_BLOCKED: (
        [],
        facts(card=a_card(status=CardStatus.REPLACED)),
        "Kartu ini diblokir atau sudah diganti. Pakailah kartu yang baru, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.BENEFICIARY_SUSPENDED: (
        [],
        facts(family=a_family(status=BeneficiaryStatus.SUSPENDED)),
        "Bantuan keluarga ini sedang ditangguhkan. Hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.BENEFICIARY_REMOVED: (
        [],
        facts(family=a_family(status=BeneficiaryStatus.REMOVED)),
        "Keluarga ini tidak lagi terdaftar pada program. Hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.PROGRAMME_NOT_STARTED: (
        [],
        facts(now="2024-09-30T02:00:00Z"),
        "Program belum dimulai: bantuan dapat dipakai mulai 1 Oktober 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.PROGRAMME_ENDED: (
        [],
        facts(now="2025-01-01T02:00:00Z"),
        "Program sudah berakhir pada 31 Desember 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.CASH_NOT_PERMITTED: (
        [FISH, a_line("tarik_tunai", 50_000)],
        facts(),
        "Bantuan tidak boleh ditukar dengan uang tunai, pulsa, atau transfer: kartu hanya untuk beras, telur, ayam, ikan kaleng, minyak goreng, gula dan susu. Jika diminta menukarnya, laporkan kepada Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.CATEGORY_NOT_PERMITTED: (
        [FISH, TOBACCO, TOBACCO],
        facts(),
        "Barang pada baris 2 tidak termasuk bantuan: kartu hanya untuk beras, telur, ayam, ikan kaleng, minyak goreng, gula dan susu. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.PRODUCT_NOT_PERMITTED: (
        [FISH, RICE, a_line("beras", 20_000)],
        facts(),
        "Produk atau satuan pada baris 3 tidak ada pada daftar, atau rinciannya belum diisi. Lihat daftar barang di mesin, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.PRICE_ABOVE_CEILING: (
        [RICE, DEAR_EGGS, FISH],
        facts(),
        "Harga pada baris 2 di atas batas: paling tinggi Rp30.000 per kg. Ulangi dengan harga yang benar, atau hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.PACKAGE_CAP_EXCEEDED: (
        [a_line(amount=300_001)],
        facts(),
        "Satu kali belanja paling banyak Rp300.000. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
    ),
    DeclineReason.ENTITLEMENT_EXCEEDED: (
        [FISH],
        facts(family=a_family(available_rupiah=99_999)),
        "Saldo tidak cukup: sisa bantuan Rp99.999. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda. Sekarang bisa belanja sampai Rp99.999.",
    ),
    DeclineReason.PACKAGES_USED_UP: (
        [FISH],
        with_month(packages_used=2),
        "Jatah belanja bulan ini sudah dipakai semua. Jika sangat perlu, hubungi pendamping Pendamping 07.",
    ),
    DeclineReason.MONTHLY_CAP_EXCEEDED: (
        [FISH],
        with_month(used_rupiah=550_000),
        "Sisa bulan ini Rp50.000. Jika perlu lebih, hubungi pendamping Pendamping 07. Sekarang bisa belanja sampai Rp50.000.",
    ),
    DeclineReason.SUSPECTED_MISUSE: (
        [FISH],
        facts(marks=(a_mark(A_MORNING + timedelta(minutes=1)),)),
        "Belanja ini belum dapat diproses. Hubungi Dinsos PM Kota Samarinda.",
    ),
}


def test_every_reason_has_its_sentence_here() -> None:
    assert list(DECLINES) == list(DeclineReason)


@pytest.mark.parametrize(("lines", "under", "sentence"), DECLINES.values(), ids=DECLINES)
def test_a_decline_says_what_is_wrong_what_would_pass_and_whom_to_ask(
    lines: list[Line], under: Facts, sentence: str
) -> None:
    assert said(*lines, under=under) == sentence


@pytest.mark.parametrize(
    ("under", "sentence"),
    [
        (
            facts(family=a_family(available_rupiah=0)),
            "Saldo tidak cukup: sisa bantuan Rp0. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        ),
        (
            facts(family=a_family(available_rupiah=1)),
            "Saldo tidak cukup: sisa bantuan Rp1. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda. Sekarang bisa belanja sampai Rp1.",
        ),
        (
            with_month(used_rupiah=600_000),
            "Sisa bulan ini Rp0. Jika perlu lebih, hubungi pendamping Pendamping 07.",
        ),
        (
            facts(family=a_family(available_rupiah=80_000, month=a_month(used_rupiah=550_000))),
            "Saldo tidak cukup: sisa bantuan Rp80.000. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda. Sekarang bisa belanja sampai Rp50.000.",
        ),
        (
            facts(programme=a_programme(package_rupiah=90_000), family=a_family(available_rupiah=70_000)),
            "Satu kali belanja paling banyak Rp90.000. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda. Sekarang bisa belanja sampai Rp70.000.",
        ),
        (
            facts(programme=a_programme(package_rupiah=90_000), family=a_family(available_rupiah=0)),
            "Satu kali belanja paling banyak Rp90.000. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda. Bantuan sudah dipakai semua.",
        ),
        # A larger purchase next time would be in vain: the month is over for this family.
        (
            facts(programme=a_programme(package_rupiah=90_000), family=a_family(month=a_month(packages_used=2))),
            f"Satu kali belanja paling banyak Rp90.000. {QUESTIONS} {USED_UP}",
        ),
        (
            facts(family=a_family(available_rupiah=80_000, month=a_month(used_rupiah=600_000))),
            f"Saldo tidak cukup: sisa bantuan Rp80.000. {QUESTIONS} {USED_UP}",
        ),
        # By value the last package may be open, with something left in it.
        (
            by_value(cap_rupiah=None, used_rupiah=500_001),
            "Jatah belanja bulan ini tinggal Rp99.999. Jika sangat perlu, hubungi pendamping Pendamping 07. Sekarang bisa belanja sampai Rp99.999.",
        ),
    ],
)
def test_where_money_is_short_it_says_what_would_pass_if_anything_would(under: Facts, sentence: str) -> None:
    assert said(FISH, under=under) == sentence


@pytest.mark.parametrize(
    ("lines", "under", "more"),
    [
        ([TOBACCO, a_line(amount=280_000)], facts(), " Sekarang bisa belanja sampai Rp300.000."),
        ([TOBACCO], facts(family=a_family(available_rupiah=0)), " Bantuan sudah dipakai semua."),
        ([TOBACCO], with_month(used_rupiah=600_000), f" {USED_UP}"),
        ([TOBACCO], facts(), ""),
        # Cut out, the line costs nothing, and the rest is bought.
        ([TOBACCO, a_line("pulsa", 5_000)], with_month(used_rupiah=600_000), f" {USED_UP}"),
    ],
)
def test_goods_that_are_not_permitted_and_too_little_money_are_both_said(
    lines: list[Line], under: Facts, more: str
) -> None:
    message = said(*lines, under=under)
    assert message.startswith(("Barang pada baris 1 tidak termasuk", "Bantuan tidak boleh ditukar"))
    assert message.endswith(f"Dinsos PM Kota Samarinda.{more}")


@pytest.mark.parametrize("now", ["2024-09-30T02:00:00Z", "2025-01-01T02:00:00Z"])
def test_outside_the_programmes_time_no_amount_would_pass(now: str) -> None:
    for month in (a_month(), a_month(used_rupiah=600_000)):
        message = said(a_line(amount=300_001), under=facts(now=now, family=a_family(month=month)))
        assert message.endswith(QUESTIONS)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ""),
        (
            {"now": "2024-12-05T02:00:00Z"},
            " Jatah November 2024 sudah lewat: untuk memakainya mungkin perlu izin (voucher) pendamping Pendamping 07.",
        ),
        (
            {"now": "2024-12-31T15:59:59Z"},
            " Jatah November 2024 sudah lewat: untuk memakainya mungkin perlu izin (voucher) pendamping Pendamping 07.",
        ),
        ({"now": "2024-12-31T16:00:00Z"}, f" Program sudah berakhir pada 31 Desember 2024. {QUESTIONS}"),
        ({"family": a_family(status=BeneficiaryStatus.SUSPENDED)}, ""),
    ],
)
def test_a_refund_says_where_it_went_and_what_stands_in_the_way_of_spending_it(
    changes: dict[str, Any], sentence: str
) -> None:
    said = refund_message(60_000, date(2024, 11, 1), facts(**changes))
    assert said == f"Dikembalikan Rp60.000 ke kartu, bukan tunai.{sentence}"


@pytest.mark.parametrize("now", ["2024-11-05T02:00:00Z", "2024-12-05T02:00:00Z", "2025-01-01T02:00:00Z"])
def test_a_refund_to_a_family_that_left_is_not_said_to_be_on_its_card(now: str) -> None:
    left = facts(now=now, family=a_family(status=BeneficiaryStatus.REMOVED))
    assert refund_message(60_000, date(2024, 11, 1), left) == (
        f"Dikembalikan Rp60.000 ke dana program, bukan tunai: keluarga ini tidak lagi terdaftar. {QUESTIONS}"
    )


def test_each_line_that_is_refused_has_a_sentence_with_its_own_figures() -> None:
    lines = (DEAR_EGGS, RICE, TOBACCO, a_priced_line("Minyakita", "2", 15_800))
    decision = decide(a_purchase(*lines), facts())
    assert [refusal_message(each, facts(), decision.room, line_of(lines, each)) for each in decision.refusals] == [
        "Barang pada baris 3 tidak termasuk bantuan: kartu hanya untuk beras, telur, ayam, ikan kaleng, minyak goreng, gula dan susu. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        "Harga pada baris 1 di atas batas: paling tinggi Rp30.000 per kg. Ulangi dengan harga yang benar, atau hubungi Dinsos PM Kota Samarinda.",
        "Harga pada baris 4 di atas batas: paling tinggi Rp15.700 per liter. Ulangi dengan harga yang benar, atau hubungi Dinsos PM Kota Samarinda.",
    ]


@pytest.mark.parametrize(
    ("reason", "has_room", "blank"),
    [
        (DeclineReason.PACKAGE_CAP_EXCEEDED, False, "package"),
        (DeclineReason.CATEGORY_NOT_PERMITTED, False, "line"),
        (DeclineReason.CATEGORY_NOT_PERMITTED, True, "line"),
    ],
)
def test_a_sentence_is_never_spoken_with_a_blank(reason: DeclineReason, has_room: bool, blank: str) -> None:
    room = room_of(a_family(), a_programme()) if has_room else None
    with pytest.raises(KeyError, match=f"^'{blank}'$"):
        refusal_message(Refusal(reason=reason), facts(), room, None)


@pytest.mark.parametrize(
    ("lines", "under", "sentence"),
    [
        (
            [FISH],
            facts(),
            "Disetujui Rp100.000. Sisa bulan ini Rp500.000, 1 kali belanja lagi. Sisa bantuan Rp1.700.000.",
        ),
        (
            [FISH],
            with_month(packages_used=1),
            "Disetujui Rp100.000. Jatah belanja bulan ini sudah habis; jika sangat perlu, hubungi pendamping Pendamping 07. Sisa bantuan Rp1.700.000.",
        ),
        (
            [FISH, TOBACCO],
            facts(),
            "Disetujui Rp100.000, kurang bayar Rp30.000. Sisa bulan ini Rp500.000, 1 kali belanja lagi. Sisa bantuan Rp1.700.000.",
        ),
        # What the shop bears is not due from the family.
        (
            [DEAR_EGGS],
            facts(programme=a_programme(above_ceiling=AboveCeiling.REDUCE)),
            "Disetujui Rp60.000. Sisa bulan ini Rp540.000, 1 kali belanja lagi. Sisa bantuan Rp1.740.000.",
        ),
    ],
)
def test_an_approval_says_what_it_paid_and_what_is_left(lines: list[Line], under: Facts, sentence: str) -> None:
    assert said(*lines, partial=True, under=under) == sentence


NO_PACKAGES = a_programme(month_packages=None)
NO_MONTH = a_programme(month_cap_rupiah=None)
NEITHER = a_programme(month_packages=None, month_cap_rupiah=None)


@pytest.mark.parametrize(
    ("under", "sentence"),
    [
        (facts(), "Sisa bulan ini Rp600.000, 2 kali belanja lagi. Sisa bantuan Rp1.800.000."),
        (
            with_month(packages_used=1, used_rupiah=300_000),
            "Sisa bulan ini Rp300.000, 1 kali belanja lagi. Sisa bantuan Rp1.800.000.",
        ),
        (with_month(packages_used=2, used_rupiah=600_000), f"{USED_UP} Sisa bantuan Rp1.800.000."),
        (
            facts(family=a_family(month=a_month(a_voucher(), packages_used=2, used_rupiah=600_000))),
            "Sisa bulan ini Rp100.000, 1 kali belanja lagi. Sisa bantuan Rp1.800.000.",
        ),
        (
            facts(family=a_family(available_rupiah=1, month=a_month(packages_used=2))),
            f"{USED_UP} Sisa bantuan Rp1.",
        ),
        # No companion can help a family that has nothing left.
        (
            facts(family=a_family(available_rupiah=0, month=a_month(packages_used=2))),
            "Sisa bulan ini Rp600.000, 0 kali belanja lagi. Sisa bantuan Rp0.",
        ),
        (
            facts(programme=NO_PACKAGES, family=a_family(month=a_month(packages_cap=None))),
            "Sisa bulan ini Rp600.000. Sisa bantuan Rp1.800.000.",
        ),
        (
            facts(programme=NO_MONTH, family=a_family(month=a_month(cap_rupiah=None))),
            "2 kali belanja lagi. Sisa bantuan Rp1.800.000.",
        ),
        (
            facts(programme=NEITHER, family=a_family(month=a_month(cap_rupiah=None, packages_cap=None))),
            "Sisa bantuan Rp1.800.000.",
        ),
        # By value many purchases share a package, and what is left of an open one may be spent.
        (
            facts(family=a_family(month=a_month(a_voucher(rupiah_left=0), packages_used=2, used_rupiah=600_000))),
            f"{USED_UP} Sisa bantuan Rp1.800.000.",
        ),
        (by_value(cap_rupiah=None), "Sisa bulan ini Rp600.000. Sisa bantuan Rp1.800.000."),
        (by_value(cap_rupiah=250_000), "Sisa bulan ini Rp250.000. Sisa bantuan Rp1.800.000."),
        (by_value(packages_cap=1), "Sisa bulan ini Rp300.000. Sisa bantuan Rp1.800.000."),
        (by_value(packages_cap=None), "Sisa bulan ini Rp600.000. Sisa bantuan Rp1.800.000."),
        (by_value(), "Sisa bulan ini Rp600.000. Sisa bantuan Rp1.800.000."),
        (by_value(used_rupiah=500_001), "Sisa bulan ini Rp99.999. Sisa bantuan Rp1.800.000."),
        (by_value(used_rupiah=600_000), f"{USED_UP} Sisa bantuan Rp1.800.000."),
    ],
)
def test_a_balance_says_what_is_left_this_month_and_in_all(under: Facts, sentence: str) -> None:
    assert under.family is not None
    assert balance_message(under, None, room_of(under.family, under.programme)) == sentence


def test_a_balance_outside_the_programmes_time_says_so_first() -> None:
    ended = facts(now="2025-01-01T02:00:00Z", family=a_family(available_rupiah=450_000))
    assert ended.family is not None
    first = Refusal(reason=DeclineReason.PROGRAMME_ENDED)
    assert balance_message(ended, first, room_of(ended.family, ended.programme)) == (
        "Program sudah berakhir pada 31 Desember 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda. Sisa bantuan Rp450.000."
    )


def test_the_balance_of_a_card_that_may_not_ask_tells_no_money() -> None:
    lost = facts(card=a_card(status=CardStatus.LOST))
    (first,) = identity_refusals(lost)
    assert balance_message(lost, first, None) == "Kartu ini dilaporkan hilang. Hubungi Dinsos PM Kota Samarinda."


EAST, WEST = ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")
"""The ends of the world, UTC+14 and UTC-11: no server's own zone passes for both."""


@pytest.mark.parametrize(
    ("now", "programme", "sentence"),
    [
        (
            "2024-09-10T02:00:00Z",
            {"zone": EAST, "starts_at": instant("2024-09-30T10:00:00Z")},
            "Program belum dimulai: bantuan dapat dipakai mulai 1 Oktober 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        ),
        (
            "2024-09-10T02:00:00Z",
            {"zone": WEST, "starts_at": instant("2024-10-01T11:00:00Z")},
            "Program belum dimulai: bantuan dapat dipakai mulai 1 Oktober 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        ),
        (
            "2025-01-02T02:00:00Z",
            {"zone": EAST, "ends_at": instant("2024-12-31T10:00:00Z")},
            "Program sudah berakhir pada 31 Desember 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        ),
        (
            "2025-01-02T02:00:00Z",
            {"zone": WEST, "ends_at": instant("2025-01-01T11:00:00Z")},
            "Program sudah berakhir pada 31 Desember 2024. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        ),
        # The last instant is the one before the end, however close to midnight.
        (
            "2025-01-01T02:00:00Z",
            {"ends_at": instant("2024-12-31T16:00:00.000001Z")},
            "Program sudah berakhir pada 1 Januari 2025. Untuk pertanyaan, hubungi Dinsos PM Kota Samarinda.",
        ),
    ],
)
def test_the_days_are_those_of_the_programmes_zone(now: str, programme: dict[str, Any], sentence: str) -> None:
    assert said(under=facts(now=now, programme=a_programme(**programme))) == sentence


def test_months_have_their_indonesian_names() -> None:
    ninths = [in_words(datetime(2024, month, 9, tzinfo=UTC), ZoneInfo("UTC")) for month in range(1, 13)]
    assert ninths == [
        *("9 Januari 2024", "9 Februari 2024", "9 Maret 2024", "9 April 2024", "9 Mei 2024", "9 Juni 2024"),
        *("9 Juli 2024", "9 Agustus 2024", "9 September 2024", "9 Oktober 2024", "9 November 2024", "9 Desember 2024"),
    ]


@pytest.mark.parametrize(
    ("categories", "goods"),
    [
        ({"beras": "beras"}, "beras"),
        ({"beras": "beras", "gula": "gula pasir"}, "beras dan gula pasir"),
        ({"beras": "beras", "gula": "gula pasir", "susu": "susu"}, "beras, gula pasir dan susu"),
    ],
)
def test_the_goods_are_named_in_the_order_of_the_list(categories: dict[str, str], goods: str) -> None:
    programme = a_programme(categories=categories)
    assert said(TOBACCO, under=facts(programme=programme)) == (
        f"Barang pada baris 1 tidak termasuk bantuan: kartu hanya untuk {goods}. {QUESTIONS}"
    )


def test_the_ceiling_that_is_said_is_that_of_the_shops_kecamatan() -> None:
    eggs = a_product(a_ceiling(31_000, district_code="64.72.05"), a_ceiling(30_000))
    programme = a_programme(products=listed(eggs))
    line = a_priced_line("telur ayam ras", "1", 32_000)
    heard = {
        district: said(line, under=facts(programme=programme, shop=a_shop(district_code=district)))
        for district in ("64.72.05", "64.72.01")
    }
    assert heard == {
        "64.72.05": "Harga pada baris 1 di atas batas: paling tinggi Rp31.000 per kg. Ulangi dengan harga yang benar, atau hubungi Dinsos PM Kota Samarinda.",
        "64.72.01": "Harga pada baris 1 di atas batas: paling tinggi Rp30.000 per kg. Ulangi dengan harga yang benar, atau hubungi Dinsos PM Kota Samarinda.",
    }
