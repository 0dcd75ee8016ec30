"""The one dashboard: six rows, from what a family notices first to what an auditor asks for."""

import json
from typing import Any, Final

from authz_service.alerting.panels import DATASOURCE, SCHEMA, laid_out
from authz_service.alerting.row_of_bank import BANK
from authz_service.alerting.row_of_books import BOOKS
from authz_service.alerting.row_of_decisions import DECISIONS
from authz_service.alerting.row_of_money import MONEY
from authz_service.alerting.row_of_shops import SHOPS
from authz_service.alerting.row_of_speed import SPEED

ROWS: Final = (DECISIONS, MONEY, SPEED, SHOPS, BANK, BOOKS)


def dashboard() -> str:
    """The file that Grafana provisions."""
    programme: dict[str, Any] = {
        "name": "programme",
        "label": "Programme",
        "type": "query",
        "datasource": DATASOURCE,
        "definition": "label_values(authz_money_rupiah, programme)",
        "query": {"query": "label_values(authz_money_rupiah, programme)", "refId": "programme"},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }
    content = {
        "uid": "authz",
        "title": "Authorisations",
        "description": "Drawn from authz_service/alerting/dashboard.py by `make docs`.",
        "tags": ["authz"],
        "schemaVersion": SCHEMA,
        "timezone": "Asia/Makassar",
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "editable": False,
        "graphTooltip": 1,
        "templating": {"list": [programme]},
        "annotations": {"list": []},
        "links": [],
        "panels": laid_out(ROWS),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def expressions() -> list[tuple[str, str]]:
    """(panel, what it asks Prometheus), for all of them."""
    return [(panel.title, query.expr) for row in ROWS for panel in row.panels for query in panel.queries]
