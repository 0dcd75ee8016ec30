"""How often what happens: habits of families, of shops and of companions, as parts of all visits, sales or families."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from authz_service.declines import DeclineReason
from authz_service.demo.goods import Size
from authz_service.demo.plan import Repeat, Settling

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a family shops: how often in a month, how much at a time, and whether it misses a month."""

    weight: int
    visits: tuple[tuple[int, int], ...]
    sizes: tuple[tuple[Size, int], ...]
    misses_a_month: bool = False


HABITS: Final = (
    Habit(
        weight=66,
        visits=((2, 94), (1, 6)),
        sizes=((Size.FULL, 91), (Size.MEDIUM, 7), (Size.SMALL, 2)),
    ),
    Habit(
        weight=14,
        visits=((2, 60), (1, 35), (0, 5)),
        sizes=((Size.FULL, 45), (Size.MEDIUM, 38), (Size.SMALL, 17)),
    ),
    Habit(
        weight=20,
        visits=((2, 94), (1, 6)),
        sizes=((Size.FULL, 86), (Size.MEDIUM, 11), (Size.SMALL, 3)),
        misses_a_month=True,
    ),
)
BUSY_DAYS: Final = ((5, 6.0), (10, 2.5), (31, 1.0))
"""Up to which day of the month, and how busy."""
MISSED_EARLY: Final = 3
"""How much more often than the last month an earlier one is missed."""
BACK_AFTER: Final = 2 * DAY
"""No family shops again before what it left open has ended."""
ASKS_FIRST: Final = 0.03
TRIES_ONCE_MORE: Final = 0.04
"""Families that come again in a month that is used up."""
USES_UP_THE_REST: Final = 0.12
"""Families that come in the last month for what little is left."""
LITTLE_RUPIAH: Final = (20_000, 250_000)

# --- At the till. ----------------------------------------------------------------------------------------------------

MISHAPS: Final = (
    (DeclineReason.PRICE_ABOVE_CEILING, 0.020),
    (DeclineReason.CATEGORY_NOT_PERMITTED, 0.012),
    (DeclineReason.PRODUCT_NOT_PERMITTED, 0.009),
    (DeclineReason.CARD_UNKNOWN, 0.010),
    (DeclineReason.PACKAGE_CAP_EXCEEDED, 0.013),
)
SETTLINGS: Final = (
    (Settling.CAPTURED, 0.695),
    (Settling.AT_ONCE, 0.22),
    (Settling.CAPTURED_IN_PART, 0.03),
    (Settling.REFUNDED_IN_PART, 0.01),
    (Settling.VOIDED, 0.025),
    (Settling.LEFT_OPEN, 0.02),
)
FETCHED_NEXT_DAY: Final = 0.7
"""Of the sales left open in an afternoon: captured early the next morning. The others expire."""
BUYS_AFTER_VOID: Final = 0.6
DRY_RUN_FIRST: Final = 0.015
REPEATS: Final = ((Repeat.NEVER, 0.974), (Repeat.AFTERWARDS, 0.02), (Repeat.AT_THE_SAME_TIME, 0.006))
SETTLING_REPEATED: Final = 0.01

# --- Companions. -----------------------------------------------------------------------------------------------------

VOUCHED_AFTER_MISSING: Final = 0.85
VOUCHED_BEFORE_SHOPPING: Final = 0.3
VOUCHED_FOR_THE_REST: Final = 0.5
VOUCHERS: Final = ((300_000, 1, 4), (600_000, 2, 4), (100_000, 1, 2), (150_000, 1, 1))
"""Extra rupiah, extra packages, and how often companions give it."""
VOUCHER_STEP_RUPIAH: Final = 50_000
REASONS: Final = (
    "Tidak berbelanja bulan lalu karena ibu melahirkan",
    "Tidak berbelanja bulan lalu karena sakit",
    "Tidak berbelanja bulan lalu karena bekerja di luar kota",
    "Rumah terkena banjir, persediaan rusak",
    "Warung terdekat kehabisan beras pada bulan lalu",
)
REASON_FOR_THE_REST: Final = "Sisa bantuan dipakai sebelum program berakhir"
