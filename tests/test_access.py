"""Whose key opens what: companions' and operators' keys are shown once, change with an overlap, and end at once."""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from authz_service.access import AccessRefused, Holder, add_operator, caller_of, issue, issued, revoke
from authz_service.api.backoffice import router
from authz_service.cli import app
from authz_service.commands import place
from authz_service.keys import Keys
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import ProgrammeId
from tests import office
from tests.office import bearer, companion_of, get, operators_key, post
from tests.test_bad_input import problem
from tests.world import PROGRAMME, World

SAMARINDA = ProgrammeId(PROGRAMME)
P_001 = Holder(is_companion=True, label="P-001")
DINSOS = Holder(is_companion=False, label="Dinsos")
OTHER = "vch_00000000000000000000000000"
FOR_BOTH = {"GET /v1/vouchers": 200, "GET /v1/vouchers/{voucher_id}": 404, "POST /v1/vouchers/{voucher_id}/revoke": 404}
FOR_COMPANIONS = {"POST /v1/vouchers": 201, "GET /v1/beneficiaries": 200}
FOR_OPERATORS = {
    "POST /v1/vouchers/{voucher_id}/approve": 404,
    "GET /v1/authorizations": 200,
    "GET /v1/authorizations/{authorization_id}/explanation": 404,
}
CALLS = FOR_BOTH | FOR_COMPANIONS | FOR_OPERATORS
"""Call → what it answers to whom it is for."""
CALLERS: dict[str, tuple[Callable[[World], str], set[str]]] = {
    "companion": (lambda world: companion_of(world).key, FOR_BOTH.keys() | FOR_COMPANIONS.keys()),
    "operator": (operators_key, FOR_BOTH.keys() | FOR_OPERATORS.keys()),
    "terminal": (lambda world: world.till.key, set()),
}
"""Caller → its key, and the calls that are for it."""


async def called(world: World, call: str, *, by: str) -> Any:
    method, path = call.replace("{voucher_id}", OTHER).replace("{authorization_id}", "auth_nobodys").split()
    if method == "GET":
        return await get(world, path, by=by)
    bodies = {"vouchers": office.a_voucher(world), "revoke": {"reason": "x"}, "approve": {}}
    return await post(world, path, bodies[path.rpartition("/")[2]], by=by)


def test_every_call_of_the_back_office_is_in_the_table() -> None:
    served = {f"{method} {route.path}" for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
    assert served == set(CALLS)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("call", CALLS)
async def test_each_call_is_for_those_that_it_is_for(world: World, call: str, caller: str) -> None:
    key, own = CALLERS[caller]
    reply = await called(world, call, by=key(world))
    if call in own:
        assert reply.status == CALLS[call], reply.raw
        assert reply.headers["x-request-id"].startswith("req_")
        assert reply.headers["cache-control"] == "no-store"
    else:
        problem(reply, 403, "not_permitted", "58")
        assert await world.database.fetchval("SELECT count(*) FROM voucher") == 0


@pytest.mark.parametrize("call", CALLS)
async def test_without_a_key_that_somebody_has_nothing_is_answered(world: World, call: str) -> None:
    for by in ("", "x", "sandbox_" + "0" * 40, "é", "a" * 300):
        reply = await called(world, call, by=by)
        problem(reply, 401, "unauthenticated", "58")
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_at_the_terminals_door_a_companions_and_an_operators_key_are_nobodys(world: World) -> None:
    for by in (companion_of(world).key, operators_key(world)):
        problem(await post(world, "/v1/authorizations", world.a_purchase(), by=by), 401, "unauthenticated")
        problem(await get(world, "/v1/catalogue", by=by), 401, "unauthenticated")


async def test_what_is_not_served_says_so_in_the_form_of_a_problem(world: World) -> None:
    by = operators_key(world)
    for path in ("/v1/vouchers/", f"/v1/vouchers/{OTHER}/x", "/v1/beneficiaries/x", "/v1/authorizations/x/explanation"):
        problem(await get(world, path, by=by), 404, "not_found")
    for path, allowed in {
        "/v1/vouchers": "GET, POST",
        f"/v1/vouchers/{OTHER}": "GET",
        f"/v1/vouchers/{OTHER}/revoke": "POST",
        "/v1/beneficiaries": "GET",
        "/v1/authorizations": "GET, POST",
        "/v1/authorizations/x/explanation": "GET",
    }.items():
        async with world.http.delete(world.base_url + path, headers=bearer(by)) as response:
            assert (response.status, response.headers["allow"]) == (405, allowed), path
            assert (await response.json())["code"] == "method_not_allowed"


# --- Keys ------------------------------------------------------------------------------------------------------------


async def new_key(world: World, holder: Holder, *, mark: str = "authz") -> str:
    return await issue(
        world.database,
        Keys(SANDBOX_ROOT_KEY),
        SAMARINDA,
        holder,
        mark=mark,
        actor="dinsos",
        now=world.now,
        chance=lambda size: bytes(range(size)),
    )


async def revoked(world: World, holder: Holder, number: int | None) -> int:
    return await revoke(world.database, SAMARINDA, holder, number, actor="dinsos", now=world.now, chance=os.urandom)


async def test_a_new_key_goes_on_beside_the_old_one_until_that_is_revoked(world: World) -> None:
    old, new = operators_key(world), await new_key(world, DINSOS)
    assert re.fullmatch(r"authz_operator_[0-9a-f]{64}", new)
    for by in (old, new):
        assert (await get(world, "/v1/vouchers", by=by)).status == 200
    assert await revoked(world, DINSOS, 1) == 1
    problem(await get(world, "/v1/vouchers", by=old), 401, "unauthenticated")
    assert (await get(world, "/v1/vouchers", by=new)).status == 200
    assert await revoked(world, DINSOS, None) == 1
    problem(await get(world, "/v1/vouchers", by=new), 401, "unauthenticated")


async def test_keys_are_listed_by_number_and_never_shown_again(world: World) -> None:
    key = await new_key(world, P_001)
    before = len(await issued(world.database, SAMARINDA))
    assert before == len(world.tills.companions) + len(world.tills.operators) + 1
    await revoked(world, P_001, 2)
    listed = await issued(world.database, SAMARINDA)
    assert [(each.number, each.revoked_at is None) for each in listed if each.holder == P_001] == [
        (1, True),
        (2, False),
    ]
    kept = await world.database.fetch("SELECT * FROM access_key")
    assert key not in str(kept)
    assert key not in str(listed)


async def test_only_a_holder_that_there_is_has_a_key_to_issue_or_revoke(world: World) -> None:
    for holder in (Holder(is_companion=True, label="Dinsos"), Holder(is_companion=False, label="P-001")):
        with pytest.raises(AccessRefused, match="has no"):
            await new_key(world, holder)
        with pytest.raises(AccessRefused, match="has no"):
            await revoked(world, holder, None)
    for number in (2, 0, -1, 2**31, 10**20 - 1, 10**1000):
        with pytest.raises(AccessRefused, match=f"The companion P-001 has no live key {number}"):
            await revoked(world, P_001, number)


async def test_an_operator_is_added_once_and_its_label_is_a_label(world: World) -> None:
    async def added(label: str) -> str:
        return await add_operator(
            world.database, SAMARINDA, label, actor="dinsos", now=world.now, chance=lambda size: b"0123456789"[:size]
        )

    assert (await added("Bank")).startswith("opr_")
    with pytest.raises(AccessRefused, match="has an operator Bank already"):
        await added("Bank")
    for label in ("", " ", "a\nb", "x" * 65, " Bank"):
        with pytest.raises(AccessRefused, match="A label is"):
            await added(label)


async def test_a_key_opens_its_own_programme_only(world: World) -> None:
    programme = await world.database.fetchrow("SELECT * FROM programme")
    assert programme is not None
    await world.database.execute(
        "CREATE TEMP TABLE other AS SELECT * FROM programme; UPDATE other SET programme_id = 'other';"
        "INSERT INTO reference VALUES ('other', 1); INSERT INTO programme SELECT * FROM other;"
        "INSERT INTO operator VALUES ('other', 'opr_00000000000000000000000000', 'Lain');"
    )
    made = await office.vouch(world)
    theirs = await issue(
        world.database, Keys(SANDBOX_ROOT_KEY), ProgrammeId("other"), Holder(is_companion=False, label="Lain"),
        mark="x", actor="dinsos", now=world.now, chance=lambda size: b"x" * size,
    )  # fmt: skip
    assert (await get(world, "/v1/vouchers", by=theirs))["data"] == []
    problem(await get(world, f"/v1/vouchers/{made['id']}", by=theirs), 404)
    problem(await office.revoke(world, made["id"], by=theirs), 404)


@pytest.fixture
def authz(enrolled_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """The command line on a database of its own; gives what it printed."""
    monkeypatch.setenv("DATABASE_URL", enrolled_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("AUTHZ_ACTOR", "meja kartu")
    monkeypatch.setattr(place.console, "_width", 120)

    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == status, (arguments, result.output, result.exception)
        return str(result.output)

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


def test_the_commands_add_issue_list_and_revoke(authz: Callable[..., str], enrolled_url: str) -> None:
    async def opens(key: str) -> bool:
        connection = await asyncpg.connect(enrolled_url)
        caller = await caller_of(connection, Keys(SANDBOX_ROOT_KEY), key)
        await connection.close()
        return caller is not None

    assert authz("operator", "add", "Bank").startswith("Operator Bank: opr_")
    assert authz("operator", "add", "Bank", status=1) == "authz: samarinda-2024 has an operator Bank already.\n"
    key = authz("key", "issue", "--operator", "Bank").strip()
    assert re.fullmatch(r"sandbox_operator_[0-9a-f]{64}", key)
    second = authz("key", "issue", "--companion", "P-001", "--programme", PROGRAMME).strip()
    listed = authz("key", "list")
    assert re.search(r"(?m)companion P-001 +2 +\d{4}-\d\d-\d\d \d\d:\d\d WITA *$", listed)
    assert not re.search(r"sandbox_|[0-9a-f]{16}", listed)
    assert authz("key", "revoke", "--operator", "Bank", "--number", "1") == "Revoked: 1\n"
    assert [asyncio.run(opens(each)) for each in (key, second)] == [False, True]
    assert authz("key", "revoke", "--companion", "P-001", "--all") == "Revoked: 2\n"
    assert not asyncio.run(opens(second))
    for wrong in (
        ["key", "revoke", "--companion", "P-001", "--all"],
        ["key", "revoke", "--companion", "P-001"],
        ["key", "revoke", "--companion", "P-001", "--all", "--number", "1"],
        ["key", "issue"],
        ["key", "issue", "--companion", "P-001", "--operator", "Bank"],
        ["key", "issue", "--companion", "P-999"],
        ["key", "issue", "--companion", "P-001", "--programme", "nowhere"],
    ):
        assert authz(*wrong, status=1).startswith("authz: ")
