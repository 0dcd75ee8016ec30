"""Somebody of each role at the console, with sandbox passwords: whoever plays with the demo can look at once."""

from dataclasses import dataclass
from datetime import datetime
from os import urandom
from typing import Final

from authz_service.database import Connection
from authz_service.passwords import Passwords
from authz_service.people import Ordered, Role, add_person
from authz_service.vocabulary import ProgrammeId

NAMES: Final = {
    Role.CARD_DESK: "meja.kartu",
    Role.PROGRAMME_MANAGER: "pengelola",
    Role.AUDITOR: "pemeriksa",
    Role.VIEWER: "pengamat",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPerson:
    """What is typed at the console's sign-in; of synthetic data alone."""

    role: Role
    sign_in: str
    password: str


async def employed(
    connection: Connection, passwords: Passwords, programme_ids: list[ProgrammeId], now: datetime
) -> list[SandboxPerson]:
    """One person of each role may sign in, in each of the programmes with the same password."""
    people = [
        SandboxPerson(role=role, sign_in=name, password=f"sandbox-{passwords.for_once()}")
        for role, name in NAMES.items()
    ]
    for person in people:
        password_hash = await passwords.hash(person.password)
        for programme_id in programme_ids:
            ordered = Ordered(programme_id=programme_id, actor="sandbox", now=now, chance=urandom)
            await add_person(connection, person.sign_in, person.role, password_hash, ordered, is_for_once=False)
    return people
