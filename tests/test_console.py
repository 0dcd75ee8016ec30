"""The console over HTTP: who may open what, what is shown before a reason is given, and what the card desk does."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from datetime import date

import pytest

from authz_service.audit import entries
from authz_service.console.app import HEADERS
from authz_service.console.pages import ROUTERS
from authz_service.console.permissions import PERMITTED
from authz_service.keys import Keys
from authz_service.people import Role
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import luhn_is_valid
from tests.console import Browser, browser, employ
from tests.world import PROGRAMME, World

PEOPLE = {
    "desk.one": Role.CARD_DESK,
    "manager": Role.PROGRAMME_MANAGER,
    "pemeriksa": Role.AUDITOR,
    "penonton": Role.VIEWER,
}
PAGE_BYTES = 30_000
LINKS = re.compile(r'href="/console(/families/[^"#?]+/(?:cards|do|purchases)/[^"#?]+)"')


@pytest.fixture(scope="module")
async def world(console_world: World) -> World:
    for name, role in PEOPLE.items():
        await employ(console_world.database, name, role, console_world)
    return console_world


@pytest.fixture
async def desk(world: World) -> AsyncIterator[Browser]:
    """Somebody of the card desk has signed in."""
    it = browser(world)
    await it.sign_in("desk.one")
    yield it
    await it.http.close()


def family(world: World, number: int) -> str:
    """Each test has a family of its own."""
    return world.tills.cards[number].beneficiary_id


def test_every_address_of_the_console_is_in_the_table_and_no_other() -> None:
    served = {
        f"{method} {route.path}"  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    assert served == set(PERMITTED)


@pytest.mark.parametrize("name", [*PEOPLE, None])
async def test_each_address_opens_for_the_roles_that_the_table_names_and_for_nobody_else(
    world: World, name: str | None
) -> None:
    it = browser(world)
    if name is not None:
        await it.sign_in(name)
    signing_out = sorted(PERMITTED, key=lambda each: "sign-out" in each)
    for address in signing_out:
        method, path = address.split()
        filled = re.sub(r"\{\w+\}", "x", path)
        await it.get("/password" if name else "/sign-in")
        seen = await (it.get(filled) if method == "GET" else it.post(filled, {}))
        roles = PERMITTED[address]
        if roles is None:
            assert seen.status != 403, address
        elif name is None:
            assert seen.path.startswith("/console/sign-in"), address
        else:
            assert (seen.status == 403) == (PEOPLE[name] not in roles), address
    await it.http.close()


async def test_every_answer_forbids_scripts_frames_and_keeping(desk: Browser) -> None:
    for path in ("/", "/families", "/nothing-here", "/audit"):
        seen = await desk.get(path)
        for name, value in HEADERS.items():
            assert seen.headers[name] == value, (path, name)
        assert seen.headers["x-request-id"].startswith("req_")
    static = await desk.get("/static/console.css")
    assert "immutable" in static.headers["cache-control"]
    assert (await desk.get("/static/..%2fapp.py")).status == 404


@pytest.mark.parametrize(
    "sought", ["sintetis 0002", "0002 KELUARGA", "nik", "nik with blanks", "last four", "card", "id"]
)
async def test_a_family_is_found_by_what_it_is_known_by_and_its_name_is_masked(
    desk: Browser, world: World, sought: str
) -> None:
    card = world.tills.cards[1]
    nik = (await _nik(world, card.beneficiary_id)) if "nik" in sought else ""
    known = {
        "nik": nik,
        "nik with blanks": " ".join(nik[at : at + 4] for at in range(0, 16, 4)),
        "last four": card.card_number[-4:],
        "card": card.card_number,
        "id": card.beneficiary_id,
    }
    await desk.get("/families")
    seen = await desk.post("/families", {"sought": known.get(sought, sought)})
    assert f"/console/families/{card.beneficiary_id}" in seen.body
    assert "K••• S••• 0•••" in seen.text
    assert "SINTETIS" not in seen.body
    assert seen.path == "/console/families"


async def test_one_word_finds_many_and_nonsense_finds_none(desk: Browser) -> None:
    await desk.get("/families")
    assert "40 keluarga cocok" in (await desk.post("/families", {"sought": "keluarga"})).text
    assert "Masih ada lagi" in desk.last.text  # type: ignore[union-attr]
    for nonsense in ("", "--", "zzz", "9999999999999999", "ben_zzz"):
        assert "Tidak ada keluarga" in (await desk.post("/families", {"sought": nonsense})).text
    assert (await desk.post("/families", {"sought": "x" * 501})).status == 403
    assert (await desk.get("/families/ben_nobodys")).status == 404


async def test_a_family_opens_with_a_reason_which_is_kept_and_asks_again_later(desk: Browser, world: World) -> None:
    who = family(world, 2)
    seen = await desk.get(f"/families/{who}")
    assert "Mengapa keluarga ini dibuka?" in seen.text
    assert "SINTETIS" not in seen.body
    for wrong in ({}, {"why": "curiosity"}, {"why": "other"}, {"why": "other", "more": "nik 6472010101010001"}):
        assert (await desk.post(f"/families/{who}/open", wrong)).status == 422
    assert await entries(world.database, PROGRAMME, limit=9, subject_id=who) == []
    seen = await desk.post(f"/families/{who}/open", {"why": "complaint", "more": "ditolak di warung"})
    assert "KELUARGA SINTETIS 0003" in seen.text
    [look] = await entries(world.database, PROGRAMME, limit=9, subject_id=who)
    assert (look.actor, look.role, look.action) == ("desk.one", "card_desk", "family_seen")
    assert look.reason == "complaint: ditolak di warung"
    assert look.request_id is not None
    other = browser(world)
    await other.sign_in("pemeriksa")
    assert "Mengapa keluarga ini dibuka?" in (await other.get(f"/families/{who}")).text
    await other.http.close()
    await desk.get(f"/families/{who}")
    world.later(minutes=16)
    await desk.get(f"/families/{who}")
    world.later(minutes=15)
    assert "Mengapa keluarga ini dibuka?" in (await desk.get(f"/families/{who}")).text


async def test_the_page_shows_what_the_next_decision_would_find(desk: Browser, world: World) -> None:
    card = world.tills.cards[3]
    bought = await world.authorise(card_number=card.card_number, amount=110_000, capture=True)
    assert bought["decision"] == "approved"
    await world.vouched(date(2024, 10, 1), extra_rupiah=50_000, extra_packages=1, card=card)
    seen = await desk.opened(card.beneficiary_id)
    left = (await world.balance(card))["remaining"]
    assert f"Rp{left['month']:,}".replace(",", ".") in seen.text
    assert f"Rp{left['programme']:,}".replace(",", ".") in seen.text
    assert f"{left['packages_this_month']} kali belanja lagi" in seen.text
    assert "anak sakit" in seen.text
    assert "P-001" in seen.text
    assert card.card_number not in seen.body


async def test_the_history_is_shown_page_by_page_the_newest_first(desk: Browser, world: World) -> None:
    card = world.tills.cards[4]
    for amount in range(301_000, 313_000, 1_000):
        await world.authorise(card_number=card.card_number, amount=amount)
    seen = await desk.opened(card.beneficiary_id)
    first = re.findall(r"Rp3\d\d\.000", seen.text.partition("Riwayat belanja")[2])
    assert first[:10] == [f"Rp{thousands}.000" for thousands in range(312, 302, -1)]
    [older] = re.findall(r'href="/console(/families/[^"]+\?after=[^"#]+)#', seen.body)
    rest = (await desk.get(older)).text.partition("Riwayat belanja")[2]
    assert re.findall(r"Rp3\d\d\.000", rest)[:2] == ["Rp302.000", "Rp301.000"]


@pytest.mark.parametrize(
    ("language", "why", "whom"),
    [
        ("id", "Satu kali belanja paling banyak Rp300.000", "Dinsos PM Kota Samarinda"),
        ("en", "One purchase may cost Rp300.000 at most", "Dinsos PM Kota Samarinda"),
    ],
)
async def test_a_declined_purchase_is_explained_in_plain_words(
    desk: Browser, world: World, language: str, why: str, whom: str
) -> None:
    card = world.tills.cards[5 if language == "id" else 14]
    declined = await world.authorise(card_number=card.card_number, amount=350_000)
    closed = await desk.get(f"/families/{card.beneficiary_id}/purchases/{declined['id']}")
    assert "Mengapa keluarga ini dibuka?" in closed.text
    await desk.opened(card.beneficiary_id)
    seen = await desk.post("/language", {"language": language, "back": f"/families/{card.beneficiary_id}"})
    path = f"/families/{card.beneficiary_id}/purchases/{declined['id']}"
    assert path in LINKS.findall(seen.body)
    text = (await desk.get(path)).text
    assert why in text
    assert whom in text
    assert "Rp300.000" in text.partition("Yang akan disetujui" if language == "id" else "What would have passed")[2]
    other = family(world, 6)
    await desk.opened(other)
    assert (await desk.get(f"/families/{other}/purchases/{declined['id']}")).status == 404


async def test_a_card_is_blocked_once_however_often_the_form_is_sent_and_the_next_purchase_is_declined(
    desk: Browser, world: World
) -> None:
    card = world.tills.cards[7]
    assert (await world.authorise(card_number=card.card_number, amount=10_000))["decision"] == "approved"
    page = await desk.opened(card.beneficiary_id)
    [block] = [path for path in LINKS.findall(page.body) if path.endswith("/block")]
    page = await desk.get(block)
    assert "Mulai belanja berikutnya kartu ini ditolak" in page.text
    form = {"reason": "hilang di pasar", "once": page.once}
    assert (await desk.post(block, {**form, "reason": " "})).status == 422
    both = await asyncio.gather(*(desk.post(block, form, token=page.token) for _ in range(3)))
    assert [(each.status, "Kartu diblokir" in each.text) for each in both] == [(200, True)] * 3
    assert (await world.authorise(card_number=card.card_number, amount=10_000))["reason"] == "card_blocked"
    told = await entries(world.database, PROGRAMME, limit=9, subject_id=card.beneficiary_id)
    [done] = [each for each in told if each.action == "family_card"]
    assert (done.actor, done.role, done.reason) == ("desk.one", "card_desk", "hilang di pasar")
    assert done.before is not None
    assert done.after is not None
    assert (done.before["card_status"], done.after["card_status"]) == ("active", "blocked")
    again = await desk.post(block, {**form, "once": "0" * 64}, token=page.token)
    assert (again.status, "tidak ada yang diubah" in again.text) == (422, True)
    other = await desk.post(block, {**form, "reason": "another"}, token=page.token)
    assert (other.status, "tidak ada yang diubah" in other.text) == (422, True)


async def test_a_lost_card_is_replaced_and_the_family_buys_with_the_new_one(desk: Browser, world: World) -> None:
    card, number = world.tills.cards[8], "9790240000000017"
    page = await desk.opened(card.beneficiary_id)
    [lost] = [path for path in LINKS.findall(page.body) if path.endswith("/lost")]
    page = await desk.get(lost)
    await desk.post(lost, {"reason": "hilang", "once": page.once})
    replace = f"/families/{card.beneficiary_id}/do/replace"
    page = await desk.get(replace)
    form = {"reason": "kartu hilang", "once": page.once}
    number = _with_check_digit(number[:-1])
    for wrong in ("123", number[:-1] + str((int(number[-1]) + 1) % 10), "x" * 16):
        assert (await desk.post(replace, {**form, "number": wrong})).status == 422
    seen = await desk.post(replace, {**form, "number": f"{number[:4]} {number[4:8]} {number[8:]}"})
    assert "Kartu pengganti sudah berlaku" in seen.text
    assert number not in seen.body
    assert (await world.authorise(card_number=card.card_number, amount=10_000))["reason"] == "card_lost"
    assert (await world.authorise(card_number=number, amount=10_000))["decision"] == "approved"
    assert number not in str(await entries(world.database, PROGRAMME, limit=50))


async def test_a_family_is_suspended_and_resumed_and_holds_are_honoured(desk: Browser, world: World) -> None:
    card = world.tills.cards[9]
    held = await world.authorise(card_number=card.card_number, amount=10_000)
    await desk.opened(card.beneficiary_id)
    for deed, decision in (("suspend", "beneficiary_suspended"), ("resume", "approved")):
        path = f"/families/{card.beneficiary_id}/do/{deed}"
        page = await desk.get(path)
        await desk.post(path, {"reason": "verifikasi", "once": page.once})
        assert (await world.authorise(card_number=card.card_number, amount=10_000))["reason"] == decision
        assert (await desk.get(path)).status == 404
    assert (await world.capture(held["id"])).status == 201


async def test_no_card_of_another_family_is_changed_through_an_opened_one(desk: Browser, world: World) -> None:
    mine, other = family(world, 10), family(world, 11)
    card_id = await world.database.fetchval("SELECT card_id FROM card WHERE beneficiary_id = $1", other)
    page = await desk.opened(mine)
    seen = await desk.post(
        f"/families/{mine}/cards/{card_id}/block", {"reason": "x", "once": "1" * 64}, token=page.token
    )
    assert seen.status == 404
    seen = await desk.post(
        f"/families/{other}/cards/{card_id}/block", {"reason": "x", "once": "2" * 64}, token=page.token
    )
    assert "Mengapa keluarga ini dibuka?" in seen.text
    assert await world.database.fetchval("SELECT status FROM card WHERE card_id = $1", card_id) == "active"


async def test_the_auditor_sees_all_changes_nothing_and_reads_who_looked(world: World) -> None:
    it = browser(world)
    await it.sign_in("pemeriksa")
    seen = await it.opened(family(world, 12))
    assert "Blokir" not in seen.text
    log = await it.get("/audit?actor=pemeriksa&action=family_seen")
    assert family(world, 12) in log.text
    assert "Pemeriksa" in log.text
    assert "Tidak ada catatan" in (await it.get("/audit?actor=nobody&before=%00&subject=%00")).text
    await it.http.close()


async def test_pages_are_small(desk: Browser, world: World) -> None:
    card = world.tills.cards[13]
    for amount in range(301_000, 312_000, 1_000):
        declined = await world.authorise(card_number=card.card_number, amount=amount)
    await desk.opened(card.beneficiary_id)
    paths = ["/", "/families", f"/families/{card.beneficiary_id}"]
    for path in (*paths, f"/families/{card.beneficiary_id}/purchases/{declined['id']}"):
        seen = await desk.get(path)
        assert len(seen.body.encode()) < PAGE_BYTES, path
        assert seen.headers["content-encoding"] == "gzip"
        assert len(gzip.compress(seen.body.encode())) < PAGE_BYTES // 5
    await desk.get("/families")
    many = await desk.post("/families", {"sought": "keluarga"})
    assert len(many.body.encode()) < PAGE_BYTES


async def test_the_way_to_the_console_is_its_first_page_and_the_rest_of_the_service_is_as_it_was(world: World) -> None:
    async with world.http.get(f"{world.base_url}/console", allow_redirects=False) as response:
        assert (response.status, response.headers["location"]) == (308, "/console/")
    async with world.http.get(f"{world.base_url}/consoles") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")


async def _nik(world: World, beneficiary_id: str) -> str:
    sealed = await world.database.fetchval(
        "SELECT nik_sealed FROM beneficiary WHERE beneficiary_id = $1", beneficiary_id
    )
    return Keys(SANDBOX_ROOT_KEY).open_field(sealed, f"beneficiary.nik_sealed:{beneficiary_id}")


def _with_check_digit(number: str) -> str:
    return next(number + str(digit) for digit in range(10) if luhn_is_valid(number + str(digit)))
