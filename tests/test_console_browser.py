"""The console in a real browser: a complaint answered from beginning to end, by keyboard, at 320 pixels, without a
script; nothing that axe-core objects to, no error in the browser's log, no request to anywhere else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from authz_service.enrolment.sandbox import SandboxCard
from authz_service.people import Role
from tests.chromium import chromium, require_accessible, require_room
from tests.console import PASSWORD, employ
from tests.world import World

PEOPLE = {"siti.card": Role.CARD_DESK, "rina.audit": Role.AUDITOR}
SEARCH = "Nama, NIK, empat angka terakhir kartu, atau nomor keluarga"
A_MENU = 30
"""More places than a page has before its first field."""


@pytest.fixture(scope="module")
async def world(console_world: World) -> World:
    for name, role in PEOPLE.items():
        await employ(console_world.database, name, role, console_world)
    return console_world


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as it:
        yield it


@dataclass(slots=True)
class Window:
    """A page with cookies of its own, and all that the browser had to say or to fetch."""

    page: Page
    base_url: str
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.base_url}/console{path}")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def sign_in(self, name: str) -> None:
        await self.go("/")
        await self.page.get_by_label("Nama masuk").fill(name)
        await self.page.get_by_label("Kata sandi").fill(PASSWORD)
        await self.press("Masuk")

    def require_calm(self) -> None:
        assert self.errors == []
        assert [url for url in self.asked if not url.startswith(f"{self.base_url}/console/")] == []


async def opened(browser: Browser, world: World, **options: Any) -> Window:
    context = await browser.new_context(**options)
    window = Window(await context.new_page(), world.base_url)
    window.page.set_default_timeout(20_000)
    window.page.on("console", lambda said: window.errors.append(said.text))
    window.page.on("pageerror", lambda error: window.errors.append(str(error)))
    window.page.on("request", lambda request: window.asked.append(request.url))
    return window


async def complaint(window: Window, world: World, card: SandboxCard, name: str) -> AsyncIterator[str]:
    """From the sign-in to the blocked card; stops at each page that is worth a look."""
    page = window.page
    await window.go("/")
    yield "sign-in"
    await window.sign_in("siti.card")
    yield "home"
    await page.get_by_label("Nama, NIK").fill(name)
    await window.press("Cari")
    yield "found"
    await page.get_by_role("link", name="Buka").click()
    yield "why"
    await page.get_by_label("Pengaduan keluarga").check()
    await window.press("Buka keluarga")
    yield "family"
    await page.get_by_role("link", name="Mengapa?").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Ditolak: Rp350.000")
    await expect(page.get_by_text("Satu kali belanja paling banyak Rp300.000").first).to_be_visible()
    yield "declined"
    await page.go_back()
    await page.get_by_role("link", name="Blokir").click()
    yield "block"
    await page.get_by_label("Alasan").fill("kartu tertinggal di pasar")
    await window.press("Blokir")
    await expect(page.get_by_role("status")).to_have_text("Kartu diblokir.")
    assert (await world.authorise(card_number=card.card_number, amount=10_000))["reason"] == "card_blocked"
    yield "blocked"


async def test_a_complaint_is_answered_and_the_card_blocked(browser: Browser, world: World) -> None:
    card = world.tills.cards[20]
    assert (await world.authorise(card_number=card.card_number, amount=350_000))["decision"] == "declined"
    window = await opened(browser, world)
    async for _ in complaint(window, world, card, "sintetis 0021"):
        await require_accessible(window.page)
    await window.press("English")
    await expect(window.page.get_by_text("What is left")).to_be_visible()
    await window.page.emulate_media(color_scheme="dark")
    await require_accessible(window.page)
    window.require_calm()
    await window.page.context.close()


async def test_the_same_works_without_a_script_on_a_small_telephone(browser: Browser, world: World) -> None:
    card = world.tills.cards[21]
    await world.authorise(card_number=card.card_number, amount=350_000)
    window = await opened(browser, world, java_script_enabled=False, viewport={"width": 320, "height": 640})
    stops = []
    async for stop in complaint(window, world, card, "sintetis 0022"):
        stops.append(stop)
        await require_room(window.page)
    assert stops[-1] == "blocked"
    window.require_calm()
    await window.page.context.close()


async def test_the_keyboard_alone_is_enough_and_one_sees_where_one_is(browser: Browser, world: World) -> None:
    window = await opened(browser, world, viewport={"width": 1000, "height": 800})
    page, keys = window.page, window.page.keyboard
    await window.go("/sign-in")
    await keys.press("Tab")
    assert await _focused(page) == "Langsung ke isi"
    assert await page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
    await keys.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    await keys.press("Tab")
    assert await page.evaluate("document.activeElement.name") == "name"
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await keys.type("siti.card")
    await keys.press("Tab")
    await keys.type(PASSWORD)
    await keys.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Selamat bekerja, siti.card")
    seen: list[str] = []
    while len(seen) < A_MENU and seen[-1:] != [SEARCH]:
        await keys.press("Tab")
        seen.append(await _focused(page))
        outline = await page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert outline >= 2, seen
    assert seen[0] == "Langsung ke isi"
    assert [each for each in seen if each in {"Beranda", "Keluarga", SEARCH}] == ["Beranda", "Keluarga", SEARCH]
    await keys.type("sintetis 0023")
    await keys.press("Enter")
    await expect(page.get_by_role("heading", level=2)).to_have_text("Satu keluarga cocok")
    await page.context.close()


async def test_the_auditors_log_and_the_other_pages_have_nothing_against_them(browser: Browser, world: World) -> None:
    window = await opened(browser, world, viewport={"width": 320, "height": 640}, color_scheme="dark")
    await window.sign_in("rina.audit")
    for path in ("/audit", "/password", "/nothing-here"):
        await window.go(path)
        await require_accessible(window.page)
        await require_room(window.page)
    assert [error for error in window.errors if "404" not in error] == []
    await window.page.context.close()


async def _focused(page: Page) -> str:
    """What somebody hears who does not see: the name of what has the focus."""
    name: str = await page.evaluate(
        "(e => (e.ariaLabel || (e.labels && e.labels[0] ? e.labels[0].innerText : e.innerText)).trim())"
        "(document.activeElement)"
    )
    return name
