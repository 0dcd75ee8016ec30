"""Books of any size, as the service would have left them, in minutes: `authz ledger check` accepts them.

A small programme is enrolled and one purchase is made by the service itself. Its rows are the pattern of all others,
which the server then writes by itself: families by COPY and by numbers, purchases with the journal and the answer that
the service gave, each with ids, times and a receipt of its own. Indexes are built when the rows are there.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import orjson

from authz_service.clock import monotonic_seconds
from authz_service.database import REVISION, Connection, migrate
from authz_service.embedded import Servers
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.sandbox import SandboxTerminal, SandboxTills
from authz_service.keys import KEY_ID, Keys
from authz_service.serving import free_port
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import new_id, with_luhn
from loadtests import books_statements as sql
from loadtests.families import url_of
from loadtests.scene import NO_END_RUPIAH, bench_edition, service_of
from loadtests.traffic import PERMITTED

PROGRAMME: Final = "growth"
CARD_PREFIX: Final = "936001"
"""Not the edition's, so that no number is drawn twice."""
_ENROLLED_PART: Final = 100
_ENROLLED: Final = (350, 10_000)
"""One family in a hundred is enrolled by the real enrolment, within these bounds; each companion has some of them."""
SMALLEST: Final = _ENROLLED[0] + 1
"""Families: who is enrolled does not go shopping, and somebody must."""
_PAST: Final = timedelta(days=300)
_QUIET: Final = timedelta(days=2)
"""No purchase of the past is younger: whatever was held is over."""
_SLICE: Final = 200_000
_WRITERS: Final = 2
BYTES_A_FAMILY: Final = 1_700
BYTES_A_PURCHASE: Final = 4_900
"""On disk with indexes, measured, and a little more."""
GROWN: Final = (
    *("beneficiary", "card", "account", "wallet", "allowance"),
    *("request_key", "authorisation", "hold", "transfer"),
)
"""What is filled."""

_CARD_COLUMNS: Final = (
    *("programme_id", "card_id", "beneficiary_id", "card_digest", "key_id", "last_four", "status", "expires_on"),
)
_CARDS_AT_ONCE: Final = 2_000

Told = Callable[[str], None]
_Job = tuple[str, tuple[Any, ...]]


class DiskTooSmallError(Exception):
    """The books would not leave the disk the room that it must keep."""

    def __init__(self, *, families: int, needed: int, free: int, kept: int) -> None:
        super().__init__(
            f"{families} families with their purchases need about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free,"
            f" of which {kept / 1e9:.0f} GB are to stay free: choose fewer, or another --data-dir."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """So many families, and so many authorisations in their past."""

    families: int
    purchases: int

    @property
    def bytes_on_disk(self) -> int:
        return self.families * BYTES_A_FAMILY + self.purchases * BYTES_A_PURCHASE


class Cards(Sequence[str]):
    """The numbers of all families' cards, each made when it is asked for."""

    def __init__(self, families: int) -> None:
        self._families = families

    def __len__(self) -> int:
        return self._families

    def __getitem__(self, n: Any) -> Any:
        if not 0 <= n < self._families:
            raise IndexError(n)
        return card_number(n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Books as they were filled."""

    families: int
    purchases: int
    fill_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A database that is filled, and what plays its tills."""

    database_url: str
    name: str
    """Of the database."""
    made: Made
    cards: Cards
    tills: tuple[SandboxTerminal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """What the service wrote about one purchase."""

    journal: str
    answer: str
    """With %1$s for the authorisation, %2$s the approval code, %3$s the shop, %4$s the till, %5$s the STAN,
    %6$s and %7$s when it was made and expires, %8$s the last of the card, %9$s the time on the receipt."""
    amount_rupiah: int


def fitting(size: Size, data_dir: Path, *, kept_bytes: int) -> Size:
    """`size`, with as many purchases as the disk allows; DiskTooSmallError, if it has no room for the families."""
    free = shutil.disk_usage(data_dir).free
    room = free - kept_bytes - size.families * BYTES_A_FAMILY
    if room < 0:
        raise DiskTooSmallError(families=size.families, needed=size.bytes_on_disk, free=free, kept=kept_bytes)
    return Size(families=size.families, purchases=min(size.purchases, room // BYTES_A_PURCHASE))


def fill(servers: Servers, size: Size, data_dir: Path, told: Told) -> None:
    """A new database is full: every invariant holds, statistics are new, nothing is left for a vacuum to do."""
    began, room = monotonic_seconds(), _room(data_dir, size.families)
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    database, url = _name(size.families), url_of(servers, _name(size.families))
    asyncio.run(execute(servers.database_url, f"DROP DATABASE IF EXISTS {database}"))
    asyncio.run(execute(servers.database_url, f"CREATE DATABASE {database}"))
    migrate(url)
    tills = asyncio.run(_enrol(url, size, room))
    told("enrolled by the service; one purchase is made over HTTP")
    pattern = _made_by_the_service(servers, url, tills, room)
    asyncio.run(_Filling(url, size, pattern, told).run())
    tills.write(room)
    made = Made(families=size.families, purchases=size.purchases, fill_seconds=monotonic_seconds() - began)
    # Last: without it the books are half made.
    (room / REVISION).write_bytes(orjson.dumps(asdict(made)))


def is_there(data_dir: Path, families: int) -> bool:
    """Books of this size were filled, under the schema of today."""
    return (_room(data_dir, families) / REVISION).exists()


def opened(servers: Servers, data_dir: Path, families: int) -> Books:
    """The books of this size, which are there."""
    room = _room(data_dir, families)
    return Books(
        database_url=url_of(servers, _name(families)),
        name=_name(families),
        made=Made(**orjson.loads((room / REVISION).read_bytes())),
        cards=Cards(generated(families)),
        tills=SandboxTills.load(SandboxTills.path(room, PROGRAMME)).terminals,
    )


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _name(families: int) -> str:
    return f"growth_{families}"


def _room(data_dir: Path, families: int) -> Path:
    """What belongs to these books and is not in the database."""
    return data_dir / _name(families)


def enrolled(families: int) -> int:
    """How many of them the real enrolment enters."""
    least, most = _ENROLLED
    return min(max(families // _ENROLLED_PART, least), most)


def generated(families: int) -> int:
    """How many of them are written by number; these go shopping."""
    return families - enrolled(families)


def card_number(n: int) -> str:
    return with_luhn(f"{CARD_PREFIX}{n:09d}")


async def _enrol(database_url: str, size: Size, data_dir: Path) -> SandboxTills:
    edition = bench_edition(data_dir, enrolled(size.families))
    terms = edition / "programme.toml"
    funding = f"funding_rupiah = {size.families * NO_END_RUPIAH}"
    lines = [funding if line.startswith("funding") else line for line in terms.read_text(encoding="utf-8").splitlines()]
    terms.write_text("\n".join(lines), encoding="utf-8")
    connection = await asyncpg.connect(database_url)
    try:
        keys, at = Keys(SANDBOX_ROOT_KEY), datetime.now(UTC) - _PAST - timedelta(days=1)
        done = await enrol(connection, keys, str(edition), seed=1, at=at, programme_id=PROGRAMME, always_open=True)
    finally:
        await connection.close()
    return done.tills


def _made_by_the_service(servers: Servers, database_url: str, tills: SandboxTills, data_dir: Path) -> _Pattern:
    """One purchase over HTTP, captured at once; it stays in the books."""
    port = free_port()
    with service_of(servers, database_url, port, data_dir):
        return asyncio.run(_bought(database_url, f"http://127.0.0.1:{port}", tills))


async def _bought(database_url: str, base_url: str, tills: SandboxTills) -> _Pattern:
    till, card = tills.terminals[0], tills.cards[0]
    stan, terminal_time = "913579", datetime.now(UTC)
    body = {"card_number": card.card_number, "stan": stan, "terminal_time": terminal_time.isoformat(), "capture": True}
    headers = {
        "Authorization": f"Bearer {till.key}",
        "Idempotency-Key": "the-pattern",
        "Content-Type": "application/json",
    }
    async with aiohttp.ClientSession(base_url, headers=headers) as session:
        reply = await session.post("/v1/authorizations", data=orjson.dumps({**body, **PERMITTED}))
        answer = (await reply.read()).decode()
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow("SELECT * FROM authorisation WHERE answer = $1", answer.encode())
    finally:
        await connection.close()
    if row is None:
        raise RuntimeError(f"The pattern was not approved: {answer}")
    said = orjson.loads(answer)
    shown = datetime.fromisoformat(said["created_at"]).strftime("%d-%m-%Y %H:%M")
    of_its_own = (said["id"], said["approval_code"], said["merchant_id"], said["terminal_id"], stan,
                  said["created_at"], said["expires_at"], card.card_number[-4:], shown)  # fmt: skip
    answer = answer.replace("%", "%%")
    for place, text in enumerate(of_its_own, start=1):
        # The last of a card is four digits, which may stand in an amount, too.
        own, mark = (f"**** {text}", f"**** %{place}$s") if place == len(of_its_own) - 1 else (text, f"%{place}$s")
        if own not in answer:
            raise RuntimeError(f"The pattern does not say {own}.")
        answer = answer.replace(own, mark)
    return _Pattern(journal=row["journal"], answer=answer, amount_rupiah=row["approved_rupiah"])


class _Filling:
    """One filling of one database."""

    def __init__(self, database_url: str, size: Size, pattern: _Pattern, told: Told) -> None:
        now = datetime.now(UTC)
        self._url = database_url
        self._families, self._purchases = generated(size.families), size.purchases
        self._pattern, self._told = pattern, told
        self._entered = now - _PAST - timedelta(hours=1)
        self._time_part = new_id("", self._entered, bytes(10))[1:11]
        self._first_ms = int((now - _PAST).timestamp() * 1000)
        self._step_ms = max(1, int((_PAST - _QUIET).total_seconds() * 1000) // max(size.purchases, 1))

    async def run(self) -> None:
        async with self._connected() as connection:
            indexes = await connection.fetch(sql.INDEXES, list(GROWN))
            await _take_down(connection, indexes)
            zone = await connection.fetchval("SELECT zone FROM programme WHERE programme_id = $1", PROGRAMME)
            jobs = self._jobs(zone)
            # What takes long begins first, and two write at a time: one alone leaves a core idle.
            await asyncio.gather(self._cards(), *(self._worked_off(jobs) for _ in range(_WRITERS)))
            self._told("wallets and allowances")
            theirs = f"ben_{self._time_part}%"
            await connection.execute(sql.WALLETS, PROGRAMME, NO_END_RUPIAH, theirs)
            await connection.execute(sql.ALLOWANCES, PROGRAMME, theirs)
            self._told("vacuum")
            await connection.execute(f"VACUUM (FREEZE) {', '.join(GROWN)}")
        await self._put_up(indexes)

    def _jobs(self, zone: str) -> Iterator[_Job]:
        """Statement, numbers and arguments, a slice at a time."""
        amount, pattern = self._pattern.amount_rupiah, self._pattern
        family = (self._time_part,)
        purchase = (self._first_ms, self._step_ms, self._families)
        statements: list[tuple[str, int, tuple[Any, ...]]] = [
            (sql.AUTHORISATIONS, self._purchases, (*purchase, *family, pattern.journal, pattern.answer, amount, zone)),
            (sql.TRANSFERS, self._purchases, (*purchase, *family, amount)),
            (sql.HOLDS, self._purchases, (*purchase, *family, amount, zone)),
            (sql.KEYS, self._purchases, purchase),
            (sql.GRANTS, self._families, (*family, NO_END_RUPIAH, self._entered)),
            (sql.BENEFICIARIES, self._families, (*family, self._entered.date())),
            (sql.ACCOUNTS, self._families, family),
        ]
        for statement, numbers, arguments in statements:
            self._told(statement.split()[statement.split().index("INTO") + 1])
            for first in range(0, numbers, _SLICE):
                yield statement, (first, min(first + _SLICE, numbers) - 1, *arguments)

    async def _worked_off(self, jobs: Iterator[_Job]) -> None:
        async with self._connected() as connection:
            await connection.execute(sql.FUNCTIONS)
            await connection.execute(sql.TILLS, PROGRAMME)
            await connection.execute(sql.COMPANIONS, PROGRAMME)
            for statement, arguments in jobs:
                await connection.execute(statement, PROGRAMME, *arguments)

    async def _cards(self) -> None:
        """Only Python knows the digest of a card's number."""
        async with self._connected() as connection:
            await connection.copy_to_table("card", source=self._card_lines(), columns=_CARD_COLUMNS)

    async def _card_lines(self) -> AsyncIterator[bytes]:
        digest = Keys(SANDBOX_ROOT_KEY).card_digest
        expires = self._entered.date().replace(day=1, year=self._entered.year + 5)
        for first in range(0, self._families, _CARDS_AT_ONCE):
            lines = []
            for n in range(first, min(first + _CARDS_AT_ONCE, self._families)):
                number = card_number(n)
                lines.append(
                    f"{PROGRAMME}\t{self._id('crd', n)}\t{self._id('ben', n)}\t\\\\x{digest(number).hex()}\t{KEY_ID}"
                    f"\t{number[-4:]}\tactive\t{expires}\n"
                )
            yield "".join(lines).encode()

    def _id(self, prefix: str, n: int) -> str:
        """As the statements make it."""
        return f"{prefix}_{self._time_part}{md5(f'{prefix}{n}'.encode(), usedforsecurity=False).hexdigest()[:16]}"

    async def _put_up(self, indexes: Sequence[asyncpg.Record]) -> None:
        """Keys and indexes are as they were, two built at a time; the statistics are new."""
        rest = iter(indexes)

        async def built() -> None:
            async with self._connected() as connection:
                for index in rest:
                    self._told(f"index {index['name']}")
                    await connection.execute(index["made"])

        await asyncio.gather(*(built() for _ in range(_WRITERS)))
        async with self._connected() as connection:
            self._told("statistics")
            # Once more, although the rows are frozen: only now there are indexes whose pages can be counted.
            await connection.execute("VACUUM (ANALYZE)")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self._url, server_settings={"timezone": "UTC"})
        try:
            await connection.execute(sql.QUICKLY)
            yield connection
        finally:
            await connection.close()


async def _take_down(connection: Connection, indexes: Sequence[asyncpg.Record]) -> None:
    for index in indexes:
        if index["is_constraint"]:
            await connection.execute(f'ALTER TABLE {index["of_table"]} DROP CONSTRAINT "{index["name"]}"')
        else:
            await connection.execute(f"DROP INDEX {index['name']}")
