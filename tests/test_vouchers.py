"""A companion lets its own family go over a month's cap: who may, how far, until when, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from authz_service.api import office_wire
from authz_service.families import voucher_uses_of
from authz_service.keys import Keys
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import in_rupiah
from tests.builders import a_use
from tests.conftest import EnrolledTemplate
from tests.office import (
    a_voucher,
    another_familys_card,
    approve,
    bearer,
    companion_of,
    get,
    operators_key,
    pages,
    post,
    revoke,
    vouch,
    voucher,
)
from tests.test_bad_input import problem
from tests.world import WITA, Reply, World, running

VOUCHER = TypeAdapter(office_wire.Voucher)
KEYS = Keys(SANDBOX_ROOT_KEY)
WITH_USES = TypeAdapter(office_wire.VoucherWithUses)
NO_LIMITS = {
    f"voucher_{bound}_{unit}": None
    for bound in ("limit", "month_limit", "approval_above")
    for unit in ("rupiah", "packages")
}
OTHER = "vch_00000000000000000000000000"


def live(reply: Reply, status: str = "live") -> str:
    """The id of a voucher that was made, after its document was looked at."""
    assert reply.status == 201, reply.raw
    assert VOUCHER.validate_json(reply.raw).status == status
    return str(reply["id"])


async def a_used_up_month(world: World) -> None:
    for _ in range(2):
        assert (await world.authorise(amount=300_000, capture=True))["decision"] == "approved"


async def vouchers_made(world: World) -> int:
    made: int = await world.database.fetchval("SELECT count(*) FROM voucher")
    return made


# --- Who may, for whom -----------------------------------------------------------------------------------------------


async def test_the_familys_own_companion_vouches_and_the_month_is_wider_at_once(world: World) -> None:
    await a_used_up_month(world)
    assert (await world.authorise(amount=100_000))["reason"] == "packages_used_up"
    reply = await vouch(world)
    live(reply)
    assert reply.body | {"id": "", "created_at": "", "approved_at": ""} == {
        "id": "", "status": "live", "beneficiary_id": world.card.beneficiary_id,
        "companion_id": world.card.companion_id, "month": "2024-10", "currency": "IDR",
        "extra_amount": 100_000, "extra_packages": 1, "used_amount": 0, "used_packages": 0,
        "remaining_amount": 100_000, "remaining_packages": 1, "reason": "anak sakit", "created_at": "",
        "expires_at": "2024-11-01T00:00:00.000+08:00", "approved_at": "", "approved_by": None, "revoked_at": None,
        "revoked_by": None, "revocation_reason": None,
    }  # fmt: skip
    sold = await world.authorise(amount=100_000)
    assert sold["vouchers_used"] == [{"voucher_id": reply["id"], "amount": 100_000, "packages": 1}]
    await world.books_balance()


async def test_another_companions_family_and_one_that_is_not_there_are_not_found(world: World) -> None:
    theirs = another_familys_card(world)
    for beneficiary_id in (theirs.beneficiary_id, "ben_00000000000000000000000000", "x", "é" * 64):
        problem(await vouch(world, beneficiary_id=beneficiary_id), 404, "not_found")
    problem(await vouch(world, by=companion_of(world, theirs).key), 404, "not_found")
    assert await vouchers_made(world) == 0


async def test_a_removed_family_is_a_conflict_and_a_suspended_one_can_be_vouched_for(world: World) -> None:
    await world.database.execute("UPDATE beneficiary SET status = 'suspended'")
    live(await vouch(world))
    await world.database.execute(
        "UPDATE beneficiary SET next_status = 'removed', next_status_at = $1", world.now + timedelta(hours=1)
    )
    waits = live(await vouch(world, extra_amount=600_000), "awaiting_approval")
    world.later(hours=1)
    problem(await vouch(world), 409, "beneficiary_removed", "62")
    problem(await approve(world, waits), 409, "beneficiary_removed", "62")


# --- What is no voucher ----------------------------------------------------------------------------------------------

SECRET = "9360881234567893"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"month": "2024-13"}, "month"), ({"month": "2024-10-01"}, "month"), ({"month": 202410}, "month"),
    ({"month": "1924-10"}, "month"), ({"month": "2024-10\n"}, "month"), ({"month": None}, "month"),
    ({"extra_amount": 1.0}, "extra_amount"), ({"extra_amount": "1"}, "extra_amount"),
    ({"extra_amount": True}, "extra_amount"), ({"extra_amount": -1}, "extra_amount"),
    ({"extra_amount": 2**53}, "extra_amount"), ({"extra_packages": -1}, "extra_packages"),
    ({"extra_packages": 2**53}, "extra_packages"), ({"extra_amount": 0, "extra_packages": 0}, "body"),
    ({"reason": ""}, "reason"), ({"reason": "   "}, "reason"),
    ({"reason": "x" * 201}, "reason"), ({"reason": "kartu " + SECRET}, "reason"),
    ({"reason": "a\x00b"}, "reason"), ({"reason": None}, "reason"),
    ({"beneficiary_id": None}, "beneficiary_id"), ({"beneficiary_id": "a\x00"}, "beneficiary_id"),
    ({"companion_id": "cmp_1"}, "companion_id"), ({SECRET: 1}, "(unknown)"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field"), WRONG, ids=[f"{n}-{field}" for n, (_, field) in enumerate(WRONG)])
async def test_what_is_not_valid_names_its_field_and_echoes_nothing(
    world: World, changes: dict[str, Any], field: str
) -> None:
    reply = await vouch(world, key="k", **changes)
    told = problem(reply, 422, "invalid", "30")
    assert [each["field"] for each in told["errors"]] == [field]
    assert SECRET not in reply.raw.decode()
    live(await vouch(world, key="k"))


async def test_rupiah_or_packages_may_be_left_out_and_the_defaults_are_the_same_request(world: World) -> None:
    body = a_voucher(world)
    del body["extra_packages"]
    first = await post(world, "/v1/vouchers", body, by=companion_of(world).key, key="k")
    assert (first.status, first["extra_packages"]) == (201, 0)
    assert (await vouch(world, key="k", extra_packages=0)).raw == first.raw
    assert (await vouch(world, extra_amount=0))["extra_amount"] == 0


async def test_a_body_is_read_as_at_the_terminals_door(world: World) -> None:
    by, path = companion_of(world).key, "/v1/vouchers"
    for body in (b"{", b"[1", b'{"month":NaN}', b'{"month":"2024-10","month":"2024-10"}', b"\xff", b" "):
        problem(await post(world, path, body, by=by, key="k"), 400, "not_json", "30")
    problem(await world.post(path, key="k", headers=bearer(by)), 400, "not_json")
    problem(await post(world, path, b"[]", by=by, key="k"), 422, "invalid")
    problem(await post(world, path, b" " * 65_537, by=by, key="k"), 413, "body_too_large")
    problem(await post(world, path + "?dry_run=true", a_voucher(world), by=by, key="k"), 422, "query_invalid")
    problem(await world.post(path, a_voucher(world), headers=bearer(by)), 400, "idempotency_key_missing")
    for key in ("a" * 65, "a b", '"'):
        problem(await post(world, path, a_voucher(world), by=by, key=key), 400, "idempotency_key_malformed")
    assert await vouchers_made(world) == 0
    assert (await world.counts())["request_key"] == 0


# --- The month -------------------------------------------------------------------------------------------------------


async def test_a_month_can_be_vouched_for_until_its_last_instant_in_wita(world: World) -> None:
    """Incident 13."""
    world.at(datetime(2024, 10, 31, 23, 59, 58, tzinfo=WITA))
    live(await vouch(world))
    world.at(datetime(2024, 11, 1, 0, 0, 0, tzinfo=WITA))
    problem(await vouch(world), 409, "month_not_open", "12")
    live(await vouch(world, month="2024-11"))


async def test_only_the_programmes_own_months_can_be_vouched_for_also_the_coming_ones(world: World) -> None:
    world.at(datetime(2024, 9, 25, tzinfo=WITA))
    for month in ("2024-09", "2025-01", "2023-10", "2025-10"):
        problem(await vouch(world, month=month), 409, "month_not_open")
    for month in ("2024-10", "2024-11", "2024-12"):
        live(await vouch(world, month=month))
    world.at(datetime(2024, 12, 31, 23, 59, 58, tzinfo=WITA))
    live(await vouch(world, month="2024-12"))
    world.at(datetime(2025, 1, 1, tzinfo=WITA))
    for month in ("2024-12", "2025-01"):
        problem(await vouch(world, month=month), 409, "month_not_open")


async def test_a_voucher_ends_with_the_programme_where_that_is_earlier_than_its_month(world: World) -> None:
    await world.change(ends_at=datetime(2024, 10, 16, tzinfo=WITA))
    problem(await vouch(world, month="2024-11"), 409, "month_not_open")
    made = await vouch(world)
    assert made["expires_at"] == "2024-10-16T00:00:00.000+08:00"
    world.at(datetime(2024, 10, 16, tzinfo=WITA))
    assert (await voucher(world, live(made)))["status"] == "expired"
    problem(await vouch(world), 409, "month_not_open")


# --- How far ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "most", "too_much"),
    [
        ({"voucher_limit_rupiah": 70_000}, {"extra_amount": 70_000}, {"extra_amount": 70_001}),
        ({"voucher_limit_packages": 3}, {"extra_packages": 3}, {"extra_packages": 4}),
        ({"voucher_limit_packages": 0}, {"extra_packages": 0}, {"extra_packages": 1}),
        ({}, {"extra_amount": 1_800_000}, {"extra_amount": 1_800_001}),
        ({}, {"extra_packages": 100}, {"extra_packages": 101}),
        ({}, {"extra_packages": 100}, {"extra_packages": 2**53 - 1}),
    ],
)
async def test_one_voucher_gives_at_most_what_the_programme_says_or_an_entitlement_and_a_hundred_packages(
    world: World, limits: dict[str, int], most: dict[str, Any], too_much: dict[str, Any]
) -> None:
    await world.change(**NO_LIMITS | limits)
    told = problem(await vouch(world, **too_much), 422, "voucher_limit_exceeded", "30")
    assert told["limit_amount"] == limits.get("voucher_limit_rupiah", 1_800_000)
    assert told["limit_packages"] == limits.get("voucher_limit_packages", 100)
    limit = f"{in_rupiah(told['limit_amount'])} dan {told['limit_packages']} kali belanja"
    assert told["message"] == f"Satu izin paling banyak {limit}. Kurangi jumlahnya."
    assert await vouchers_made(world) == 0
    live(await vouch(world, **most))


@pytest.mark.parametrize(
    ("limits", "first", "too_much", "fits"),
    [
        (
            {"voucher_month_limit_rupiah": 150_000},
            {"extra_amount": 100_000},
            {"extra_amount": 50_001},
            {"extra_amount": 50_000},
        ),
        ({"voucher_month_limit_packages": 3}, {"extra_packages": 2}, {"extra_packages": 2}, {"extra_packages": 1}),
        ({}, {"extra_amount": 1_700_000}, {"extra_amount": 100_001}, {"extra_amount": 100_000}),
        ({}, {"extra_packages": 99}, {"extra_packages": 2}, {"extra_packages": 1}),
    ],
)
async def test_all_of_a_familys_vouchers_of_a_month_together_have_a_limit(
    world: World, limits: dict[str, int], first: dict[str, Any], too_much: dict[str, Any], fits: dict[str, Any]
) -> None:
    await world.change(**NO_LIMITS | limits)
    live(await vouch(world, **first))
    told = problem(await vouch(world, **too_much), 422, "voucher_month_limit_exceeded", "30")
    assert told["limit_amount"] == limits.get("voucher_month_limit_rupiah", 1_800_000)
    assert told["limit_packages"] == limits.get("voucher_month_limit_packages", 100)
    assert (told["given_amount"], told["given_packages"]) == (
        first.get("extra_amount", 100_000),
        first.get("extra_packages", 1),
    )
    limit = f"{in_rupiah(told['limit_amount'])} dan {told['limit_packages']} kali belanja"
    assert told["message"].startswith(f"Izin keluarga ini bulan itu paling banyak {limit}; sudah diberikan Rp")
    live(await vouch(world, month="2024-11", **too_much))
    neighbour = next(
        card for card in world.tills.cards[1:] if card.companion_id == world.card.companion_id
    ).beneficiary_id
    live(await vouch(world, beneficiary_id=neighbour, **too_much))
    live(await vouch(world, **fits))


async def test_a_waiting_voucher_counts_whole_and_a_revoked_one_with_what_it_covers(world: World) -> None:
    await world.change(**NO_LIMITS | {"voucher_month_limit_rupiah": 500_000, "voucher_approval_above_rupiah": 250_000})
    await a_used_up_month(world)
    covers = live(await vouch(world, extra_amount=200_000))
    assert (await world.authorise(amount=80_000))["decision"] == "approved"
    waits = live(await vouch(world, extra_amount=300_000), "awaiting_approval")
    assert problem(await vouch(world, extra_amount=1), 422, "voucher_month_limit_exceeded")["given_amount"] == 500_000
    assert (await revoke(world, waits)).status == 200
    assert (await revoke(world, covers)).status == 200
    told = problem(await vouch(world, extra_amount=420_001), 422, "voucher_month_limit_exceeded")
    assert (told["given_amount"], told["given_packages"]) == (80_000, 1)
    live(await vouch(world, extra_amount=420_000), "awaiting_approval")


async def test_what_an_expired_hold_took_from_a_revoked_voucher_no_longer_counts_although_nobody_wrote_it(
    world: World,
) -> None:
    await world.change(**NO_LIMITS | {"voucher_month_limit_rupiah": 200_000})
    await a_used_up_month(world)
    covers = live(await vouch(world, extra_amount=200_000))
    await world.authorise(amount=80_000)
    await revoke(world, covers)
    problem(await vouch(world, extra_amount=200_000), 422, "voucher_month_limit_exceeded")
    world.later(hours=25)
    live(await vouch(world, extra_amount=200_000))


async def made_before(world: World, number: int) -> None:
    """So many live vouchers of a rupiah, in the database's own hand: over HTTP they would take a minute."""
    await world.database.execute(
        "INSERT INTO voucher SELECT programme_id, 'vch_' || n, $1, companion_id, '2024-10-01', 1, 0, 0, 0, 'x', $2,"
        " '2024-10-31 16:00Z', NULL, now() FROM beneficiary, generate_series(1, $3) n"
        " WHERE beneficiary_id = $1",
        world.card.beneficiary_id,
        world.now,
        number,
    )


async def test_a_family_and_month_have_at_most_a_hundred_vouchers(world: World) -> None:
    await made_before(world, 100)
    problem(await vouch(world, extra_amount=1, extra_packages=0), 422, "voucher_month_limit_exceeded")


async def test_vouchers_that_were_revoked_unused_do_not_lock_the_month(world: World) -> None:
    await made_before(world, 101)
    problem(await vouch(world, extra_amount=1, extra_packages=0), 422, "voucher_month_limit_exceeded")
    await world.database.execute("UPDATE voucher SET revoked_at = $1 WHERE voucher_id < 'vch_2'", world.now)
    live(await vouch(world))
    await world.books_balance()


async def test_a_revoked_voucher_that_covers_something_is_still_one_of_the_hundred(world: World) -> None:
    await made_before(world, 100)
    await world.database.execute("UPDATE voucher SET used_rupiah = 1, revoked_at = $1", world.now)
    told = problem(await vouch(world, extra_amount=1, extra_packages=0), 422, "voucher_month_limit_exceeded")
    assert (told["given_amount"], told["given_packages"]) == (100, 0)


async def test_a_family_and_month_have_at_most_a_thousand_vouchers_that_were_ever_made(world: World) -> None:
    await made_before(world, 999)
    await world.database.execute("UPDATE voucher SET revoked_at = $1", world.now)
    live(await vouch(world, extra_amount=1, extra_packages=0))
    told = problem(await vouch(world, extra_amount=1, extra_packages=0), 422, "voucher_month_limit_exceeded")
    assert "with those that were revoked unused at most 1000; 1 of 1000 give Rp1 " in told["detail"]


@pytest.mark.parametrize("missed", [1, 2])
async def test_in_samarinda_a_family_that_missed_months_can_use_up_all_its_money_in_one(
    world: World, missed: int
) -> None:
    """`programme.md`: the voucher is not an exception at the edge, it is how the programme works."""
    world.at(datetime(2024, 12, 2, 9, tzinfo=WITA))
    spent = 600_000 * (2 - missed)
    await world.database.execute(
        "UPDATE wallet SET available_rupiah = available_rupiah - $2, spent_rupiah = $2 WHERE beneficiary_id = $1",
        world.card.beneficiary_id,
        spent,
    )
    for number in range(missed):
        reply = await vouch(world, month="2024-12", extra_amount=600_000, extra_packages=2)
        if number:
            await approve(world, live(reply, "awaiting_approval"))
    while (await world.wallet())[0]:
        assert (await world.authorise(amount=300_000, capture=True))["decision"] == "approved"
    assert await world.month(date(2024, 12, 1)) == (600_000 * (missed + 1), 2 * (missed + 1))


# --- The second approval ---------------------------------------------------------------------------------------------


async def test_above_the_threshold_a_voucher_covers_nothing_until_an_operator_approves_it(world: World) -> None:
    await world.change(**NO_LIMITS | {"voucher_approval_above_rupiah": 200_000})
    await a_used_up_month(world)
    waits = await vouch(world, extra_amount=200_001)
    voucher_id = live(waits, "awaiting_approval")
    assert (waits["approved_at"], waits["remaining_amount"], waits["remaining_packages"]) == (None, 0, 0)
    assert (await world.balance())["remaining"]["month"] == 0
    assert (await world.authorise(amount=1_000))["reason"] == "packages_used_up"
    problem(await approve(world, voucher_id, by=companion_of(world).key), 403, "not_permitted", "58")
    approved = await approve(world, voucher_id)
    assert (approved.status, approved["status"]) == (200, "live")
    assert approved["approved_by"] == world.tills.operators[0].operator_id
    assert approved["approved_at"] > approved["created_at"]
    assert (await world.authorise(amount=200_001))["decision"] == "approved"
    await world.books_balance()


@pytest.mark.parametrize(
    ("threshold", "alone", "waits"),
    [
        ({"rupiah": 200_000}, [{"extra_amount": 150_000}, {"extra_amount": 50_000}], {"extra_amount": 1}),
        ({"packages": 2}, [{"extra_packages": 2}], {"extra_packages": 1}),
        ({"packages": 0}, [{"extra_packages": 0}], {"extra_packages": 1}),
        ({"rupiah": 0}, [{"extra_amount": 0}], {"extra_amount": 1}),
    ],
)
async def test_a_large_voucher_does_not_pass_the_threshold_in_slices(
    world: World, threshold: dict[str, int], alone: list[dict[str, Any]], waits: dict[str, Any]
) -> None:
    await world.change(**NO_LIMITS | {f"voucher_approval_above_{unit}": most for unit, most in threshold.items()})
    first = [live(await vouch(world, **each)) for each in alone]
    waiting = live(await vouch(world, **waits), "awaiting_approval")
    await approve(world, waiting)
    # What an operator approved is not the companion's own; what is gone unused makes room again.
    live(await vouch(world, **waits), "awaiting_approval")
    for voucher_id in first:
        await revoke(world, voucher_id)
    live(await vouch(world, **alone[0]))


async def test_only_what_waits_can_be_approved_and_only_while_its_month_lasts(world: World) -> None:
    await world.change(**NO_LIMITS | {"voucher_approval_above_rupiah": 0})
    free = live(await vouch(world, extra_amount=0))
    assert problem(await approve(world, free), 409, "voucher_state_conflict", "12")["voucher_status"] == "live"
    first, second, third = [live(await vouch(world), "awaiting_approval") for _ in range(3)]
    await approve(world, first)
    assert problem(await approve(world, first), 409)["voucher_status"] == "live"
    await revoke(world, second)
    assert problem(await approve(world, second), 409)["voucher_status"] == "revoked"
    world.at(datetime(2024, 11, 1, tzinfo=WITA))
    assert problem(await approve(world, third), 409)["voucher_status"] == "expired"
    assert (await voucher(world, third))["status"] == "expired"
    problem(await approve(world, OTHER), 404, "not_found", "25")


# --- Revoked ---------------------------------------------------------------------------------------------------------


async def test_a_revoked_voucher_loses_its_unused_part_and_purchases_keep_what_it_covers(world: World) -> None:
    await a_used_up_month(world)
    voucher_id = live(await vouch(world, extra_amount=200_000, extra_packages=2))
    sold = await world.authorise(amount=120_000)
    gone = await revoke(world, voucher_id)
    assert (gone.status, gone["status"], gone["used_amount"], gone["remaining_amount"]) == (200, "revoked", 120_000, 0)
    assert (gone["revoked_by"], gone["revocation_reason"]) == (world.card.companion_id, "salah keluarga")
    assert (await world.authorise(amount=1_000))["reason"] == "packages_used_up"
    assert (await world.capture(sold["id"])).status == 201
    await world.books_balance()


async def test_it_is_revoked_once_by_its_maker_or_an_operator_and_by_nobody_else(world: World) -> None:
    first, second = live(await vouch(world)), live(await vouch(world))
    other = companion_of(world, another_familys_card(world)).key
    problem(await revoke(world, first, by=other), 404, "not_found")
    assert (await revoke(world, first)).status == 200
    for by in (companion_of(world).key, operators_key(world)):
        told = problem(await revoke(world, first, by=by), 409, "voucher_state_conflict")
        assert told["voucher_status"] == "revoked"
    by_operator = await revoke(world, second, by=operators_key(world))
    assert by_operator["revoked_by"] == world.tills.operators[0].operator_id
    for voucher_id in (OTHER, "vch_1", "a%00b"):
        problem(await revoke(world, voucher_id), 404, "not_found")


async def test_a_reason_of_blanks_alone_revokes_nothing(world: World) -> None:
    made = live(await vouch(world))
    reply = await post(world, f"/v1/vouchers/{made}/revoke", {"reason": "   "}, by=companion_of(world).key)
    assert problem(reply, 422, "invalid", "30")["errors"] == [
        {"field": "reason", "code": "blank", "detail": "Blanks alone say nothing"}
    ]
    assert (await voucher(world, made))["status"] == "live"


async def test_its_maker_may_revoke_it_when_the_family_is_another_companions(world: World) -> None:
    voucher_id = live(await vouch(world))
    other = companion_of(world, another_familys_card(world))
    await world.database.execute(
        "UPDATE beneficiary SET companion_id = $1 WHERE beneficiary_id = $2",
        other.companion_id,
        world.card.beneficiary_id,
    )
    problem(await revoke(world, voucher_id, by=other.key), 404)
    problem(await vouch(world), 404)
    live(await vouch(world, by=other.key))
    assert (await revoke(world, voucher_id)).status == 200


async def test_what_is_over_cannot_be_revoked_and_what_is_used_up_can(world: World) -> None:
    await a_used_up_month(world)
    used = live(await vouch(world))
    sold = await world.authorise(amount=100_000)
    assert (await voucher(world, used))["status"] == "used_up"
    unused = live(await vouch(world))
    assert (await revoke(world, used)).status == 200
    await world.void(sold["id"])
    after = await voucher(world, used)
    assert (after["status"], after["used_amount"], after["remaining_amount"]) == ("revoked", 0, 0)
    world.at(datetime(2024, 11, 1, tzinfo=WITA))
    assert problem(await revoke(world, unused), 409)["voucher_status"] == "expired"


# --- Uses and give-backs ---------------------------------------------------------------------------------------------


async def events(world: World, authorisation_id: str) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Type of each event, and what it took from vouchers (or, less than 0, gave back) in its order."""
    found = (await world.get(f"/v1/authorizations/{authorisation_id}"))["events"]
    return [
        (
            event["type"],
            [(use["voucher_id"], use["amount"], use["packages"]) for use in event.get("vouchers_used", [])]
            + [(use["voucher_id"], -use["amount"], -use["packages"]) for use in event.get("vouchers_returned", [])],
        )
        for event in found
    ]


async def uses(world: World, voucher_id: str) -> list[tuple[str, int, int]]:
    document = await voucher(world, voucher_id)
    WITH_USES.validate_python(document, strict=False)
    moved = [
        (use["authorization_id"], sign * use["amount"], sign * use["packages"])
        for use in document["uses"]
        for sign in (1 if use["type"] == "used" else -1,)
    ]
    assert document["used_amount"] == sum(amount for _, amount, _ in moved)
    assert document["used_packages"] == sum(packages for *_, packages in moved)
    return moved


async def test_the_month_goes_first_then_the_older_voucher_and_what_comes_back_goes_the_other_way(
    world: World,
) -> None:
    first, second = sorted([live(await vouch(world)), live(await vouch(world))])
    assert (await world.authorise(amount=300_000, capture=True))["vouchers_used"] == []
    assert (await world.authorise(amount=180_000, capture=True))["vouchers_used"] == []
    sold = (await world.authorise(amount=290_000))["id"]
    assert await events(world, sold) == [("authorised", [(first, 100_000, 1), (second, 70_000, 0)])]
    await world.capture(sold, amount=250_000)
    assert (await events(world, sold))[-1] == ("remainder_released", [(second, -40_000, 0)])
    body = {"amount": 90_000, "reason": "rusak"}
    await world.post(f"/v1/authorizations/{sold}/refunds", body, key=world.fresh_key())
    assert (await events(world, sold))[-1] == ("refunded", [(first, -60_000, 0), (second, -30_000, 0)])
    await world.post(
        f"/v1/authorizations/{sold}/refunds", {"amount": 160_000, "reason": "rusak"}, key=world.fresh_key()
    )
    assert (await events(world, sold))[-1] == ("refunded", [(first, -40_000, -1)])
    assert await uses(world, first) == [(sold, 100_000, 1), (sold, -60_000, 0), (sold, -40_000, -1)]
    assert await uses(world, second) == [(sold, 70_000, 0), (sold, -40_000, 0), (sold, -30_000, 0)]
    await world.books_balance()


@pytest.mark.parametrize("ended", ["revoked", "expired"])
async def test_what_returns_to_an_ended_voucher_restores_the_entitlement_only(world: World, ended: str) -> None:
    world.at(datetime(2024, 10, 31, 20, tzinfo=WITA))
    await world.database.execute("UPDATE merchant SET opens_at = NULL, closes_at = NULL")
    await a_used_up_month(world)
    voucher_id = live(await vouch(world))
    sold = (await world.authorise(amount=100_000))["id"]
    if ended == "revoked":
        await revoke(world, voucher_id)
    else:
        world.at(datetime(2024, 11, 1, 1, tzinfo=WITA))
    await world.void(sold)
    after = await voucher(world, voucher_id)
    assert (after["status"], after["used_amount"], after["remaining_amount"]) == (ended, 0, 0)
    assert await uses(world, voucher_id) == [(sold, 100_000, 1), (sold, -100_000, -1)]
    assert await world.month(date(2024, 10, 1)) == (600_000, 2)
    remaining = (await world.balance())["remaining"]
    assert remaining["programme"] == 1_200_000
    assert remaining["month"] == (0 if ended == "revoked" else 600_000)
    await world.books_balance()


async def test_a_hold_that_is_over_has_given_back_before_anybody_wrote_it_and_after(world: World) -> None:
    first, second = sorted([live(await vouch(world)), live(await vouch(world))])
    await a_used_up_month(world)
    whole = (await world.authorise(amount=50_000))["id"]
    part = (await world.authorise(amount=140_000))["id"]
    await world.capture(part, amount=30_000, final=False)
    assert [(await voucher(world, each))["used_amount"] for each in (first, second)] == [100_000, 90_000]
    world.later(hours=24)
    unwritten = [(await voucher(world, each), await uses(world, each)) for each in (first, second)]
    assert [each["used_amount"] for each, _ in unwritten] == [30_000, 0]
    assert [each["used_packages"] for each, _ in unwritten] == [0, 1]
    assert (await get(world, "/v1/vouchers?status=live", by=operators_key(world)))["has_more"] is False
    # Any write to the family writes the ends of its holds first.
    await world.authorise(amount=1_000)
    for each in (whole, part):
        await world.void(each)
    written = [(await voucher(world, each), await uses(world, each)) for each in (first, second)]
    sold = [document.pop("uses") for document, _ in written]
    assert [moved[: len(before)] for (_, moved), (_, before) in zip(written, unwritten, strict=True)] == [
        before for _, before in unwritten
    ]
    assert all(sold)
    await world.books_balance()


# --- Once ------------------------------------------------------------------------------------------------------------


async def test_the_same_request_gets_the_same_bytes_and_makes_one_voucher(world: World) -> None:
    first = await vouch(world, key="k")
    await revoke(world, first["id"])
    again = await vouch(world, key='"k"')
    assert (again.status, again.raw, again.headers["idempotent-replayed"]) == (201, first.raw, "true")
    assert "idempotent-replayed" not in first.headers
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    problem(await vouch(world, key="k", reason="lain"), 422, "key_reused", "94")
    problem(await approve(world, first["id"], key="k", by=operators_key(world)), 409)
    assert await vouchers_made(world) == 1


async def test_a_key_belongs_to_the_principal_not_to_its_key_of_the_day(world: World) -> None:
    other = companion_of(world, another_familys_card(world))
    first = await vouch(world, key="k")
    theirs = another_familys_card(world).beneficiary_id
    assert (await vouch(world, by=other.key, key="k", beneficiary_id=theirs)).status == 201
    await world.database.execute(
        "INSERT INTO access_key SELECT programme_id, $1, key_id, companion_id, NULL, now() FROM access_key"
        " WHERE companion_id = $2",
        KEYS.access_key_digest("a new key"),
        world.card.companion_id,
    )
    assert (await vouch(world, by="a new key", key="k")).raw == first.raw


async def test_refusals_that_state_or_amount_caused_are_replayed_and_others_burn_no_key(world: World) -> None:
    voucher_id = live(await vouch(world))
    first: list[Reply] = []
    again: list[Reply] = []
    for replies in (first, again):
        replies += [
            await vouch(world, key="month", month="2025-01"),
            await vouch(world, key="limit", extra_amount=600_001),
            await approve(world, voucher_id, key="approve"),
        ]
        # What would be right by now is answered as it was.
        await world.change(**NO_LIMITS | {"ends_at": datetime(2025, 3, 1, tzinfo=WITA)})
    codes = ["month_not_open", "voucher_limit_exceeded", "voucher_state_conflict"]
    assert [reply["code"] for reply in first] == codes
    for one, two in zip(first, again, strict=True):
        assert (two.status, two.raw, two.headers["idempotent-replayed"]) == (one.status, one.raw, "true")
        assert two.headers["content-type"] == "application/problem+json"
    problem(await vouch(world, key="x", beneficiary_id=another_familys_card(world).beneficiary_id), 404)
    problem(await vouch(world, key="x", reason=""), 422, "invalid")
    problem(await vouch(world, key="x", by="nobody's"), 401)
    live(await vouch(world, key="x"))


async def test_equal_requests_at_once_are_one_and_all_get_its_answer(world: World) -> None:
    replies = await asyncio.gather(*(vouch(world, key="k") for _ in range(8)))
    assert len({(reply.status, reply.raw) for reply in replies}) == 1
    assert sorted(reply.headers.get("idempotent-replayed", "") for reply in replies) == ["", *["true"] * 7]
    assert await vouchers_made(world) == 1
    voucher_id = replies[0]["id"]
    gone = await asyncio.gather(*(revoke(world, voucher_id, key="r") for _ in range(4)))
    assert len({reply.raw for reply in gone}) == 1


@pytest.fixture
async def impatient(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> AsyncIterator[World]:
    """A service that waits for locks for a twentieth of a second."""
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, office_lock_timeout_ms=50) as world:
        yield world


async def test_a_request_that_is_still_being_decided_is_in_progress_and_a_held_family_is_a_503(
    impatient: World,
) -> None:
    world = impatient
    lock = "SELECT FROM wallet WHERE beneficiary_id = $1 FOR UPDATE"
    async with world.database.transaction():
        await world.database.execute(lock, world.card.beneficiary_id)
        slow, fast = await asyncio.gather(vouch(world, key="k"), vouch(world, key="k"))
        told = {reply["code"]: reply for reply in (slow, fast)}
        assert set(told) <= {"in_progress", "not_decided"}
        problem(told["not_decided"], 503, "not_decided", "91")
        assert told["not_decided"].headers["retry-after"] == "1"
    live(await vouch(world, key="k"))


async def test_a_key_that_is_claimed_elsewhere_is_in_progress(impatient: World) -> None:
    world = impatient
    async with world.database.transaction():
        await world.database.execute(
            "INSERT INTO request_key SELECT programme_id, $1, $2, 1, '', NULL, NULL, NULL, 201, '', NULL, now()"
            " FROM programme",
            world.card.companion_id,
            KEYS.request_digest(b"k"),
        )
        told = problem(await vouch(world, key="k"), 409, "in_progress", "91")
        assert told["retryable"] is True
    problem(await vouch(world, key="k"), 422, "key_reused")


# --- At once ---------------------------------------------------------------------------------------------------------


async def test_vouchers_made_at_once_never_exceed_the_months_limit_or_the_threshold(world: World) -> None:
    await world.change(**NO_LIMITS | {"voucher_month_limit_rupiah": 500_000, "voucher_approval_above_rupiah": 300_000})
    replies = await asyncio.gather(*(vouch(world, extra_amount=100_000, extra_packages=0) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [*[201] * 5, *[422] * 3]
    made = sorted(reply["status"] for reply in replies if reply.status == 201)
    assert made == [*["awaiting_approval"] * 2, *["live"] * 3]


@pytest.mark.parametrize("attempt", range(4))
async def test_a_voucher_that_is_revoked_while_a_purchase_uses_it_covers_it_or_not(world: World, attempt: int) -> None:
    """Either the purchase came first and keeps it, or the revocation and the purchase is declined."""
    await a_used_up_month(world)
    voucher_id = live(await vouch(world))

    async def after(seconds: float) -> Reply:
        await asyncio.sleep(seconds)
        return await revoke(world, voucher_id)

    sold, gone = await asyncio.gather(world.authorise(amount=100_000), after(attempt * 0.002))
    assert gone.status == 200
    used = 100_000 if sold["decision"] == "approved" else 0
    after_both = await voucher(world, voucher_id)
    assert (after_both["status"], after_both["used_amount"], gone["used_amount"]) == ("revoked", used, used)
    await world.books_balance()


# --- Whose families --------------------------------------------------------------------------------------------------


async def test_a_companion_sees_its_own_families_and_what_is_left_to_each_as_the_counter_would_say(
    world: World,
) -> None:
    by = companion_of(world).key
    own = [card for card in world.tills.cards if card.companion_id == world.card.companion_id]
    await world.authorise(amount=100_000)
    world.later(hours=25)
    await world.authorise(amount=70_000, card_number=own[1].card_number, capture=True)
    made = live(await vouch(world))
    gone = live(await vouch(world))
    await revoke(world, gone)
    reply = await get(world, "/v1/beneficiaries", by=by)
    TypeAdapter(office_wire.FamilyPage).validate_json(reply.raw)
    assert [family["id"] for family in reply["data"]] == sorted(card.beneficiary_id for card in own)
    for family in reply["data"]:
        (card,) = [card for card in own if card.beneficiary_id == family["id"]]
        assert family["card_last_four"] == card.card_number[-4:]
        assert family["remaining"] == (await world.balance(card))["remaining"]
        assert [each["id"] for each in family["vouchers"]] == ([made] if card == world.card else [])
    assert "SINTETIS" not in reply.raw.decode()
    assert await pages(world, "/v1/beneficiaries", by=by, limit=2) == reply["data"]


async def test_a_family_whose_cards_are_lost_is_listed_with_its_newest_card(world: World) -> None:
    await world.database.execute("UPDATE card SET status = 'lost' WHERE beneficiary_id = $1", world.card.beneficiary_id)
    data = (await get(world, "/v1/beneficiaries", by=companion_of(world).key))["data"]
    (family,) = [each for each in data if each["id"] == world.card.beneficiary_id]
    assert (family["card_status"], family["remaining"]["programme"]) == ("lost", 1_800_000)
    await world.database.execute("DELETE FROM card WHERE beneficiary_id = $1", world.card.beneficiary_id)
    data = (await get(world, "/v1/beneficiaries", by=companion_of(world).key))["data"]
    (family,) = [each for each in data if each["id"] == world.card.beneficiary_id]
    assert (family["card_last_four"], family["card_status"], family["remaining"]) == (None, None, None)


def test_what_vouchers_cover_of_a_purchase_is_summed_in_the_order_of_their_ends() -> None:
    ends = ["2024-10-20T16:00:00+00:00", "2024-10-20T16:00:00.25+00:00", "2024-10-20T16:00:00.5+00:00"]
    moved = [
        ["auth_1", "vch_c", 30, 1, ends[2]],
        ["auth_1", "vch_a", 10, 0, ends[1]],
        ["auth_2", "vch_z", 5, 0, ends[0]],
        ["auth_1", "vch_z", 7, 1, ends[0]],
        ["auth_1", "vch_b", 20, 0, ends[1]],
        ["auth_1", "vch_c", -12, -1, ends[2]],
    ]
    found: Any = {"voucher_movements": orjson.dumps(moved).decode()}
    covers = [a_use("vch_z", 7, 1), a_use("vch_a", 10), a_use("vch_b", 20), a_use("vch_c", 18)]
    assert voucher_uses_of(found) == {"auth_1": tuple(covers), "auth_2": (a_use("vch_z", 5),)}
