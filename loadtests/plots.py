"""`make plots`: what a run of `make bench-scale` measured, drawn from its raw results as PNG and SVG in `docs/`.

Drawn is the run that the pages quote: the raw file that decision 14 links to first. Another one is named.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl
import orjson

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.bars import AT_CONNECTIONS
from loadtests.growth_report import LEAST_RATE, MOST_P99

DOCS: Final = Path(__file__).parent.parent / "docs"
QUOTING: Final = DOCS / "decisions" / "0014-partitions.md"
_LINK: Final = re.compile(r"\((?P<file>[^()\s]+-growth\.json)\)")
BLUE, ORANGE, GREY, GREEN, RED, BROWN = "#2a5b8c", "#c8701e", "#8a8a8a", "#4c8055", "#a8423f", "#9c7c54"
TABLES: Final = {"authorisation": BLUE, "transfer": ORANGE, "hold": GREEN, "request_key": RED, "allowance": BROWN}
PROCESSES: Final = {"service": ("service", BLUE), "postgres": ("PostgreSQL", ORANGE), "valkey": ("Valkey", GREEN)}
TIMES: Final = "\u00d7"
Result = dict[str, Any]


def main() -> None:
    """Of the file that is named, or of the one that the pages quote."""
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else quoted(), DOCS)


def quoted() -> Path:
    """The raw file to which decision 14 links first."""
    link = _LINK.search(QUOTING.read_text(encoding="utf-8"))
    if link is None:
        raise SystemExit(f"{QUOTING} links to no raw file of a growth run: name one (make plots ARGS=FILE).")
    return (QUOTING.parent / link["file"]).resolve()


def draw(source: Path, folder: Path) -> None:
    """One PNG and one SVG for each drawing; a run that was disturbed says so in every title.

    SystemExit, and nothing is drawn, where the file is no run.
    """
    plt.rcParams.update(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "growth"}
    )
    try:
        run = orjson.loads(source.read_bytes())
        # All of them before the first is written: half a run is none.
        figures = {name: _figure(drawing, run, source) for name, drawing in DRAWINGS.items()}
    except OSError as error:
        raise SystemExit(f"{source} cannot be read: {error.strerror}.") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise SystemExit(f"{source} is no raw file of a growth run.") from None
    finally:
        plt.close("all")
    for name, figure in figures.items():
        figure.savefig(folder / f"growth-{name}.png", dpi=150)
        figure.savefig(folder / f"growth-{name}.svg", metadata={"Date": None})


def _figure(drawing: Callable[[Axes, Result], None], run: Result, source: Path) -> Figure:
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    drawing(axes, run)
    _of_families(axes, run["sizes"])
    if run["disturbed"]:
        axes.set_title(f"{axes.get_title()}\n(a disturbed run: {'; '.join(run['disturbed'])})", fontsize=9)
    figure.supxlabel(f"loadtests/results/{source.name}", fontsize=7, color=GREY, x=0.99, ha="right")
    return figure


def _rate(axes: Axes, run: Result) -> None:
    """Each round is a point beside the same round of the smallest books, so that the machine's noise is seen, too."""
    smallest = run["sizes"][0]["rounds"]
    for figure, name, colour, bound, words, beside in (
        (_per_second, "authorisations a second", BLUE, LEAST_RATE, "at least", -13),
        (_p99_us, "p99", ORANGE, MOST_P99, "at most", 5),
    ):
        medians = []
        for place, grown in enumerate(run["sizes"]):
            ratios = [figure(here) / figure(there) for here, there in zip(grown["rounds"], smallest, strict=True)]
            axes.plot([place] * len(ratios), ratios, "o", color=colour, alpha=0.35, markersize=5)
            if place:  # The smallest books are 1 by definition, in both colours at once.
                axes.annotate(
                    f"{_number(median(ratios), 2)} {TIMES}", (place, median(ratios)), (9, beside),
                    textcoords="offset points", fontsize=8, color=colour,
                )  # fmt: skip
            medians.append(median(ratios))
        axes.plot(range(len(medians)), medians, "-o", color=colour, label=f"{name}, median of the rounds")
        axes.axhline(
            bound, color=colour, linestyle="--", linewidth=1, label=f"its bar: {words} {_number(bound, 1)} {TIMES}"
        )
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7) - 0.1, max(high, 1.4) + 0.15)  # with room for labels and legend
    axes.set_ylabel(f"{TIMES} the smallest books")
    axes.set_title(f"The same sales on larger books, {AT_CONNECTIONS} connections")
    axes.legend(loc="upper center", ncols=2, frameon=False, fontsize=7)


def _check(axes: Axes, run: Result) -> None:
    """With how many authorisations the check of what is new has read, which the sizes do not say."""
    sizes = run["sizes"]
    for key, other, label, colour in (
        ("full", "recent", "all of the books", BLUE),
        ("recent", "full", "what is new", ORANGE),
    ):
        seconds = [grown["checked"][f"{key}_seconds"] for grown in sizes]
        axes.plot(range(len(sizes)), seconds, "-o", color=colour, label=label)
        for place, each in enumerate(seconds):
            above = 8 if each > sizes[place]["checked"][f"{other}_seconds"] else -15
            read = sizes[place]["checked"].get(f"{key}_authorisations")
            of = f" for {_number(read)} authorisations" if read else ""
            axes.annotate(
                f"{_number(each, 1)} s{of}", (place, each), (0, above), textcoords="offset points", ha="center",
                fontsize=8,
            )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.margins(y=0.2)
    axes.set_title("authz ledger check")
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def _bytes(axes: Axes, run: Result) -> None:
    parts = {
        table: ([grown["disk"]["bytes_an_authorisation"][table] for grown in run["sizes"]], colour)
        for table, colour in TABLES.items()
    }
    _stacked(axes, parts)
    axes.set_ylabel("bytes an authorisation, with indexes")
    axes.set_title("On disk, by table")


def _log(axes: Axes, run: Result) -> None:
    """Whole pages apart, where the run counted them."""
    totals = [
        median(each["wal_bytes"] / each["shot"]["requests"] for each in grown["rounds"]) for grown in run["sizes"]
    ]
    pages = [
        median((each.get("wal_fpi_bytes") or 0) / each["shot"]["requests"] for each in grown["rounds"])
        for grown in run["sizes"]
    ]
    changes = [total - page for total, page in zip(totals, pages, strict=True)]
    counted = any(each.get("wal_fpi_bytes") is not None for grown in run["sizes"] for each in grown["rounds"])
    both = {"changes": (changes, BLUE), "whole pages": (pages, ORANGE)}
    _stacked(axes, both if counted else {"changes and whole pages": (totals, BLUE)})
    axes.set_ylabel("bytes of log (WAL) an authorisation")
    axes.set_title("Written to PostgreSQL's log")


def _memory(axes: Axes, run: Result) -> None:
    width = 0.8 / len(PROCESSES)
    for order, (kind, (name, colour)) in enumerate(PROCESSES.items()):
        megabytes = [median(each["memory"][kind]["pss"] for each in grown["rounds"]) / 1e6 for grown in run["sizes"]]
        places = [place + (order - (len(PROCESSES) - 1) / 2) * width for place in range(len(megabytes))]
        axes.bar(places, megabytes, width * 0.9, color=colour, label=name)
        for place, each in zip(places, megabytes, strict=True):
            axes.annotate(_number(each), (place, each), (0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.set_ylabel("megabytes (PSS), all processes of a kind")
    axes.margins(y=0.15)
    axes.set_title("In memory")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def _stacked(axes: Axes, parts: dict[str, tuple[list[float], str]]) -> None:
    below = [0.0] * len(next(iter(parts.values()))[0])
    for part, (heights, colour) in parts.items():
        axes.bar(range(len(heights)), heights, 0.5, bottom=below, color=colour, label=part)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    for place, total in enumerate(below):
        axes.annotate(_number(total), (place, total), (0, 4), textcoords="offset points", ha="center")
    axes.yaxis.set_major_formatter(lambda value, _: _number(value))
    axes.margins(y=0.1)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def _of_families(axes: Axes, sizes: Sequence[Result]) -> None:
    labels = [
        f"{_number(grown['books']['families'])} families\n{_number(grown['disk']['authorisations'])} purchases"
        for grown in sizes
    ]
    axes.set_xticks(range(len(sizes)), labels)
    axes.set_xlim(-0.5, len(sizes) - 0.5)


def _per_second(measured: Result) -> float:
    rate: float = measured["shot"]["requests"] / measured["shot"]["seconds"]
    return rate


def _p99_us(measured: Result) -> float:
    p99_us: float = measured["shot"]["p99_us"]
    return p99_us


def _number(value: float, digits: int = 0) -> str:
    """As the pages write it: 10 000 and 0,9."""
    return f"{value:,.{digits}f}".translate({ord(","): " ", ord("."): ","})


DRAWINGS: Final[dict[str, Callable[[Axes, Result], None]]] = {
    "rate": _rate,
    "check": _check,
    "bytes": _bytes,
    "log": _log,
    "memory": _memory,
}

if __name__ == "__main__":
    main()
