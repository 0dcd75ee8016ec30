"""What goes to the bank and to the shops on paper, to the byte, and what operators type and see."""

import asyncio
import csv
import os
import re
import stat
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

from authz_service.settlement.papers import PaperNotWritten, bank_file, shop_file, write
from authz_service.settlement.reading import one_batch, payouts_of, shops_of
from tests.settling import SAMARINDA, batch_closed, instructions, said, settled
from tests.world import PROGRAMME, WITA, World

GOLDEN: Final = Path(__file__).parent / "golden"
ID: Final = re.compile(r"\b(auth|set|pay|mrc)_[0-9a-z]{26}\b")
CODE: Final = re.compile(r",[A-Z2-9]{6},")
HASH: Final = re.compile(r"[0-9a-f]{64}")
MINUTE: Final = re.compile(r"\d\d:\d\d(:\d\d\.\d+\+08:00)?")


def named(text: str) -> str:
    """With what is drawn anew each time written as it first came: <pay 1>, <pay 2>, … and without the minute."""
    known: dict[str, str] = {}
    for found in ID.finditer(text):
        known.setdefault(found[0], f"<{found[1]} {1 + sum(key.startswith(found[1]) for key in known)}>")
    text = ID.sub(lambda found: known[found[0]], text)
    return MINUTE.sub("<at>", HASH.sub("<hash>", CODE.sub(",<code>,", text)))


async def two_batches(world: World) -> None:
    """The first is paid, and a payout of it came back; the second has that, a sale, refunds, and a shop that owes."""
    sold = await world.authorise(capture=True)
    other = await world.authorise(
        amount=20_000, capture=True, till=world.other_till, card_number=world.tills.cards[1].card_number
    )
    await settled(world)
    [instruction] = [each for each, _, rupiah in await instructions(world) if rupiah == 150_000]
    await said(world, "returned", instruction, reason="nama tidak cocok")
    await said(world, "released", instruction, reason="dicek")
    await world.refund(sold["id"], 10_000)
    await world.refund(other["id"], 5_000, till=world.other_till)
    await world.authorise(amount=30_000, capture=True, key="undone", card_number=world.tills.cards[2].card_number)
    await world.reverse(idempotency_key="undone")
    await batch_closed(world)


async def papers(world: World, number: int) -> dict[str, str]:
    """File → text, of the batch."""
    batch = await one_batch(world.database, SAMARINDA, str(number))
    told = await payouts_of(world.database, SAMARINDA, batch.batch_id)
    shops = await shops_of(world.database, SAMARINDA, batch.batch_id)
    names = {world.till.merchant_id: "shop", world.other_till.merchant_id: "other-shop"}
    return {
        f"bank-{number}.csv": bank_file(batch, told, WITA),
        **{
            f"{name}-{number}.csv": await shop_file(*(world.database, SAMARINDA, batch, shops, told, merchant_id, WITA))
            for merchant_id, name in names.items()
        },
    }


async def test_the_papers_of_a_batch_are_as_they_were_agreed(world: World) -> None:
    await two_batches(world)
    made = {**await papers(world, 1), **await papers(world, 2)}
    for name, text in made.items():
        if os.environ.get("AUTHZ_TEST_GOLDEN"):
            (GOLDEN / name).write_text(named(text), encoding="utf-8")
        assert named(text) == (GOLDEN / name).read_text(encoding="utf-8"), name
    assert {**await papers(world, 1), **await papers(world, 2)} == made


async def test_the_banks_file_adds_up_and_has_the_batchs_hash(world: World) -> None:
    await two_batches(world)
    batch = await one_batch(world.database, SAMARINDA, "1")
    *lines, last = list(csv.reader(StringIO((await papers(world, 1))["bank-1.csv"])))[1:]
    assert [line[0] for line in lines] == ["D", "D"]
    assert {(line[1], int(line[5])) for line in lines} == {
        (one, rupiah) for one, _, rupiah in (await instructions(world))[:2]
    }
    assert last[:4] == ["T", batch.batch_id, "1", "2"]
    assert (int(last[5]), last[7]) == (sum(int(line[5]) for line in lines), batch.hash.hex())


@pytest.mark.parametrize("holder", ["=cmd|' /C calc'!A0", "+62", "-1+1", "@SUM(A1)"])
async def test_a_name_that_a_spreadsheet_would_run_is_kept_a_text(world: World, holder: str) -> None:
    await world.database.execute("SET session_replication_role = replica")
    await world.database.execute("UPDATE payout_account SET holder = $1", holder)
    await world.database.execute("UPDATE merchant SET name = $1", holder)
    await world.authorise(capture=True)
    await batch_closed(world)
    made = await papers_of_the_shop(world)
    cells = [cell for text in made for row in csv.reader(StringIO(text)) for cell in row]
    assert f"'{holder}" in cells
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "@"} or re.match(r"-[^\d]|-\d+[^\d]", cell)]


async def papers_of_the_shop(world: World) -> list[str]:
    batch = await one_batch(world.database, SAMARINDA, "1")
    told = await payouts_of(world.database, SAMARINDA, batch.batch_id)
    shops = await shops_of(world.database, SAMARINDA, batch.batch_id)
    return [
        bank_file(batch, told, WITA),
        await shop_file(world.database, SAMARINDA, batch, shops, told, world.till.merchant_id, WITA),
    ]


def test_a_paper_is_its_owners_alone_and_says_why_it_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text("what an earlier run left, and anybody could read, and was longer")
    path.chmod(0o644)
    write(path, "D")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("D", 0o600)
    with pytest.raises(PaperNotWritten, match="No such file or directory"):
        write(tmp_path / "nowhere" / "bank.csv", "D")


# --- What operators type. ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Desk:
    """`authz settlement …` beside the running service, on its clock."""

    world: World

    async def __call__(self, *words: str, stdin: str = "", actor: str = "meja kartu") -> tuple[int | None, str]:
        """The exit code, and what was printed: a refusal, where it was refused."""
        settings = self.world.settings
        assert settings.database_url is not None
        assert settings.redis_url is not None
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authz_service.cli", "settlement", *words),
            env={
                **os.environ,
                "DATABASE_URL": settings.database_url.get_secret_value(),
                "REDIS_URL": settings.redis_url.get_secret_value(),
                "AUTHZ_CLOCK_OFFSET_FILE": str(settings.clock_offset_file),
                "AUTHZ_ACTOR": actor,
                "COLUMNS": "200",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await command.communicate(stdin.encode())
        return command.returncode, (out or err).decode()

    async def said(self, *words: str, **more: str) -> str:
        status, text = await self(*words, **more)
        assert status == 0, text
        return text

    async def refused(self, *words: str, **more: str) -> str:
        status, text = await self(*words, **more)
        assert (status, text.startswith("authz: "), "Traceback" in text) == (1, True, False), text
        return text


async def test_a_day_at_the_card_desk(world: World, tmp_path: Path) -> None:
    desk, shop = Desk(world), world.till.merchant_id
    assert await desk.said("list") == f"{PROGRAMME} has no batch yet.\n"
    sold = await world.authorise(capture=True)
    odd = await world.authorise(amount=9_000, capture=True, card_number=world.tills.cards[1].card_number)
    assert "waits." in await desk.said("wait", odd["id"], "--reason", "janggal")
    closed = await desk.said("close")
    assert re.fullmatch(
        r"Batch 1 \(set_\w{26}\) is closed: 1 item, captured Rp150\.000, refunded Rp0, to be paid Rp150\.000\.\n",
        closed,
    )
    assert "was closed before" in await desk.said("close", "--cut-off", "2024-10-04T15:00")
    assert "still to come" in await desk.refused("close", "--cut-off", "2024-10-07T15:00")
    assert "no cut-off" in await desk.refused("close", "--cut-off", "2024-10-05T15:00")
    listed = await desk.said("list")
    assert "   1 2024-10-04 15:00 WITA set_" in listed
    assert "1 under way" in listed
    [(instruction, *_)] = await instructions(world)
    shown = await desk.said("show", "1")
    assert all(each in shown for each in (instruction, "****0001", "under way", shop, "hash "))
    assert "000000000001" not in shown
    bank, paper = tmp_path / "bank.csv", tmp_path / "shop.csv"
    await desk.said("export", "1", "--bank", str(bank), "--shop", shop, str(paper))
    assert "000000000001" in bank.read_text()
    assert "Dibayar ke rekening ****0001" in paper.read_text()
    assert "000000000001" not in paper.read_text()
    assert "Say --bank FILE" in await desk.refused("export", "1")
    assert "has no batch 7" in await desk.refused("export", "7", "--bank", str(bank))
    assert "has nothing of a shop mrc_nobody" in await desk.refused("export", "1", "--shop", "mrc_nobody", str(paper))
    assert "waits until it is released" in await desk.said("failed", instruction, "--reason", "rekening ditutup")
    assert "so it cannot be paid" in await desk.refused("paid", instruction, "--bank-reference", "BKT-1")
    number = '{"bank_code": "124", "account_number": "000009876543", "holder": "CONTOH KUBE Baru"}'
    asked = await desk.said("account", "set", shop, "-", stdin=number)
    account_ref = asked.split()[0]
    assert "****6543" in asked
    assert "somebody else must approve it" in await desk.refused("account", "approve", account_ref)
    assert "is paid to" in await desk.said("account", "approve", account_ref, actor="meja dua")
    accounts = await desk.said("account", "show", shop)
    assert "asked for by meja kartu, approved by meja dua" in accounts
    assert "9876543" not in accounts
    assert "is released" in await desk.said("release", instruction, "--reason", "rekening baru")
    assert "waits no more" in await desk.said("unwait", odd["id"], "--reason", "ternyata benar")
    await world.refund(sold["id"], 1_000)
    assert "came back Rp150.000, to be paid Rp158.000" in await desk.said("close", "--now")
    batch = await one_batch(world.database, SAMARINDA, "2")
    assert "Rp158.000 is paid" in await desk.said("paid", batch.batch_id, "--bank-reference", "BKT-2")
    assert "nothing was changed" in await desk.said("paid", batch.batch_id, "--bank-reference", "BKT-2")
    assert "The reason is refused" in await desk.refused("returned", instruction, "--reason", "6472050000900001")
    orders = await world.database.fetch("SELECT kind FROM office_order ORDER BY recorded_at, order_id")
    assert [row["kind"] for row in orders] == [
        *("purchase_waits", "batch_closed", "payout_failed", "account_requested", "account_approved"),
        *("payout_released", "purchase_waits_no_more", "batch_closed", "payout_settled"),
    ]
    await world.books_balance()
