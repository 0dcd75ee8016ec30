"""The menu as data: what is in it for a role is what the table of permissions lets it open."""

from dataclasses import dataclass
from typing import Final

from authz_service.console.permissions import PERMITTED
from authz_service.people import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of the menu; `word` names its text in the catalogue."""

    word: str
    path: str
    """Below /console."""


MENU: Final = (
    Item(word="menu.home", path="/"),
    Item(word="menu.today", path="/today"),
    Item(word="menu.families", path="/families"),
    Item(word="menu.roll", path="/roll"),
    Item(word="menu.shops", path="/shops"),
    Item(word="menu.vouchers", path="/vouchers"),
    Item(word="menu.settlement", path="/settlement"),
    Item(word="menu.inbox", path="/inbox"),
    Item(word="menu.exceptions", path="/exceptions"),
    Item(word="menu.signals", path="/signals"),
    Item(word="menu.books", path="/books"),
    Item(word="menu.audit", path="/audit"),
)


def menu_of(role: Role) -> list[Item]:
    """In the order of the menu."""
    return [item for item in MENU if role in (PERMITTED[f"GET {item.path}"] or ())]
