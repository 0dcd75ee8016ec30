"""`make screenshots`: docs/console/*.png, drawn by a real Chromium from a served programme of synthetic families."""

import asyncio
import os
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

import asyncpg
from playwright.async_api import Page

from authz_service.database import asyncpg_dsn, migrate
from authz_service.embedded import embedded_servers
from authz_service.enrolment.enrol import enrol
from authz_service.keys import Keys
from authz_service.people import Role
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.watching.books import BooksWatch
from tests import office
from tests.chromium import chromium
from tests.console import PASSWORD, employ
from tests.world import A_MORNING, World, running

PICTURES: Final = Path(__file__).parent.parent / "docs" / "console"
WIDE: Final = {"width": 1000, "height": 640}
NARROW: Final = {"width": 320, "height": 640}


async def draw(database_url: str, redis_url: str, directory: Path) -> None:
    """Each page of `docs/console.md` is a picture."""
    connection = await asyncpg.connect(asyncpg_dsn(database_url))
    done = await enrol(connection, Keys(SANDBOX_ROOT_KEY), "samarinda-2024", seed=2024, at=A_MORNING)
    await connection.close()
    async with running(database_url, redis_url, directory, done.tills) as world, chromium() as browser:
        await _play(world)
        await employ(world.database, "meja.kartu", Role.CARD_DESK, world)
        await employ(world.database, "pemeriksa", Role.AUDITOR, world)
        page = await browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
        await page.goto(f"{world.base_url}/console/")
        await _keep(page, "sign-in")
        await _sign_in(page, "meja.kartu")
        await page.get_by_label("Nama, NIK").fill("sintetis 0001")
        await page.get_by_role("button", name="Cari").click()
        await _keep(page, "found")
        await page.get_by_role("link", name="Buka").click()
        await _keep(page, "why")
        await page.get_by_label("Pengaduan keluarga").check()
        await page.get_by_role("button", name="Buka keluarga").click()
        await _keep(page, "family", whole=True)
        here = page.url
        await page.get_by_role("link", name="Mengapa?").first.click()
        await _keep(page, "declined", whole=True)
        await page.goto(here)
        await page.get_by_role("link", name="Blokir").click()
        await _keep(page, "block")
        await page.goto(here)
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        await _keep(page, "narrow")
        await page.context.close()
        page = await browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
        await page.goto(f"{world.base_url}/console/")
        await _sign_in(page, "pemeriksa")
        await page.get_by_role("button", name="English").click()
        await _keep(page, "home")
        await page.get_by_role("link", name="Audit log").click()
        await _keep(page, "audit")
        await BooksWatch(settings=world.settings, url=database_url, clock=world.clock).check()
        for place in ("today", "shops", "books"):
            await page.goto(f"{world.base_url}/console/{place}")
            await _keep(page, place, whole=place != "shops")


async def _play(world: World) -> None:
    """A family that shops, is declined, and has a voucher."""
    for number in range(2):
        await world.authorise(amount=120_000 + 10_000 * number, capture=True)
        world.later(hours=1)
    await world.vouched(date(2024, 10, 1), extra_rupiah=100_000, extra_packages=1)
    await world.change(voucher_approval_above_rupiah=50_000)
    await office.vouch(world, extra_amount=100_000)
    await world.authorise(amount=350_000)
    for place, (card, till) in enumerate(zip(world.tills.cards[1:], world.tills.terminals, strict=False)):
        amount = 90_000 + 20_000 * (place % 10)
        await world.authorise(card_number=card.card_number, amount=amount, capture=True, till=till)
        world.later(minutes=8)


async def _sign_in(page: Page, name: str) -> None:
    await page.get_by_label("Nama masuk").fill(name)
    await page.get_by_label("Kata sandi").fill(PASSWORD)
    await page.get_by_role("button", name="Masuk").click()


async def _keep(page: Page, name: str, *, whole: bool = False) -> None:
    await page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        os.chmod(directory, 0o755)  # noqa: PTH101  (the server runs as another user)
        with embedded_servers(directory, durable=False) as servers:
            migrate(servers.database_url)
            asyncio.run(draw(servers.database_url, servers.redis_url, directory))


if __name__ == "__main__":
    main()
