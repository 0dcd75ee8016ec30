"""Everything that tills and offices can do, in any order and at once, against a model that knows neither.

Each rule lets somebody ask something; now and then all that waits is sent in the same moment. Families come in pairs
that share nothing with the others, and what was asked about a pair must have been answered, and must have left the
books, as if it had come in some order: the model is asked in each. So a refusal changes nothing, a repeat is the first
answer byte for byte, and a race has one winner, whatever the service does inside.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import count, product
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from authz_service.vocabulary import with_luhn
from tests.calls import Call, Name
from tests.conftest import Cluster, EnrolledTemplate
from tests.judge import in_some_order, why_not
from tests.model import Model
from tests.model_offices import OPERATOR
from tests.stage import Books, Heard, Stage
from tests.tally import CAPS, ENDS, STARTS, WITA, Family, Sale
from tests.world import THREE_LINES

OPERATIONS: Final = int(os.environ.get("AUTHZ_TEST_OPERATIONS", "4000"))
"""How many calls all parts make together, at least; `make test-long` says more."""
PARTS: Final = 2
"""One for each of the two workers of a run."""
STEPS: Final = 180
PAIRS: Final = 6
PLACES: Final = 3
"""In a pair, which is three once somebody has entered late."""
AT_ONCE: Final = 4
"""So many calls about one pair in the same moment: they can have come in 24 orders."""
RIVALS: Final = 2
"""So many calls about one sale make a race; more would lose it."""
A_CROWD: Final = 14
"""So many calls wait before time passes: large bundles are cheap."""

A_MOMENT: Final = timedelta(microseconds=1)
RICE: Final = THREE_LINES[0]
DEAR: Final = {"quantity": "2.5", "unit_price": 15_401, "amount": 38_503}
"""At the ceiling 38.500."""
BESIDE_FISH: Final[dict[str, list[dict[str, Any]]]] = {
    "nothing": [],
    "rice": [RICE],
    "dear rice": [RICE | DEAR],
    "rice without details": [{"category": "beras", "amount": 20_000}],
    "cigarettes": [{"category": "rokok", "amount": 10_000}],
    "cash": [{"category": "tunai", "amount": 1}],
}
PAIR = st.sampled_from((0, 1, *range(PAIRS)))
FAVOURITES: Final = ((0, 0), (1, 0))
"""These have used up their first month at once, and come to the end of their money."""
FAMILY = st.sampled_from((*FAVOURITES * 3, (0, 2), (1, 2), *product(range(PAIRS), range(PLACES))))
"""Pair and place in it; the third may be a late entrant's."""
WHICH = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5, 8))
"""Counted back from the one that fits best."""
TILL = st.sampled_from("aaaab")
SENDS = st.sampled_from((True, *[False] * 39))
"""Everything that waits goes now."""
SELDOM = st.sampled_from((*[False] * 11, True))
EITHER = st.booleans()
HOW = st.fixed_dictionaries(
    {
        "amount": st.sampled_from((300_000, 150_000, 300_001, "what is left", "a rupiah more"))
        | st.integers(1, 310_000),
        "beside_fish": st.sampled_from((*["nothing"] * 9, *BESIDE_FISH, *["dear rice"] * 3)),
        "till": TILL,
        "capture": EITHER,
        "partial": EITHER,
        "oddity": st.sampled_from((*["none"] * 12, "miscounted", "first card", "unknown card")),
    }
)
PART = st.sampled_from(("unnamed", "all", "half", "half", "half", "one", "one more"))
VOUCHERS = st.lists(
    st.sampled_from(((70_000, 1), *[(0, 1)] * 2, (50_000, 0), (1, 0), *[(600_000, 2)] * 3, (600_001, 0), (0, 3))),
    min_size=1,
    max_size=AT_ONCE - 1,
)
"""Rupiah and packages of each."""
ORDER = st.sampled_from(("card", "block", "suspend", "remove", "merge", "move", "enter", "enter", "cap"))
NEXT_CAPS = st.sampled_from((CAPS, (450_000, 2), (600_000, 1), (900_000, 3)))
BEGINNINGS = st.sampled_from(
    (
        *[datetime(2024, 10, 7, 9, 0, tzinfo=WITA)] * 4,
        *[datetime(2024, 11, 30, 23, 59, 59, 999_999, tzinfo=WITA)] * 2,
        datetime(2024, 12, 30, 19, 59, 30, 123_456, tzinfo=WITA),
        STARTS - A_MOMENT,
    )
)
TIMES = st.sampled_from(
    (
        "a minute",
        "an hour",
        *("before an expiry", "an expiry", "after an expiry") * 4,
        *["the next month"] * 3,
        "the end",
        "a bad minute",
    )
)
_numbers = count(1)
Place = tuple[int, int]


class Counter(RuleBasedStateMachine):
    """Pairs of families at two tills, the offices, and the clock."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.heard: dict[object, Any] = {}
        """Name → the id that the service gave to it, or the bytes of its answer."""
        self.waiting: list[tuple[int, Call]] = []
        self.asked: list[list[Call]] = [[] for _ in range(PAIRS)]
        """Every call with a key, also those that nobody has sent yet."""

    @initialize(now=BEGINNINGS, reduces=EITHER)
    def begins(self, now: datetime, reduces: bool) -> None:
        found = self.stage.families(2 * PAIRS)
        self.stage.set_clock(now)
        self.stage.run(self.stage.begin(reduces=reduces))
        self.pairs: list[list[str]] = [[card.beneficiary_id for card in found[2 * n : 2 * n + 2]] for n in range(PAIRS)]
        self.cards: dict[str, list[str]] = {card.beneficiary_id: [card.card_number] for card in found}
        self.model = Model(
            now=now,
            hours={"a": range(24), "b": range(7, 20)},
            suspended=set(),
            reduces=reduces,
            caps={date.min: CAPS},
            families={card.beneficiary_id: Family(companion=card.companion_id) for card in found},
            cards={card.card_number: (card.beneficiary_id, "active") for card in found},
            vouchers={},
            kept={},
            reversals={},
            stans={},
            tombstones=set(),
            sales={},
        )
        self.kept_before = self.stage.run(self.stage.kept())
        for pair in range(PAIRS):
            is_favourite = (pair, 0) in FAVOURITES
            for _ in range(CAPS[1] if is_favourite else 1):
                purchase = self.a_purchase(self.pairs[pair][0], 300_000 if is_favourite else 100_000)
                self.ask(pair, purchase, sends=False)
        self.send()

    # --- Tills ---

    @rule(family=FAMILY, dry=SELDOM, how=HOW, sends=SENDS)
    def buys(self, family: Place, dry: bool, how: dict[str, Any], sends: bool) -> None:
        purchase = self.a_purchase(self.at(family), **how)
        self.ask(family[0], replace(purchase, kind="dry_run", key="") if dry else purchase, sends=sends)

    @rule(family=FAMILY, both=EITHER, how=HOW, sends=SENDS)
    def buys_twice(self, family: Place, both: bool, how: dict[str, Any], sends: bool) -> None:
        """Or `both` families of the pair buy."""
        pair, place = family
        self.ask(pair, self.a_purchase(self.at(family), **how), sends=False)
        self.ask(pair, self.a_purchase(self.at((pair, place + both)), **how), sends=sends)

    @rule(
        family=st.sampled_from(FAVOURITES) | FAMILY,
        vouchers=VOUCHERS,
        next_month=SELDOM,
        stranger=SELDOM,
        hurries=EITHER,
        how=HOW,
        sends=SENDS,
    )
    def buys_when_somebody_vouches(
        self,
        family: Place,
        vouchers: list[tuple[int, int]],
        next_month: bool,
        stranger: bool,
        hurries: bool,
        how: Any,
        sends: bool,
    ) -> None:
        whose = self.model.families.get(self.at(family))
        companion = whose.companion if whose and not stranger else self.stage.companions[-1]
        month = self.next_month if next_month else self.model.month
        for extra in vouchers:
            body = {"family": self.at(family), "month": month, "extra": extra}
            self.ask(family[0], Call(kind="vouch", who=companion, key=_a_key(), body=body), sends=False)
        if not hurries:
            self.send()
            self.approves(family[0], 0, sends=False)
        self.ask(family[0], self.a_purchase(self.at(family), **how), sends=sends)

    @rule(pair=PAIR, which=WHICH, part=PART, final=EITHER, stranger=SELDOM, sends=SENDS)
    def captures(self, pair: int, which: int, part: str, final: bool, **who: bool) -> None:
        sale = self.a_sale(pair, which, _is_held)
        held = self.model.sales[sale].amounts[0]
        self.later(pair, "capture", sale, {"final": final} | _part_of(held, part), **who)

    @rule(pair=PAIR, which=WHICH, stranger=SELDOM, sends=SENDS)
    def voids(self, pair: int, which: int, **who: bool) -> None:
        self.later(pair, "void", self.a_sale(pair, which, _is_held), {}, **who)

    @rule(pair=PAIR, which=WHICH, part=PART, stranger=SELDOM, sends=SENDS)
    def refunds(self, pair: int, which: int, part: str, **who: bool) -> None:
        sale = self.a_sale(pair, which, _is_refundable)
        _, captured, refunded = self.model.sales[sale].amounts
        amount = _part_of(captured - refunded, "all" if part == "unnamed" else part)
        self.later(pair, "refund", sale, amount | {"reason": "rusak"}, **who)

    @rule(pair=PAIR, which=WHICH, by_stan=EITHER, stranger=SELDOM, sends=SENDS)
    def reverses(self, pair: int, which: int, by_stan: bool, stranger: bool, sends: bool) -> None:
        """Anything that has a key, also what is no sale."""
        self.ask(pair, self.a_reversal(self.an_earlier(pair, which, "ab"), by_stan, stranger=stranger), sends=sends)

    @rule(pair=PAIR, which=WHICH, by_stan=EITHER, twice=EITHER, sends=SENDS)
    def reverses_a_sale(self, pair: int, which: int, by_stan: bool, twice: bool, sends: bool) -> None:
        """Once, or at the same time in both ways."""
        sale = self.model.kept[self.a_sale(pair, which, lambda sale: sale.used > 0)][0]
        self.ask(pair, self.a_reversal(sale, by_stan), sends=sends and not twice)
        if twice:
            self.ask(pair, self.a_reversal(sale, not by_stan), sends=sends)

    @rule(family=FAMILY, by_stan=EITHER, sends=SENDS)
    def reverses_what_never_came(self, family: Place, by_stan: bool, sends: bool) -> None:
        """Not yet: a later repeat may send it."""
        purchase = self.a_purchase(self.at(family))
        self.asked[family[0]].append(purchase)
        self.ask(family[0], self.a_reversal(purchase, by_stan), sends=sends)

    @rule(pair=PAIR, which=WHICH, sends=SENDS)
    def repeats(self, pair: int, which: int, sends: bool) -> None:
        self.ask(pair, self.an_earlier(pair, which), sends=sends)

    @rule(pair=PAIR, which=WHICH, sends=SENDS)
    def uses_a_key_again(self, pair: int, which: int, sends: bool) -> None:
        """For other content: the same in another way, or a void."""
        first = self.an_earlier(pair, which)
        match first.kind:
            case "authorise":
                again = replace(first, body={**first.body, "partial_approval": not first.body["partial_approval"]})
            case "vouch":
                again = replace(first, body={**first.body, "extra": (1, 1)})
            case "approve" | "revoke":
                again = replace(first, kind="revoke", body={"reason": "lain"})
            case _:
                sale = self.a_sale(pair, 0, _is_held)
                again = replace(first, kind="void", about=sale, body={"reason": "lain"})
        self.ask(pair, again, sends=sends)

    @rule(family=FAMILY, which=WHICH, how=HOW, sends=SENDS)
    def uses_a_stan_again(self, family: Place, which: int, how: dict[str, Any], sends: bool) -> None:
        twin, first = self.a_purchase(self.at(family), **how), self.an_earlier(family[0], which)
        if first.kind == "authorise":
            names = {name: first.body[name] for name in ("stan", "terminal_time")}
            twin = replace(twin, who=first.who, body={**twin.body, **names})
        self.ask(family[0], twin, sends=sends)

    @rule(family=FAMILY, which=WHICH, balance=EITHER, till=TILL, stranger=SELDOM, sends=SENDS)
    def looks(self, family: Place, which: int, balance: bool, till: str, stranger: bool, sends: bool) -> None:
        sale = self.a_sale(family[0], which, _is_held)
        look = Call(kind="get", who=_other(sale[0], is_it=stranger), about=sale, body={})
        ask = Call(kind="balance", who=till, body={"card_number": self.cards[self.at(family)][-1]})
        self.ask(family[0], ask if balance else look, sends=sends)

    # --- Offices ---

    @rule(pair=PAIR, which=WHICH, sends=SENDS)
    def approves(self, pair: int, which: int, sends: bool) -> None:
        """What waits for it, if anything does."""
        known = self.vouchers_of(pair)
        known.sort(key=lambda name: self.model.status_of(name) == "awaiting_approval")
        if known:
            voucher = known[-1 - which % len(known)]
            self.ask(pair, Call(kind="approve", who=OPERATOR, key=_a_key(), about=voucher, body={}), sends=sends)

    @rule(pair=PAIR, which=WHICH, who=st.sampled_from((OPERATOR, "", "a stranger")), sends=SENDS)
    def revokes(self, pair: int, which: int, who: str, sends: bool) -> None:
        """Who vouched, an operator, or a companion who may not know of it; and an operator looks."""
        if known := self.vouchers_of(pair):
            voucher = known[-1 - which % len(known)]
            names = {"": self.model.vouchers[voucher].companion, "a stranger": self.stage.companions[-1]}
            body = {"reason": "salah keluarga"}
            revocation = Call(kind="revoke", who=names.get(who, who), key=_a_key(), about=voucher, body=body)
            self.ask(pair, revocation, sends=False)
            self.ask(pair, Call(kind="get_voucher", who=OPERATOR, about=voucher, body={}), sends=sends)

    @rule(family=FAMILY, order=ORDER, stays=EITHER, caps=NEXT_CAPS, sends=SENDS)
    def is_seen_to(self, family: Place, order: str, stays: bool, caps: tuple[int, int], sends: bool) -> None:
        """What keeps a family from buying `stays`, or ends a moment later."""
        pair, who = family[0], self.at(family)
        whose = self.model.families.get(who)
        # Few may go for good, so that somebody is left who buys.
        leaves = [each.status for each in self.model.families.values()].count("removed") < PAIRS // 2
        match order:
            case "suspend":
                self.order(pair, order, family=who, status="suspended", sends=sends)
                if (whose and whose.status == "suspended") or not stays:
                    self.order(pair, "resume", family=who, status="active", sends=sends)
            case "card" | "block":
                if order == "block":
                    self.order(pair, order, family=who, card=self.cards[who][-1], sends=sends)
                if order == "card" or not stays:
                    self.cards[who].append(_a_card())
                    self.order(pair, "card", family=who, card=self.cards[who][-1], sends=sends)
            case "remove" if leaves:
                self.order(pair, order, family=who, sends=sends)
            case "merge" if leaves or whose is None or whose.status == "removed":
                self.order(pair, order, family=who, survivor=self.at((pair, family[1] + 1)), sends=sends)
            case "move":
                companions = self.stage.companions
                self.order(pair, order, family=who, companion=companions[len(self.asked[pair]) % 2], sends=sends)
            case "enter":
                self.enters(pair, is_new=len(self.pairs[pair]) < PLACES, sends=sends)
            case "cap":
                # Always beside the same pair: of two changes that come at once the model must know the last.
                self.order(0, order, month=self.next_month, caps=caps, sends=sends)

    def enters(self, pair: int, *, is_new: bool, sends: bool) -> None:
        """With less than a package, so that money ends; or somebody who is on the roll already."""
        if is_new:
            self.pairs[pair].append(f"late-{next(_numbers)}")
            self.cards[self.pairs[pair][-1]] = [_a_card()]
        name = self.pairs[pair][-1]
        what = {"companion": self.stage.companions[0], "rupiah": 250_000, "card": self.cards[name][0]}
        if name.startswith("late-"):
            self.order(pair, "enter", family=name, sends=sends, **what)

    # --- Time ---

    @rule(until=TIMES)
    def waits(self, until: str) -> None:
        """What was asked is sent before, if it is much; once in a while it finds its shop suspended."""
        # No precondition: what may be drawn must not depend on who won a race.
        if 0 < len(self.waiting) < A_CROWD:
            return
        if until == "a bad minute":
            self.model.suspended = {"a"}
            self.stage.run(self.stage.suspend("a", "suspended"))
        self.send()
        if until == "a bad minute":
            self.model.suspended = set()
            self.stage.run(self.stage.suspend("a", "active"))
        now, next_month = self.model.now, self.next_month
        expiries = [sale.expires_at for sale in self.model.sales.values() if sale.amounts[0] and sale.expires_at > now]
        expiry = min(expiries, default=now + timedelta(hours=24))
        self.model.now = {
            "a minute": now + timedelta(minutes=1),
            "a bad minute": now + timedelta(minutes=1),
            "an hour": now + timedelta(hours=1),
            "before an expiry": max(now, expiry - A_MOMENT),
            "an expiry": expiry,
            "after an expiry": expiry + A_MOMENT,
            "the next month": datetime.combine(next_month, time(), WITA),
            "the end": max(now + A_MOMENT, ENDS - A_MOMENT),
        }[until]
        self.stage.set_clock(self.model.now)

    # --- What is asked ---

    @property
    def next_month(self) -> date:
        return (self.model.month + timedelta(days=31)).replace(day=1)

    def at(self, place: Place) -> str:
        pair = self.pairs[place[0]]
        return pair[place[1] % len(pair)]

    def a_purchase(
        self,
        family: str,
        amount: int | str = 100_000,
        beside_fish: str = "nothing",
        till: str = "a",
        capture: bool = False,
        partial: bool = False,
        oddity: str = "none",
    ) -> Call:
        cards = {"first card": self.cards[family][0], "unknown card": with_luhn("936000020000000")}
        left = self.model.left(family)["package"] if family in self.model.families else 1
        fish = {"what is left": max(1, left), "a rupiah more": left + 1}.get(str(amount), amount)
        lines = [*BESIDE_FISH[beside_fish], {"category": "ikan_kaleng", "amount": fish}]
        body = {
            "card_number": cards.get(oddity, self.cards[family][-1]),
            "stan": f"{next(_numbers) % 1_000_000:06d}",
            "terminal_time": "2024-10-07T09:00:00+08:00",
            "amount": sum(line["amount"] for line in lines) + (oddity == "miscounted"),
            "currency": "IDR",
            "lines": lines,
            "capture": capture,
            "partial_approval": partial,
        }
        return Call(kind="authorise", who=till, key=_a_key(), body=body)

    def a_reversal(self, original: Call, by_stan: bool, *, stranger: bool = False) -> Call:
        body = {"idempotency_key": original.key}
        if by_stan and original.kind == "authorise":
            body = {name: original.body[name] for name in ("stan", "terminal_time")}
        return Call(kind="reverse", who=_other(original.who, is_it=stranger), key=_a_key(), body=body)

    def a_sale(self, pair: int, which: int, fits: Callable[[Sale], bool]) -> Name:
        """Of those that are known; first those that fit, of them first what vouchers cover, and then the latest."""
        sales, busy = self.model.sales, [call.about for _, call in self.waiting]
        mine = [call.name for call in self.asked[pair] if call.name in sales]
        mine.sort(
            key=lambda name: (
                fits(sales[name]) and busy.count(name) < RIVALS,
                len(sales[name].covered),
                bool(sales[name].family),
            )
        )
        return mine[-1 - which % len(mine)]

    def an_earlier(self, pair: int, which: int, tills: str | None = None) -> Call:
        found = [call for call in self.asked[pair] if tills is None or call.who in tills]
        return found[-1 - which % len(found)]

    def vouchers_of(self, pair: int) -> list[Name]:
        return [name for name, each in self.model.vouchers.items() if each.family in self.pairs[pair]]

    def later(self, pair: int, kind: str, sale: Name, body: Any, *, stranger: bool, sends: bool) -> None:
        till, before = _other(sale[0], is_it=stranger), self.model.sales[sale]
        if not _is_held(before) and not _is_refundable(before):
            # Mostly in vain, so that somebody buys something for the next one.
            self.ask(pair, self.a_purchase(self.pairs[pair][0], capture=kind == "refund"), sends=False)
        self.ask(pair, Call(kind=kind, who=till, key=_a_key(), about=sale, body=body), sends=sends)

    def order(self, pair: int, order: str, *, sends: bool, **what: Any) -> None:
        self.ask(pair, Call(kind="order", body={"order": order, **what}), sends=sends)

    # --- What is sent ---

    def ask(self, pair: int, call: Call, *, sends: bool) -> None:
        self.waiting.append((pair, call))
        if call.key and call not in self.asked[pair]:
            self.asked[pair].append(call)
        if sends:
            self.send()

    def send(self) -> None:
        """All that waits goes, as much of it at once as a pair can take."""
        while self.waiting:
            now: list[tuple[int, Call]] = []
            for pair in range(PAIRS):
                now += [(each, call) for each, call in self.waiting if each == pair][:AT_ONCE]
            self.waiting = [each for each in self.waiting if each not in now]
            self.send_at_once(now)

    def send_at_once(self, waiting: list[tuple[int, Call]]) -> None:
        """The model must know an order in which it can have come."""
        try:
            heard, books = self.stage.run(self._sent([call for _, call in waiting]))
            for pair in range(PAIRS):
                asked = [(call, each) for (of, call), each in zip(waiting, heard, strict=True) if of == pair]
                mine = {family: books[family] for family in self.pairs[pair] if family in books}
                found = in_some_order(self.model, self.heard, asked, mine)
                assert found is not None, why_not(self.model, self.heard, asked, mine)
                self.model, self.heard = found
        except BaseException:
            self.stage.is_spoilt = True
            raise

    async def _sent(self, calls: list[Call]) -> tuple[list[Heard], dict[str, Books]]:
        heard = await self.stage.at_once(calls, self.heard) if calls else []
        return heard, await self.stage.books([family for pair in self.pairs for family in pair])

    def teardown(self) -> None:
        """Nothing waits any more; no key is used up and no purchase journalled but those; and the books balance."""
        if self.stage.is_spoilt or not hasattr(self, "kept_before"):
            return
        self.send()
        try:
            kept, sales = self.stage.run(self.stage.kept())
            assert kept - self.kept_before[0] == len({*self.model.kept, *self.model.reversals})
            assert sales - self.kept_before[1] == len(self.model.sales)
            self.stage.spent += sum(self.model.wallet(family)[2] for family in self.model.families)
            self.stage.run(self.stage.audit())
        except BaseException:
            self.stage.is_spoilt = True
            raise


def _is_held(sale: Sale) -> bool:
    return sale.amounts[0] > 0


def _is_refundable(sale: Sale) -> bool:
    return sale.amounts[1] > sale.amounts[2]


def _part_of(whole: int, part: str) -> dict[str, int]:
    parts = {"all": max(1, whole), "half": max(1, whole // 2), "one": 1, "one more": whole + 1}
    return {"amount": parts[part]} if part in parts else {}


def _a_key() -> str:
    return f"key-{next(_numbers)}"


def _a_card() -> str:
    return with_luhn(f"93600001{next(_numbers):07d}")


def _other(till: str, *, is_it: bool) -> str:
    return {"a": "b", "b": "a"}[till] if is_it else till


@pytest.fixture
def stage(cluster: Cluster, enrolled: EnrolledTemplate, tmp_path: Path) -> Iterator[Stage]:
    # A loop of its own: the one that other tests share stays as it is.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        it = Stage(runner, cluster, enrolled, tmp_path)
        yield it
        runner.run(it.close())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_is_asked_in_whatever_order_is_answered_and_kept_as_in_the_model(
    stage: Stage, part: int, record_property: Any
) -> None:
    share, begun = OPERATIONS // PARTS, monotonic()
    while stage.operations < share:
        run_state_machine_as_test(
            lambda: Counter(stage),  # type: ignore[arg-type]  # a function will do, too
            settings=settings(
                max_examples=min(50, 1 + share // 100),
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    stage.run(stage.closed())
    record_property("operations", stage.operations)
    record_property("seconds", monotonic() - begun)
