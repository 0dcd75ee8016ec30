"""Every page of the office in a real browser: nothing that axe finds, nothing that is loaded from elsewhere, no script,
and nothing that a narrow screen cuts off.

AUTHZ_TEST_PICTURES=folder keeps each page as a picture.
"""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped, unused-ignore]
from playwright.async_api import Page, async_playwright

from authz_service.people import Role
from authz_service.settlement.accounts import request_account
from authz_service.settlement.positions import Account
from authz_service.settlement.waits import wait
from tests import office
from tests.console import PASSWORD, employ
from tests.settling import SAMARINDA, batch_closed, instructions, said
from tests.world import PROGRAMME, WITA, World

CHROMIUM: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PAGES: Final = ("/today", "/shops", "/vouchers", "/settlement", "/inbox", "/exceptions", "/signals", "/roll", "/books")
RULES: Final = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]},
    "rules": {"region": {"enabled": False}},  # the note that all is made up stands between header and main
}
NARROW: Final = 360


async def a_busy_office(world: World) -> dict[str, str]:
    """Something of everything; the ids that orders are about."""
    cards = [card.card_number for card in world.tills.cards]
    for n, (hour, till) in enumerate([(8, 0), (9, 4), (9, 8), (10, 4), (11, 12), (11, 16)]):
        world.at(datetime(2024, 10, 7, hour, 10 + n, tzinfo=WITA))
        await world.authorise(card_number=cards[n], capture=True, till=world.tills.terminals[till])
    declined: list[dict[str, Any]] = [{"amount": 400_000}, {"amount": 350_000}, {"lines": [_line("ban", 90_000)]}]
    for n, changes in enumerate(declined):
        await world.authorise(card_number=cards[10 + n], **changes)
    await batch_closed(world)
    payouts = [payout for payout, _, _ in await instructions(world)]
    await said(world, "failed", payouts[0], reason="rekening ditutup")
    await said(world, "settled", payouts[1], bank_reference="BKT-1")
    flagged = await world.authorise(card_number=cards[20], capture=True, amount=45_000, till=world.tills.terminals[4])
    how: Any = {"actor": "rina", "clock": world.clock, "chance": os.urandom}
    await wait(world.database, world.settings, SAMARINDA, flagged["id"], reason="jumlah tidak biasa", **how)
    account = Account(bank_code="124", account_number="7001234567", holder="KUBE MAWAR SEJAHTERA")
    merchant = world.till.merchant_id
    ref = await request_account(world.database, world.settings, SAMARINDA, merchant, account, **how)
    await world.change(voucher_approval_above_rupiah=50_000)
    waiting = await office.vouch(world, extra_amount=200_000, reason="anak masuk rumah sakit")
    await world.vouched(date(2024, 10, 1), extra_packages=1, card=world.tills.cards[30])
    await world.database.execute(
        "INSERT INTO bank_partner (programme_id, partner_id, label, signature, signs_the_query, created_at)"
        " VALUES ($1, 'BANK', 'Bank', 'with_token', false, $2)",
        *(PROGRAMME, world.now),
    )
    await world.database.execute(
        "INSERT INTO bank_notice (programme_id, notice_id, partner_id, external_id, received_on, received_at, body,"
        " body_digest, reference, bank_reference, status, amount_rupiah)"
        " VALUES ($1, 'ntc_1', 'BANK', '1', $2, $3, '{}', $4, 'pay_unknown', 'BKT-9', 'success', 55000)",
        *(PROGRAMME, world.now.date(), world.now, bytes(32)),
    )
    await world.database.execute(
        "INSERT INTO notice_standing (programme_id, notice_id, standing, reason)"
        " VALUES ($1, 'ntc_1', 'parked', 'no such payout')",
        PROGRAMME,
    )
    await world.database.execute(
        "INSERT INTO reconciliation_exception (programme_id, exception_id, kind, reference, subject, ours_rupiah,"
        " theirs_rupiah, since_on, first_seen_at, detail)"
        " VALUES ($1, 'exc_1', 'missing_here', 'BIAYA', 'BIAYA', NULL, 6500, $2, $3, 'a charge of the bank')",
        *(PROGRAMME, date(2024, 10, 4), world.now),
    )
    await world.database.execute("INSERT INTO audit_checkpoint VALUES ($1, $2, NULL, $2, 0)", PROGRAMME, world.now)
    batch = await world.database.fetchval("SELECT batch_id FROM settlement_batch")
    return {
        f"/settlement/batches/{batch}": "batch",
        f"/shops/{merchant}/suspend": "suspend",
        f"/vouchers/{waiting['id']}/approve": "approve",
        f"/settlement/payouts/{payouts[0]}/release": "release",
        f"/settlement/accounts/{ref}/approve": "account",
        "/inbox/ntc_1/resolve": "resolve",
        "/exceptions/exc_1/resolve": "exception",
    }


def _line(category: str, amount: int) -> dict[str, Any]:
    return {"category": category, "amount": amount}


@pytest.mark.timeout(240)
async def test_every_page_of_the_office_is_found_in_order_by_axe_and_fits_a_narrow_screen(world: World) -> None:
    if not CHROMIUM.exists():
        assert "CI" not in os.environ, "Chromium is missing"
        pytest.skip(f"there is no {CHROMIUM}")
    orders = await a_busy_office(world)
    await employ(world.database, "budi", Role.PROGRAMME_MANAGER, world)
    pictures = os.environ.get("AUTHZ_TEST_PICTURES")
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        elsewhere: list[str] = []
        page.on("request", lambda asked: elsewhere.append(asked.url) if world.base_url not in asked.url else None)
        wrong: list[str] = []
        page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
        await page.goto(f"{world.base_url}/console/sign-in")
        await page.fill("input[name=name]", "budi")
        await page.fill("input[name=password]", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("nav")
        for path in (*PAGES, *orders):
            answered = await page.goto(f"{world.base_url}/console{path}")
            assert answered is not None
            assert answered.status == 200, path
            assert await page.locator("script").count() == 0
            found = await Axe().run(page, options=RULES)
            assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
            if pictures:
                name = orders.get(path, path.strip("/"))
                await page.screenshot(path=str(Path(pictures, f"{name}.png")), full_page=True)
        await _fits(page, world, (*PAGES, *orders))
        # An order by the keyboard alone: the reason, Tab, Enter.
        await page.goto(f"{world.base_url}/console/shops/{world.till.merchant_id}/suspend")
        await page.focus("input[name=reason]")
        await page.keyboard.type("laporan warga")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("[role=status]")
        await browser.close()
    assert (await world.authorise(card_number=world.tills.cards[40].card_number))["reason"] == "merchant_suspended"
    assert (elsewhere, wrong) == ([], [])


async def _fits(page: Page, world: World, paths: tuple[str, ...]) -> None:
    """On a telephone tables scroll by themselves, the page does not."""
    await page.set_viewport_size({"width": NARROW, "height": 740})
    for path in paths:
        await page.goto(f"{world.base_url}/console{path}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= NARROW, path
