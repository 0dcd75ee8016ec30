"""What a list calls its columns, kecamatan and companions: a TOML file, as for a bank's statement. Pure.

Without one it is the layout of `programmes/samarinda-2024/roll.toml`, which has every entry with what it means.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from authz_service.roll.orders import RollRefused

DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the header calls each of them; capitals, blanks and underscores make no difference."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    nik: str = "NIK"
    kk: str = "NO_KK"
    name: str = "NAMA"
    district: str = "KECAMATAN"
    companion: str = "PENDAMPING"
    card_number: str = "NOMOR_KARTU"
    amount: str | None = None
    """What a family gets that enters, where that is not the whole entitlement."""

    def named(self) -> dict[str, str]:
        """Our word → theirs, of those that the list has."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {ours: theirs for ours, theirs in found.items() if theirs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one office writes its lists."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    columns: Columns = field(default_factory=Columns)
    error_column: str = "KESALAHAN"
    """Where the file that goes back says what is wrong with a row; it is not read again."""
    sheet: str | None = None
    """Of an XLSX; else its first."""
    delimiter: str | None = None
    """Of a CSV; else the one that its header has most often."""
    districts: Mapping[str, str] = field(default_factory=dict)
    """How the list writes a kecamatan → its code or name here."""
    companions: Mapping[str, str] = field(default_factory=dict)
    """How the list writes a companion → the label or id here."""


_LAYOUT: Final = TypeAdapter(Layout)
SAMARINDA: Final = Layout()


def read_layout(text: str) -> Layout:
    """The layout in this TOML; raises RollRefused."""
    try:
        found = _LAYOUT.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as wrong:
        raise RollRefused(f"The mapping is no TOML: {wrong}.") from None
    except ValidationError as wrong:
        first = wrong.errors(include_input=False)[0]
        raise RollRefused(f"The mapping: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    # TOML has no null: an empty text says that there is none.
    found = replace(found, sheet=found.sheet or None, delimiter=found.delimiter or None)
    for ours, theirs in found.columns.named().items():
        if not plain(theirs):
            raise RollRefused(f"The mapping: columns.{ours}: it has neither a letter nor a digit.")
    if found.delimiter is not None and found.delimiter not in DELIMITERS:
        raise RollRefused("The mapping: a delimiter is one of , ; | or a tab.")
    if len({plain(name) for name in (*found.columns.named().values(), found.error_column)}) <= len(
        found.columns.named()
    ):
        raise RollRefused("The mapping: two columns have one name.")
    return found


def plain(text: str) -> str:
    """`No. KK` and `no_kk` are the same."""
    return re.sub(r"[\W_]+", "_", text.casefold()).strip("_")
