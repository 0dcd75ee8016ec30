"""The simulated bank beside the quarter: `authz simulate bank` in a process of its own, with keys of its own.

It is on the demo's clock and has a round when it is asked for one. The quarter's clock leaps hours between two
purchases, and SNAP takes a timestamp for five minutes: so it stands still while the bank tells.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from authz_service.bank.partners import SignatureStyle
from authz_service.demo.manners import MISBEHAVE, Manners
from authz_service.demo.town import DemoFailedError
from authz_service.settlement.papers import write
from authz_service.simulation.identity import identity_from, write_new_key
from authz_service.simulation.orders import Deposit
from authz_service.simulation.play import PARTNER, Stage, known_bank

ROUND_SECONDS: Final = 60.0
"""So long a round may take: a batch's notices, each sent again until it is heard."""
END_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 0.2


@dataclass(slots=True, kw_only=True)
class Told:
    """What the bank says of itself after a round."""

    acknowledged: int = 0
    forged: int = 0
    given_up: tuple[str, ...] = ()
    is_idle: bool = True


@dataclass(slots=True, kw_only=True)
class BankBeside:
    """Its files are in a directory of its own."""

    directory: Path
    process: asyncio.subprocess.Process
    log: IO[bytes]
    told: Told

    @property
    def orders(self) -> Path:
        return self.directory / "orders"

    @property
    def statement(self) -> Path:
        return self.directory / "statement.csv"

    async def has_a_round(self) -> Told:
        """It has paid what is in its orders, and told what is due; all of it was acknowledged."""
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                self.told = await self._asked()
        except TimeoutError:
            raise DemoFailedError(f"The bank was not done within {ROUND_SECONDS:.0f} s: see {self.log.name}.") from None
        if self.told.given_up:
            raise DemoFailedError(f"The bank was not heard: {self.told.given_up[0]}.")
        return self.told

    async def _asked(self) -> Told:
        process = self.process
        if process.stdin is None or process.stdout is None:
            raise DemoFailedError("The bank has no line to us.")
        with suppress(ConnectionError):
            process.stdin.write(b"\n")
            await process.stdin.drain()
        while line := await process.stdout.readline():
            if line.startswith(b"{"):
                said: dict[str, Any] = orjson.loads(line)
                return Told(
                    acknowledged=said["acknowledged"],
                    forged=said["forged"],
                    given_up=tuple(said["given_up"]),
                    is_idle=said["is_idle"],
                )
            self.log.write(line)
        raise DemoFailedError(f"The bank has ended: see {self.log.name}.")


@asynccontextmanager
async def bank_beside(
    stage: Stage, directory: Path, base_url: str, clock_file: Path, deposit: Deposit, *, seed: int, manners: Manners
) -> AsyncIterator[BankBeside]:
    """The programme knows the bank, which runs, and ends with the block, or with us in whatever way we end."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "orders").mkdir(parents=True)
    key, secret = directory / "bank.pem", directory / "secret"
    write_new_key(key)
    own = identity_from(PARTNER, key, None, SignatureStyle.WITHOUT_TOKEN).private_key
    write(secret, (await known_bank(stage, SignatureStyle.WITH_TOKEN, private_key=own)).secret)
    options = {
        "--base-url": base_url,
        "--partner": PARTNER,
        "--private-key": key,
        "--secret-file": secret,
        "--orders": directory / "orders",
        "--statement": directory / "statement.csv",
        "--deposit": f"{deposit.reference}={deposit.amount_rupiah}",
        "--misbehave": MISBEHAVE[manners],
        "--seed": seed,
        "--retry-seconds": RETRY_SECONDS,
    }
    with (directory / "bank.log").open("ab", buffering=0) as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authz_service.cli", "simulate", "bank", "--on-request"),
            *(str(word) for option in options.items() for word in option),
            env={**os.environ, "AUTHZ_CLOCK_OFFSET_FILE": str(clock_file)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who end it in order
        )
        try:
            yield BankBeside(directory=directory, process=process, log=log, told=Told())
        finally:
            await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It ends when its input does."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
