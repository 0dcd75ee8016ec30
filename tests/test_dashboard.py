"""The dashboard's file, and the compose file that provisions it. What its panels ask, `test_prometheus.py` asks."""

import json
import re
from pathlib import Path
from typing import Final

import yaml

from authz_service.alerting.dashboard import ROWS, dashboard, expressions
from authz_service.alerting.panels import COLUMNS, DATASOURCE

ROOT: Final = Path(__file__).parent.parent


def test_the_dashboard_is_whole() -> None:
    """Ids and places of its panels are their own, each query goes to the provisioned source, limits come from data."""
    drawn = json.loads(dashboard())
    assert len(ROWS) == 6
    panels = drawn["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["targets"]
            assert all(each["datasource"] == DATASOURCE for each in panel["targets"])
            assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["uid"] == DATASOURCE["uid"]
    assert (
        'authz_slo_latency_limit_seconds{slo="sale_latency"}'
        in dict(expressions())["A sale, from its head to its answer"]
    )


def test_compose_provisions_both_and_publishes_to_this_machine_only() -> None:
    """docker is not here to start it: images are pinned, mounts exist and are read-only, no password has a default."""
    folder = ROOT / "deploy"
    text = (folder / "compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    assert {"prometheus", "grafana"} <= services.keys()
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert not any("9464" in port for port in service.get("ports", []))
        assert ":" in service["image"] or service["image"] == "authz-service"
        assert not service["image"].endswith(":latest")
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                source, _, mode = volume.split(":")
                assert (folder / source).is_dir()
                assert mode == "ro"
    assert "9464" in services["authz"]["expose"]
    for variable, rest in re.findall(r"\$\{(\w*(?:PASSWORD|KEY)\w*)([^}]*)\}", text):
        assert rest.startswith(":?"), variable
