"""Draws a page: the templates, and how money, days and instants are written in each language."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from authz_service.console.menu import menu_of
from authz_service.console.words import LANGUAGES, WORDS
from authz_service.vocabulary import in_rupiah

if TYPE_CHECKING:
    from authz_service.console.visit import Visit

HERE: Final = Path(__file__).parent
STATIC: Final = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
"""File → its kind; there is no other."""
_MONTHS: Final = {
    "id": ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}
_ZONES: Final = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}
_MARK_BYTES: Final = 6


def draw(template: str, visit: "Visit", shown: Mapping[str, Any]) -> str:
    """The page in the visitor's language."""
    return _environment().get_template(template).render(
        **shown,
        visit=visit,
        t=visit.t,
        lang=visit.language,
        languages=LANGUAGES,
        menu=[] if visit.someone is None or visit.someone.password_is_for_once else menu_of(visit.someone.role),
        here=visit.request.url.path.removeprefix("/console"),
        said=_said(visit),
        token=visit.form_token,
        moment=lambda instant: moment(instant, visit),
        day=lambda instant: day(instant, visit),
        month=lambda first: month(first, visit),
        static=static_mark,
    )  # fmt: skip


def moment(instant: datetime | str | None, visit: "Visit") -> str:
    """`7 Okt 2024 09.00 WITA`, in the programme's zone."""
    if instant is None:
        return ""
    local = _instant(instant).astimezone(visit.zone)
    point = "." if visit.language == "id" else ":"
    return f"{day(local, visit)} {local:%H}{point}{local:%M} {_ZONES.get(str(local.tzinfo), f'{local:%z}')}"


def day(instant: datetime | date | str | None, visit: "Visit") -> str:
    """`7 Okt 2024`."""
    if instant is None:
        return ""
    if isinstance(instant, str):
        instant = _instant(instant)
    local = instant.astimezone(visit.zone) if isinstance(instant, datetime) else instant
    return f"{local.day} {_MONTHS[visit.language][local.month - 1]} {local.year}"


def month(first: date, visit: "Visit") -> str:
    """`Okt 2024`."""
    return f"{_MONTHS[visit.language][first.month - 1]} {first.year}"


@lru_cache(maxsize=8)
def static_mark(name: str) -> str:
    """Changes with the file, so that browsers may keep it for ever."""
    return blake2b((HERE / "static" / name).read_bytes(), digest_size=_MARK_BYTES).hexdigest()


def _instant(written: datetime | str) -> datetime:
    return written if isinstance(written, datetime) else datetime.fromisoformat(written)


def _said(visit: "Visit") -> str | None:
    """The sentence that the page before asked for; only one that the catalogue has."""
    word = f"said.{visit.request.query_params.get('said', '')}"
    return visit.t(word) if word in WORDS else None


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rupiah"] = in_rupiah
    return environment
