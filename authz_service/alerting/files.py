"""Every file that is drawn, by its path in the repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from authz_service.alerting.dashboard import dashboard
from authz_service.alerting.pages import BEGIN, objectives, runbook_head, with_drawn
from authz_service.alerting.panels import DATASOURCE
from authz_service.alerting.rules import DRAWN, GROUPS, alerts, rules_file, tests_files
from authz_service.alerting.yaml_text import as_yaml

RUNBOOKS: Final = "docs/runbooks"
"""Where a runbook is found if nobody says otherwise: its path in the repository."""
METRICS_TARGET: Final = "authz:9464"


def deployed(runbooks: str) -> Iterator[tuple[Path, str]]:
    """What Prometheus and Grafana read; `runbooks` is the address of the folder of runbooks."""
    yield Path("deploy/prometheus/prometheus.yml"), prometheus([METRICS_TARGET])
    for group in GROUPS:
        yield Path(f"deploy/prometheus/rules/{group.name}.yml"), rules_file(group, runbooks)
        for name, content in tests_files(group, runbooks).items():
            yield Path(f"deploy/prometheus/tests/{name}"), content
    yield Path("deploy/grafana/provisioning/datasources/prometheus.yml"), _datasource()
    yield Path("deploy/grafana/provisioning/dashboards/authz.yml"), _provider()
    yield Path("deploy/grafana/dashboards/authz.json"), dashboard()


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """The pages below `root` with their drawn parts; what people wrote in them stays."""
    slo = Path("docs/slo.md")
    yield slo, with_drawn((root / slo).read_text(encoding="utf-8"), objectives())
    for alert in alerts():
        path = Path(f"{RUNBOOKS}/{alert.name}.md")
        page = (root / path).read_text(encoding="utf-8") if (root / path).exists() else f"# {alert.name}\n\n{BEGIN}"
        yield path, with_drawn(page, runbook_head(alert))


def prometheus(targets: list[str], *, every: str = "15s") -> str:
    """Prometheus' own configuration: whom it asks for metrics, and how often."""
    content = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["rules/*.yml"],
        # Who is to be told: a file that says [{targets: [alertmanager:9093]}] is taken as soon as it is there.
        "alerting": {"alertmanagers": [{"file_sd_configs": [{"files": ["alertmanagers/*.yml"]}]}]},
        "scrape_configs": [
            {"job_name": "authz", "static_configs": [{"targets": targets}]},
            {"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]},
        ],
    }
    return DRAWN + as_yaml(content)


def _datasource() -> str:
    source = {
        "name": "Prometheus",
        "type": DATASOURCE["type"],
        "uid": DATASOURCE["uid"],
        "access": "proxy",
        "url": "http://prometheus:9090",
        "isDefault": True,
        "editable": False,
    }
    return DRAWN + as_yaml({"apiVersion": 1, "datasources": [source]})


def _provider() -> str:
    provider = {
        "name": "authz",
        "type": "file",
        "allowUiUpdates": False,
        "disableDeletion": True,
        "options": {"path": "/etc/grafana/dashboards"},
    }
    return DRAWN + as_yaml({"apiVersion": 1, "providers": [provider]})
