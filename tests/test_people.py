"""People of the console: nobody looks like anybody else, passwords are shown once, every order about them is kept."""

import os
import re
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from typer.testing import CliRunner

from authz_service.audit import entries
from authz_service.cli import app
from authz_service.commands import place
from authz_service.passwords import PasswordRefused, Passwords
from authz_service.people import (
    Ordered,
    PersonRefused,
    Role,
    add_person,
    disable_person,
    enable_person,
    people,
    set_password,
    set_role,
)
from authz_service.settings import Settings
from authz_service.vocabulary import ProgrammeId
from tests.world import A_MORNING, PROGRAMME

QUICK = Settings().model_copy(update={"password_memory_kib": 64})
SAMARINDA = ProgrammeId(PROGRAMME)
ORDERED = Ordered(programme_id=SAMARINDA, actor="Dinsos PM", now=A_MORNING, chance=os.urandom)


@pytest.fixture
async def database(enrolled_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(enrolled_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("twin", ["budi.lim", "budl.lim", "bud1-lim", "budilim", "budi.1im"])
async def test_nobody_has_a_name_that_looks_like_anothers(
    database: "asyncpg.Connection[asyncpg.Record]", twin: str
) -> None:
    await add_person(database, "budi.lim", Role.VIEWER, "x", ORDERED)
    with pytest.raises(PersonRefused, match="looks like it"):
        await add_person(database, twin, Role.AUDITOR, "x", ORDERED)
    assert [each.sign_in for each in await people(database, SAMARINDA)] == ["budi.lim"]


@pytest.mark.parametrize(
    "name",
    ["Budi", "bu", "budi ", " budi", "budi..lim", "\N{CYRILLIC SMALL LETTER BE}udi", "1budi", "a" * 33, "budi\n"],
)
async def test_a_name_is_plain_letters_also_for_the_database(
    database: "asyncpg.Connection[asyncpg.Record]", name: str
) -> None:
    with pytest.raises(PersonRefused):
        await add_person(database, name, Role.VIEWER, "x", ORDERED)
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute(
            "INSERT INTO person VALUES ($1, 'per_x', $2, 'viewer', 'x', false, now())", PROGRAMME, name
        )


async def test_every_order_about_a_person_is_in_the_audit_log_without_the_password(
    database: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    passwords = Passwords(QUICK, os.urandom)
    password = passwords.for_once()
    await add_person(database, "budi", Role.VIEWER, await passwords.hash(password), ORDERED)
    await set_role(database, "budi", Role.CARD_DESK, ORDERED)
    await set_password(database, "budi", await passwords.hash(password), ORDERED, is_for_once=True)
    await disable_person(database, "budi", ORDERED)
    await enable_person(database, "budi", ORDERED)
    kept = await entries(database, PROGRAMME, limit=10)
    assert {each.action for each in kept} == {
        *("person_added", "person_role_set", "person_password_set", "person_disabled", "person_enabled")
    }
    assert all((each.actor, each.role) == ("Dinsos PM", None) for each in kept)
    assert "argon2" not in repr(kept)
    assert password not in repr(kept)


async def test_what_a_person_is_already_is_refused_and_changes_nothing(
    database: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await add_person(database, "budi", Role.VIEWER, "x", ORDERED)
    for wrong in (
        set_role(database, "budi", Role.VIEWER, ORDERED),
        set_role(database, "nobody", Role.VIEWER, ORDERED),
        enable_person(database, "budi", ORDERED),
    ):
        with pytest.raises(PersonRefused):
            await wrong
    assert len(await entries(database, PROGRAMME, limit=10)) == 1


async def test_a_password_is_right_only_for_its_own_hash_and_nobodys_hash_is_never_right() -> None:
    passwords = Passwords(QUICK, os.urandom)
    password_hash = await passwords.hash("nasi goreng pedas")
    assert password_hash.startswith("$argon2id$")
    assert await passwords.is_right("nasi goreng pedas", password_hash)
    assert not await passwords.is_right("nasi goreng manis", password_hash)
    assert not await passwords.is_right("nasi goreng pedas", None)
    assert not await passwords.is_right("nasi goreng pedas", "no hash at all")


@pytest.mark.parametrize(
    "password", ["short", "aaaaaaaaaaaaaaaa", "x" * 129, "budi dari samarinda", "tab\tin the middle"]
)
def test_a_password_that_may_be_guessed_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        Passwords(QUICK, os.urandom).require_good(password, "budi")
    assert password not in str(refused.value)


@pytest.fixture
def authz(enrolled_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("DATABASE_URL", enrolled_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("AUTHZ_ACTOR", "Dinsos PM")
    monkeypatch.setenv("AUTHZ_PASSWORD_MEMORY_KIB", "64")
    monkeypatch.setattr(place.console, "_width", 200)

    def run(*words: str, stdin: str = "", exit_code: int = 0) -> str:
        outcome = CliRunner().invoke(app, [*words], input=stdin)
        assert outcome.exit_code == exit_code, outcome.output
        return outcome.output

    return run


def test_the_commands_add_people_and_show_the_audit_log(authz: Callable[..., str]) -> None:
    assert "Nobody may sign in yet" in authz("person", "list")
    password = authz("person", "add", "siti.aminah", "--role", "card_desk").strip()
    assert re.fullmatch(r"[0-9a-z]{4}(-[0-9a-z]{4}){3}", password)
    assert authz("person", "password", "siti.aminah").strip() != password
    given = authz("person", "password", "siti.aminah", "--stdin", stdin="warung dekat sungai\n")
    assert "sungai" not in given
    assert "sign-in name" in authz("person", "add", "x", "--role", "viewer", exit_code=1)
    authz("person", "role", "siti.aminah", "auditor")
    authz("person", "disable", "siti.aminah")
    assert "disabled" in authz("person", "list")
    authz("person", "enable", "siti.aminah")
    listed = authz("person", "list")
    assert "password for once" in listed
    assert "auditor" in listed
    log = authz("audit", "list", "--by", " dinsos pm ")
    assert log.count("person_password_set") == 2
    assert "family_seen" not in log
    assert authz("audit", "list", "--action", "person_added").count("aud_") == 1
