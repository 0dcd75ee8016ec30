"""To which account a shop is paid: four eyes, the next batch, and no number where it need not be."""

import os
from typing import Any, Final

import asyncpg
import pytest

from authz_service.settlement.accounts import AccountRefused, accounts_of, approve_account, request_account
from authz_service.settlement.positions import Account
from tests.settling import SAMARINDA, batch_closed, instructions, said
from tests.world import World

NEW_ACCOUNT: Final = Account(bank_code="124", account_number="000009876543", holder="CONTOH KUBE Baru")


@pytest.fixture
async def instruction(world: World) -> str:
    """Of Rp150.000, on its way."""
    await world.authorise(capture=True)
    await batch_closed(world)
    [(instruction_id, *_)] = await instructions(world)
    return instruction_id


async def asked(world: World, actor: str = "meja 1", account: Account = NEW_ACCOUNT, shop: str | None = None) -> str:
    who: dict[str, Any] = {"actor": actor, "clock": world.clock, "chance": os.urandom}
    merchant_id = shop or world.till.merchant_id
    return await request_account(world.database, world.settings, SAMARINDA, merchant_id, account, **who)


async def approved(world: World, account_ref: str, actor: str = "meja 2") -> str:
    who: dict[str, Any] = {"actor": actor, "clock": world.clock, "chance": os.urandom}
    return await approve_account(world.database, world.settings, SAMARINDA, account_ref, **who)


async def test_a_new_account_takes_four_eyes_and_is_for_the_next_batch(world: World, instruction: str) -> None:
    account_ref = await asked(world)
    old, waits = await accounts_of(world.database, SAMARINDA, world.till.merchant_id)
    assert (old.is_in_force, waits.is_in_force, waits.masked, waits.approved_at) == (True, False, "****6543", None)
    for same in ("meja 1", " Meja 1 "):
        with pytest.raises(AccountRefused, match=r"meja 1 asked for .*: somebody else must approve it"):
            await approved(world, account_ref, same)
    with pytest.raises(asyncpg.CheckViolationError, match="four_eyes"):
        await world.database.execute(
            "UPDATE payout_account SET approved_at = now(), approved_by = 'MEJA 1' WHERE approved_at IS NULL"
        )
    assert await approved(world, account_ref) == world.till.merchant_id
    with pytest.raises(AccountRefused, match="was approved before"):
        await approved(world, account_ref, "meja 3")
    await said(world, "failed", instruction)
    await said(world, "released", instruction)
    await batch_closed(world)
    numbers = await world.database.fetch("SELECT account_number FROM payout_instruction ORDER BY created_at")
    assert [row[0] for row in numbers] == ["000000000001", "000009876543"], "what was instructed stays as it was"
    in_force, before = await accounts_of(world.database, SAMARINDA, world.till.merchant_id)
    assert (in_force.account_ref, before.is_in_force, "9876543" in repr(in_force)) == (account_ref, False, False)
    await world.books_balance()


async def test_a_shop_without_an_account_is_owed_until_it_has_one(world: World) -> None:
    await world.database.execute("SET session_replication_role = replica; DELETE FROM payout_account")
    await world.database.execute("RESET session_replication_role")
    await world.authorise(capture=True)
    await batch_closed(world)
    assert await instructions(world) == []
    why = "SELECT carried_rupiah, carried_because FROM settlement_position"
    assert [tuple(row) for row in await world.database.fetch(why)] == [(150_000, "no_account")]
    account_ref = await asked(world)
    await batch_closed(world)
    assert await instructions(world) == [], "asked for, and not approved"
    await approved(world, account_ref)
    await batch_closed(world)
    assert [rupiah for *_, rupiah in await instructions(world)] == [150_000]
    await world.books_balance()


@pytest.mark.parametrize(
    ("wrong", "said_"),
    [
        ({"bank_code": "12"}, "A bank's code has 3 digits"),
        ({"account_number": "12 34567"}, "5 to 34 digits"),
        ({"account_number": "1234"}, "5 to 34 digits"),
        ({"holder": " "}, "A holder's name is one line"),
        ({"holder": "A\tB"}, "A holder's name is one line"),
    ],
)
async def test_an_account_that_cannot_be_is_refused_without_its_number(
    world: World, wrong: dict[str, str], said_: str
) -> None:
    fields = {"bank_code": "124", "account_number": "000009876543", "holder": "CONTOH", **wrong}
    with pytest.raises(AccountRefused, match=said_) as refused:
        await asked(world, account=Account(**fields))
    assert fields["account_number"] not in str(refused.value)


async def test_nobodys_accounts_are_refused(world: World) -> None:
    with pytest.raises(AccountRefused, match="has no shop mrc_nobody"):
        await asked(world, shop="mrc_nobody")
    with pytest.raises(AccountRefused, match="has no shop mrc_nobody"):
        await accounts_of(world.database, SAMARINDA, "mrc_nobody")
    with pytest.raises(AccountRefused, match="Nobody has asked for an account acc_nobody"):
        await approved(world, "acc_nobody")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payout_account SET account_number = '12345'",
        "UPDATE payout_account SET approved_at = NULL, approved_by = NULL",
        "UPDATE payout_account SET approved_by = 'saya'",
        "DELETE FROM payout_account",
        "TRUNCATE payout_account",
        "UPDATE payout_instruction SET account_number = '12345'",
        "DELETE FROM payout_event",
        "DELETE FROM settlement_item",
        "UPDATE settlement_batch SET closed_by = 'saya'",
        "UPDATE settlement_position SET carried_rupiah = 0",
    ],
)
async def test_what_was_instructed_and_to_whom_is_never_changed(world: World, instruction: str, statement: str) -> None:
    await said(world, "failed", instruction)
    with pytest.raises(asyncpg.RestrictViolationError, match="are never changed or removed"):
        await world.database.execute(statement)
