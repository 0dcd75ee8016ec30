"""Mappings, lists and words as YAML that people read; only as much of YAML as rules need."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_/.][A-Za-z0-9 _/.,()-]*[A-Za-z0-9_/.)]")
_WORDS_OF_YAML: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def as_yaml(value: Any) -> str:
    """`value` again for whoever reads it as YAML: mappings, lists, text, whole numbers and truth."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, of in value.items():
            yield from _after(f"{_word(key)}:", of)
    else:
        for of in value:
            yield from _item(of)


def _after(key: str, of: Any) -> Iterator[str]:
    if isinstance(of, str) and ("\n" in of or '"' in of):
        yield f"{key} |-"
        yield from (f"  {line}" for line in of.split("\n"))
    elif isinstance(of, Mapping | list | tuple) and of:
        yield key
        yield from (f"  {line}" for line in _lines(of))
    else:
        yield f"{key} {_word(of)}"


def _item(of: Any) -> Iterator[str]:
    if not isinstance(of, Mapping | list | tuple):
        yield f"- {_word(of)}"
        return
    first, *rest = _lines(of)
    yield f"- {first}"
    yield from (f"  {line}" for line in rest)


def _word(of: Any) -> str:
    if isinstance(of, str) and _PLAIN.fullmatch(of) and of.lower() not in _WORDS_OF_YAML:
        return of
    if isinstance(of, str | bool | int | Sequence | Mapping):
        return json.dumps(of, ensure_ascii=False)
    raise TypeError(f"{of!r} has no place in these files")
