"""The console's pages of the office: what each shows, who may give its orders, and that each is the command's deed."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime
from typing import Any

import pytest

from authz_service.audit import entries
from authz_service.clock import clock_from
from authz_service.console.permissions import PERMITTED
from authz_service.console.words import WORDS
from authz_service.people import Role
from authz_service.settlement.accounts import request_account
from authz_service.settlement.positions import Account
from authz_service.settlement.waits import wait
from tests import office
from tests.console import Browser, browser, employ
from tests.settling import SAMARINDA, batch_closed, instructions, said
from tests.world import PROGRAMME, WITA, World

NOON = datetime(2024, 10, 7, 12, tzinfo=WITA)
PAGES = ("/today", "/shops", "/vouchers", "/settlement", "/inbox", "/exceptions", "/signals", "/roll", "/books")
SEEN_BY_ALL = frozenset({"/today", "/shops"})


@pytest.fixture
async def people(world: World) -> AsyncIterator[dict[str, Browser]]:
    """One of each role, and a second manager, each in front of a browser and signed in."""
    world.at(NOON)
    roles = {"budi": Role.PROGRAMME_MANAGER, "rina": Role.PROGRAMME_MANAGER}
    roles |= {"siti": Role.CARD_DESK, "tono": Role.VIEWER, "wati": Role.AUDITOR}
    browsers = {}
    for name, role in roles.items():
        await employ(world.database, name, role, world)
        browsers[name] = browser(world)
        assert (await browsers[name].sign_in(name)).status == 200
    yield browsers
    for each in browsers.values():
        await each.http.close()


async def test_each_page_is_for_its_roles_and_in_both_languages(world: World, people: dict[str, Browser]) -> None:
    await world.authorise(capture=True)
    await world.authorise(amount=999_000)
    for name, desk in people.items():
        for page in PAGES:
            seen = await desk.get(page)
            may = page in SEEN_BY_ALL or name in {"budi", "rina", "wati"}
            assert seen.status == (200 if may else 403), (name, page)
            assert len(seen.body) < 60_000, page
            if name not in {"budi", "rina"}:
                assert "/suspend" not in seen.body, (name, page)
    seen = await people["budi"].get("/today")
    assert "Rp150.000" in seen.text
    assert "Di atas nilai satu paket" in seen.text
    assert 'role="img"' in seen.body
    await people["budi"].post("/language", {"language": "en", "back": "/today"})
    assert "More than one package" in (await people["budi"].get("/today")).text
    for page in PAGES:
        assert (await people["budi"].get(page)).status == 200


async def test_an_order_needs_the_role_a_token_and_a_reason(world: World, people: dict[str, Browser]) -> None:
    path = f"/shops/{world.till.merchant_id}/suspend"
    for name in ("siti", "tono", "wati"):
        assert (await people[name].get(path)).status == 403
        await people[name].get("/shops")
        assert (await people[name].post(path, {"reason": "laporan"})).status == 403
    budi = people["budi"]
    await budi.get(path)
    assert (await budi.post(path, {"reason": "laporan"}, token="0" * 80)).status == 403
    await budi.get(path)
    assert (await budi.post(path, {"reason": "laporan"}, headers={"origin": "http://elsewhere"})).status == 403
    seen = await budi.get(path)
    assert world.till.name in seen.text
    assert (await budi.post(path, {"reason": ""})).status == 409
    numbered = await budi.post(path, {"reason": "kartu 9360001234567890"})
    assert numbered.status == 409
    assert "tanpa nomor kartu" in numbered.text
    assert "The reason" not in numbered.text
    assert (await world.authorise(amount=10_000))["decision"] == "approved"
    done = await budi.post(path, {"reason": "laporan warga"})
    assert (done.status, done.path) == (200, "/console/shops?said=shop_suspend")
    assert "dihentikan mulai belanja berikutnya" in done.text
    assert (await world.authorise(amount=10_000))["reason"] == "merchant_suspended"
    # The same once more is refused, in words, and nothing is written.
    await budi.get(f"/shops/{world.till.merchant_id}/resume")
    assert (await budi.post(path, {"reason": "laporan warga"})).status == 409
    await budi.get(f"/terminals/{world.other_till.terminal_id}/suspend")
    await budi.post(f"/terminals/{world.other_till.terminal_id}/suspend", {"reason": "dipinjam"})
    refused = await world.authorise(amount=10_000, till=world.other_till, card_number=world.tills.cards[1].card_number)
    assert refused["reason"] == "terminal_not_permitted"
    kept = [each for each in await entries(world.database, PROGRAMME, limit=50) if each.subject.kind == "order"]
    assert [(each.actor, each.role, each.action, each.reason) for each in kept[:2]] == [
        ("budi", "programme_manager", "terminal_suspended", "dipinjam"),
        ("budi", "programme_manager", "merchant_suspended", "laporan warga"),
    ]
    assert all(each.request_id for each in kept[:2])
    for nowhere in ("/shops/mrc_nobody/suspend", f"/shops/{world.till.merchant_id}/burn", "/terminals/trm_x/resume"):
        assert (await budi.get(nowhere)).status == 404


async def test_vouchers_are_approved_rejected_and_revoked(world: World, people: dict[str, Browser]) -> None:
    await world.change(voucher_approval_above_rupiah=50_000)
    first, second = [(await office.vouch(world, extra_amount=rupiah))["id"] for rupiah in (100_000, 120_000)]
    budi = people["budi"]
    assert "2 Voucher yang menunggu persetujuan" in " ".join((await budi.get("/")).text.split())
    assert "menunggu persetujuan" not in (await people["siti"].get("/")).text, "not hers to see"
    seen = await budi.get("/vouchers")
    assert "Rp120.000" in seen.text
    await budi.get(f"/vouchers/{first}/approve")
    done = await budi.post(f"/vouchers/{first}/approve", {"reason": "sakit, ada surat"})
    assert "Izin disetujui" in done.text
    await budi.get(f"/vouchers/{second}/reject")
    await budi.post(f"/vouchers/{second}/reject", {"reason": "dobel"})
    assert [(await office.voucher(world, each))["status"] for each in (first, second)] == ["live", "revoked"]
    await budi.get(f"/vouchers/{first}/revoke")
    await budi.post(f"/vouchers/{first}/revoke", {"reason": "pindah"})
    assert (await office.voucher(world, first))["status"] == "revoked"
    assert (await budi.get(f"/vouchers/{first}/approve")).status == 404
    kept = [each for each in await entries(world.database, PROGRAMME, limit=20) if each.subject.kind == "voucher"]
    assert [(each.action, each.actor, each.reason) for each in kept] == [
        ("voucher_revoked", "budi", "pindah"),
        ("voucher_rejected", "budi", "dobel"),
        ("voucher_approved", "budi", "sakit, ada surat"),
    ]
    assert "Tidak ada yang menunggu." in (await budi.get("/")).text
    await world.books_balance()


async def test_what_failed_and_what_waits_is_released_and_an_account_takes_two(
    world: World, people: dict[str, Browser]
) -> None:
    sold = await world.authorise(amount=70_000, capture=True)
    await batch_closed(world)
    [(payout, _, _)] = await instructions(world)
    await said(world, "failed", payout, reason="rekening ditutup")
    flagged = await world.authorise(
        amount=30_000, capture=True, card_number=world.tills.cards[1].card_number, till=world.other_till
    )
    how: Any = {"actor": "budi", "clock": clock_from(world.settings.clock_offset_file), "chance": os.urandom}
    await wait(world.database, world.settings, SAMARINDA, flagged["id"], reason="diperiksa", **how)
    account = Account(bank_code="124", account_number="7001234567", holder="KUBE MAWAR")
    merchant = world.till.merchant_id
    ref = await request_account(world.database, world.settings, SAMARINDA, merchant, account, **how)
    budi, rina = people["budi"], people["rina"]
    seen = await budi.get("/settlement")
    for expected in ("rekening ditutup", "diperiksa", "Rp70.000", "Rp30.000", "****4567", "Menunggu orang kedua"):
        assert expected in seen.text, expected
    assert "7001234567" not in seen.body
    # Who asked for an account cannot approve it.
    await budi.get(f"/settlement/accounts/{ref}/approve")
    own = await budi.post(f"/settlement/accounts/{ref}/approve", {})
    assert own.status == 409
    assert "somebody else must approve" in own.text
    await rina.get(f"/settlement/accounts/{ref}/approve")
    assert "Rekening disetujui" in (await rina.post(f"/settlement/accounts/{ref}/approve", {})).text
    await budi.get(f"/settlement/payouts/{payout}/release")
    assert "batch berikutnya" in (await budi.post(f"/settlement/payouts/{payout}/release", {"reason": "baru"})).text
    await budi.get(f"/settlement/purchases/{flagged['id']}/unwait")
    await budi.post(f"/settlement/purchases/{flagged['id']}/unwait", {"reason": "wajar"})
    assert (await budi.get(f"/settlement/payouts/{payout}/release")).status == 404
    await batch_closed(world)
    assert sorted(rupiah for _, _, rupiah in await instructions(world)) == [30_000, 70_000, 70_000]
    seen = await budi.get("/settlement")
    batch_id = await world.database.fetchval("SELECT batch_id FROM settlement_batch WHERE number = 2")
    assert batch_id in seen.body
    assert "Rp30.000" in (await budi.get(f"/settlement/batches/{batch_id}")).text
    assert sold["id"]
    await world.books_balance()


async def four_eyes(
    people: dict[str, Browser], page: str, subject: str, form: dict[str, str], is_closed: Callable[[], Awaitable[bool]]
) -> None:
    """One person resolves, cannot approve, and another one does."""
    budi, rina = people["budi"], people["rina"]
    assert (await rina.get(f"{page}/{subject}/approve")).status == 404
    await budi.get(f"{page}/{subject}/resolve")
    kept = await budi.post(f"{page}/{subject}/resolve", form)
    assert "orang lain harus menyetujui" in kept.text
    assert "Menunggu orang kedua" in kept.text
    await budi.get(f"{page}/{subject}/approve")
    own = await budi.post(f"{page}/{subject}/approve", {})
    assert own.status == 409
    assert not await is_closed()
    await rina.get(f"{page}/{subject}/approve")
    assert (await rina.post(f"{page}/{subject}/approve", {})).status == 200
    assert await is_closed()


async def test_a_parked_notice_takes_two_people(world: World, people: dict[str, Browser]) -> None:
    await world.database.execute(
        "INSERT INTO bank_partner (programme_id, partner_id, label, signature, signs_the_query, created_at)"
        " VALUES ($1, 'BANK', 'Bank', 'with_token', false, $2)",
        PROGRAMME,
        world.now,
    )
    await world.database.execute(
        "INSERT INTO bank_notice (programme_id, notice_id, partner_id, external_id, received_on, received_at, body,"
        " body_digest, reference, bank_reference, status, amount_rupiah)"
        " VALUES ($1, 'ntc_1', 'BANK', '1', $2, $3, '{}', $4, 'pay_unknown', 'BKT-9', 'success', 55000)",
        PROGRAMME,
        world.now.date(),
        world.now,
        bytes(32),
    )
    await world.database.execute(
        "INSERT INTO notice_standing (programme_id, notice_id, standing, reason)"
        " VALUES ($1, 'ntc_1', 'parked', 'no such payout')",
        PROGRAMME,
    )
    assert "pay_unknown" in (await people["wati"].get("/inbox")).text

    async def is_closed() -> bool:
        return bool(await world.database.fetchval("SELECT standing = 'resolved' FROM notice_standing"))

    await four_eyes(people, "/inbox", "ntc_1", {"resolution": "uji coba"}, is_closed)


async def test_an_exception_takes_two_people_and_an_outcome_that_fits(world: World, people: dict[str, Browser]) -> None:
    await world.database.execute(
        "INSERT INTO reconciliation_exception (programme_id, exception_id, kind, reference, subject, ours_rupiah,"
        " theirs_rupiah, since_on, first_seen_at, detail)"
        " VALUES ($1, 'exc_1', 'missing_here', 'BIAYA', 'BIAYA', NULL, 6500, $2, $3, 'a charge')",
        PROGRAMME,
        date(2024, 10, 4),
        world.now,
    )
    seen = await people["budi"].get("/exceptions")
    assert "3 hari" in seen.text
    await people["budi"].get("/exceptions/exc_1/resolve")
    wrong = await people["budi"].post("/exceptions/exc_1/resolve", {"outcome": "paid_after_all", "reason": "x"})
    assert wrong.status == 409

    async def is_closed() -> bool:
        return bool(await world.database.fetchval("SELECT closed_at IS NOT NULL FROM reconciliation_exception"))

    await four_eyes(people, "/exceptions", "exc_1", {"outcome": "explained", "reason": "biaya"}, is_closed)
    assert "Bank dan buku besar sama" in (await people["budi"].get("/exceptions")).text


async def test_the_books_page_says_when_they_were_checked_and_whose_the_money_is(
    world: World, people: dict[str, Browser]
) -> None:
    wati = people["wati"]
    assert "belum pernah diperiksa" in (await wati.get("/books")).text
    await world.authorise(capture=True)
    for violations, said_so in ((0, "tidak menemukan kesalahan"), (3, "menemukan 3 kesalahan")):
        world.later(minutes=1)
        await world.database.execute(
            "INSERT INTO audit_checkpoint VALUES ($1, $2, NULL, $2, $3)", PROGRAMME, world.now, violations
        )
        assert said_so in (await wati.get("/books")).text
    text = (await wati.get("/books")).text
    assert "Keenam rekening berjumlah sama" in text
    assert "Rp1.776.600.000" in text
    assert "Utang kepada warung Rp150.000" in text


def test_every_order_of_a_page_has_its_words() -> None:
    for word in ("shops.suspend", "terminals.resume", "vouchers.reject", "inbox.approve", "exceptions.resolve"):
        assert {f"{word}.title", f"{word}.will", word} <= WORDS.keys()
    manager_alone = {address for address, roles in PERMITTED.items() if roles == frozenset({Role.PROGRAMME_MANAGER})}
    assert {address for address in PERMITTED if address.startswith("POST /") and "{deed}" in address} - {
        address for address in PERMITTED if "/families/" in address
    } <= manager_alone
