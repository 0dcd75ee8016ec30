"""What is scraped: every name on its page, labels that are bounded, nobody's data, and on a port of its own."""

import os
import re
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from authz_service import cli, metrics
from authz_service.api.snap import ServiceCode
from authz_service.bank.inbox import Kept
from authz_service.clock import monotonic_seconds
from authz_service.desk import Alert
from authz_service.events.schedule import Outcome
from authz_service.exposition import exposition, tell
from authz_service.ledger.invariants import INVARIANTS
from authz_service.main import create_app
from authz_service.metric_kinds import Described, described
from authz_service.metrics_port import metrics_served
from authz_service.reconciliation.findings import State
from authz_service.sealing import Sealer
from authz_service.serving import free_port
from authz_service.settings import Settings
from authz_service.signals.kinds import Action, Signal
from tests.harm import Premises
from tests.metrics_page import BEGIN, END, PAGE, section
from tests.watchers import a_watcher
from tests.world import PROGRAMME, World

PROMTOOL = Path("/usr/bin/promtool")
_SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? \S+")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")
BY_NAME = {each.name: each for each in described()}


def samples(text: str) -> Iterator[tuple[Described, dict[str, str]]]:
    """Each with its metric and its labels, `le` left out."""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        assert match is not None, line
        metric = BY_NAME.get(match["name"]) or BY_NAME[_SUFFIX.sub("", match["name"])]
        labels = dict(re.findall(r'([a-z]+)="([^"]*)"', match["labels"] or ""))
        labels.pop("le", None)
        yield metric, labels


async def everything_scraped(world: World) -> str:
    """After a till's day and all that is watched has been looked at."""
    sold = await world.authorise()
    await world.capture(sold["id"])
    await world.authorise(amount=9_000_000)
    await world.balance()
    async with a_watcher(world) as watcher:
        await watcher.watch()
        await watcher.add_up(60.0)
        await watcher.books.check()
        await Sealer(
            settings=world.settings, pool=watcher.watcher.pool, clock=world.clock, chance=os.urandom
        ).seal_all()
        return await world.scraped()


def test_the_page_is_what_the_code_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert BEGIN + text.partition(BEGIN)[2].partition(END)[0] + END == section(), "run `make docs`"


def test_names_follow_the_conventions() -> None:
    for each in described():
        assert re.fullmatch(r"authz(_[a-z]+)+", each.name)
        assert (each.kind == "counter") == each.name.endswith("_total")
        assert each.meaning.endswith(".")
        assert all(label.values or label.bound for label in each.labels), f"{each.name} has a label without bound"


def test_labels_have_the_values_that_the_code_knows() -> None:
    """Closed sets that stand above the list of metrics."""

    def values(metric: str, label: str) -> set[str]:
        return {value for each in BY_NAME[metric].labels if each.name == label for value in each.values}

    assert values("authz_reconciliation_exceptions_open", "kind") == {each for each in State if each.is_exception}
    assert values("authz_inbox_notices", "standing") == set(Kept) - {Kept.FOLLOWED}
    assert values("authz_event_attempts_total", "outcome") == set(Outcome)
    assert values("authz_signals_total", "signal") == set(Signal)
    assert values("authz_signals_total", "action") == set(Action)
    assert set(Alert) <= values("authz_alerts_total", "kind")
    paths: Any = create_app()._framework.openapi()["paths"]  # type: ignore[attr-defined]
    named = {
        call["operationId"]
        for path, calls in paths.items()
        for call in calls.values()
        if path not in {"/healthz", "/readyz"}
    }
    assert named | {"bank_method", "console", "unknown"} == values("authz_http_requests_total", "call")
    assert len(ServiceCode) == 2


async def test_promtool_finds_nothing_wrong_with_a_real_scrape(world: World) -> None:
    if shutil.which(PROMTOOL) is None:
        assert not os.environ.get("CI"), "CI installs prometheus for promtool"
        pytest.skip(f"{PROMTOOL} is not there")
    text = await everything_scraped(world)
    found = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


async def test_whatever_is_scraped_is_described_and_within_its_bounds(world: World) -> None:
    """And the other way round: everything described is there, but for what nothing has happened of."""
    text = await everything_scraped(world)
    there = set()
    for metric, labels in samples(text):
        there.add(metric.name)
        assert set(labels) == {each.name for each in metric.labels}
        for each in metric.labels:
            value = labels[each.name]
            assert not each.values or value in each.values, (metric.name, value)
            assert re.fullmatch(r"[A-Za-z0-9_.+-]{1,60}", value)
    missing = set(BY_NAME) - there
    assert missing <= {"authz_security_events_total", "authz_reconciliation_statement_age_seconds"}
    asked = {labels["invariant"] for metric, labels in samples(text) if metric.name == "authz_ledger_violations"}
    assert asked == {each.name for each in INVARIANTS}
    assert {labels["programme"] for _, labels in samples(text) if "programme" in labels} == {PROGRAMME}


async def test_odd_requests_make_no_series(world: World) -> None:
    """Addresses, methods, ids and keys that nobody knows; only their statuses are new, and these are few."""

    async def asked(number: int) -> None:
        for method in ("GET", "POST", "PUT", "BREW"):
            for path in (f"/v1/{number}", f"/v1/authorizations/auth_{number}", f"/v1/authorizations/{number}/void"):
                headers = {"authorization": f"Bearer key-{number}", "idempotency-key": f"odd-{number}"}
                async with world.http.request(method, world.base_url + path, headers=headers, data=b"{}"):
                    pass
        await world.authorise(card_number=f"93600000000{number:05d}")
        await world.get(f"/v1/authorizations/auth_{number}")

    await asked(0)
    before = await world.metrics()
    for number in range(1, 6):
        await asked(number)
    assert (await world.metrics()).keys() == before.keys()


async def test_an_answer_counts_for_its_call_also_when_it_is_a_refusal(world: World) -> None:
    before = await world.metrics()
    assert (await world.get("/v1/authorizations/auth_nobody")).status == 404
    assert (await world.authorise(amount=-1)).status == 422
    after = await world.metrics()
    for call, status in (("get_authorisation", 404), ("authorise", 422)):
        name = f'authz_http_requests_total{{call="{call}",status="{status}"}}'
        assert after[name] == before.get(name, 0) + 1


async def test_tills_do_not_see_the_metrics(world: World) -> None:
    async with world.http.get(f"{world.base_url}/metrics") as response:
        assert response.status == 404
    for path, status in (("/", 404), ("/metrics/", 404), ("/metrics?x=1", 200)):
        async with world.http.get(world.metrics_url.removesuffix("/metrics") + path) as response:
            assert response.status == status
    async with world.http.post(world.metrics_url) as response:
        assert response.status == 501


def test_who_hangs_up_at_the_metrics_port_is_no_news(capfd: pytest.CaptureFixture[str]) -> None:
    """The log has one JSON object a line, and the port goes on."""
    with metrics_served("127.0.0.1", 0) as url:
        port = int(re.findall(r":(\d+)/", url)[0])
        for sent in (b"GET /metrics HTTP/1.1\r\n\r\n", b"GET /metr", b"\x16\x03\x01\r\n"):
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(sent)
                    # Closed by a reset, as a scraper does that was killed.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # It has seen them all once their threads have ended.
        until = monotonic_seconds() + 10
        while any("process_request_thread" in each.name for each in threading.enumerate()):
            assert monotonic_seconds() < until
            sleep(0.01)
        with urlopen(url) as response:
            assert response.status == 200
    assert capfd.readouterr() == ("", "")


async def test_the_stages_of_a_sale_are_measured_once_a_batch(world: World) -> None:
    """Its stages are no longer than the sale."""
    before = await world.metrics()
    for _ in range(3):
        assert (await world.authorise()).status == 201
    after = await world.metrics()

    def added(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    stages = [stage for stage in metrics.STAGES if stage != "idempotency"]
    for stage in stages:
        assert added(f'authz_stage_duration_seconds_count{{stage="{stage}"}}') == 3, stage
    assert added('authz_stage_duration_seconds_count{stage="idempotency"}') == 0
    in_turn = sum(added(f'authz_stage_duration_seconds_sum{{stage="{stage}"}}') for stage in set(stages) - {"lock"})
    assert 0 < in_turn < added('authz_http_request_duration_seconds_sum{call="authorise"}')


async def test_a_sale_that_leaves_a_rest_is_partly_approved(world: World) -> None:
    before = await world.metrics()
    lines = [{"category": "ikan_kaleng", "amount": 350_000}, {"category": "ikan_kaleng", "amount": 1_000}]
    reply = await world.authorise(lines=lines, partial_approval=True)
    assert reply["response_code"] == "10"
    after = await world.metrics()
    name = 'authz_decisions_total{outcome="partly_approved",reason="approved"}'
    assert after[name] == before[name] + 1


async def test_the_neighbours_health_and_the_pool_are_told(world: World) -> None:
    running: Any = world.service._running  # type: ignore[union-attr]
    said = await world.metrics()
    assert (said["authz_redis_up"], said["authz_database_up"]) == (1, 1)
    assert 0 < said["authz_database_ping_seconds"] < 5
    assert said['authz_database_pool_limit{pool="office"}'] == Settings().office_pool_size
    idle, used = (said[f'authz_database_pool_connections{{pool="office",state="{each}"}}'] for each in ("idle", "used"))
    assert 1 <= idle + used <= Settings().office_pool_size
    assert running is not None


def test_a_taken_port_is_one_sentence_and_none_is_needed(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "serve", lambda _: None)
    environment = {"DATABASE_URL": premises.database_url, "REDIS_URL": premises.redis_url, "AUTHZ_PORT": "0"}
    with metrics_served("127.0.0.1", 0) as url:
        port = re.findall(r":(\d+)/", url)[0]
        for chosen, code in ((port, 1), ("0", 0), (str(free_port()), 0)):
            own = {**environment, "AUTHZ_METRICS_PORT": chosen}
            result = CliRunner().invoke(cli.app, ["serve", "--sandbox"], env=own)
            assert result.exit_code == code, result.output
            if code:
                said = " ".join(result.output.split())
                assert f"Port {port} of 127.0.0.1 is taken" in said
                assert "set AUTHZ_METRICS_PORT." in said


def test_the_tills_port_is_not_taken_for_it() -> None:
    with pytest.raises(ValueError, match="metrics_port must not be port"):
        Settings(port=9464)


def test_what_was_told_is_whole_and_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In one process as over the files of several."""
    for together in (False, True):
        if together:
            monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        tell("test", [metrics.HOLDS_OPEN.of(1, "old"), metrics.HOLDS_OPEN.of(2, "new")], good_for_seconds=60)
        assert b'authz_holds_open{programme="old"} 1.0' in exposition()
        tell("test", [metrics.HOLDS_OPEN.of(3, "new")], good_for_seconds=60)
        assert b'programme="old"' not in exposition()
        assert b'authz_holds_open{programme="new"} 3.0' in exposition()
        tell("test", [metrics.HOLDS_OPEN.of(3, "new")], good_for_seconds=-1)
        assert b'programme="new"' not in exposition()
