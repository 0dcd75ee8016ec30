"""A real Prometheus, with the files of deploy/, scrapes a real service: nothing that it is asked is an error."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from authz_service.alerting.dashboard import expressions
from authz_service.alerting.files import RUNBOOKS, deployed, prometheus
from authz_service.alerting.rules import GROUPS, alerts
from authz_service.serving import free_port
from tests import runbooks
from tests.watchers import a_watcher
from tests.world import PROGRAMME, World

PROMETHEUS: Final = Path("/usr/bin/prometheus")
START_SECONDS: Final = 30
SCRAPED_SECONDS: Final = 15
EMPTY_HERE: Final = {
    "A week ago there was no service": "authz_decisions_total[1h] offset 1w",
    "no bank has been refused": "authz_security_events_total",
    "no statement was read": "authz_reconciliation_statement_age_seconds",
    "no exception is open": "authz_reconciliation_exceptions_open",
    "no invariant is broken": "authz_ledger_violations) > 0",
}
"""Why, and by which part of it: what rightly finds nothing in this world."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str
    http: aiohttp.ClientSession

    async def get(self, path: str, **parameters: str) -> Any:
        async with self.http.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    async def asked(self, expression: str) -> list[Any]:
        found: list[Any] = (await self.get("query", query=chosen(expression)))["result"]
        return found


def chosen(expression: str) -> str:
    """As Grafana fills in its variables."""
    filled = expression.replace("$programme", PROGRAMME).replace("$__rate_interval", "10s").replace("$__range", "1m")
    assert "$" not in filled
    return filled


@pytest.fixture
async def asking(world: World, tmp_path: Path) -> AsyncIterator[Prometheus]:
    """Prometheus, which asks `world` every second; its rules are evaluated every second, too."""
    if not PROMETHEUS.exists() or shutil.which(PROMETHEUS) is None:
        assert not os.environ.get("CI"), "CI installs prometheus"
        pytest.skip(f"{PROMETHEUS} is not there")
    target = world.metrics_url.removeprefix("http://").removesuffix("/metrics")
    for path, content in deployed(RUNBOOKS):
        if path.parts[1] == "prometheus":
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(re.sub(r'interval: "\d+[ms]"', 'interval: "1s"', content), encoding="utf-8")
    folder = tmp_path / "deploy" / "prometheus"
    (folder / "prometheus.yml").write_text(prometheus([target], every="1s"), encoding="utf-8")
    url = f"127.0.0.1:{free_port()}"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [PROMETHEUS, *options, f"--web.listen-address={url}", "--log.level=warn"], stdout=log, stderr=log
        )
    try:
        async with aiohttp.ClientSession() as http:
            await _until_ready(http, f"http://{url}/-/ready")
            yield Prometheus(f"http://{url}", http)
    finally:
        process.terminate()
        process.wait(10)


async def _until_ready(http: aiohttp.ClientSession, url: str) -> None:
    for _ in range(START_SECONDS * 10):
        try:
            async with http.get(url) as response:
                if response.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("Prometheus did not start")


async def _some_trade(world: World) -> None:
    sold = await world.authorise()
    await world.capture(sold["id"])
    await world.authorise(amount=9_000_000)
    await world.balance()


async def test_rules_panels_and_runbooks_ask_what_a_served_programme_answers(world: World, asking: Prometheus) -> None:
    """And of all alerts the one fires for which something has happened: a shop asks for cash."""
    async with a_watcher(world) as watcher:
        await watcher.watch()
        await watcher.add_up(60.0)
        await watcher.books.check()
        await _some_trade(world)
        for _ in range(SCRAPED_SECONDS * 2):
            if await asking.asked('authz_decisions_total{outcome="approved"} > 0'):
                break
            await asyncio.sleep(0.5)
        await _some_trade(world)
        declined = await world.authorise(lines=[{"category": "tunai", "amount": 50_000}])
        assert declined["reason"] == "cash_not_permitted"
        for _ in range(SCRAPED_SECONDS * 2):
            if await asking.asked('ALERTS{alertname="AuthzCashAsked",alertstate="firing"}'):
                break
            await asyncio.sleep(0.5)
        fires = {each["metric"]["alertname"] for each in await asking.asked('ALERTS{alertstate="firing"}')}
        assert fires == {"AuthzCashAsked"}

        groups = (await asking.get("rules"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) == sum(len(group.alerts) + len(group.recorded) for group in GROUPS)
        assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]

        for alert in alerts():
            await asking.asked(alert.expr)
        for page in runbooks.pages().values():
            for line in runbooks.asked_of_prometheus(page):
                await asking.asked(line)
        empty = [
            (panel, expression)
            for panel, expression in expressions()
            if not await asking.asked(expression) and not any(part in expression for part in EMPTY_HERE.values())
        ]
        assert empty == []
