"""`make plots`: what a run of `make bench-scale` measured, drawn from its raw results as PNG and SVG in `docs/`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import orjson

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

RESULTS: Final = Path(__file__).parent / "results"
DOCS: Final = Path(__file__).parent.parent / "docs"
BLUE, ORANGE, GREY, GREEN, RED, BROWN = "#2a5b8c", "#c8701e", "#8a8a8a", "#4c8055", "#a8423f", "#9c7c54"
PARTS: Final = {"authorisation": BLUE, "transfer": ORANGE, "hold": GREEN, "request_key": RED, "allowance": BROWN}
Grown = dict[str, Any]


def main() -> None:
    """Of the file that is named, or of the newest."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else max(RESULTS.glob("*-growth.json"))
    run = orjson.loads(source.read_bytes())
    plt.rcParams.update(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "growth"}
    )
    for name, draw in DRAWINGS.items():
        figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
        draw(axes, run)
        figure.supxlabel(f"loadtests/results/{source.name}", fontsize=7, color=GREY, x=0.99, ha="right")
        figure.savefig(DOCS / f"growth-{name}.png", dpi=150)
        figure.savefig(DOCS / f"growth-{name}.svg", metadata={"Date": None})
        plt.close(figure)


def _rate(axes: Axes, run: dict[str, Any]) -> None:
    """Every round is a point, so that the noise of the machine is seen beside what growth costs."""
    sizes: Sequence[Grown] = run["sizes"]
    places = range(len(sizes))
    for place, grown in zip(places, sizes, strict=True):
        rates = [each["shot"]["requests"] / each["shot"]["seconds"] for each in grown["rounds"]]
        axes.plot([place] * len(rates), rates, "o", color=BLUE, alpha=0.35, markersize=5)
    axes.plot(
        places, [grown["per_second"] for grown in sizes], "-o", color=BLUE, label="authorise, median of the rounds"
    )
    empty = sorted(shot["requests"] / shot["seconds"] for shot in run["empty_endpoint"])
    axes.axhline(empty[len(empty) // 2], color=GREY, linestyle="--", linewidth=1, label="an empty endpoint meanwhile")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.set_ylabel("authorisations a second", color=BLUE)
    late = axes.twinx()
    late.plot(places, [grown["p99_us"] / 1000 for grown in sizes], "-s", color=ORANGE, label="p99")
    late.set_ylim(0, max(grown["p99_us"] for grown in sizes) / 1000 * 1.4)
    late.set_ylabel("p99, milliseconds", color=ORANGE)
    late.spines["right"].set_visible(True)
    _of_families(axes, sizes)
    axes.set_title("The same sales on larger books, 64 connections")
    lines, labels = axes.get_legend_handles_labels()
    more, names = late.get_legend_handles_labels()
    axes.legend(lines + more, labels + names, loc="lower left", frameon=False, fontsize=8)


def _check(axes: Axes, run: dict[str, Any]) -> None:
    sizes: Sequence[Grown] = run["sizes"]
    places = range(len(sizes))
    for key, label, colour, above in (
        ("full_seconds", "all of the books", BLUE, 7),
        ("recent_seconds", "what is new: the last 2 000 authorisations", ORANGE, -14),
    ):
        seconds = [grown["checked"][key] for grown in sizes]
        axes.plot(places, seconds, "-o", color=colour, label=label)
        for place, each in zip(places, seconds, strict=True):
            axes.annotate(
                f"{each:,.1f} s", (place, each), (0, above), textcoords="offset points", ha="center", fontsize=8
            )
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.margins(y=0.15)
    _of_families(axes, sizes)
    axes.set_title("authz ledger check")
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def _bytes(axes: Axes, run: dict[str, Any]) -> None:
    sizes: Sequence[Grown] = run["sizes"]
    places = range(len(sizes))
    below = [0.0] * len(sizes)
    for part, colour in PARTS.items():
        heights = [grown["disk"]["bytes_an_authorisation"][part] for grown in sizes]
        axes.bar(places, heights, 0.5, bottom=below, color=colour, label=part)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    for place, total in zip(places, below, strict=True):
        axes.annotate(f"{total:,.0f}", (place, total), (0, 4), textcoords="offset points", ha="center")
    axes.set_ylabel("bytes an authorisation, with indexes")
    axes.margins(y=0.1)
    _of_families(axes, sizes)
    axes.set_title("On disk, by table")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def _of_families(axes: Axes, sizes: Sequence[Grown]) -> None:
    labels = [
        f"{grown['books']['families']:,} families\n{grown['disk']['authorisations']:,} purchases" for grown in sizes
    ]
    axes.set_xticks(range(len(sizes)), labels)
    axes.set_xlim(-0.5, len(sizes) - 0.5)


DRAWINGS: Final[dict[str, Callable[[Axes, dict[str, Any]], None]]] = {"rate": _rate, "check": _check, "bytes": _bytes}

if __name__ == "__main__":
    main()
