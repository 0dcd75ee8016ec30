"""A family leaves: what is unspent is unallocated (what is in flight then: `incidents/test_time_and_families.py`)."""

import os

from authz_service.roll import remove
from authz_service.vocabulary import BeneficiaryId
from tests.world import PROGRAMME, World


async def removed(world: World) -> int:
    return await remove(
        world.database,
        programme_id=PROGRAMME,
        beneficiary_id=BeneficiaryId(world.card.beneficiary_id),
        reason="data ganda",
        now=world.now,
        chance=os.urandom,
    )


async def test_what_is_unspent_is_unallocated_at_once_when_nothing_is_held(world: World) -> None:
    await world.authorise(capture=True)
    assert await removed(world) == 1650000
    assert await world.wallet() == (0, 0, 150000)
    declined = await world.authorise()
    assert (declined["reason"], declined["largest_approvable_amount"]) == ("beneficiary_removed", 0)
    await world.books_balance()


async def test_a_voided_and_an_expired_hold_of_a_removed_family_leave_with_the_rest(world: World) -> None:
    first, second = await world.authorise(amount=1000), await world.authorise(amount=2000)
    await removed(world)
    await world.void(first["id"])
    assert await world.wallet() == (1798000, 2000, 0)
    world.later(hours=25)
    assert (await world.capture(second["id"]))["authorization_status"] == "expired"
    assert await world.wallet() == (0, 0, 0)
    await world.books_balance()


async def test_removing_twice_returns_nothing_more(world: World) -> None:
    assert await removed(world) == 1800000
    assert await removed(world) == 0
    await world.books_balance()
