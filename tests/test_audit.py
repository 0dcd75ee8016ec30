"""The audit log: nothing of it is ever changed, and every order and every change of a family is in it."""

import os
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from authz_service.audit import Seat, Subject, entries, keep_audit, seated
from authz_service.roll.cards import set_card_status
from authz_service.roll.orders import Order, RollRefused
from authz_service.roll.status import suspend
from authz_service.vocabulary import BeneficiaryId, CardId, CardStatus
from tests.world import PROGRAMME, World

ORDER = Order(actor="meja kartu", reason="kartu hilang di pasar")


async def _card_of(world: World) -> CardId:
    return CardId(
        await world.database.fetchval("SELECT card_id FROM card WHERE beneficiary_id = $1", world.card.beneficiary_id)
    )


async def test_a_change_of_a_family_is_in_the_log_with_before_and_after_and_from_which_seat(world: World) -> None:
    card_id = await _card_of(world)
    here: dict[str, Any] = {"programme_id": PROGRAMME, "order": ORDER, "now": world.now, "chance": os.urandom}
    with seated(Seat(role="card_desk", request_id="req_1")):
        await set_card_status(world.database, card_id=card_id, status=CardStatus.BLOCKED, **here)
    here["now"] = world.now + timedelta(seconds=1)
    await suspend(world.database, beneficiary_id=BeneficiaryId(world.card.beneficiary_id), **here)
    newest, older = await entries(world.database, PROGRAMME, limit=10)
    assert (older.actor, older.role, older.request_id) == ("meja kartu", "card_desk", "req_1")
    assert older.subject == Subject(kind="family", id=world.card.beneficiary_id)
    assert older.before == {"card_id": card_id, "card_status": "active"}
    assert older.after is not None
    assert older.after["card_status"] == "blocked"
    assert (newest.action, newest.role, newest.before) == ("family_suspend", None, {"status": "active"})
    assert newest.reason == ORDER.reason


async def test_what_is_refused_is_not_in_the_log(world: World) -> None:
    with pytest.raises(RollRefused):
        await set_card_status(
            world.database,
            programme_id=PROGRAMME,
            card_id=CardId("crd_nobodys"),
            status=CardStatus.BLOCKED,
            order=ORDER,
            now=world.now,
            chance=os.urandom,
        )
    assert await entries(world.database, PROGRAMME, limit=10) == []


async def _looked(world: World, who: str) -> str:
    return await keep_audit(
        world.database,
        PROGRAMME,
        actor=who,
        role="auditor",
        action="family_seen",
        subject=Subject(kind="family", id=world.card.beneficiary_id),
        reason="pengaduan",
        before=None,
        after=None,
        now=world.now,
        chance=os.urandom,
        request_id=None,
    )


async def test_no_entry_is_ever_changed_or_removed(world: World) -> None:
    await _looked(world, "budi")
    for statement in ("UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await world.database.execute(statement)


async def test_the_log_is_read_page_by_page_and_by_who_and_what(world: World) -> None:
    ids = []
    for who in ("budi", "siti", "Budi "):
        ids.append(await _looked(world, who))
        world.later(seconds=1)
    first = await entries(world.database, PROGRAMME, limit=2)
    rest = await entries(world.database, PROGRAMME, limit=2, before=first[-1].entry_id)
    assert [each.entry_id for each in (*first, *rest)] == ids[::-1]
    assert [each.entry_id for each in await entries(world.database, PROGRAMME, limit=9, actor="BUDI")] == [
        ids[2],
        ids[0],
    ]
    assert await entries(world.database, PROGRAMME, limit=9, subject_id="ben_other") == []
    assert await entries(world.database, "another-programme", limit=9) == []
