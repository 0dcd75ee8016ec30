"""From the bytes of a body to a request, or to the Problem that says why not. The input is never echoed."""

import json
import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from authz_service.problems import Invalid, NotJson, Problem, QueryInvalid

_SAFE_NAME: Final = re.compile(r"(?![a-f]{8})[a-z_]{1,40}")
"""No digits, and nothing that could be the letters of a PIN block."""
_WHOLE: Final = "body"
T = TypeVar("T")


def parse(adapter: TypeAdapter[T], body: bytes) -> T:
    """The request in `body`; raises NotJson or Invalid."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _not_read(adapter, body) from None
    if not isinstance(document, dict):
        raise Invalid([{"field": _WHOLE, "code": "object_type", "detail": "Give a JSON object"}])
    try:
        written_again = orjson.dumps(document)
    except TypeError:
        raise Invalid([{"field": _WHOLE, "code": "too_deep", "detail": "The body is nested too deeply"}]) from None
    # Cheap, and never wrong in saying no: without escapes a `:` is one of a text or one of a member, and so there are
    # as many of them in both, unless a member stood twice.
    if (b"\\" in body or body.count(b":") != written_again.count(b":")) and _repeats_a_member(body):
        raise NotJson("a member stands twice in an object")
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> Problem:
    """Each field that is wrong, by name, and what it should be."""
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    # A list with a wrong line is not too short as well, although pydantic says so.
    inner = {each["loc"][:depth] for each in errors for depth in range(len(each["loc"]))}
    return Invalid([_told(each) for each in errors if each["loc"] not in inner])


def query_invalid(errors: Sequence[ErrorDetails]) -> Problem:
    """Each filter that is wrong, by name, and what it should be."""
    told = [_told({**each, "loc": each["loc"][1:]}) for each in errors]
    return QueryInvalid("; ".join(f"{each['field']}: {each['detail']}" for each in told), errors=told)


def _told(error: ErrorDetails) -> dict[str, str]:
    if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        *above, name = error["loc"]
        # What a till puts where a name should stand may be anything, a card number too.
        known = str(name) if _SAFE_NAME.fullmatch(str(name)) else "(unknown)"
        return {"field": _path((*above, known)), "code": "unknown_field", "detail": "This field is not known"}
    if error["type"] in {"missing_argument", "missing_keyword_only_argument", "missing"}:
        return {"field": _path(error["loc"]), "code": "missing", "detail": "This field is required"}
    return {"field": _path(error["loc"]), "code": error["type"], "detail": error["msg"]}


def _path(places: tuple[int | str, ...]) -> str:
    path = ""
    for place in places:
        path += f"[{place}]" if isinstance(place, int) else f".{place}" if path else place
    return path or _WHOLE


def _repeats_a_member(body: bytes) -> bool:
    repeated = False

    def noticed(members: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in members}) != len(members)

    json.loads(body, object_pairs_hook=noticed)
    return repeated


def _not_read(adapter: TypeAdapter[T], body: bytes) -> Problem:
    """orjson also gives up on a number beyond every float; that is JSON, and not valid."""
    too_large = False

    def noticed(number: str) -> None:
        nonlocal too_large
        too_large = too_large or not isfinite(float(number))

    def refused(_: str) -> None:
        raise ValueError

    try:
        json.loads(body.decode(), parse_int=noticed, parse_float=noticed, parse_constant=refused)
    except (ValueError, RecursionError):
        too_large = False
    if too_large:
        try:
            adapter.validate_json(body)
        except ValidationError as error:
            return invalid(error)
        return Invalid([{"field": _WHOLE, "code": "number_too_large", "detail": "A number is too large"}])
    return NotJson("the body is not JSON in UTF-8")
