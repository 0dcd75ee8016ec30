"""How tests hold the simulated bank: what it is told to pay, its files, its process, and what the books say at last."""

import asyncio
import csv
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz_service.bank.partners import SignatureStyle
from authz_service.simulation.bank import Bank, Patience
from authz_service.simulation.line import Line
from authz_service.simulation.misbehaviour import Behaviour
from authz_service.simulation.orders import COLUMNS, PaymentOrder
from authz_service.simulation.play import Stage, known_bank, opened_statement
from tests.bank import SAMARINDA
from tests.world import World

IMPATIENT = Patience(first_seconds=0.02, longest_seconds=0.2, attempts=500)


def stage_of(world: World) -> Stage:
    return Stage(
        connection=world.database,
        settings=world.settings,
        programme_id=SAMARINDA,
        clock=world.clock,
        chance=os.urandom,
    )


@asynccontextmanager
async def simulated_bank(world: World, style: SignatureStyle, behaviour: Behaviour) -> AsyncIterator[Bank]:
    """Known to the programme; its statement begins with what the books have at the bank."""
    identity = await known_bank(stage_of(world), style)
    async with Line(identity, world.base_url, world.clock) as line:
        yield Bank(line, behaviour, await opened_statement(stage_of(world)), IMPATIENT)


def an_order(**changes: Any) -> PaymentOrder:
    good: dict[str, Any] = {
        "reference": "pay_1",
        "batch": 1,
        "amount_rupiah": 150_000,
        "bank_code": "124",
        "account_number": "0012345678",
        "holder": "KUBE Melati",
    }
    return PaymentOrder(**{**good, **changes})


def orders_file(*orders: PaymentOrder, **last: Any) -> str:
    """As `authz settlement export --bank` writes it."""
    file = StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in orders:
        who = (each.bank_code, each.account_number, each.holder)
        writer.writerow(("D", each.reference, *who, each.amount_rupiah, "IDR", f"batch {each.batch}"))
    how_many, rupiah = last.get("count", len(orders)), last.get("rupiah", sum(each.amount_rupiah for each in orders))
    batch = orders[0].batch if orders else 1
    writer.writerow(("T", "set_1", batch, how_many, "2024-10-07T09:00:00+08:00", rupiah, "IDR", "00" * 32))
    return file.getvalue()


def key_files(directory: Path, private_key: RSAPrivateKey, secret: str) -> tuple[Path, Path]:
    """Where the bank's private key and client secret stand now."""
    key, kept = directory / "bank.pem", directory / "secret"
    key.write_bytes(private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    kept.write_text(f"{secret}\n")
    return key, kept


async def typed(world: World, *command: str) -> tuple[int, str]:
    """The exit code, and what a terminal shows."""
    clock = str(world.settings.clock_offset_file)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz_service.cli", *command),
        env={**os.environ, "AUTHZ_CLOCK_OFFSET_FILE": clock, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def books(world: World) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """What moved, by kind, accounts and amount of each transfer; and what became of payouts, by shop and amount."""
    transfers = await world.database.fetch(
        "SELECT kind, debit_account_id, credit_account_id, amount_rupiah FROM transfer"
    )
    events = await world.database.fetch(
        "SELECT i.merchant_id, e.event, i.amount_rupiah"
        "  FROM payout_event e JOIN payout_instruction i USING (programme_id, instruction_id)"
    )
    return Counter(tuple(row) for row in transfers), Counter(tuple(row) for row in events)


async def parked(world: World) -> Counter[str]:
    """Why notices were parked, also those that two people have seen since."""
    rows = await world.database.fetch("SELECT reason FROM notice_standing WHERE reason IS NOT NULL")
    return Counter(row[0] for row in rows)
