"""What a request is called from end to end: the caller's X-Request-Id and trace where they are fit, else our own name.

The request id is the one name by which an answer, the journal, the audit log and every line of the log are found. So
nothing personal may get in by it: what could hold the number of a card or of a person is not taken.
W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context/), is read strictly; `tracestate` is not read.
"""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Final
from uuid import uuid4

from msgspec import Struct

from authz_service.personal_numbers import could_hold_one

_GIVEN: Final = re.compile(rb"[0-9A-Za-z][0-9A-Za-z._:-]{6,62}[0-9A-Za-z]")
"""8 to 64 characters as generators make them, with a digit among them: a word alone may be somebody's name."""
_DIGIT: Final = re.compile(rb"[0-9]")
_PIN_BLOCK: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}[._:-]?){8}|(?:[0-9A-Fa-f]{4}[._:-]?){4}")
"""Sixteen hexadecimal digits alone."""
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_IN_A_NAME: Final = re.compile(r"req_([0-9a-f]{32})x[0-9a-f]{15}x[0-9a-f]+")
SPAN_BYTES: Final = 8
_PROCESS: Final = uuid4().hex[:15]
_REQUESTS: Final = count()


NewRequestId = Callable[[str | None], str]


class Names(Struct, frozen=True):
    """`trace_id` is None where the caller has no trace."""

    request_id: str
    trace_id: str | None = None

    @property
    def said(self) -> dict[str, str]:
        """For a line of the log."""
        if self.trace_id is None:
            return {"request_id": self.request_id}
        return {"request_id": self.request_id, "trace_id": self.trace_id}


def new_request_id(trace_id: str | None = None) -> str:
    """Unique: the trace's part if there is one, this process's, and a number that counts. An x between them: no part
    has sixteen digits."""
    return f"req_{trace_id}x{_PROCESS}x{next(_REQUESTS):x}" if trace_id else f"req_{_PROCESS}x{next(_REQUESTS):x}"


def names_of(headers: Mapping[bytes, bytes], repeated: AbstractSet[bytes], new: NewRequestId) -> Names:
    """Of a request with these headers. A header that stands there twice names nothing, nor does a part of the caller's
    own key."""
    given, parent = headers.get(b"x-request-id"), headers.get(b"traceparent")
    trace_id = None if parent is None or b"traceparent" in repeated else trace_id_of(parent)
    if given is None or b"x-request-id" in repeated or given in headers.get(b"authorization", b""):
        return Names(new(trace_id), trace_id)
    return Names(given_request_id(given) or new(trace_id), trace_id)


def given_request_id(value: bytes) -> str | None:
    """What a caller calls its request, if that may stand in a log."""
    if not _GIVEN.fullmatch(value) or not _DIGIT.search(value) or _PIN_BLOCK.fullmatch(value):
        return None
    return None if could_hold_one(value) else value.decode()


def trace_id_of(traceparent: bytes) -> str | None:
    """The trace's id; None where the header is not well-formed. A later version may say more behind its flags."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return None if could_hold_one(trace_id) else str(trace_id, "ascii")


def headers_of_its_cause(request_id: str | None, span_id: str) -> dict[str, str]:
    """For what we send because of that request: its name, and the trace of which the name tells."""
    if request_id is None:
        return {}
    found = _IN_A_NAME.fullmatch(request_id)
    return {"x-request-id": request_id} | ({"traceparent": f"00-{found[1]}-{span_id}-00"} if found else {})
