"""Signing in at the console: who may, how often one may be wrong, and what a session is."""

import asyncio
import os
from collections.abc import AsyncIterator
from http.cookies import Morsel
from itertools import count
from pathlib import Path

import pytest

from authz_service.audit import entries
from authz_service.clock import monotonic_seconds
from authz_service.passwords import Passwords
from authz_service.people import Ordered, Role, disable_person, set_role
from authz_service.vocabulary import ProgrammeId
from tests.conftest import EnrolledTemplate
from tests.console import PASSWORD, QUICK, Browser, browser, employ
from tests.world import PROGRAMME, World, running

_NAMES = (f"n{number}x" for number in count(20))


@pytest.fixture
def world(console_world: World) -> World:
    return console_world


@pytest.fixture
def siti() -> str:
    """A name of this test's own."""
    return f"siti.{next(_NAMES)}"


@pytest.fixture
async def desk(world: World, siti: str) -> AsyncIterator[Browser]:
    """A browser in front of which siti of the card desk may sit down."""
    await employ(world.database, siti, Role.CARD_DESK, world)
    it = browser(world)
    yield it
    await it.http.close()


async def test_who_has_not_signed_in_sees_the_sign_in(desk: Browser) -> None:
    seen = await desk.get("/")
    assert seen.path == "/console/sign-in"
    assert "Kata sandi" in seen.text


async def test_the_right_password_opens_the_console_with_a_new_token(desk: Browser, siti: str, world: World) -> None:
    await desk.get("/sign-in")
    before = {each.value for each in desk.http.cookie_jar}
    seen = await desk.sign_in(siti)
    assert seen.status == 200
    assert siti in seen.text
    assert _session(desk).value not in before
    cookie = _session(desk)
    assert cookie["httponly"]
    assert cookie["samesite"] == "strict"
    assert cookie["path"] == "/console"
    assert cookie.value not in str(await world.database.fetch("SELECT * FROM console_session"))


async def test_a_name_that_nobody_has_gets_the_same_answer_as_a_wrong_password(desk: Browser, siti: str) -> None:
    wrong = await desk.sign_in(siti, "not the password")
    nobody = await desk.sign_in("nobody", "not the password")
    strange = await desk.sign_in("' OR 1=1 --", "not the password")
    assert wrong.status == nobody.status == strange.status == 401
    assert wrong.text == nobody.text == strange.text


async def test_a_refused_sign_in_is_answered_at_its_time_whatever_work_the_name_has_caused(
    desk: Browser, world: World, siti: str
) -> None:
    for name in (siti, "nobody", "' OR 1=1 --"):
        await desk.get("/sign-in")
        since = monotonic_seconds()
        await desk.post("/sign-in", {"programme": PROGRAMME, "name": name, "password": "not the password"})
        assert monotonic_seconds() - since >= world.settings.console_wrong_seconds


async def test_after_five_wrong_passwords_the_right_one_is_wrong_too_until_the_lock_ends(
    desk: Browser, siti: str, world: World
) -> None:
    for _ in range(5):
        assert (await desk.sign_in(siti, "not the password")).status == 401
    assert (await desk.sign_in(siti)).status == 401
    actions = [each.action for each in await entries(world.database, PROGRAMME, limit=20, actor=siti)]
    assert actions[:5] == ["person_locked", *["sign_in_failed"] * 4]
    world.later(minutes=16)
    assert (await desk.sign_in(siti)).status == 200


async def test_of_tries_at_once_no_more_are_compared_than_may_be_wrong(world: World) -> None:
    await employ(world.database, "budi", Role.VIEWER, world)
    several = [browser(world) for _ in range(9)]
    try:
        await asyncio.gather(*(each.sign_in("budi", "not the password") for each in several))
    finally:
        for each in several:
            await each.http.close()
    told = await entries(world.database, PROGRAMME, limit=30, actor="budi")
    assert sum(each.action in {"sign_in_failed", "person_locked"} for each in told) == 5


async def test_too_many_tries_from_one_address_are_turned_away_whoever_is_named(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    limits = {"password_memory_kib": 64, "console_address_burst_seconds": 15.0}
    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, **limits) as world:
        it = browser(world)
        answers = [(await it.sign_in(f"nobody{number}", "x")).status for number in range(6)]
        await it.http.close()
    assert answers[:3] == [401] * 3
    assert answers[-1] == 429


async def test_a_session_ends_when_nobody_is_there_and_after_a_working_day(
    desk: Browser, siti: str, world: World
) -> None:
    await desk.sign_in(siti)
    for _ in range(32):
        world.later(minutes=19)
        await desk.get("/")
    assert desk.last is not None
    assert desk.last.path == "/console/sign-in"
    await desk.sign_in(siti)
    world.later(minutes=19)
    assert (await desk.get("/")).path == "/console/"
    world.later(minutes=21)
    assert (await desk.get("/")).path == "/console/sign-in"


async def test_signing_out_ends_the_session_for_whoever_has_its_token(desk: Browser, siti: str, world: World) -> None:
    await desk.sign_in(siti)
    stolen = _session(desk).value
    seen = await desk.post("/sign-out", {})
    assert "Anda sudah keluar" in seen.text
    thief = browser(world)
    thief.http.cookie_jar.update_cookies({"authz_console": stolen})
    assert (await thief.get("/")).path == "/console/sign-in"
    await thief.http.close()


async def test_who_is_disabled_is_out_at_once_and_a_new_role_holds_at_once(
    desk: Browser, siti: str, world: World
) -> None:
    ordered = Ordered(programme_id=ProgrammeId(PROGRAMME), actor="x", now=world.now, chance=os.urandom)
    await desk.sign_in(siti)
    assert (await desk.get("/families")).status == 200
    await set_role(world.database, siti, Role.VIEWER, ordered)
    assert (await desk.get("/families")).status == 403
    await disable_person(world.database, siti, ordered)
    assert (await desk.get("/")).path == "/console/sign-in"
    assert (await desk.sign_in(siti)).status == 401


async def test_a_password_for_once_opens_nothing_but_the_form_for_another(desk: Browser, world: World) -> None:
    await employ(world.database, "once.only", Role.PROGRAMME_MANAGER, world, for_once=True)
    assert (await desk.sign_in("once.only")).path == "/console/password"
    assert (await desk.get("/families")).path == "/console/password"
    wanted = {"present": PASSWORD, "new": "kucing tidur di atap", "again": "kucing tidur di atap"}
    for wrong in (
        {"again": "kucing lain di atap"},
        {"new": "short", "again": "short"},
        {"present": "not the password"},
        {"new": PASSWORD, "again": PASSWORD},
    ):
        assert (await desk.post("/password", {**wanted, **wrong})).status == 422
    assert (await desk.post("/password", wanted)).path == "/console/sign-in?said=password_changed"
    assert (await desk.sign_in("once.only")).status == 401
    assert (await desk.sign_in("once.only", "kucing tidur di atap")).path == "/console/"
    assert (await desk.get("/families")).status == 200


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("0" * 48, {}),
        ("é" * 24, {}),
        (None, {"origin": "https://elsewhere.example"}),
        (None, {"origin": "null"}),
        (None, {"sec-fetch-site": "cross-site"}),
    ],
)
async def test_a_form_that_is_not_of_this_session_or_not_from_here_changes_nothing(
    desk: Browser, siti: str, token: str | None, headers: dict[str, str]
) -> None:
    await desk.sign_in(siti)
    assert (await desk.post("/sign-out", {}, token=token, headers=headers)).status == 403
    assert (await desk.get("/")).path == "/console/"


async def test_a_form_of_another_session_is_not_taken(desk: Browser, siti: str, world: World) -> None:
    other = browser(world)
    foreign = (await other.get("/sign-in")).token
    await other.http.close()
    await desk.sign_in(siti)
    assert (await desk.post("/sign-out", {}, token=foreign)).status == 403


async def test_the_language_is_kept_and_the_way_back_stays_on_the_console(desk: Browser) -> None:
    await desk.get("/sign-in")
    seen = await desk.post("/language", {"language": "en", "back": "/sign-in"})
    assert "Password" in seen.text
    assert '<html lang="en">' in seen.body
    for back in ("//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example"):
        assert (await desk.post("/language", {"language": "en", "back": back})).path.startswith("/console/")


async def test_who_comes_from_another_site_sees_the_sign_in_and_keeps_the_session(desk: Browser, siti: str) -> None:
    """Browsers withhold a strict cookie from such a visit: what it is answered must not replace it."""
    await desk.sign_in(siti)
    kept = _session(desk).value
    async with desk.http.get(f"{desk.base_url}/console/sign-in", cookies={"authz_console": ""}) as response:
        assert "authz_console" not in response.cookies
    assert _session(desk).value == kept
    assert (await desk.get("/")).path == "/console/"


async def test_a_hash_of_other_parameters_is_renewed_when_the_password_is_right(
    desk: Browser, world: World, siti: str
) -> None:
    weak = await Passwords(QUICK.model_copy(update={"password_memory_kib": 32}), os.urandom).hash(PASSWORD)
    await world.database.execute("UPDATE person SET password_hash = $1 WHERE sign_in = $2", weak, siti)
    assert (await desk.sign_in(siti)).path == "/console/"
    renewed = await world.database.fetchval("SELECT password_hash FROM person WHERE sign_in = $1", siti)
    assert "m=64," in renewed
    assert (await desk.sign_in(siti)).path == "/console/"


def _session(desk: Browser) -> Morsel[str]:
    return next(each for each in desk.http.cookie_jar if each.key == "authz_console")
