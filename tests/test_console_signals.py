"""The console's page of signals of misuse, and the sealed heads on the page of the books."""

from collections.abc import AsyncIterator
from datetime import date, datetime

import pytest

from authz_service.audit import entries
from authz_service.ledger.seal import seal
from authz_service.ledger.sealed_books import head_of
from authz_service.ledger.sealed_rows import CHAINS
from authz_service.people import Role
from tests.console import Browser, browser, employ
from tests.settling import SAMARINDA
from tests.world import PROGRAMME, WITA, World

NOON = datetime(2024, 10, 7, 12, tzinfo=WITA)
FINDING = "sig_0001"


@pytest.fixture
async def people(world: World) -> AsyncIterator[dict[str, Browser]]:
    """Two managers, an auditor and a viewer, signed in."""
    world.at(NOON)
    roles = {"budi": Role.PROGRAMME_MANAGER, "rina": Role.PROGRAMME_MANAGER}
    roles |= {"wati": Role.AUDITOR, "tono": Role.VIEWER, "siti": Role.CARD_DESK}
    browsers = {}
    for name, role in roles.items():
        await employ(world.database, name, role, world)
        browsers[name] = browser(world)
        assert (await browsers[name].sign_in(name)).status == 200
    yield browsers
    for each in browsers.values():
        await each.http.close()


@pytest.fixture
async def found(world: World) -> str:
    """Eggs by the piece at the till's shop, with one purchase, open."""
    bought = await world.authorise(capture=True)
    await world.database.execute(
        "INSERT INTO signal_finding (programme_id, finding_id, signal, subject_kind, subject_id, day, score, evidence,"
        " action, found_at, standing) VALUES ($1, $2, 'eggs_by_piece', 'merchant', $3, $4, 60,"
        """ '{"cards": 5, "refused": 2, "highest_price": 3500, "strange": 1}', 'flag', $5, 'open')""",
        *(PROGRAMME, FINDING, world.till.merchant_id, date(2024, 10, 7), world.now),
    )
    await world.database.execute("INSERT INTO signal_purchase VALUES ($1, $2, $3)", PROGRAMME, FINDING, bought["id"])
    return FINDING


async def test_a_finding_is_shown_with_its_evidence_in_words_to_the_office_alone(
    world: World, people: dict[str, Browser], found: str
) -> None:
    for name in ("tono", "siti"):
        assert (await people[name].get("/signals")).status == 403
        assert (await people[name].get(f"/signals/{found}")).status == 403
    listed = await people["wati"].get("/signals")
    assert "Telur dijual, atau dicoba dijual, per butir." in listed.text
    assert "kartu: 5; ditolak: 2; harga tertinggi: Rp3.500" in listed.text
    assert world.till.name in listed.text
    assert "/dismiss" not in listed.body
    assert (await people["wati"].get(f"/signals/{found}/dismiss")).status == 403
    one = await people["wati"].get(f"/signals/{found}")
    assert "Rp150.000" in one.text
    assert (await people["wati"].get("/signals/sig_9999")).status == 404


async def test_misuse_takes_two_people_and_each_is_in_the_audit_log(
    world: World, people: dict[str, Browser], found: str
) -> None:
    budi, rina = people["budi"], people["rina"]
    await budi.get(f"/signals/{found}/confirm")
    assert (await budi.post(f"/signals/{found}/confirm", {"reason": ""})).status == 409
    first = await budi.post(f"/signals/{found}/confirm", {"reason": "<b>sudah</b> didatangi"})
    assert first.path == "/console/signals?said=finding_accused"
    assert "&lt;b&gt;sudah&lt;/b&gt;" in first.body
    assert "Menunggu orang kedua" in first.text
    await budi.get(f"/signals/{found}/confirm")
    assert (await budi.post(f"/signals/{found}/confirm", {"reason": "sekali lagi"})).status == 409
    assert "Benarkan" in (await rina.get("/signals")).text
    await rina.get(f"/signals/{found}/confirm")
    assert (await rina.post(f"/signals/{found}/confirm", {"reason": "saya juga"})).path.endswith("finding_confirmed")
    # It is closed: the page that somebody still has open changes nothing.
    await budi.get("/signals")
    assert (await budi.post(f"/signals/{found}/dismiss", {"reason": "ternyata wajar"})).status == 404
    standing = await world.database.fetchrow("SELECT standing, accused_by, closed_by FROM signal_finding")
    assert tuple(standing or ()) == ("confirmed", "budi", "rina")
    for action, actor in (("signal_accused", "budi"), ("signal_confirmed", "rina")):
        kept = await entries(world.database, SAMARINDA, limit=5, action=action)
        assert [each.actor for each in kept] == [actor]


async def test_one_person_dismisses_a_finding_with_a_reason(
    world: World, people: dict[str, Browser], found: str
) -> None:
    budi = people["budi"]
    await budi.get(f"/signals/{found}/dismiss")
    done = await budi.post(f"/signals/{found}/dismiss", {"reason": "pasar murah, sudah ditanyakan"})
    assert "Tanda digugurkan." in done.text
    assert "pasar murah, sudah ditanyakan" in done.text
    assert await world.database.fetchval("SELECT closed_by FROM signal_finding WHERE standing = 'dismissed'") == "budi"


async def test_the_books_page_shows_the_sealed_head_of_each_chain_and_its_age(
    world: World, people: dict[str, Browser]
) -> None:
    await world.authorise(capture=True)
    for chain in CHAINS.values():
        await seal(world.database, world.settings, SAMARINDA, chain)
    page = await people["wati"].get("/books")
    for name, chain in CHAINS.items():
        head = await head_of(world.database, SAMARINDA, chain)
        assert head is not None, name
        assert head.root.hex() in page.text
    assert "detik yang lalu" in page.text


async def test_an_address_that_nothing_can_have_is_a_404_and_a_day_before_all_days_is_the_first(
    people: dict[str, Browser],
) -> None:
    for path in ("/signals/%00", "/families/ben_%00", "/settlement/batches/%0a", "/vouchers/%00/approve"):
        assert (await people["budi"].get(path)).status == 404, path
    for day in ("0001-01-01", "1970-01-01", "9999-12-31", "2024-13-01"):
        assert (await people["budi"].get(f"/today?day={day}")).status == 200, day
