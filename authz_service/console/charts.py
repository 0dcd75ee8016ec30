"""Charts as inline SVG, drawn here: no script, no style attribute, nothing that is loaded.

Colours and sizes are classes of the style sheet. Each chart says in words what it shows; a bar beside its figure in a
table is for the eye alone. Pure.
"""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

_WIDTH: Final = 720
_HEIGHT: Final = 160
_TOP: Final = 18
_FOOT: Final = 20
_GAP: Final = 4
_LABEL_EVERY: Final = 3


def bar(value: int, most: int) -> Markup:
    """A bar as long as `value` is of `most`; the figure stands in the cell beside it."""
    length = 0.0 if most <= 0 else max(0.0, min(1.0, value / most)) * 100
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="bar-used" width="{length}" height="10"/></svg>'
    ).format(length=f"{length:.1f}")


def columns(figures: Sequence[tuple[str, int, str]], *, name: str, title: str, summary: str, most_said: str) -> Markup:
    """A column for each (label, value, value as said); every third label is written. `name` is unique on the page;
    `title` and `summary` are what a screen reader says; `most_said` is the largest value, written at its line."""
    most = max((value for _, value, _ in figures), default=0)
    room, step = _HEIGHT - _TOP - _FOOT, _WIDTH / max(1, len(figures))
    parts = []
    for place, (label, value, said) in enumerate(figures):
        tall = 0 if most <= 0 else round(room * max(0, value) / most, 1)
        left = round(place * step + _GAP / 2, 1)
        parts.append(
            Markup(
                '<rect class="column" x="{x}" y="{y}" width="{width}" height="{height}"><title>{label}: {said}</title>'
                "</rect>"
            ).format(
                x=left,
                y=round(_TOP + room - tall, 1),
                width=round(step - _GAP, 1),
                height=tall,
                label=label,
                said=said,
            )
        )
        if place % _LABEL_EVERY == 0:
            parts.append(
                Markup('<text class="axis" x="{x}" y="{y}" text-anchor="middle">{label}</text>').format(
                    x=round(left + (step - _GAP) / 2, 1), y=_HEIGHT - 5, label=label
                )
            )
    return Markup(
        '<svg class="columns" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{summary}</desc>'
        '<line class="grid" x1="0" y1="{top}" x2="{width}" y2="{top}"/>'
        '<text class="axis" x="0" y="{over}">{most}</text>'
        "{parts}"
        '<line class="base" x1="0" y1="{foot}" x2="{width}" y2="{foot}"/></svg>'
    ).format(
        width=_WIDTH,
        height=_HEIGHT,
        name=name,
        title=title,
        summary=summary,
        top=_TOP,
        over=_TOP - 6,
        most=most_said,
        parts=Markup("").join(parts),
        foot=_TOP + room,
    )
