"""What `largest_approvable_amount` says would pass does pass when asked at once, and not a rupiah more.

Over HTTP, against a real service: a family shops, captures, gives back, is vouched for and comes back in another
month, under every way that a programme may count; after each answer it asks for exactly as much as it was told.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from authz_service.enrolment.sandbox import SandboxCard
from tests.world import A_MORNING, THREE_LINES, WITA, Reply, World

FISH: Final = "ikan_kaleng"
"""Without a price ceiling, so that any amount is a permitted price."""
DEAR_RICE: Final = THREE_LINES[0] | {"unit_price": 16_000, "amount": 80_000}
_LIMITS: Final = ("package_counting", "package_rupiah", "month_cap_rupiah", "month_packages")
END: Final = datetime(2025, 1, 1, tzinfo=WITA)
"""Nobody vouches for a month after it."""
ANY_VOUCHER: Final = dict.fromkeys(
    f"voucher_{each}_{unit}" for each in ("limit", "month_limit", "approval_above") for unit in ("rupiah", "packages")
)
"""What companions may give is not the question here."""
TERMS: Final = [
    dict(zip(_LIMITS, limits, strict=True))
    for limits in [
        ("per_purchase", 300_000, 600_000, 2),
        ("per_purchase", 300_000, 600_000, 2),
        ("per_purchase", None, 600_000, 3),
        ("per_purchase", 137_501, None, 4),
        ("per_purchase", 900_000, 250_000, None),
        ("by_value", 300_000, 600_000, 2),
        ("by_value", 137_501, None, 3),
        ("by_value", 300_000, 450_000, None),
        ("no_limit", 300_000, 600_000, 2),
        ("no_limit", None, None, None),
    ]
]
_cards = count()


class Counter:
    """Where families come one after another. Not a dataclass: Hypothesis would print the whole world."""

    def __init__(self, world: World) -> None:
        self.world = world


@pytest.fixture
async def counter(world: World) -> Counter:
    """A counter that never closes."""
    await world.database.execute("UPDATE merchant SET opens_at = NULL, closes_at = NULL")
    return Counter(world)


@dataclass(slots=True)
class Shopper:
    """One family at one till; `told` is the largest amount that the last answer named."""

    world: World = field(repr=False)
    card: SandboxCard
    told: int = 0
    sales: list[tuple[str, str]] = field(default_factory=list)
    """Id and key of what was approved."""

    async def hears(self, reply: Reply) -> Reply:
        """The answer's amount would pass, one rupiah more would not, and in part it would be cut to just that."""
        assert reply.status in {200, 201}, reply.raw
        self.told = told = reply["largest_approvable_amount"]
        exact, more, cut = await asyncio.gather(
            self.would(max(told, 1)), self.would(told + 1), self.would(told + 1, partial_approval=True)
        )
        assert (exact["decision"] == "approved") is (told > 0), (told, exact.body)
        assert exact["approved_amount"] == told
        assert more["decision"] == "declined", (told, more.body)
        assert cut["approved_amount"] == told
        assert f"{told:,}".replace(",", ".") in cut["message"] or told == 0
        return reply

    async def would(self, amount: int, **changes: Any) -> Reply:
        purchase = self.world.a_purchase(card_number=self.card.card_number, amount=amount, **changes)
        return await self.world.post("/v1/authorizations?dry_run=true", purchase)

    async def buys(self, lines: list[dict[str, Any]], **changes: Any) -> None:
        """First asks without buying: that and the purchase itself name the same amount."""
        purchase = self.world.a_purchase(card_number=self.card.card_number, lines=lines, **changes)
        dry = await self.world.post("/v1/authorizations?dry_run=true", purchase)
        key = self.world.fresh_key()
        sale = await self.hears(await self.world.post("/v1/authorizations", purchase, key=key))
        assert (dry["decision"], dry["largest_approvable_amount"]) == (sale["decision"], self.told)
        if sale["decision"] == "approved":
            self.sales.append((sale["id"], key))

    async def asks(self) -> None:
        await self.hears(await self.world.balance(self.card))

    async def does(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("takes", share, more, how):
                amount = max(1, self.told * share // 4 + more)
                return await self.buys([{"category": FISH, "amount": amount}], **how)
            case ("mixes", how):
                lines = [DEAR_RICE, {"category": "rokok", "amount": 20_000}, {"category": FISH, "amount": 260_000}]
                return await self.buys(lines[how["skip"] :], partial_approval=how["partial_approval"])
            case (("capture" | "void" | "refund" | "reverse") as call, amount) if self.sales:
                await self._later(call, amount, *self.sales[-1])
            case ("vouched", rupiah, packages) if self.world.now < END:
                month = self.world.now.astimezone(WITA).date().replace(day=1)
                await self.world.vouched(month, extra_rupiah=rupiah, extra_packages=packages, card=self.card)
            case ("waits", hours):
                self.world.later(hours=hours)
            case ("card", status):
                await self.world.database.execute(
                    "UPDATE card SET status = $1 WHERE beneficiary_id = $2", status, self.card.beneficiary_id
                )
        await self.asks()

    async def _later(self, call: str, amount: int, sale: str, key: str) -> None:
        """Whether it succeeds or comes too late, the next answer must be true."""
        match call:
            case "capture":
                await self.world.capture(sale, amount=amount, final=amount % 2 == 0)
            case "refund":
                await self.world.refund(sale, amount)
            case "reverse":
                await self.world.reverse(idempotency_key=key)
            case _:
                await self.world.void(sale)


HOW: Final = st.fixed_dictionaries({"capture": st.booleans(), "partial_approval": st.booleans()})
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("takes"), st.integers(0, 4), st.sampled_from([-1, 0, 0, 1, 60_000]), HOW),
        st.tuples(st.just("takes"), st.just(4), st.just(0), HOW),
        st.tuples(
            st.just("mixes"),
            st.fixed_dictionaries({"skip": st.integers(0, 2), "partial_approval": st.booleans()}),
        ),
        st.tuples(st.sampled_from(["capture", "void", "refund", "reverse"]), st.integers(1, 90_000)),
        st.tuples(st.just("vouched"), st.sampled_from([1, 50_000, 400_000]), st.integers(0, 2)),
        st.tuples(st.just("waits"), st.sampled_from([1, 25, 24 * 20])),
        st.tuples(st.just("card"), st.sampled_from(["active", "active", "blocked"])),
    ),
    min_size=4,
    max_size=12,
)


@settings(
    deadline=None,
    max_examples=60,
    # Shrinking would run for minutes over HTTP; the steps of a failure are few enough to read.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    terms=st.sampled_from(TERMS),
    above_ceiling=st.sampled_from(["decline", "reduce"]),
    begins=st.sampled_from([A_MORNING, A_MORNING, datetime(2024, 11, 29, 20, tzinfo=WITA)]),
    steps=STEPS,
)
async def test_what_is_said_to_pass_does_pass_and_not_a_rupiah_more(
    counter: Counter, terms: dict[str, Any], above_ceiling: str, begins: datetime, steps: list[tuple[Any, ...]]
) -> None:
    world = counter.world
    # By value a package has a value in each of the statements between.
    await world.change(package_counting="no_limit", **ANY_VOUCHER)
    await world.change(**dict(reversed(terms.items())), above_ceiling=above_ceiling)
    world.at(begins)
    shopper = Shopper(world, world.tills.cards[next(_cards) % len(world.tills.cards)])
    await shopper.asks()
    for step in steps:
        await shopper.does(step)


async def test_whoever_buys_what_was_said_to_pass_comes_to_the_last_rupiah(counter: Counter) -> None:
    shopper = Shopper(counter.world, counter.world.card)
    for month in (10, 11, 12):
        counter.world.at(datetime(2024, month, 7, 9, tzinfo=WITA))
        await shopper.asks()
        for _ in range(2):
            assert shopper.told == 300_000
            await shopper.buys([{"category": FISH, "amount": shopper.told}], capture=True)
        assert shopper.told == 0
    assert await counter.world.wallet() == (0, 0, 1_800_000)
    await counter.world.books_balance()


@pytest.mark.parametrize("now", [datetime(2024, 9, 30, 23, 59, 50, tzinfo=WITA), datetime(2025, 1, 1, tzinfo=WITA)])
async def test_outside_the_programmes_time_nothing_passes(counter: Counter, now: datetime) -> None:
    counter.world.at(now)
    shopper = Shopper(counter.world, counter.world.card)
    await shopper.asks()
    assert shopper.told == 0
    await shopper.hears(await counter.world.authorise(amount=400_000))
    assert shopper.told == 0
