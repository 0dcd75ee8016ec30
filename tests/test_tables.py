"""What commands list is whole on a terminal of eighty columns: an id is there to be copied."""

import asyncio
import os
import re
import sys
from collections import Counter
from io import StringIO
from typing import Any, Final

import pytest
from rich.console import Console

from authz_service.bank.partners import SignatureStyle, add_partner
from authz_service.commands.tables import WHOLE_UP_TO, print_table
from authz_service.reconciliation.disputes import open_dispute
from authz_service.reconciliation.exceptions import approve, resolve
from authz_service.reconciliation.findings import State
from authz_service.reconciliation.meaning import MEANING
from authz_service.reconciliation.outcomes import Outcome
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
    columns = tuple("abcdefgh"[: len(rows[0])]) if rows else ("id",)
    print_table(console, columns, rows, nothing="There is no [b]notice[/b] yet.")
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


def test_columns_of_sentences_give_room_and_never_go() -> None:
    rows = (SENTENCE, ID, "2024-10-07 09:00 WITA", ID.replace("ntc", "pay"), SENTENCE[::-1], "Rp150.000")
    words = Counter(word for text in rows for word in text.split())
    for width in (1, 20, A_TERMINAL, 120, 1_000):
        assert Counter(" ".join(printed(rows, width=width)[1:]).split()) == words, width
    assert printed(rows, width=1_000)[1].split() == " ".join(rows).split()


def test_without_rows_a_table_is_a_sentence() -> None:
    assert printed() == ["There is no [b]notice[/b] yet."]


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


async def test_every_list_says_its_ids_whole_and_every_word(world: World, busy: set[str]) -> None:
    """As on a terminal where all has room: no column is left out, no header is cut, and no reason ends early."""
    batch = next(each for each in busy if each.startswith("set_"))
    (exception_id, *_) = sorted(each for each in busy if each.startswith("exc_"))
    how: dict[str, Any] = {"now": world.now, "chance": os.urandom}
    resolution: dict[str, Any] = {"outcome": Outcome.EXPLAINED, "reason": "biaya bank, sudah dicek"}
    await resolve(world.database, SAMARINDA, [exception_id], **resolution, actor="Dinsos", **how)
    await approve(world.database, world.settings, SAMARINDA, [exception_id], actor="Inspektorat", **how)
    lists = {**LISTS, f"settlement show {batch}": SHOWN, f"family show {world.card.beneficiary_id}": CHANGES}
    narrow, wide = await typed(world, *lists), await typed(world, *lists, columns=1_000)
    for command, must_be_there in lists.items():
        words = Counter(narrow[command].split())
        assert words == Counter(wide[command].split()), command
        assert not Counter(must_be_there.split()) - words, command
        assert "…" not in narrow[command], command
    assert {each for each in busy if each not in "".join(narrow.values())} == set()


async def test_a_list_of_nothing_says_so_in_a_sentence(world: World) -> None:
    commands: tuple[str, ...] = (
        "inbox list",
        "inbox list --parked",
        "exceptions list",
        "exceptions list --closed",
        "bank show",
    )
    commands += ("dispute list", "dispute list --answered", "settlement list", "events list", "events endpoint list")
    for command, shown in (await typed(world, *commands)).items():
        assert re.fullmatch(r"[^\n]+\.\n+", shown), (command, shown)


def test_every_kind_of_exception_is_explained() -> None:
    assert set(MEANING) == {each for each in State if each.is_exception}


async def test_a_kind_that_is_listed_is_said_in_plain_words(world: World, busy: set[str]) -> None:
    shown = (await typed(world, "exceptions list"))["exceptions list"]
    kinds = {row[0] for row in await world.database.fetch("SELECT kind FROM reconciliation_exception")}
    assert kinds
    for kind in State:
        assert (f"\n{kind}: {MEANING[kind]}\n" in shown if kind.is_exception else False) == (kind in kinds)


LISTS: Final = {
    "settlement list": "captured to be paid 1 paid",
    "inbox list": "notice received bank reference tells amount books parked: amount_differs",
    "inbox list --parked": "notice received bank reference tells amount books parked: amount_differs WITA",
    "exceptions list": "exception kind reference ours theirs days what is so",
    "exceptions list --closed": "exception kind reference ours theirs days what is so"
    " explained, Dinsos: biaya bank, sudah dicek; approved by Inspektorat",
    "dispute list": "dispute purchase status claimed answer before claim answer"
    " Dinsos PM Kota Samarinda: dua kali digesek pada hari itu",
    "dispute list --answered": "dispute purchase status claimed answer before claim answer",
    "bank show": "partner label signs key from until Bankaltimtara, cabang Samarinda with_token none",
    "key list": "holder key issued revoked",
    "programme orders": "dispute_opened",
    "events list": "event type when told",
}
SHOWN: Final = (
    "shop brought captured refunded came back to be paid carried why"
    " instruction shop bank account amount state bank's reference"
)
CHANGES: Final = "what family effective recorded by why suspend belum jelas, diperiksa oleh pendamping dan Dinsos"

_COMMANDS: Final = """
import sys
from typer.testing import CliRunner
from authz_service.cli import app
for command in sys.argv[1:]:
    done = CliRunner().invoke(app, command.split())
    print(chr(0) + done.output, end="")
    assert done.exit_code == 0, (command, done.output)
"""


async def typed(world: World, *commands: str, columns: int = A_TERMINAL) -> dict[str, str]:
    """What each `authz …` shows, one after the other, in a terminal of so many columns."""
    assert world.settings.database_url is not None
    assert world.settings.redis_url is not None
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _COMMANDS, *commands),
        env={
            **os.environ,
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "REDIS_URL": world.settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file),
            "COLUMNS": str(columns),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await command.communicate()
    assert command.returncode == 0
    return dict(zip(commands, out.decode().split("\0")[1:], strict=True))
