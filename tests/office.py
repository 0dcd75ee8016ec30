"""Hands to play companions and operators with."""

from typing import Any

from authz_service.enrolment.sandbox import SandboxCard, SandboxCompanion
from tests.world import Reply, World


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def companion_of(world: World, card: SandboxCard | None = None) -> SandboxCompanion:
    whose = (card or world.card).companion_id
    (found,) = [each for each in world.tills.companions if each.companion_id == whose]
    return found


def operators_key(world: World) -> str:
    return world.tills.operators[0].key


def another_familys_card(world: World) -> SandboxCard:
    """Of a family that another companion looks after."""
    return next(card for card in world.tills.cards if card.companion_id != world.card.companion_id)


def a_voucher(world: World, **changes: Any) -> dict[str, Any]:
    """A good one: Rp100.000 and a package more for the family in October."""
    return {
        "beneficiary_id": world.card.beneficiary_id,
        "month": "2024-10",
        "extra_amount": 100_000,
        "extra_packages": 1,
        "reason": "anak sakit",
        **changes,
    }


async def post(world: World, path: str, body: Any, *, by: str, key: str | None = None) -> Reply:
    return await world.post(path, body, key=key or world.fresh_key(), headers=bearer(by))


async def get(world: World, path: str, *, by: str) -> Reply:
    return await world.get(path, headers=bearer(by))


async def vouch(world: World, *, by: str | None = None, key: str | None = None, **changes: Any) -> Reply:
    """By the family's own companion, unless `by` is another's key."""
    return await post(world, "/v1/vouchers", a_voucher(world, **changes), by=by or companion_of(world).key, key=key)


async def approve(world: World, voucher_id: str, *, by: str | None = None, key: str | None = None) -> Reply:
    return await post(world, f"/v1/vouchers/{voucher_id}/approve", {}, by=by or operators_key(world), key=key)


async def revoke(world: World, voucher_id: str, *, by: str | None = None, key: str | None = None) -> Reply:
    path = f"/v1/vouchers/{voucher_id}/revoke"
    return await post(world, path, {"reason": "salah keluarga"}, by=by or companion_of(world).key, key=key)


async def voucher(world: World, voucher_id: str, *, by: str | None = None) -> dict[str, Any]:
    """As it stands, with its uses."""
    reply = await get(world, f"/v1/vouchers/{voucher_id}", by=by or operators_key(world))
    assert reply.status == 200, reply.raw
    return reply.body


async def pages(world: World, path: str, *, by: str, **filters: Any) -> list[dict[str, Any]]:
    """Every item of a list, page by page; no page is larger than asked for, and none but the last is smaller."""
    found: list[dict[str, Any]] = []
    limit = filters.pop("limit", 100)
    while True:
        chosen = {**filters, "limit": limit} | ({"after": found[-1]["id"]} if found else {})
        query = "&".join(f"{name}={value}" for name, value in chosen.items())
        reply = await get(world, f"{path}?{query.replace('+', '%2B')}", by=by)
        assert reply.status == 200, (query, reply.raw)
        data = reply["data"]
        assert len(data) == limit if reply["has_more"] else len(data) <= limit
        found += data
        if not reply["has_more"]:
            return found
