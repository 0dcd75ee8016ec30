"""A real, headless Chromium for tests and pictures: the machine's own, without a line to anywhere but the service."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

EXECUTABLE: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Where there is none the test is skipped, but not in CI."""
    if not EXECUTABLE.exists() and "CI" not in os.environ:
        pytest.skip(f"{EXECUTABLE} is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=list(ARGUMENTS))
        yield browser
        await browser.close()


async def require_accessible(page: Page) -> None:
    """axe-core finds nothing against WCAG on the page as it stands."""
    results = await Axe().run(page)
    assert not results.violations_count, f"{page.url}\n{results.generate_report()}"


async def require_room(page: Page) -> None:
    """Nothing makes the page scroll sideways."""
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], page.url  # type: ignore[index]
