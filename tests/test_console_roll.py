"""The console's page of lists of families: who may approve one, and who may not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authz_service.people import Role
from tests.console import Browser, browser, employ
from tests.rolls import RollDesk, the_roll
from tests.world import World


@pytest.fixture
async def people(world: World) -> AsyncIterator[dict[str, Browser]]:
    """Two managers, an auditor and the card desk, signed in."""
    roles = {"budi": Role.PROGRAMME_MANAGER, "rina": Role.PROGRAMME_MANAGER}
    roles |= {"wati": Role.AUDITOR, "siti": Role.CARD_DESK}
    browsers = {}
    for name, role in roles.items():
        await employ(world.database, name, role, world)
        browsers[name] = browser(world)
        assert (await browsers[name].sign_in(name)).status == 200
    yield browsers
    for each in browsers.values():
        await each.http.close()


async def test_a_list_is_approved_by_somebody_else_than_who_imported_it(
    world: World, people: dict[str, Browser], tmp_path: Path
) -> None:
    desk = RollDesk(world=world, connection=world.database, directory=tmp_path)
    found = await desk.waiting((await the_roll(world))[2:], actor="budi")
    path = f"/roll/{found.import_id}"
    assert (await people["siti"].get("/roll")).status == 403
    seen = await people["wati"].get("/roll")
    assert "verifikasi November" in seen.text
    assert "Rp3.600.000" in seen.text
    assert f"{path}/approve" not in seen.body
    assert (await people["wati"].get(f"{path}/approve")).status == 403
    own = await people["budi"].get("/roll")
    assert "Menunggu orang kedua" in own.text
    await people["budi"].get(f"{path}/withdraw")
    assert (await people["budi"].post(f"{path}/approve", {})).status == 409
    await people["rina"].get(f"{path}/approve")
    done = await people["rina"].post(f"{path}/approve", {})
    assert done.path == "/console/roll?said=list_approved"
    assert "disetujui, belum diterapkan" in done.text
    assert (await people["rina"].get(f"{path}/approve")).status == 404
    await people["rina"].get(f"{path}/withdraw")
    assert "ditarik" in (await people["rina"].post(f"{path}/withdraw", {})).text
    assert await desk.rows() == 0
