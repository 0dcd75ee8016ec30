"""Alerts, promises and dashboard: drawn from one list, of metrics that there are, and each alert has a page."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from authz_service import metrics
from authz_service.alerting.alert import Severity
from authz_service.alerting.dashboard import expressions
from authz_service.alerting.files import RUNBOOKS, deployed, pages
from authz_service.alerting.rules import GROUPS, alerts, rules_file
from authz_service.alerting.yaml_text import as_yaml
from authz_service.metric_kinds import Described, described
from authz_service.slo import OBJECTIVES, promises
from tests import runbooks

ROOT: Final = Path(__file__).parent.parent
PROMTOOL: Final = Path("/usr/bin/promtool")
METRICS: Final = {each.name: each for each in described()}
_NAME: Final = re.compile(r"\bauthz_[a-z_]+\b")
_SELECTOR: Final = re.compile(r"\b(authz_[a-z_]+)\{([^}]*)\}")
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def every_expression() -> Iterator[tuple[str, str]]:
    """(whose, expression): of alerts, of what is recorded, of panels and of runbooks."""
    for group in GROUPS:
        yield from ((each.name, each.expr) for each in group.alerts)
        yield from ((each.name, each.expr) for each in group.recorded)
    yield from expressions()
    for name, page in runbooks.pages().items():
        yield from ((f"runbook {name}", line) for line in runbooks.asked_of_prometheus(page))


def metric_of(name: str) -> Described | None:
    """The metric by a sample's name; a histogram has three."""
    return METRICS.get(name) or METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name))


def test_what_is_drawn_is_what_the_code_says() -> None:
    for path, content in (*deployed(RUNBOOKS), *pages(ROOT)):
        assert (ROOT / path).read_text(encoding="utf-8") == content, f"{path}: run `make docs`"


def test_nothing_that_was_drawn_once_is_left() -> None:
    drawn = {path for path, _ in deployed(RUNBOOKS)}
    for folder in ("prometheus/rules", "prometheus/tests", "grafana"):
        there = {path.relative_to(ROOT) for path in (ROOT / "deploy" / folder).rglob("*") if path.is_file()}
        assert there <= drawn


@pytest.mark.parametrize("what", ["config", "rules", *(f"tests of {group.name}" for group in GROUPS)])
def test_promtool_agrees(what: str) -> None:
    """Each alert fires where its cases say so, with its texts, and nowhere else."""
    if not PROMTOOL.exists() or shutil.which(PROMTOOL) is None:
        assert not os.environ.get("CI"), "CI installs prometheus for promtool"
        pytest.skip(f"{PROMTOOL} is not there")
    folder = ROOT / "deploy" / "prometheus"
    match what.split():
        case ["config"]:
            command = ["check", "config", "prometheus.yml"]
        case ["rules"]:
            command = ["check", "rules", "--lint=all", "--lint-fatal", *sorted(map(str, folder.glob("rules/*.yml")))]
        case [*_, name]:
            command = ["test", "rules", *sorted(map(str, folder.glob(f"tests/{name}_*.test.yml")))]
    done = subprocess.run([PROMTOOL, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_case_is_in_promtools_files() -> None:
    """And each alert has one that fires and one that does not, which `Alert` itself asks for."""
    tested = [
        test["name"]
        for path, content in deployed(RUNBOOKS)
        if path.name.endswith(".test.yml")
        for test in yaml.safe_load(content)["tests"]
    ]
    assert sorted(tested) == sorted(f"{each.name}: {case.says}" for each in alerts() for case in each.cases)
    assert all(case.not_yet_at for each in alerts() for case in each.cases if case.fired), (
        "a step earlier it was silent"
    )
    for alert in alerts():
        for half in ([case for case in alert.cases if case.fired], [case for case in alert.cases if not case.fired]):
            with pytest.raises(ValueError, match="has no case"):
                replace(alert, cases=tuple(half))


def test_whatever_is_asked_for_is_measured() -> None:
    """Names, labels and, where the values are known, the values."""
    recorded = {each.name for group in GROUPS for each in group.recorded}
    for whose, expression in every_expression():
        for name in re.findall(r"\bslo:[a-z0-9_:]+", expression):
            assert name in recorded, (whose, name)
        for name in _NAME.findall(re.sub(r"\bslo:\S+?(?=[\s{(]|$)", "", expression)):
            assert metric_of(name), (whose, name)
        for name, matchers in _SELECTOR.findall(expression):
            _labels_exist(whose, name, matchers)


def _labels_exist(whose: str, name: str, matchers: str) -> None:
    metric = metric_of(name)
    assert metric, (whose, name)
    labels = {each.name: each.values for each in metric.labels}
    for label, how, value in _MATCHER.findall(matchers):
        if label == "le":
            assert name.endswith("_bucket"), whose
            continue
        assert label in labels, (whose, name, label)
        if labels[label] and "$" not in value:
            parts = value.split("|") if how in {"=~", "!~"} else [value]
            for part in set(parts):
                assert any(re.fullmatch(part, known) for known in labels[label]), (whose, name, label, part)


def test_what_the_service_calls_operators_for_is_an_alert() -> None:
    kinds = next(label.values for label in METRICS["authz_alerts_total"].labels)
    asked = {kind for each in alerts() for kind in re.findall(r'authz_alerts_total\{kind="(\w+)"\}', each.expr)}
    assert set(kinds) - {"ledger_violation"} == asked, "ledger_violation is AuthzLedgerViolation's"


def test_every_call_is_promised_something_once() -> None:
    calls = next(label.values for label in METRICS["authz_http_requests_total"].labels if label.name == "call")
    promised = [call for each in OBJECTIVES for call in each.calls]
    assert len(promised) == len(set(promised))
    assert set(promised) == set(calls) - {"unknown"}


def test_a_limit_is_a_bucket_or_it_could_not_be_measured() -> None:
    buckets = metrics._SECONDS
    assert {each.limit_seconds for each in OBJECTIVES} <= set(buckets)


def test_the_promises_are_told_and_faults_begin_at_zero() -> None:
    from authz_service.exposition import exposition  # noqa: PLC0415  (counts in this process, whatever else ran)

    said = exposition().decode()
    for each in promises():
        assert f'authz_slo_objective_ratio{{slo="{each.slo}"}} {each.ratio}' in said
        if each.limit_seconds is not None:
            assert f'authz_slo_latency_limit_seconds{{slo="{each.slo}"}} {each.limit_seconds}' in said
        for call in each.of.calls:
            for status in (500, 503):
                assert f'authz_http_requests_total{{call="{call}",status="{status}"}} ' in said


def test_an_alert_is_whole() -> None:
    names = [each.name for each in alerts()]
    assert len(set(names)) == len(names)
    for each in alerts():
        assert re.fullmatch(r"Authz([A-Z][a-z]+)+", each.name)
        assert re.fullmatch(r"\d+[mhd]", each.holds_for)
        assert each.severity in Severity
        assert not each.summary.endswith(".")
        assert each.description.endswith(".")
        assert each.reason.endswith(".")


def test_the_address_of_the_runbooks_is_the_deployments() -> None:
    for group in GROUPS:
        for rule in yaml.safe_load(rules_file(group, "https://wiki.example/authz/"))["groups"][0]["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook_url"] == f"https://wiki.example/authz/{rule['alert']}.md"


@pytest.mark.parametrize(
    "value",
    [
        {"a": "b", "groups": [{"name": "x", "rules": [{"expr": 'a{b="c"}\nor d', "for": "5m"}]}]},
        {
            "on": True,
            "true": "yes",
            "number": 3,
            "text": "3",
            "empty": [],
            "none": {},
            "colon": "a: b",
            "hash": "a # b",
        },
        {"lists": [["a", "b"], ["- c"]], "space": " a ", "quote": "it's", "percent": "{{ $value }} %", "long": "é"},
    ],
)
def test_yaml_reads_what_was_written(value: Any) -> None:
    assert yaml.safe_load(as_yaml(value)) == value
