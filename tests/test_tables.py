"""What commands list is whole on a terminal of eighty columns: an id is there to be copied."""

import asyncio
import os
import re
import sys
from io import StringIO
from typing import Any, Final

import pytest
from rich.console import Console

from authz_service.bank.partners import SignatureStyle, add_partner
from authz_service.commands.tables import WHOLE_UP_TO, print_table
from authz_service.reconciliation.disputes import open_dispute
from tests.bank import SAMARINDA, followed, kept_notice
from tests.operators import Operator
from tests.reconciling import reconciled, today
from tests.settling import batch_closed, instructions, said
from tests.world import World

A_TERMINAL: Final = 80
ID: Final = "ntc_01jdf4x1a2b3c4d5e6f7g8h9jk"
BANK: Final = "BANKALTIMTARAKALTIMKALTARA2024124000"
SENTENCE: Final = "amount_differs; Dinsos: bank menulis nilai lain, sudah ditanyakan kepada bank pada hari itu"


def printed(*rows: tuple[str, ...], width: int = A_TERMINAL) -> list[str]:
    console = Console(file=StringIO(), width=width)
    print_table(console, tuple("abcdefgh"[: len(rows[0])]), rows)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_a_sentence_is_folded_and_an_id_is_not() -> None:
    lines = printed((ID, "2024-10-07 09:00 WITA", SENTENCE))
    assert sum(ID in line for line in lines) == 1
    assert max(map(len, lines)) <= A_TERMINAL
    folded = " ".join(word for line in lines[1:] for word in line.replace(ID, "").split() if word in SENTENCE.split())
    assert folded == SENTENCE


def test_more_ids_than_there_is_room_for_make_the_table_wider_than_the_terminal() -> None:
    lines = printed((ID, ID.replace("ntc", "pay"), ID.replace("ntc", "mrc"), SENTENCE))
    assert any(re.search(rf"{ID} +{ID.replace('ntc', 'pay')} +{ID.replace('ntc', 'mrc')}", line) for line in lines)


def test_a_word_that_is_no_id_and_longer_than_any_is_folded() -> None:
    lines = printed((ID, "x" * 3 * WHOLE_UP_TO))
    assert sum("x" in line for line in lines) > 1
    assert max(map(len, lines)) <= len(ID) + WHOLE_UP_TO + 3


def test_what_others_wrote_is_text_and_no_markup() -> None:
    assert any("[red]=1+1[/red]" in line for line in printed((ID, "[red]=1+1[/red]")))


@pytest.fixture
async def busy(world: World) -> set[str]:
    """Somebody has something in every list; these are the ids that operators must be able to copy."""
    how: dict[str, Any] = {"actor": "Dinsos PM Kota Samarinda", "now": world.now, "chance": os.urandom}
    sold = await world.authorise(capture=True)
    await world.authorise(capture=True, till=world.tills.terminals[2], card_number=world.tills.cards[1].card_number)
    closed = await batch_closed(world)
    (one, shop, _), (two, other_shop, amount) = await instructions(world)
    await said(world, "settled", one, bank_reference="2024100700000000000000000001")
    await add_partner(
        world.database,
        SAMARINDA,
        BANK,
        label="Bankaltimtara, cabang Samarinda",
        signature=SignatureStyle.WITH_TOKEN,
        signs_the_query=True,
        **how,
    )
    await kept_notice(world, two, "success", amount + 1)
    await followed(world)
    await reconciled(world, (-amount - 1, two), (7, "SP2D-2024-000123456789"), first=today(world))
    opened = await open_dispute(world.database, SAMARINDA, sold["id"], reason="dua kali digesek pada hari itu", **how)
    await Operator(world, world.database).suspend(reason="belum jelas, diperiksa oleh pendamping dan Dinsos")
    database = world.database
    return {
        *(one, two, shop, other_shop, str(closed.batch_id), opened.dispute_id, sold["id"]),
        await database.fetchval("SELECT notice_id FROM bank_notice"),
        *[row[0] for row in await database.fetch("SELECT exception_id FROM reconciliation_exception")],
        *(BANK, "SP2D-2024-000123456789", world.card.beneficiary_id),
        *("2024100700000000000000000001"),
    }


async def test_every_list_says_its_ids_whole(world: World, busy: set[str]) -> None:
    batch = next(each for each in busy if each.startswith("set_"))
    shown = await typed(
        world,
        *("settlement list", f"settlement show {batch}", "inbox list", "inbox list --parked"),
        *("exceptions list --closed", "dispute list --answered", "bank show", "key list", "programme orders"),
        f"family show {world.card.beneficiary_id}",
    )
    assert {each for each in busy if each not in shown} == set()
    assert not [line for line in shown.splitlines() if "…" in line]


_COMMANDS: Final = """
import sys
from typer.testing import CliRunner
from authz_service.cli import app
for command in sys.argv[1:]:
    done = CliRunner().invoke(app, command.split())
    print(done.output)
    assert done.exit_code == 0, (command, done.output)
"""


async def typed(world: World, *commands: str) -> str:
    """`authz …`, one after the other, in a terminal of eighty columns."""
    assert world.settings.database_url is not None
    assert world.settings.redis_url is not None
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _COMMANDS, *commands),
        env={
            **os.environ,
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "REDIS_URL": world.settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file),
            "COLUMNS": str(A_TERMINAL),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await command.communicate()
    assert command.returncode == 0
    return out.decode()
