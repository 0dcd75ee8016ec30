"""The rules and their tests, as Prometheus and promtool read them."""

import re
from collections.abc import Iterator
from typing import Any, Final

from authz_service.alerting.alert import Alert, Case, Fired, Group
from authz_service.alerting.bank import BANK
from authz_service.alerting.books import BOOKS
from authz_service.alerting.burn import BURN
from authz_service.alerting.counter import COUNTER
from authz_service.alerting.machine import MACHINE
from authz_service.alerting.yaml_text import as_yaml

GROUPS: Final = (BURN, MACHINE, COUNTER, BANK, BOOKS)
DRAWN: Final = "# Drawn from authz_service/alerting and authz_service/slo.py by `make docs`: change it there.\n"
_LABEL: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE: Final = re.compile(r"\{\{ \$value[^}]*\}\}")


def alerts() -> Iterator[Alert]:
    for group in GROUPS:
        yield from group.alerts


def rules_file(group: Group, runbooks: str) -> str:
    """The group's file; each alert's page is `runbooks`/NAME.md."""
    recorded = [{"record": each.name, "expr": each.expr, "labels": dict(each.labels)} for each in group.recorded]
    alerting = [
        {
            "alert": each.name,
            "expr": each.expr,
            "for": each.holds_for,
            "labels": {"severity": each.severity},
            "annotations": _annotations(each, each.description, runbooks),
        }
        for each in group.alerts
    ]
    rules = [*recorded, *alerting]
    return DRAWN + as_yaml({"groups": [{"name": f"authz_{group.name}", "interval": group.interval, "rules": rules}]})


def tests_files(group: Group, runbooks: str) -> dict[str, str]:
    """The group's cases for `promtool test rules`, a file for each step of time."""
    files = {}
    for every in sorted({case.every for alert in group.alerts for case in alert.cases}):
        tests = [_test(alert, case, runbooks) for alert in group.alerts for case in alert.cases if case.every == every]
        content = {"rule_files": [f"../rules/{group.name}.yml"], "evaluation_interval": every, "tests": tests}
        files[f"{group.name}_{every}.test.yml"] = DRAWN + as_yaml(content)
    return files


def _test(alert: Alert, case: Case, runbooks: str) -> dict[str, Any]:
    expected = [
        {
            "exp_labels": {**fired.labels, "severity": alert.severity},
            "exp_annotations": _annotations(alert, _read(alert.description, fired), runbooks),
        }
        for fired in case.fired
    ]
    before = [] if case.not_yet_at is None else [case.not_yet_at]
    return {
        "name": f"{alert.name}: {case.says}",
        "interval": case.every,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [
            *({"eval_time": at, "alertname": alert.name, "exp_alerts": []} for at in before),
            {"eval_time": case.at, "alertname": alert.name, "exp_alerts": expected},
        ],
    }


def _annotations(alert: Alert, description: str, runbooks: str) -> dict[str, str]:
    return {
        "summary": alert.summary,
        "description": description,
        "runbook_url": f"{runbooks.rstrip('/')}/{alert.name}.md",
    }


def _read(description: str, fired: Fired) -> str:
    """The description as it reads when this has fired."""
    with_labels = _LABEL.sub(lambda found: fired.labels[found[1]], description)
    return _VALUE.sub(fired.value, with_labels)
