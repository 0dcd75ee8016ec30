"""Several workers of one instance and several instances: one card, one key, one count, and nothing lost."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from time import monotonic, time

import aiohttp
import asyncpg
import pytest
from typer.testing import CliRunner

from authz_service import cli
from authz_service.database import WATCH_CONNECTIONS
from authz_service.serving import NotServedError
from authz_service.settings import Settings
from authz_service.watching.watcher import LOCK
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.harm import Premises
from tests.instances import REPLACED_WITHIN_SECONDS, WORKERS, Instance, Instances, instances, is_running
from tests.world import PROGRAMME, Reply, World, answered

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux says who answers")


@pytest.fixture
async def one_instance(premises: Premises) -> AsyncIterator[Instances]:
    async with instances(premises, 1) as it:
        yield it


@pytest.fixture(scope="module")
async def two_instances(
    cluster: Cluster, enrolled: EnrolledTemplate, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Instances]:
    """For all tests that do them no harm; each has families of its own."""
    async for url in _database(cluster, f"TEMPLATE {enrolled.database}"):
        directory = tmp_path_factory.mktemp("instances")
        async with instances(Premises(url, cluster.servers.redis_url, enrolled.tills, directory), 2) as they:
            yield they


async def test_a_storm_on_one_card_is_approved_as_far_as_the_month_allows_and_no_further(
    two_instances: Instances,
) -> None:
    """Forty purchases at once, ten at each of four workers; each would fit alone, and the month has two packages."""
    world = two_instances.world
    card = world.tills.cards[50]
    async with two_instances.lines(each=10) as lines:
        tills = zip(lines, cycle(world.tills.terminals), strict=False)
        replies = await asyncio.gather(
            *(
                answered(line.authorise, key=f"storm-{n}", till=till, card_number=card.card_number)
                for n, (line, till) in enumerate(tills)
            )
        )
    assert Counter(reply["reason"] for reply in replies) == {"approved": 2, "packages_used_up": 38}
    assert len({reply["id"] for reply in replies}) == 40
    assert await world.wallet(card) == (1_500_000, 300_000, 0)
    await world.books_balance()


async def test_the_same_request_at_every_worker_at_once_gets_one_answer(two_instances: Instances) -> None:
    """Twelve sales, each sent to four workers of two instances at the same time; the same bytes, and one decides."""
    world = two_instances.world
    cards, before = world.tills.cards[100:112], await world.counts()
    replays_before = await _replays(two_instances)
    sales = {f"once-{n}": world.a_purchase(card_number=card.card_number) for n, card in enumerate(cards)}
    async with two_instances.lines(each=len(sales)) as lines:
        free = iter(lines)
        sent = [(key, answered(next(free).sell, body, key)) for _ in range(4) for key, body in sales.items()]
        replies = await asyncio.gather(*(request for _, request in sent))
    by_key: dict[str, list[Reply]] = {key: [] for key in sales}
    for (key, _), reply in zip(sent, replies, strict=True):
        by_key[key].append(reply)
    for answers in by_key.values():
        assert len({(reply.status, reply.raw) for reply in answers}) == 1
        assert answers[0]["decision"] == "approved"
        assert sum("idempotent-replayed" not in reply.headers for reply in answers) <= 1
    replayed = sum("idempotent-replayed" in reply.headers for reply in replies)
    assert await _replays(two_instances) - replays_before == replayed
    after = await world.counts()
    assert {table: after[table] - before[table] for table in ("authorisation", "request_key", "hold")} == {
        "authorisation": 12,
        "request_key": 12,
        "hold": 12,
    }
    await world.books_balance()


async def _replays(instances: Instances) -> float:
    """As all instances count them."""
    said = [await instance.metrics(instances.world) for instance in instances.all]
    return sum(each["authz_replays_total"] for each in said)


async def test_each_request_counts_once_whichever_worker_answers_and_whichever_is_asked(
    two_instances: Instances,
) -> None:
    """And only at its own instance, although both write below one directory."""
    world, (instance, other) = two_instances.world, two_instances.all
    cards = iter(world.tills.cards[200:])
    async with instance.lines(world, each=3) as lines, other.lines(world, each=1) as other_lines:
        before, other_before = await instance.metrics(world), await other.metrics(world)
        for line in lines:
            for _ in range(5):
                assert (await line.authorise(card_number=next(cards).card_number))["decision"] == "approved"
            for _ in range(3):
                assert (await line.authorise(amount=300_001))["decision"] == "declined"
            for _ in range(2):
                assert (await line.balance()).status == 200
            assert (await line.get("/v1/authorizations/auth_unknown")).status == 404
        for line in lines:
            after = await instance.metrics(line)
            assert {name: after[name] - before.get(name, 0) for name in after if _is_of_tills(name, after, before)} == {
                'authz_decisions_total{outcome="approved",reason="approved"}': 6 * 5,
                'authz_decisions_total{outcome="declined",reason="package_cap_exceeded"}': 6 * 3,
                'authz_http_requests_total{call="authorise",status="201"}': 6 * 8,
                'authz_http_requests_total{call="balance_inquiry",status="200"}': 6 * 2,
                'authz_http_requests_total{call="get_authorisation",status="404"}': 6,
            }
            assert after["authz_lanes_alive"] == WORKERS * Settings().lanes
        for line in other_lines:
            after = await other.metrics(line)
            assert not [name for name in after if _is_of_tills(name, after, other_before)]


def _is_of_tills(name: str, after: dict[str, float], before: dict[str, float]) -> bool:
    """A count of decisions or answers that has changed."""
    counts = ("authz_decisions_total{", "authz_http_requests_total{")
    return name.startswith(counts) and after[name] != before.get(name, 0)


async def test_an_instance_opens_no_more_connections_than_its_workers_may(two_instances: Instances) -> None:
    """Sales and office reads at once, more than there are connections for; the supervisors have none of their own."""
    world, settings, open_at_once = two_instances.world, Settings(), []
    operator = world.tills.operators[0].key
    workers = 2 * WORKERS

    async def read(line: World) -> None:
        assert (await line.get("/v1/authorizations", headers={"authorization": f"Bearer {operator}"})).status == 200

    async with two_instances.lines(each=16) as lines:
        at_once = [read(line) if n % 4 else answered(line.authorise, key=f"at-{n}") for n, line in enumerate(lines)]
        storm = asyncio.gather(*at_once)
        while not storm.done():
            rows = await world.database.fetch(
                "SELECT application_name, count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1"
            )
            open_at_once.append({row[0]: row[1] for row in rows})
        await storm
    assert {each["authz-hot"] for each in open_at_once} == {workers * settings.lanes}
    assert workers < max(each["authz-office"] for each in open_at_once) <= workers * settings.office_pool_size
    assert {each["authz-console"] for each in open_at_once} == {workers}  # nobody is at the console
    # Of all workers of both instances one watches.
    assert all(each.pop("authz-watch", 0) <= WATCH_CONNECTIONS for each in open_at_once)
    assert {name for each in open_at_once for name in each} == {"authz-hot", "authz-office", "authz-console"}


async def test_a_killed_worker_is_replaced_and_every_sale_gets_its_one_answer(one_instance: Instances) -> None:
    """SIGKILL in the middle of traffic. What it has counted stays counted, its lanes are no longer alive."""
    world, (instance,) = one_instance.world, one_instance.all
    cards = world.tills.cards
    sales = {f"kill-{n}": world.a_purchase(card_number=cards[n % 60].card_number) for n in range(180)}
    killed, counted = instance.workers()[0], [0.0]

    async def watch() -> None:
        while True:
            with suppress(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                counted.append(decisions_in(await instance.metrics(world)))
            await asyncio.sleep(0.05)

    async def some(start: int) -> dict[str, Reply]:
        return {key: await answered(world.sell, body, key) for key, body in list(sales.items())[start::12]}

    watching = asyncio.create_task(watch())
    selling = asyncio.gather(*map(some, range(12)))
    while (await world.counts())["authorisation"] < 30:
        await asyncio.sleep(0.005)
    os.kill(killed, signal.SIGKILL)
    replies = {key: reply for each in await selling for key, reply in each.items()}
    assert Counter(reply["reason"] for reply in replies.values()) == {"approved": 120, "packages_used_up": 60}
    assert len(await instance.replaced(killed)) == WORKERS
    async with one_instance.lines(each=1) as lines:
        for key, body in sales.items():
            for line in lines:
                again = await line.sell(body, key)
                assert (again.status, again.raw) == (replies[key].status, replies[key].raw)
        watching.cancel()
        said = [await instance.metrics(world) for _ in lines]
    assert counted == sorted(counted)
    # What the killed one had written and not counted yet: no till had more than one sale on its way.
    for each in said:
        assert max(counted) <= decisions_in(each)
        assert len(sales) - 12 <= decisions_in(each) <= len(sales)
        assert each["authz_lanes_alive"] == WORKERS * Settings().lanes
    assert (await world.counts())["authorisation"] == len(sales)
    await world.books_balance()


async def test_when_the_worker_that_watches_is_killed_another_one_goes_on(premises: Premises) -> None:
    """What it told is told once, by whichever worker, and goes on being told; of the processes one watches."""
    holds = f'authz_holds_expiring{{programme="{PROGRAMME}"}}'

    async def watched_since(instance: Instance, world: World, instant: float) -> dict[str, float]:
        until = monotonic() + REPLACED_WITHIN_SECONDS
        while (said := await instance.metrics(world)).get("authz_watch_timestamp_seconds", 0.0) < instant:
            assert monotonic() < until, "nobody watches"
            await asyncio.sleep(0.05)
        return said

    async with instances(premises, 1, watch_seconds=1.0) as they:
        world, (instance,) = they.world, they.all
        assert (await watched_since(instance, world, 1.0))[holds] == 0
        await answered(world.authorise, key="held")
        world.later(hours=23, minutes=30)
        assert (await watched_since(instance, world, time() + 1.0))[holds] == 1
        locks = await world.database.fetchval(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.objid = $1",
            LOCK[1],
        )
        assert locks == 1
        for worker in instance.workers():
            os.kill(worker, signal.SIGKILL)
            await instance.replaced(worker)
            assert (await watched_since(instance, world, time() + 1.0))[holds] == 1


def decisions_in(said: dict[str, float]) -> float:
    return sum(value for name, value in said.items() if name.startswith("authz_decisions_total"))


async def test_a_worker_that_dies_while_the_database_is_away_is_replaced_when_it_is_back(
    one_instance: Instances, cluster: Cluster
) -> None:
    """Whoever starts meanwhile cannot; that must not end the others, who are ready again at once."""
    world, (instance,) = one_instance.world, one_instance.all
    name = await world.database.fetchval("SELECT current_database()")
    async with one_instance.lines(each=1):
        # Both have started: whoever is still at it is not one that serves.
        killed, other = instance.workers()
    server = await asyncpg.connect(cluster.servers.database_url)
    try:
        await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await world.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'authz%'"
            " AND datname = current_database()"
        )
        os.kill(killed, signal.SIGKILL)
        first, *_ = await instance.replaced(killed, but=other)
        while is_running(first):
            await asyncio.sleep(0.05)
        await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    finally:
        await server.close()
    assert other in await instance.replaced(first)
    async with one_instance.lines(each=1) as lines:
        for line in lines:
            assert (await answered(line.authorise, key=line.fresh_key())).status == 201


async def test_a_fault_that_no_start_would_heal_ends_the_service(premises: Premises) -> None:
    """Its supervisor gives up, so that whoever started it knows, instead of starting workers for ever."""
    nowhere = {"clock_offset_file": premises.directory / "not there" / "clock"}
    with pytest.raises(NotServedError, match="ended with exit code"):
        async with instances(premises, 1, **nowhere):
            pass


async def test_workers_end_with_their_supervisor(one_instance: Instances) -> None:
    """Killed, not stopped: nobody is left behind who holds the port and answers tills unsupervised."""
    (instance,) = one_instance.all
    workers = instance.workers()
    instance.service.process.kill()
    for _ in range(200):
        if not any(map(is_running, workers)):
            return
        await asyncio.sleep(0.05)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    raise AssertionError("a worker outlived its supervisor")


def test_the_number_of_workers_can_be_typed(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[int] = []
    monkeypatch.setattr(cli, "serve", lambda settings: served.append(settings.workers))
    environment = {
        "DATABASE_URL": premises.database_url,
        "REDIS_URL": premises.redis_url,
        "AUTHZ_PORT": "0",
        "AUTHZ_METRICS_PORT": "0",
    }
    for words in (["--workers", "3"], []):
        result = CliRunner().invoke(cli.app, ["serve", "--sandbox", *words], env={**environment, "AUTHZ_WORKERS": "2"})
        assert result.exit_code == 0, result.output
    assert served == [3, 2]


def test_more_workers_than_postgresql_has_connections_for_are_refused(
    premises: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 connections three are kept for others, a worker may open nine and who watches three: 21 have room."""
    served: list[int] = []
    monkeypatch.setattr(cli, "serve", lambda settings: served.append(settings.workers))
    environment = {
        "DATABASE_URL": premises.database_url,
        "REDIS_URL": premises.redis_url,
        "AUTHZ_PORT": "0",
        "AUTHZ_METRICS_PORT": "0",
    }
    for workers, code in ((21, 0), (22, 1)):
        result = CliRunner().invoke(cli.app, ["serve", "--sandbox", "--workers", str(workers)], env=environment)
        assert result.exit_code == code, result.output
    assert "PostgreSQL takes 197 connections and 22 workers may open 201" in " ".join(result.output.split())
    assert served == [21]
