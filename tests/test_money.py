"""Room in the package, the entitlement and the month; vouchers on top of the month; nothing ever below zero."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authz_service.rules.decide import Decision, decide, largest_approvable
from authz_service.rules.facts import Family, Month, MonthCap, Programme
from authz_service.rules.money import Room, VoucherUse, binding_limit, month_after, room_of
from authz_service.vocabulary import PackageCounting
from tests.builders import (
    a_family,
    a_month,
    a_programme,
    a_purchase,
    a_use,
    a_voucher,
    any_family,
    any_programme,
    facts,
    instant,
    quickly,
    reasons,
)

BY_VALUE = a_programme(package_counting=PackageCounting.BY_VALUE)
NO_LIMIT = a_programme(package_counting=PackageCounting.NO_LIMIT)
WITHOUT_LIMITS = a_programme(
    package_counting=PackageCounting.NO_LIMIT, package_rupiah=None, month_cap_rupiah=None, month_packages=None
)


def room(family: Family | None = None, programme: Programme | None = None) -> Room:
    return room_of(family or a_family(), programme or a_programme())


def bought(amount: int, family: Family, programme: Programme | None = None) -> Decision:
    return decide(a_purchase(amount=amount), facts(family=family, programme=programme or a_programme()))


def test_a_new_family_may_buy_a_package_of_its_month_and_entitlement() -> None:
    assert room() == Room(
        package_rupiah=300_000, programme_rupiah=1_800_000, packages_rupiah=None, month_rupiah=600_000, packages=2
    )
    assert room().purchase_rupiah == 300_000


def test_the_contracts_example_leaves_what_the_contract_says() -> None:
    decision = decide(a_purchase(), facts())
    left = decision.room
    assert left is not None
    assert (decision.approved_rupiah, decision.largest_rupiah) == (150_000, 300_000)
    assert (left.purchase_rupiah, left.packages, left.month_rupiah, left.programme_rupiah) == (
        300_000,
        1,
        450_000,
        1_650_000,
    )


@pytest.mark.parametrize(
    ("family", "largest"),
    [
        (a_family(available_rupiah=299_999), 299_999),
        (a_family(month=a_month(used_rupiah=300_001)), 299_999),
        (a_family(month=a_month(used_rupiah=600_000)), 0),
        (a_family(month=a_month(packages_used=1)), 300_000),
        (a_family(month=a_month(packages_used=2)), 0),
        (a_family(available_rupiah=0), 0),
        (a_family(available_rupiah=-1), 0),
        (a_family(month=a_month(used_rupiah=650_000)), 0),
        (a_family(month=a_month(packages_used=5)), 0),
    ],
)
def test_the_smallest_limit_decides_and_is_never_negative(family: Family, largest: int) -> None:
    assert room(family).purchase_rupiah == largest


@pytest.mark.parametrize(
    ("differently", "reason"),
    [
        ({"package_rupiah": 100}, "package_cap_exceeded"),
        ({"package_rupiah": 100, "programme_rupiah": 100, "month_rupiah": 100}, "package_cap_exceeded"),
        ({"programme_rupiah": 100, "month_rupiah": 100}, "entitlement_exceeded"),
        ({"packages_rupiah": 0, "month_rupiah": 0, "packages": 0}, "packages_used_up"),
        ({"month_rupiah": 100}, "monthly_cap_exceeded"),
        ({"package_rupiah": 200, "month_rupiah": 100}, "monthly_cap_exceeded"),
    ],
)
def test_of_equal_limits_the_first_in_precedence_binds(differently: dict[str, int], reason: str) -> None:
    assert binding_limit(replace(room(), **differently)) == reason


def test_per_purchase_each_purchase_uses_one_package_however_small() -> None:
    family: Family | None = a_family()
    left = []
    for _ in range(2):
        assert family is not None
        decision = bought(1, family)
        assert decision.room is not None
        family = decision.family
        left.append((decision.room.packages, decision.largest_rupiah))
    assert left == [(1, 300_000), (0, 0)]
    assert family is not None
    assert reasons(bought(1, family)) == ["packages_used_up"]


@pytest.mark.parametrize(
    ("used_rupiah", "packages_left", "may_still_cost"),
    [
        (0, 2, 300_000),
        (1, 1, 300_000),
        (300_000, 1, 300_000),
        # No whole package is left, but what is left of the second may still be spent.
        (300_001, 0, 299_999),
        (599_999, 0, 1),
        (600_000, 0, 0),
    ],
)
def test_by_value_the_packages_used_are_the_months_rupiah_rounded_up(
    used_rupiah: int, packages_left: int, may_still_cost: int
) -> None:
    month = a_month(used_rupiah=used_rupiah, cap_rupiah=None)
    left = room(a_family(month=month), BY_VALUE)
    assert (left.packages, left.purchase_rupiah) == (packages_left, may_still_cost)


def test_by_value_many_small_purchases_share_a_package() -> None:
    family = a_family()
    for _ in range(10):
        decision = bought(60_000, family, BY_VALUE)
        assert decision.approved
        assert decision.family is not None
        family = decision.family
    assert family.month.packages_used == 0
    assert reasons(bought(1, family, BY_VALUE)) == ["packages_used_up", "monthly_cap_exceeded"]


def test_without_a_package_limit_only_the_rupiah_count() -> None:
    month = a_month(packages_used=0, used_rupiah=599_999)
    left = room(a_family(month=month), NO_LIMIT)
    assert (left.packages, left.packages_rupiah, left.purchase_rupiah) == (None, None, 1)
    after = bought(1, a_family(month=month), NO_LIMIT).family
    assert after is not None
    assert after.month.packages_used == 0


def test_limits_that_are_not_there_do_not_bind() -> None:
    month = a_month(cap_rupiah=None, packages_cap=None, used_rupiah=1_000_000, packages_used=40)
    left = room(a_family(month=month), WITHOUT_LIMITS)
    assert left == Room(
        package_rupiah=None, programme_rupiah=1_800_000, packages_rupiah=None, month_rupiah=None, packages=None
    )
    assert left.purchase_rupiah == 1_800_000


@pytest.mark.parametrize(
    ("missing", "largest"),
    [({"package_rupiah": None}, 600_000), ({"month_cap_rupiah": None}, 300_000), ({"month_packages": None}, 300_000)],
)
def test_each_limit_may_be_left_out_alone(missing: dict[str, None], largest: int) -> None:
    programme = a_programme(**missing)
    month = a_month(cap_rupiah=programme.month_cap_rupiah, packages_cap=programme.month_packages)
    assert room(a_family(month=month), programme).purchase_rupiah == largest


def test_without_a_cap_vouchers_are_left_alone() -> None:
    month = a_month(a_voucher(), cap_rupiah=None, packages_cap=None)
    after, uses = month_after(month, 900_000, a_programme())
    assert uses == ()
    assert after.vouchers == month.vouchers


@pytest.mark.parametrize(
    ("amount", "uses"),
    [
        # An ordinary package is left, and Rp50.000 of the ordinary month.
        (50_000, []),
        (50_001, [a_use("vch_1", 1)]),
        (150_000, [a_use("vch_1", 100_000)]),
        (150_001, [a_use("vch_1", 100_000), a_use("vch_2", 1)]),
        (200_000, [a_use("vch_1", 100_000), a_use("vch_2", 50_000)]),
    ],
)
def test_the_ordinary_allowance_goes_first_then_the_voucher_that_ends_first(
    amount: int, uses: list[VoucherUse]
) -> None:
    month = a_month(
        a_voucher("vch_1", rupiah_left=100_000, expires_at=instant("2024-11-20T16:00:00Z")),
        a_voucher("vch_2", rupiah_left=50_000, expires_at=instant("2024-11-30T16:00:00Z")),
        used_rupiah=550_000,
        packages_used=1,
    )
    family = a_family(month=month)
    assert room(family).month_rupiah == 200_000
    decision = bought(amount, family)
    assert decision.approved
    assert list(decision.voucher_uses) == uses
    assert decision.family is not None
    assert decision.family.month.covered_rupiah == sum(use.amount_rupiah for use in uses)


def test_rupiah_and_packages_are_taken_each_by_itself() -> None:
    """The packages are used up, rupiah are left: the voucher gives its package and keeps its rupiah."""
    month = a_month(
        a_voucher("vch_1", rupiah_left=100_000, packages_left=0),
        a_voucher("vch_2", rupiah_left=0, packages_left=1),
        used_rupiah=100_000,
        packages_used=2,
    )
    decision = bought(200_000, a_family(month=month))
    assert decision.voucher_uses == (a_use("vch_2", 0, 1),)


def test_a_purchase_takes_one_package_of_the_voucher_that_ends_first() -> None:
    month = a_month(a_voucher("vch_1", rupiah_left=0), a_voucher("vch_2", rupiah_left=0), packages_used=2)
    decision = bought(1, a_family(month=month))
    assert decision.voucher_uses == (a_use("vch_1", 0, 1),)
    assert decision.room is not None
    assert decision.room.packages == 1


def test_a_voucher_of_rupiah_alone_gives_no_purchase() -> None:
    month = a_month(a_voucher(packages_left=0), used_rupiah=600_000, packages_used=2)
    assert reasons(bought(1, a_family(month=month))) == ["packages_used_up"]


def test_a_voucher_of_packages_alone_gives_no_rupiah() -> None:
    month = a_month(a_voucher(rupiah_left=0), used_rupiah=600_000, packages_used=2)
    assert reasons(bought(1, a_family(month=month))) == ["monthly_cap_exceeded"]


def test_a_voucher_serves_several_purchases_until_it_is_used_up() -> None:
    family = a_family(
        month=a_month(a_voucher(rupiah_left=100_000, packages_left=2), used_rupiah=600_000, packages_used=2)
    )
    for amount in (60_000, 40_000):
        decision = bought(amount, family)
        assert decision.voucher_uses == (a_use("vch_1", amount, 1),)
        assert decision.family is not None
        family = decision.family
    assert reasons(bought(1, family)) == ["packages_used_up", "monthly_cap_exceeded"]


def test_a_voucher_never_lifts_the_package_or_the_entitlement() -> None:
    month = a_month(a_voucher(rupiah_left=900_000, packages_left=9), used_rupiah=600_000, packages_used=2)
    assert reasons(bought(300_001, a_family(month=month))) == ["package_cap_exceeded"]
    assert reasons(bought(250_001, a_family(available_rupiah=250_000, month=month))) == ["entitlement_exceeded"]


def test_by_value_a_voucher_may_cover_a_package() -> None:
    month = a_month(a_voucher(rupiah_left=300_000, packages_left=1), used_rupiah=600_000)
    decision = bought(1, a_family(month=month), BY_VALUE)
    assert decision.voucher_uses == (a_use("vch_1", 1, 1),)
    assert decision.family is not None
    again = bought(299_999, decision.family, BY_VALUE)
    assert again.voucher_uses == (a_use("vch_1", 299_999, 0),)


def test_what_a_voucher_covered_stays_covered_when_its_unused_part_is_gone() -> None:
    """Expiry or revocation removes the unused part only."""
    month = a_month(used_rupiah=650_000, covered_rupiah=50_000, packages_used=3, covered_packages=1)
    left = room(a_family(month=month))
    assert (left.month_rupiah, left.packages) == (0, 0)


def test_an_ordinary_package_that_came_back_can_be_used_beside_one_that_a_voucher_covers() -> None:
    month = a_month(used_rupiah=350_000, covered_rupiah=50_000, packages_used=2, covered_packages=1)
    left = room(a_family(month=month))
    assert (left.month_rupiah, left.packages) == (300_000, 1)


def test_by_value_a_package_without_a_value_is_our_own_bug() -> None:
    programme = replace(BY_VALUE, package_rupiah=None)
    with pytest.raises(ValueError, match=r"^package_counting by_value needs a package value$"):
        room(programme=programme)


FIRST = MonthCap(valid_from=date.min, cap_rupiah=600_000, packages_cap=2)
RAISED = MonthCap(valid_from=date(2024, 11, 1), cap_rupiah=900_000, packages_cap=3)
LIFTED = MonthCap(valid_from=date(2025, 1, 1), cap_rupiah=None, packages_cap=None)


@pytest.mark.parametrize(
    ("month", "caps"),
    [
        (date(2024, 10, 1), FIRST),
        (date(2024, 11, 1), RAISED),
        (date(2024, 12, 1), RAISED),
        (date(2025, 1, 1), LIFTED),
        (date(2025, 2, 1), LIFTED),
    ],
)
def test_a_months_caps_are_those_of_the_last_change_before_it(month: date, caps: MonthCap) -> None:
    assert a_programme(month_caps=(RAISED, LIFTED)).caps_of(month) == caps
    assert a_programme().caps_of(month) == FIRST


def test_a_family_that_missed_a_month_can_use_it_up_with_a_voucher() -> None:
    """Rp1.800.000 in two months instead of three: the voucher is how the programme works."""
    month = a_month(a_voucher(rupiah_left=600_000, packages_left=2))
    family = a_family(available_rupiah=1_200_000, month=month)
    covered = []
    for _ in range(4):
        decision = bought(300_000, family)
        assert decision.family is not None
        family = decision.family
        covered.append(sum(use.amount_rupiah for use in decision.voucher_uses))
    assert covered == [0, 0, 300_000, 300_000]
    assert family.available_rupiah == 0


def up_to(largest: int) -> st.SearchStrategy[int]:
    """Often all of it."""
    return st.just(largest) | st.integers(1, largest)


def _is_sound(month: Month, programme: Programme) -> None:
    """What the database would refuse: more used than the cap and the vouchers allow."""
    if month.cap_rupiah is not None:
        assert month.used_rupiah <= month.cap_rupiah + month.covered_rupiah
    packages = month.packages_used
    if programme.package_counting is PackageCounting.BY_VALUE:
        packages = -(-month.used_rupiah // (programme.package_rupiah or 1))
    if month.packages_cap is not None:
        assert packages <= month.packages_cap + month.covered_packages
    assert all(voucher.rupiah_left >= 0 and voucher.packages_left >= 0 for voucher in month.vouchers)


@quickly
@given(st.data())
def test_the_largest_amount_passes_and_one_rupiah_more_does_not(data: st.DataObject) -> None:
    programme = data.draw(any_programme())
    given_facts = facts(programme=programme, family=data.draw(any_family(programme)))
    assert given_facts.family is not None
    largest = room_of(given_facts.family, programme).purchase_rupiah
    if largest > 0:
        assert decide(a_purchase(amount=largest), given_facts).approved
    refused = decide(a_purchase(amount=largest + 1), given_facts)
    assert not refused.approved
    assert refused.largest_rupiah == largest == largest_approvable(given_facts, room_of(given_facts.family, programme))


@quickly
@given(st.data())
def test_after_any_purchases_the_month_keeps_within_cap_and_vouchers(data: st.DataObject) -> None:
    programme = data.draw(any_programme())
    family = data.draw(any_family(programme))
    _is_sound(family.month, programme)
    for _ in range(4):
        largest = room_of(family, programme).purchase_rupiah
        if largest == 0:
            break
        decision = decide(a_purchase(amount=data.draw(up_to(largest))), facts(programme=programme, family=family))
        assert decision.approved
        assert decision.family is not None
        before, family = family, decision.family
        _is_sound(family.month, programme)
        assert family.available_rupiah == before.available_rupiah - decision.approved_rupiah >= 0
        assert family.month.used_rupiah == before.month.used_rupiah + decision.approved_rupiah


@quickly
@given(st.data())
def test_what_vouchers_cover_is_what_they_lose(data: st.DataObject) -> None:
    programme = data.draw(any_programme())
    family = data.draw(any_family(programme))
    largest = room_of(family, programme).purchase_rupiah
    if largest == 0:
        return
    before = family.month
    after, uses = month_after(before, data.draw(up_to(largest)), programme)
    assert after.covered_rupiah - before.covered_rupiah == sum(use.amount_rupiah for use in uses)
    assert after.covered_packages - before.covered_packages == sum(use.packages for use in uses)
    used = {use.voucher_id: use for use in uses}
    for was, left in zip(before.vouchers, after.vouchers, strict=True):
        use = used.get(was.voucher_id, a_use())
        assert (left.rupiah_left, left.packages_left) == (
            was.rupiah_left - use.amount_rupiah,
            was.packages_left - use.packages,
        )
    # Ordinary first: a voucher is touched only when the ordinary allowance is used up.
    if before.cap_rupiah is not None and after.covered_rupiah > before.covered_rupiah:
        assert after.used_rupiah - after.covered_rupiah == before.cap_rupiah
    # Earliest expiry first: one is touched only when those before it are empty.
    last = max(
        (n for n, voucher in enumerate(after.vouchers) if used.get(voucher.voucher_id, a_use()).amount_rupiah),
        default=0,
    )
    assert not any(voucher.rupiah_left for voucher in after.vouchers[:last])


@quickly
@given(st.data())
def test_a_purchase_never_leaves_more_room_than_there_was(data: st.DataObject) -> None:
    programme = data.draw(any_programme())
    family = data.draw(any_family(programme))
    before = room_of(family, programme)
    if before.purchase_rupiah == 0:
        return
    decision = decide(
        a_purchase(amount=data.draw(up_to(before.purchase_rupiah))), facts(programme=programme, family=family)
    )
    assert decision.room is not None
    assert decision.largest_rupiah <= before.purchase_rupiah
    if before.month_rupiah is not None and decision.room.month_rupiah is not None:
        assert decision.room.month_rupiah == before.month_rupiah - decision.approved_rupiah
    assert decision.room.programme_rupiah == before.programme_rupiah - decision.approved_rupiah
    if programme.package_counting is PackageCounting.PER_PURCHASE and before.packages is not None:
        assert decision.room.packages == before.packages - 1
