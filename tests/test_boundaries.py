"""Where each thing turns, to the second, over HTTP: an instant in UTC, and the reason or the month that comes out.

WITA is UTC+8: its midnight is 16:00Z of the day before. `test_rules.py` has the same edges to the microsecond, without
a service.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from authz_service.enrolment.sandbox import SandboxCard
from tests.world import A_MORNING, Reply, World

Send = Callable[[World, SandboxCard], Awaitable[Reply]]


async def a_sale(world: World, card: SandboxCard) -> Reply:
    """Tinned fish for Rp1.000, which has no price ceiling."""
    return await world.authorise(amount=1000, card_number=card.card_number)


async def a_sale_of_dear_sugar(world: World, card: SandboxCard) -> Reply:
    """At Rp18.000 a kilogram, where the ceiling is 17.500."""
    sugar = {"category": "gula", "product": "gula pasir", "unit": "kg", "quantity": "1", "unit_price": 18000}
    return await world.authorise(lines=[{**sugar, "amount": 18000}], card_number=card.card_number)


async def a_capture(world: World, card: SandboxCard) -> Reply:
    """Of a hold that was made the day before and is over at 01:00Z."""
    now = world.now
    world.at(A_MORNING)
    held = await world.authorise(amount=1000, card_number=card.card_number)
    await world.database.execute(
        "UPDATE hold SET expires_at = '2024-10-08T01:00:00Z' WHERE authorisation_id = $1", held["id"]
    )
    world.at(now)
    return await world.capture(held["id"])


@dataclass(frozen=True, slots=True)
class Boundary:
    """`instants`: UTC → the reason of a decline, the month that an approval is charged to, or a hold's status.

    Shops never close, unless `given` says otherwise.
    """

    instants: dict[str, str]
    given: str = ""
    send: Send = a_sale


A_VOUCHER_OF_OCTOBER = """
UPDATE programme SET month_cap_rupiah = 999;
INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah, extra_packages,
                     used_rupiah, packages_used, reason, created_at, approved_at, expires_at)
SELECT programme_id, 'vch_of_' || beneficiary_id, beneficiary_id, companion_id, '2024-10-01', 1, 0,
       0, 0, 'anak sakit', '2024-10-01T00:00:00+08:00', '2024-10-01T00:00:00+08:00', '{until}'
  FROM beneficiary
"""
"""Every family's, without which it cannot buy for Rp1.000."""
BOUNDARIES: dict[str, Boundary] = {
    "the programme begins": Boundary(
        {"2024-09-30T15:59:59Z": "programme_not_started", "2024-09-30T16:00:00Z": "2024-10"}
    ),
    "October ends": Boundary({"2024-10-31T15:59:59Z": "2024-10", "2024-10-31T16:00:00Z": "2024-11"}),
    "October ends in UTC, which is nothing": Boundary(
        {"2024-10-31T23:59:59Z": "2024-11", "2024-11-01T00:00:00Z": "2024-11"}
    ),
    "November ends": Boundary({"2024-11-30T15:59:59Z": "2024-11", "2024-11-30T16:00:00Z": "2024-12"}),
    "the programme ends, and with it the year": Boundary(
        {"2024-12-31T15:59:59Z": "2024-12", "2024-12-31T16:00:00Z": "programme_ended"}
    ),
    "the programme ended in UTC, which is too late": Boundary(
        {"2024-12-31T23:59:59Z": "programme_ended", "2025-01-01T00:00:00Z": "programme_ended"}
    ),
    "the year ends, and the programme goes on": Boundary(
        {"2024-12-31T15:59:59Z": "2024-12", "2024-12-31T16:00:00Z": "2025-01"},
        given="UPDATE programme SET ends_at = '2025-02-01T00:00:00+08:00'",
    ),
    "a leap day": Boundary(
        {
            "2028-02-28T15:59:59Z": "2028-02",
            "2028-02-28T16:00:00Z": "2028-02",
            "2028-02-29T15:59:59Z": "2028-02",
            "2028-02-29T16:00:00Z": "2028-03",
        },
        given="UPDATE programme SET starts_at = '2028-01-01T00:00:00+08:00', ends_at = '2028-04-01T00:00:00+08:00'",
    ),
    "a programme that ends with a leap day": Boundary(
        {"2028-02-29T15:59:59Z": "2028-02", "2028-02-29T16:00:00Z": "programme_ended"},
        given="UPDATE programme SET ends_at = '2028-03-01T00:00:00+08:00'",
    ),
    "a February without a leap day": Boundary(
        {"2026-02-28T15:59:59Z": "2026-02", "2026-02-28T16:00:00Z": "2026-03"},
        given="UPDATE programme SET ends_at = '2027-01-01T00:00:00+08:00'",
    ),
    "a shop opens and closes": Boundary(
        {
            "2024-10-06T22:59:59Z": "terminal_not_permitted",
            "2024-10-06T23:00:00Z": "2024-10",
            "2024-10-07T12:59:59Z": "2024-10",
            "2024-10-07T13:00:00Z": "terminal_not_permitted",
        },
        given="UPDATE merchant SET opens_at = '07:00', closes_at = '21:00'",
    ),
    "a shop closes after midnight": Boundary(
        {
            "2024-10-07T09:59:59Z": "terminal_not_permitted",
            "2024-10-07T10:00:00Z": "2024-10",
            "2024-10-07T15:59:59Z": "2024-10",
            "2024-10-07T16:00:00Z": "2024-10",
            "2024-10-07T17:59:59Z": "2024-10",
            "2024-10-07T18:00:00Z": "terminal_not_permitted",
        },
        given="UPDATE merchant SET opens_at = '18:00', closes_at = '02:00'",
    ),
    "a shop is admitted": Boundary(
        {"2024-10-09T15:59:59Z": "merchant_unknown", "2024-10-09T16:00:00Z": "2024-10"},
        given="UPDATE merchant SET admitted_on = '2024-10-10'",
    ),
    "a shop leaves after its last day": Boundary(
        {"2024-11-20T15:59:59Z": "2024-11", "2024-11-20T16:00:00Z": "merchant_unknown"},
        given="UPDATE merchant SET leaves_on = '2024-11-20'",
    ),
    "a card expires after its last day": Boundary(
        {"2024-11-30T15:59:59Z": "2024-11", "2024-11-30T16:00:00Z": "card_expired"},
        given="UPDATE card SET expires_on = '2024-11-30'",
    ),
    "a price ceiling begins": Boundary(
        {"2024-10-31T15:59:59Z": "2024-10", "2024-10-31T16:00:00Z": "price_above_ceiling"},
        given="UPDATE price_ceiling SET valid_from = '2024-11-01' WHERE product = 'gula pasir'",
        send=a_sale_of_dear_sugar,
    ),
    "a price ceiling ends after its last day": Boundary(
        {"2024-11-30T15:59:59Z": "price_above_ceiling", "2024-11-30T16:00:00Z": "2024-12"},
        given="UPDATE price_ceiling SET valid_to = '2024-11-30' WHERE product = 'gula pasir'",
        send=a_sale_of_dear_sugar,
    ),
    "a lower cap begins": Boundary(
        {"2024-10-31T15:59:59Z": "2024-10", "2024-10-31T16:00:00Z": "monthly_cap_exceeded"},
        given="INSERT INTO month_cap (programme_id, valid_from, cap_rupiah, packages_cap)"
        " SELECT programme_id, '2024-11-01', 999, 2 FROM programme",
    ),
    "a voucher ends with its month": Boundary(
        {"2024-10-31T15:59:59Z": "2024-10", "2024-10-31T16:00:00Z": "monthly_cap_exceeded"},
        given=A_VOUCHER_OF_OCTOBER.format(until="2024-11-01T00:00:00+08:00"),
    ),
    "a voucher ends before its month": Boundary(
        {"2024-10-19T15:59:59Z": "2024-10", "2024-10-19T16:00:00Z": "monthly_cap_exceeded"},
        given=A_VOUCHER_OF_OCTOBER.format(until="2024-10-20T00:00:00+08:00"),
    ),
    "a hold expires": Boundary(
        {"2024-10-08T00:59:59Z": "captured", "2024-10-08T01:00:00Z": "expired"}, send=a_capture
    ),
}  # fmt: skip


@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
async def test_everything_turns_at_its_second(world: World, boundary: Boundary) -> None:
    await world.database.execute("UPDATE merchant SET opens_at = NULL, closes_at = NULL")
    if boundary.given:
        await world.database.execute(boundary.given)
    families = iter(world.tills.cards)

    async def ask() -> str:
        """A family that has bought nothing yet."""
        card = next(families)
        return await outcome(world, await boundary.send(world, card), card)

    came_out = {
        instant: await world.at_the_second(datetime.fromisoformat(instant), ask) for instant in boundary.instants
    }
    assert came_out == boundary.instants
    await world.books_balance()


async def outcome(world: World, reply: Reply, card: SandboxCard) -> str:
    if reply.status == 409:
        return str(reply["authorization_status"])
    if "capture" in reply.body:
        return str(reply["authorization"]["status"])
    if reply["decision"] == "declined":
        return str(reply["reason"])
    months = await world.database.fetch(
        "SELECT to_char(month, 'YYYY-MM') FROM allowance WHERE beneficiary_id = $1", card.beneficiary_id
    )
    return " and ".join(row[0] for row in months)
