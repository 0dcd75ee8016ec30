"""How one panel is drawn, in the JSON of Grafana's dashboards.

Schema 42 is the last of the classic model; Grafana 12 and 13 read it and turn it into their own when they load it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SCHEMA: Final = 42
DATASOURCE: Final = {"type": "prometheus", "uid": "authz-prometheus"}
COLUMNS: Final = 24
HEIGHT: Final = 8
RUPIAH, SECONDS, SHARE, COUNT, SINCE = "currency:Rp", "s", "percentunit", "short", "dtdurations"


class Look(StrEnum):
    """What a reader sees: lines over time, areas on each other, the newest figure, bars by size, or rows."""

    LINES = "timeseries"
    STACK = "stack"
    FIGURE = "stat"
    BARS = "bargauge"
    ROWS = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    expr: str
    legend: str = ""
    is_limit: bool = False
    """Drawn as a dashed red line: what must not be passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    says: str
    """One sentence, for whoever hovers over the corner."""
    queries: tuple[Query, ...]
    unit: str = COUNT
    look: Look = Look.LINES
    width: int = 8
    bad_from: float | None = None
    """A figure turns red there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows under each other, the panels of each from left to right."""
    drawn: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        drawn.append({"id": len(drawn) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        drawn[-1]["panels"] = []
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            drawn.append(_drawn(panel, len(drawn) + 1, {"h": HEIGHT, "w": panel.width, "x": x, "y": y}))
            x += panel.width
        y += HEIGHT
    return drawn


def _drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": Look.LINES if panel.look is Look.STACK else panel.look,
        "title": panel.title,
        "description": panel.says,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel.look),
        "targets": [_target(panel, query, chr(ord("A") + index)) for index, query in enumerate(panel.queries)],
    }


def _target(panel: Panel, query: Query, reference: str) -> dict[str, Any]:
    over_time = panel.look in {Look.LINES, Look.STACK}
    return {
        "refId": reference,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": "table" if panel.look is Look.ROWS else "time_series",
        "range": over_time,
        "instant": not over_time,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.look in {Look.LINES, Look.STACK}:
        mode = "normal" if panel.look is Look.STACK else "none"
        fill = 40 if panel.look is Look.STACK else 0
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": fill, "stacking": {"mode": mode, "group": "A"}}
        defaults["min"] = 0
    return defaults


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    return [
        {
            "matcher": {"id": "byFrameRefID", "options": chr(ord("A") + index)},
            "properties": [
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
                {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
            ],
        }
        for index, query in enumerate(panel.queries)
        if query.is_limit
    ]


def _options(look: Look) -> dict[str, Any]:
    newest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match look:
        case Look.LINES | Look.STACK:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case Look.FIGURE:
            return {"reduceOptions": newest, "colorMode": "value", "graphMode": "none", "textMode": "value_and_name"}
        case Look.BARS:
            return {"reduceOptions": newest, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True}
        case Look.ROWS:
            return {"showHeader": True, "cellHeight": "sm"}
