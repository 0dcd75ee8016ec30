"""What an operator brings in a file or on standard input: names and numbers, which never stand in arguments."""

from dataclasses import dataclass, field
from datetime import date
from typing import IO, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from authz_service.requests import STRICT, CardNumber, Label, Nik, Rupiah
from authz_service.roll.cards import CardFromTheBank
from authz_service.roll.entering import Newcomer
from authz_service.roll.orders import RollRefused

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFile:
    """A card as the bank gave it."""

    __pydantic_config__ = STRICT

    card_number: CardNumber = field(repr=False)
    card_expires_on: date | None = None
    card_is_activated: bool = True

    def card(self) -> CardFromTheBank:
        return CardFromTheBank(
            number=self.card_number, expires_on=self.card_expires_on, is_activated=self.card_is_activated
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewcomerFile(CardFile):
    """A family and its card."""

    __pydantic_config__ = STRICT

    name: str = field(repr=False)
    nik: Nik = field(repr=False)
    companion: Label
    district_code: Label
    amount: Rupiah | None = None

    def newcomer(self) -> Newcomer:
        return Newcomer(
            name=self.name,
            nik=self.nik,
            companion=self.companion,
            district_code=self.district_code,
            card=self.card(),
            amount_rupiah=self.amount,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SoughtFile:
    """By which number a family is sought."""

    __pydantic_config__ = STRICT

    nik: Nik | None = field(default=None, repr=False)
    card_number: CardNumber | None = field(default=None, repr=False)


CARD: Final = TypeAdapter(CardFile)
NEWCOMER: Final = TypeAdapter(NewcomerFile)
SOUGHT: Final = TypeAdapter(SoughtFile)


def content_of(file: IO[str], kind: TypeAdapter[Content]) -> Content:
    """The file's content; a refusal names what is wrong, and never repeats a number."""
    try:
        return kind.validate_json(file.read())
    except ValidationError as wrong:
        errors = wrong.errors(include_input=False)
        if errors[0]["type"] == "json_invalid":
            raise RollRefused(f"The file is not JSON: {errors[0]['ctx']['error']}.") from None
        said = "; ".join(": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"]))) for each in errors)
    except UnicodeDecodeError:
        said = "it is not UTF-8"
    raise RollRefused(f"The file is not valid: {said}.")
