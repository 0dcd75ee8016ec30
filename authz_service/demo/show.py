"""From an empty machine to a closed programme whose books balance, and then a service that takes today's purchases."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from os import urandom
from pathlib import Path
from shlex import quote
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import orjson
from pydantic import SecretStr
from rich.console import Console

from authz_service.clock import ShiftedClock, SystemClock
from authz_service.database import asyncpg_dsn, migrate
from authz_service.demo.bank import bank_beside
from authz_service.demo.desk import SandboxPerson, employed
from authz_service.demo.last_day import end_programme
from authz_service.demo.manners import MISBEHAVE, Manners
from authz_service.demo.quarter import run_quarter
from authz_service.demo.settling import Settling, close_what_is_due
from authz_service.demo.town import DemoFailedError
from authz_service.embedded import embedded_servers
from authz_service.enrolment.enrol import Enrolment, enrol
from authz_service.enrolment.progress import enrolment_progress
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.keys import Keys
from authz_service.ledger.audit import check, render
from authz_service.passwords import Passwords
from authz_service.serving import Served, free_port, require_free_ports, served
from authz_service.settings import Settings
from authz_service.simulation.misbehaviour import behaviour_of
from authz_service.simulation.orders import Deposit
from authz_service.simulation.play import Stage
from authz_service.vocabulary import ProgrammeId

EDITION: Final = "samarinda-2024"
TODAY: Final = "samarinda-today"
WITA: Final = ZoneInfo("Asia/Makassar")
BEFORE_THE_START: Final = datetime(2024, 9, 25, 8, 0, tzinfo=WITA)
ANNOUNCED: Final = "SP2D-0924-2024"
"""As the city's treasury numbers what it has the bank pay."""
TODAY_LASTS: Final = timedelta(days=91)
START_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.5
_NEVER_SECONDS: Final = 86_400


def show(settings: Settings, console: Console, *, seed: int, serve_afterwards: bool, manners: Manners) -> None:
    """The quarter of 2024 has been played, closed and checked; then today's programme is served until Ctrl-C."""
    if serve_afterwards:
        require_free_ports(settings.model_copy(update={"host": "127.0.0.1", "metrics_host": "127.0.0.1"}))
    directory = settings.data_dir / "demo"
    with embedded_servers(directory) as servers:
        database_url = asyncio.run(_fresh_database(servers.database_url))
        migrate(database_url)
        stage = _Stage(
            settings=settings.model_copy(update={"data_dir": directory}),
            console=console,
            seed=seed,
            manners=manners,
            database_url=database_url,
            redis_url=servers.redis_url,
        )
        asyncio.run(stage.play_the_quarter())
        if serve_afterwards:
            # Ctrl-C is how it is meant to end.
            with suppress(KeyboardInterrupt):
                asyncio.run(stage.serve_today())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    settings: Settings
    console: Console
    seed: int
    manners: Manners
    database_url: str
    redis_url: str

    async def play_the_quarter(self) -> None:
        done = await self._enrolled(EDITION, at=BEFORE_THE_START, is_funded=False)
        offset_file = self.settings.data_dir / "demo-clock"
        clock = ShiftedClock.create(offset_file, BEFORE_THE_START)
        stores = {"database_url": SecretStr(self.database_url), "redis_url": SecretStr(self.redis_url)}
        settings, programme_id = self.settings.model_copy(update=stores), done.tills.programme_id
        announced = Deposit(reference=ANNOUNCED, amount_rupiah=done.families * done.entitlement_rupiah)
        async with AsyncExitStack() as stack:
            service = stack.enter_context(self._served(free_port(), self._on(offset_file)))
            connection = await asyncpg.connect(asyncpg_dsn(self.database_url))
            stack.push_async_callback(connection.close)
            stage = Stage(
                connection=connection, settings=settings, programme_id=programme_id, clock=clock, chance=urandom
            )
            directory = self.settings.data_dir / "bank"
            how: Any = {"seed": self.seed, "manners": self.manners}
            beside = bank_beside(stage, directory, service.base_url, offset_file, announced, **how)
            behaviour = behaviour_of(MISBEHAVE[self.manners], self.seed)
            settling = Settling(stage, await stack.enter_async_context(beside), clock, behaviour)
            await settling.money_comes(announced)
            await run_quarter(
                base_url=service.base_url,
                database_url=self.database_url,
                tills=done.tills,
                clock=clock,
                seed=self.seed,
                console=self.console,
                settling=settling,
            )
            await end_programme(settings, programme_id, clock, self.console, settling)
        await self._check(EDITION, clock.estimate())
        again = f"AUTHZ_DATA_DIR={self.settings.data_dir} .venv/bin/authz ledger check"
        self.console.print(f"To check the books again: {again}", soft_wrap=True, highlight=False)

    def _on(self, offset_file: Path) -> dict[str, str]:
        """The quarter's clock; and its signals are computed by the quarter, which knows when a day is over."""
        return {"AUTHZ_CLOCK_OFFSET_FILE": str(offset_file), "AUTHZ_SIGNAL_SECONDS": str(_NEVER_SECONDS)}

    async def serve_today(self) -> None:
        """Until Ctrl-C. Its shops never close, so that the printed purchase is approved at night, too."""
        now = SystemClock().estimate()
        today = now.astimezone(WITA).date()
        done = await self._enrolled(TODAY, at=now, starts_on=today.replace(day=1), ends_on=today + TODAY_LASTS)
        await self._last_cut_off_is_over(done.tills.programme_id)
        people = await self._people_at_the_console([done.tills.programme_id, ProgrammeId(EDITION)], now)
        with self._served(self.settings.port, {"AUTHZ_METRICS_PORT": str(self.settings.metrics_port)}) as service:
            base_url = service.base_url
            self.console.print(f"\nServing [bold]{TODAY}[/] on {base_url}, docs on {base_url}/docs, Ctrl-C ends it.")
            if self.settings.metrics_port:
                self.console.print(f"Metrics for Prometheus: {service.metrics_url}", highlight=False)
            self.console.print(
                f"The console is at [bold]{base_url}/console/[/]; sandbox sign-ins, for synthetic data only:"
            )
            for each in people:
                print(f"  {each.role:<18} {each.sign_in:<11} {each.password}")  # noqa: T201  (to be copied)
            self.console.print("A purchase to paste into another terminal:\n")
            print(a_purchase(base_url, done.tills, now), flush=True)  # noqa: T201  (not wrapped: it is to be pasted)
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                service.require_alive()

    async def _enrolled(
        self,
        programme_id: str,
        *,
        at: datetime,
        starts_on: date | None = None,
        ends_on: date | None = None,
        is_funded: bool = True,
    ) -> Enrolment:
        connection = await asyncpg.connect(asyncpg_dsn(self.database_url))
        try:
            with enrolment_progress(self.console) as told:
                done = await enrol(
                    connection,
                    Keys(self.settings.root_key.get_secret_value()),
                    EDITION,
                    seed=self.seed,
                    at=at,
                    programme_id=programme_id,
                    starts_on=starts_on,
                    ends_on=ends_on,
                    always_open=programme_id == TODAY,
                    is_funded=is_funded,
                    progress=told,
                )
        finally:
            await connection.close()
        done.tills.write(self.settings.data_dir)
        return done

    async def _last_cut_off_is_over(self, programme_id: ProgrammeId) -> None:
        """Its batch is there and empty: the first sale is in the batch that the reader of the README closes."""
        connection = await asyncpg.connect(asyncpg_dsn(self.database_url))
        try:
            await close_what_is_due(
                Stage(
                    connection=connection,
                    settings=self.settings,
                    programme_id=programme_id,
                    clock=SystemClock(),
                    chance=urandom,
                )
            )
        finally:
            await connection.close()

    async def _people_at_the_console(self, programmes: list[ProgrammeId], now: datetime) -> list[SandboxPerson]:
        connection = await asyncpg.connect(asyncpg_dsn(self.database_url))
        try:
            return await employed(connection, Passwords(self.settings, urandom), programmes, now)
        finally:
            await connection.close()

    async def _check(self, programme_id: str, now: datetime) -> None:
        connection = await asyncpg.connect(asyncpg_dsn(self.database_url))
        try:
            findings = await check(connection, programme_id, now=now)
        finally:
            await connection.close()
        render(findings, self.console)
        if any(finding.violations for finding in findings):
            raise DemoFailedError("The books of the quarter are not right: see above.")

    @contextmanager
    def _served(self, port: int, more: dict[str, str]) -> Iterator[Served]:
        environment = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "AUTHZ_ROOT_KEY": self.settings.root_key.get_secret_value(),
            **more,
        }
        log_file = self.settings.data_dir / "service.log"
        stop_seconds = self.settings.stop_seconds
        with served(environment, port, log_file, start_seconds=START_SECONDS, stop_seconds=stop_seconds) as service:
            yield service


def a_purchase(base_url: str, tills: SandboxTills, now: datetime) -> str:
    """A `curl` that gets an approval; pasted again it gets the same one."""
    body = {
        "card_number": tills.cards[0].card_number,
        "stan": "000001",
        "terminal_time": now.astimezone(WITA).isoformat(timespec="seconds"),
        "amount": 107000,
        "currency": "IDR",
        "lines": [
            {
                "category": "beras",
                "product": "beras premium",
                "unit": "kg",
                "quantity": "5",
                "unit_price": 15400,
                "amount": 77000,
            },
            {
                "category": "telur",
                "product": "telur ayam ras",
                "unit": "kg",
                "quantity": "1",
                "unit_price": 30000,
                "amount": 30000,
            },
        ],
    }
    return (
        f"curl -s {base_url}/v1/authorizations \\\n"
        f"  -H {quote(f'Authorization: Bearer {tills.terminals[0].key}')} \\\n"
        f"  -H {quote(f'Idempotency-Key: demo-{int(now.timestamp())}')} \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d {quote(orjson.dumps(body).decode())}\n"
    )


async def _fresh_database(server_url: str) -> str:
    """The demo's directory is its own: its database is empty again, that of an earlier demo is gone."""
    head, question, query = server_url.partition("?")
    server, _, database = head.rpartition("/")
    connection = await asyncpg.connect(asyncpg_dsn(f"{server}/postgres{question}{query}"))
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {database}")
    finally:
        await connection.close()
    return server_url
