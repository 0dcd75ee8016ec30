"""The people who sign in at the console: added, given a role and a password, disabled. Each is an order that is kept.

A person is known by a sign-in name that looks like nobody else's in the programme; it is the actor of all that the
person orders, so that four eyes are two people.

    PersonRefused        nothing was changed; the message is one sentence for the operator
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

import asyncpg

from authz_service.database import Connection
from authz_service.orders import OrderKind, keep_order
from authz_service.vocabulary import CHANCE_BYTES, Chance, ProgrammeId, new_id

PersonId = NewType("PersonId", str)
SIGN_IN: Final = re.compile(r"(?=.{3,32}$)[a-z][a-z0-9]*([.-][a-z0-9]+)*")

_ADD: Final = """
INSERT INTO person (programme_id, person_id, sign_in, role, password_hash, password_is_for_once, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_PEOPLE: Final = """
-- All who ever were, by name.
SELECT person_id, sign_in, role, password_is_for_once, created_at, disabled_at, locked_until
  FROM person WHERE programme_id = $1 ORDER BY sign_in
"""
_PERSON: Final = """
-- Locked: two orders about one person come one after the other.
SELECT person_id, sign_in, role, password_is_for_once, created_at, disabled_at, locked_until
  FROM person WHERE programme_id = $1 AND sign_in = $2 FOR UPDATE
"""
_SET_ROLE: Final = "UPDATE person SET role = $3 WHERE programme_id = $1 AND person_id = $2"
_SET_OTHER_WORD: Final = """
UPDATE person SET password_hash = $3, password_is_for_once = $4, failed_tries = 0, locked_until = NULL
 WHERE programme_id = $1 AND person_id = $2
"""
_SET_DISABLED: Final = """
UPDATE person SET disabled_at = $3, failed_tries = 0, locked_until = NULL WHERE programme_id = $1 AND person_id = $2
"""
_END_SESSIONS: Final = "DELETE FROM console_session WHERE programme_id = $1 AND person_id = $2"


class PersonRefused(Exception):  # noqa: N818 - it says what is so, as declines do
    """Nothing was changed; the message is one sentence for the operator."""


class Role(StrEnum):
    VIEWER = "viewer"
    """Pictures and reports, no family."""
    CARD_DESK = "card_desk"
    """Families and cards."""
    PROGRAMME_MANAGER = "programme_manager"
    """All that, and shops, vouchers, settlement, inbox, exceptions."""
    AUDITOR = "auditor"
    """Sees everything, the audit log too, and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person without what is compared at sign-in."""

    person_id: PersonId
    sign_in: str
    role: Role
    password_is_for_once: bool
    created_at: datetime
    disabled_at: datetime | None
    locked_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """In which programme, by whom and when an order about a person is given."""

    programme_id: ProgrammeId
    actor: str
    now: datetime
    chance: Chance


async def add_person(
    connection: Connection, sign_in: str, role: Role, password_hash: str, ordered: Ordered, *, is_for_once: bool = True
) -> PersonId:
    """The person may sign in, and is asked for a password of their own if this one is for once."""
    if not SIGN_IN.fullmatch(sign_in):
        raise PersonRefused(
            "A sign-in name has 3 to 32 of a-z and 0-9, begins with a letter, and may have single points and hyphens"
            " between."
        )
    person_id = PersonId(new_id("per", ordered.now, ordered.chance(CHANCE_BYTES)))
    row = (ordered.programme_id, person_id, sign_in, role, password_hash, is_for_once, ordered.now)
    try:
        async with connection.transaction():
            await connection.execute(_ADD, *row)
            await _keep(connection, OrderKind.PERSON_ADDED, person_id, {"sign_in": sign_in, "role": role}, ordered)
    except asyncpg.UniqueViolationError:
        raise PersonRefused(f"{ordered.programme_id} has a person {sign_in}, or one who looks like it.") from None
    return person_id


async def set_role(connection: Connection, sign_in: str, role: Role, ordered: Ordered) -> None:
    """It holds from the person's next request on."""
    async with connection.transaction():
        person = await _person(connection, sign_in, ordered)
        if person.role is role:
            raise PersonRefused(f"{sign_in} is {role} already.")
        await connection.execute(_SET_ROLE, ordered.programme_id, person.person_id, role)
        detail = {"sign_in": sign_in, "role": role, "former_role": person.role}
        await _keep(connection, OrderKind.PERSON_ROLE_SET, person.person_id, detail, ordered)


async def set_password(
    connection: Connection, sign_in: str, password_hash: str, ordered: Ordered, *, is_for_once: bool
) -> None:
    """The older one opens nothing any more, all sessions are over, and no failed try is remembered."""
    async with connection.transaction():
        person = await _person(connection, sign_in, ordered)
        await connection.execute(_SET_OTHER_WORD, ordered.programme_id, person.person_id, password_hash, is_for_once)
        await connection.execute(_END_SESSIONS, ordered.programme_id, person.person_id)
        detail = {"sign_in": sign_in, "for_once": is_for_once}
        await _keep(connection, OrderKind.PERSON_PASSWORD_SET, person.person_id, detail, ordered)


async def disable_person(connection: Connection, sign_in: str, ordered: Ordered) -> None:
    """Nobody signs in by that name any more, and all its sessions are over."""
    async with connection.transaction():
        person = await _person(connection, sign_in, ordered)
        if person.disabled_at is not None:
            raise PersonRefused(f"{sign_in} is disabled already.")
        await connection.execute(_SET_DISABLED, ordered.programme_id, person.person_id, ordered.now)
        await connection.execute(_END_SESSIONS, ordered.programme_id, person.person_id)
        await _keep(connection, OrderKind.PERSON_DISABLED, person.person_id, {"sign_in": sign_in}, ordered)


async def enable_person(connection: Connection, sign_in: str, ordered: Ordered) -> None:
    """The person may sign in again, with the password that there was."""
    async with connection.transaction():
        person = await _person(connection, sign_in, ordered)
        if person.disabled_at is None:
            raise PersonRefused(f"{sign_in} is not disabled.")
        await connection.execute(_SET_DISABLED, ordered.programme_id, person.person_id, None)
        await _keep(connection, OrderKind.PERSON_ENABLED, person.person_id, {"sign_in": sign_in}, ordered)


async def people(connection: Connection, programme_id: ProgrammeId) -> list[Person]:
    """Everybody, also who is disabled."""
    return [_of(row) for row in await connection.fetch(_PEOPLE, programme_id)]


async def _person(connection: Connection, sign_in: str, ordered: Ordered) -> Person:
    row = await connection.fetchrow(_PERSON, ordered.programme_id, sign_in)
    if row is None:
        raise PersonRefused(f"{ordered.programme_id} has no person {sign_in}.")
    return _of(row)


async def _keep(
    connection: Connection, kind: OrderKind, person_id: PersonId, detail: Mapping[str, object], ordered: Ordered
) -> None:
    await keep_order(
        connection,
        ordered.programme_id,
        kind,
        actor=ordered.actor,
        now=ordered.now,
        chance=ordered.chance,
        detail={"person_id": person_id, **detail},
    )


def _of(row: asyncpg.Record) -> Person:
    return Person(
        person_id=PersonId(row["person_id"]),
        sign_in=row["sign_in"],
        role=Role(row["role"]),
        password_is_for_once=row["password_is_for_once"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        locked_until=row["locked_until"],
    )
