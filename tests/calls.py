"""What is asked and what is to be answered: the words that the machine, its model, its judge and its stage share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from tests.tally import Sale

Document = dict[str, Any]
Name = tuple[str, str]
"""Somebody and a key that he used (or "stan time", which no key can be); also what this request made."""


class Id(NamedTuple):
    """In an answer: the id that the service has given to this name, whatever it is."""

    name: object


class Answer(NamedTuple):
    """`says` what must be in it, None for what must not. Answers with `bytes_of` one name are equal byte for byte."""

    status: int
    says: Document
    sale: "Sale | None" = None
    """As it stands after the call."""
    bytes_of: object = None
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request of a till, a companion or an operator, with a key where it changes something; or an order to the roll.

    `about` is the sale or voucher that it names.
    """

    kind: str
    who: str = ""
    key: str = ""
    about: Name = ("", "")
    body: Mapping[str, Any]

    @property
    def name(self) -> Name:
        return self.who, self.key


def problem(status: int, code: str, **more: Any) -> Answer:
    return Answer(status, {"code": code, **more})


NOT_FOUND: Final = problem(404, "not_found")
