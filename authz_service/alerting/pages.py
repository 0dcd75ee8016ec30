"""What people read of it: the table of what is promised, and the head of each runbook."""

from typing import Final

from authz_service.alerting.alert import Alert, Severity
from authz_service.alerting.burn import FAST, LEAST_BAD, SLOW
from authz_service.slo import OBJECTIVES, WINDOW_DAYS

BEGIN, END = "<!-- drawn from the code: make docs -->\n", "<!-- end -->\n"
_CALLED: Final = {
    Severity.PAGE: "**page**: somebody is called, also at night",
    Severity.TICKET: "**ticket**: within the working day",
}


def with_drawn(page: str, drawn: str) -> str:
    """The page, with what is drawn in place of what was."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + drawn + END + rest.partition(END)[2]


def objectives() -> str:
    """The part of docs/slo.md that the list gives."""
    rows = [
        f"| `{each.name}` | {', '.join(f'`{call}`' for call in each.calls)} | {_percent(each.availability)} |"
        f" {_percent(each.in_time)} within {each.limit_seconds * 1000:g} ms | {'page' if each.pages else 'ticket'} |"
        f" {each.reason} |"
        for each in OBJECTIVES
    ]
    speeds = [
        f"| {each.factor:g} | {each.long} and {each.short} | {each.budget_percent} % | {told} |"
        for each, told in (
            *((each, "page where somebody stands at a counter, else ticket") for each in FAST),
            *((each, "ticket") for each in SLOW),
        )
    ]
    return "\n".join(
        [
            "",
            f"| objective | calls | answered in {WINDOW_DAYS} days | in time | fast burn | why |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "| burn | seen over | uses up of a month's budget | who is told |",
            "|---|---|---|---|",
            *speeds,
            "",
            f"Fewer than {LEAST_BAD} bad answers in the long window tell nobody.",
            "",
            "",
        ]
    )


def runbook_head(alert: Alert) -> str:
    """When it fires, and why there."""
    return "\n".join(
        [
            "",
            f"{alert.summary}. {_CALLED[alert.severity]}.",
            "",
            "```promql",
            alert.expr,
            "```",
            "",
            f"for {alert.holds_for}. {alert.reason}",
            "",
            "",
        ]
    )


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.4g} %"
