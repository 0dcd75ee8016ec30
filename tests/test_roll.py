"""Families come and go: who may buy afterwards, where the money is, and what is refused."""

from dataclasses import replace
from datetime import date
from itertools import product

import orjson
import pytest

from authz_service.roll.cards import MAY_BECOME, CardFromTheBank
from authz_service.roll.orders import Effects, Order, RollRefused
from authz_service.vocabulary import BeneficiaryId, CardId, CardStatus
from tests.operators import KEYS, Operator, a_card_number, a_newcomer
from tests.world import PROGRAMME, World

# Removal


async def test_what_is_unspent_is_unallocated_at_once_when_nothing_is_held(world: World, operator: Operator) -> None:
    await world.authorise(capture=True)
    change = await operator.remove(reason="data ganda")
    assert (change.effects.returned_rupiah, change.effects.held_rupiah) == (1650000, 0)
    assert await world.wallet() == (0, 0, 150000)
    assert await operator.unallocated() == 1650000
    declined = await world.authorise()
    assert (declined["reason"], declined["largest_approvable_amount"]) == ("beneficiary_removed", 0)
    reason = await world.database.fetchval("SELECT reason FROM transfer WHERE kind = 'return'")
    assert reason == "data ganda"
    await world.books_balance()


async def test_a_voided_and_an_expired_hold_of_a_removed_family_leave_with_the_rest(
    world: World, operator: Operator
) -> None:
    first, second = await world.authorise(amount=1000), await world.authorise(amount=2000)
    assert (await operator.remove()).effects == Effects(held_rupiah=3000)
    await world.void(first["id"])
    assert await world.wallet() == (1798000, 2000, 0)
    world.later(hours=25)
    assert (await world.capture(second["id"]))["authorization_status"] == "expired"
    assert await world.wallet() == (0, 0, 0)
    await world.books_balance()


async def test_a_removal_is_final(world: World, operator: Operator) -> None:
    await operator.remove()
    for again in (operator.remove, operator.suspend, operator.resume, operator.move):
        with pytest.raises(RollRefused, match="a removal is final"):
            await again()
    with pytest.raises(RollRefused, match="a removal is final"):
        await operator.new_card(a_card_number())
    assert await operator.unallocated() == 1800000
    await world.books_balance()


# Suspension


async def test_a_suspended_family_buys_nothing_until_it_is_resumed(world: World, operator: Operator) -> None:
    await operator.suspend()
    assert (await world.authorise())["reason"] == "beneficiary_suspended"
    with pytest.raises(RollRefused, match="is suspended already"):
        await operator.suspend()
    await operator.resume()
    assert (await world.authorise())["decision"] == "approved"
    with pytest.raises(RollRefused, match="is active already"):
        await operator.resume()
    assert await world.wallet() == (1650000, 150000, 0)
    await world.books_balance()


# Cards


async def test_a_new_card_kills_the_old_one_at_once_and_money_month_and_voucher_stay(
    world: World, operator: Operator
) -> None:
    await world.authorise(amount=300000, capture=True)
    await operator.vouch()
    number = a_card_number()
    change = await operator.new_card(number)
    assert await operator.cards() == ["replaced", "active"]
    assert len(change.effects.cards_replaced) == 1
    old, new = await world.authorise(), await world.authorise(card_number=number)
    assert (old["reason"], new["decision"]) == ("card_blocked", "approved")
    assert new["remaining"]["month"] == 300000 + 300000 - 150000
    assert new["remaining"]["packages_this_month"] == 1
    await world.books_balance()


async def test_a_new_card_may_wait_for_its_activation(world: World, operator: Operator) -> None:
    number = a_card_number()
    change = await operator.new_card(number, is_activated=False)
    assert (await world.authorise(card_number=number))["reason"] == "card_not_activated"
    await operator.card_becomes(CardStatus.ACTIVE, change.effects.card_id)
    assert (await world.authorise(card_number=number))["decision"] == "approved"


async def test_a_lost_or_stolen_card_keeps_its_word_when_another_is_given(world: World, operator: Operator) -> None:
    """A till is told to keep a stolen card, also after the family has a new one."""
    await operator.card_becomes(CardStatus.STOLEN)
    await operator.new_card(a_card_number())
    assert await operator.cards() == ["stolen", "active"]
    assert (await world.authorise())["reason"] == "card_stolen"


async def test_the_card_desk_makes_of_a_card_what_its_table_says(world: World, operator: Operator) -> None:
    """Lost, stolen and replaced cards never come back."""
    assert MAY_BECOME[CardStatus.ACTIVE] == {CardStatus.NOT_ACTIVATED, CardStatus.BLOCKED}
    for before, after in product(CardStatus, CardStatus):
        await world.database.execute("UPDATE card SET status = $1 WHERE beneficiary_id = $2", before, operator.family())
        if before in MAY_BECOME.get(after, frozenset()):
            assert (await operator.card_becomes(after)).effects.card_status == after
            assert await operator.cards() == [after]
            continue
        with pytest.raises(RollRefused, match=f"is {before}, and cannot become {after}"):
            await operator.card_becomes(after)
        assert await operator.cards() == [before]


async def test_a_family_has_one_active_card(world: World, operator: Operator) -> None:
    await operator.card_becomes(CardStatus.BLOCKED)
    await world.database.execute(
        "INSERT INTO card SELECT programme_id, 'crd_z', beneficiary_id, 'another', key_id, last_four, 'active',"
        " expires_on FROM card WHERE beneficiary_id = $1",
        operator.family(),
    )
    with pytest.raises(RollRefused, match="another active card"):
        await operator.card_becomes(CardStatus.ACTIVE)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"number": "9360000000000014"}, "check digit"),
        ({"number": "93600000000000a1"}, "card number is refused"),
        ({"number": "93600"}, "card number is refused"),
        ({"number": "9360000000000013", "expires_on": date(2024, 10, 6)}, "until when"),
    ],
)
async def test_a_card_that_no_bank_can_have_given_is_refused(
    world: World, operator: Operator, given: dict[str, object], said: str
) -> None:
    with pytest.raises(RollRefused, match=said) as refused:
        await operator.new_card(**given)  # type: ignore[arg-type]
    assert str(given["number"]) not in str(refused.value)
    assert await operator.cards() == ["active"]


async def test_a_card_number_belongs_to_one_family(world: World, operator: Operator) -> None:
    with pytest.raises(RollRefused, match="given to a family already"):
        await operator.new_card(world.tills.cards[1].card_number)
    assert await operator.cards() == ["active"]


# Companions


async def test_a_move_revokes_what_is_unused_and_holds_keep_what_they_use(world: World, operator: Operator) -> None:
    """What returns to a revoked voucher restores the entitlement only."""
    for _ in range(2):
        await world.authorise(amount=300000, capture=True)
    voucher_id = await operator.vouch(rupiah=200000, packages=2)
    on_the_voucher = await world.authorise(amount=150000)
    assert on_the_voucher["vouchers_used"]
    change = await operator.move()
    [revoked] = change.effects.vouchers_revoked
    assert (revoked.voucher_id, revoked.unused_rupiah, revoked.unused_packages) == (voucher_id, 50000, 1)
    declined = await world.authorise(amount=1000)
    assert {each["reason"] for each in declined["reasons"]} == {"packages_used_up", "monthly_cap_exceeded"}
    assert "P-002" in declined["message"]
    assert (await world.void(on_the_voucher["id"])).status == 200
    assert await world.wallet() == (1200000, 0, 600000)
    assert (await world.balance())["remaining"]["month"] == 0
    await operator.vouch()
    assert (await world.authorise(amount=1000))["decision"] == "approved"
    await world.books_balance()


@pytest.mark.parametrize("leaving", ["remove", "merge"])
async def test_who_leaves_the_roll_leaves_its_vouchers(world: World, operator: Operator, leaving: str) -> None:
    await operator.vouch()
    survivor = world.tills.cards[1]
    change = await (operator.remove() if leaving == "remove" else operator.merge(survivor, world.card))
    assert len(change.effects.vouchers_revoked) == 1
    row = await world.database.fetchrow("SELECT revoked_at, revoked_by, revocation_reason FROM voucher")
    assert row is not None
    assert (row["revoked_by"], row["revocation_reason"]) == ("dinsos", "verifikasi data")


async def test_a_companion_is_another_one_and_exists(world: World, operator: Operator) -> None:
    with pytest.raises(RollRefused, match=r"is the companion of .* already"):
        await operator.move(companion=world.card.companion_id)
    with pytest.raises(RollRefused, match="has no companion P-999"):
        await operator.move(companion="P-999")


# Merging


async def test_the_survivor_is_as_it_was_and_the_other_is_gone(world: World, operator: Operator) -> None:
    survivor, other = world.tills.cards[1], world.card
    await world.authorise(card_number=survivor.card_number, capture=True)
    before = (await operator.version(survivor), await world.wallet(survivor))
    await world.authorise(capture=True)
    change = await operator.merge(survivor, other)
    assert (change.effects.returned_rupiah, change.effects.survivor_id) == (1650000, operator.family(survivor))
    assert (await operator.version(survivor), await world.wallet(survivor)) == before
    row = await operator.on_the_roll(other)
    assert (row["status"], row["merged_into"]) == ("removed", operator.family(survivor))
    assert await operator.cards(other) == ["replaced"]
    # "Use the new card", for the family is still in the programme.
    assert (await world.authorise())["reason"] == "card_blocked"
    assert (await world.authorise(card_number=survivor.card_number))["remaining"]["packages_this_month"] == 0
    await world.books_balance()


async def test_merges_that_make_no_sense_are_refused(world: World, operator: Operator) -> None:
    a, b, c, gone = world.tills.cards[:4]
    await operator.remove(gone)
    await operator.merge(a, b)
    for survivor, other, said in (
        (a, a, "into itself"),
        (gone, c, "is removed"),
        (c, gone, "a removal is final"),
        (a, b, "a removal is final"),
        (b, a, "is removed"),
        (c, a, "a survivor is not merged again"),
    ):
        with pytest.raises(RollRefused, match=said):
            await operator.merge(survivor, other)
    await world.books_balance()


# Late entrants


async def test_a_late_entrant_has_the_whole_entitlement_and_buys(world: World, operator: Operator) -> None:
    await operator.remove(world.tills.cards[1])
    newcomer = a_newcomer()
    change = await operator.enter(newcomer)
    assert change.effects.granted_rupiah == 1800000
    assert await operator.unallocated() == 0
    bought = await world.authorise(card_number=newcomer.card.number)
    assert (bought["decision"], bought["remaining"]["programme"]) == ("approved", 1650000)
    row = await world.database.fetchrow("SELECT * FROM beneficiary WHERE beneficiary_id = $1", change.beneficiary_id)
    assert row is not None
    place = f"beneficiary.{{}}_sealed:{change.beneficiary_id}"
    assert KEYS.open_field(row["name_sealed"], place.format("name")) == newcomer.name
    assert KEYS.open_field(row["nik_sealed"], place.format("nik")) == newcomer.nik
    await world.books_balance()


async def test_money_that_is_not_there_is_given_to_nobody(world: World, operator: Operator) -> None:
    with pytest.raises(RollRefused, match=r"Rp1\.800\.000 is not there: Rp0 is unallocated"):
        await operator.enter(a_newcomer())
    await world.authorise(capture=True)
    await operator.remove()
    with pytest.raises(RollRefused, match=r"Rp1\.650\.000 is unallocated"):
        await operator.enter(a_newcomer())
    await operator.enter(a_newcomer(amount_rupiah=1650000))
    assert await operator.unallocated() == 0
    await world.books_balance()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount_rupiah": 0}, r"at least Rp1 and at most Rp1\.800\.000"),
        ({"amount_rupiah": 1800001}, r"at most Rp1\.800\.000"),
        ({"nik": "647205000090000"}, "NIK is refused"),
        ({"name": " "}, "name is missing"),
        ({"name": "BARU\n"}, "name is refused"),
        ({"companion": "P-999"}, "has no companion P-999"),
        ({"district_code": "00.00.00"}, r"has no district 00\.00\.00"),
        ({"card": CardFromTheBank(number="9360000000000014")}, "check digit"),
    ],
)
async def test_a_newcomer_who_lacks_something_is_refused(
    world: World, operator: Operator, changes: dict[str, object], said: str
) -> None:
    await operator.remove(world.tills.cards[1])
    before = await world.database.fetchval("SELECT count(*) FROM beneficiary")
    with pytest.raises(RollRefused, match=said):
        await operator.enter(a_newcomer(**changes))
    assert await world.database.fetchval("SELECT count(*) FROM beneficiary") == before
    assert await operator.unallocated() == 1800000


async def test_a_nik_is_on_the_roll_once_also_after_a_removal(world: World, operator: Operator) -> None:
    for card in world.tills.cards[1:4]:
        await operator.remove(card)
    newcomer = a_newcomer()
    change = await operator.enter(newcomer)
    again = a_newcomer(nik=newcomer.nik)
    with pytest.raises(RollRefused, match=f"on the roll already, as {change.beneficiary_id}"):
        await operator.enter(again)
    await world.database.execute("UPDATE card SET status = 'lost' WHERE beneficiary_id = $1", change.beneficiary_id)
    with pytest.raises(RollRefused, match="card number is given to a family already"):
        await operator.enter(a_newcomer(card=newcomer.card))
    removed = a_newcomer(nik=KEYS.open_field(*await _sealed_nik(world, world.tills.cards[1].beneficiary_id)))
    with pytest.raises(RollRefused, match="which is removed: that is final") as refused:
        await operator.enter(removed)
    assert removed.nik not in str(refused.value)
    await world.books_balance()


async def _sealed_nik(world: World, beneficiary_id: str) -> tuple[bytes, str]:
    sealed = await world.database.fetchval(
        "SELECT nik_sealed FROM beneficiary WHERE beneficiary_id = $1", beneficiary_id
    )
    return sealed, f"beneficiary.nik_sealed:{beneficiary_id}"


# Every change


async def test_every_change_is_kept_with_its_reason_and_without_a_name_or_number(
    world: World, operator: Operator
) -> None:
    cards, newcomer = world.tills.cards, a_newcomer()
    await operator.suspend(reason="dicek")
    await operator.resume()
    await operator.move()
    await operator.new_card(a_card_number())
    await operator.remove(cards[1])
    await operator.merge(cards[2], cards[3])
    await operator.enter(newcomer)
    rows = await world.database.fetch("SELECT * FROM family_change ORDER BY change_id")
    assert [row["kind"] for row in rows] == ["suspend", "resume", "move", "card", "remove", "merge", "enter"]
    assert {row["actor"] for row in rows} == {"dinsos"}
    assert (rows[0]["reason"], rows[0]["detail"]) == ("dicek", "{}")
    assert orjson.loads(rows[4]["detail"])["returned_rupiah"] == 1800000
    kept = "".join(map(repr, map(dict, rows)))
    assert newcomer.name not in kept
    assert newcomer.nik not in kept
    assert newcomer.card.number not in kept


@pytest.mark.parametrize("change", ["suspend", "remove", "move", "new_card", "merge", "card_becomes"])
async def test_a_decision_that_saw_the_family_before_is_made_again(
    world: World, operator: Operator, change: str
) -> None:
    """Each change raises the version that the record statement compares."""
    before = await operator.version()
    match change:
        case "new_card":
            await operator.new_card(a_card_number())
        case "merge":
            await operator.merge(world.tills.cards[1], world.card)
        case "card_becomes":
            await operator.card_becomes(CardStatus.LOST)
        case _:
            await getattr(operator, change)()
    assert await operator.version() > before


@pytest.mark.parametrize(
    ("actor", "reason", "said"),
    [
        ("dinsos", "", "reason is missing"),
        ("dinsos", "  ", "reason is missing"),
        ("dinsos", "data\x00ganda", "reason is refused"),
        ("dinsos", "data ganda\n", "reason is refused"),
        ("dinsos", "NIK 6472 0500 0090 0001", "A number as long as a card's"),
        ("dinsos", "x" * 201, "reason is refused"),
        ("", "data ganda", "actor is missing"),
        ("x" * 65, "data ganda", "actor is refused"),
    ],
)
def test_an_order_says_who_and_why_and_nothing_personal(actor: str, reason: str, said: str) -> None:
    with pytest.raises(RollRefused, match=said):
        Order(actor=actor, reason=reason)


async def test_what_is_not_there_does_not_change(world: World, operator: Operator) -> None:
    with pytest.raises(RollRefused, match="has no card crd_nobody"):
        await operator.card_becomes(CardStatus.LOST, CardId("crd_nobody"))
    with pytest.raises(RollRefused, match=f"{PROGRAMME} has no family ben_nobody"):
        await operator.remove(replace(world.card, beneficiary_id=BeneficiaryId("ben_nobody")))


async def test_a_closed_programme_has_a_roll_that_does_not_change(world: World, operator: Operator) -> None:
    await operator.suspend(world.tills.cards[1], on=date(2024, 10, 8))
    await world.change(closed_at=world.now.replace(year=2025))
    for change in (operator.suspend, operator.remove, operator.move):
        with pytest.raises(RollRefused, match="is closed"):
            await change()
    world.later(days=2)
    assert await operator.write_due() == 0
