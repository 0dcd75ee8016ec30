"""What the process writes: one JSON object a line on standard error, whoever speaks. Events, ids, places in the code;
never a card number, a NIK, a name, a key or what a request held.

An exception is told by its type, by codes that name a rule of ours, and by where it happened. Its message is not: a
database quotes the row that it refuses (`Key (nik)=(…) already exists`), pydantic the input. Local variables are not
either: they hold requests.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from io import TextIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from authz_service.personal_numbers import WITHHELD, without_them

Level = Literal["debug", "info", "warning", "error"]
_CODES: Final = ("sqlstate", "table_name", "constraint_name", "errno")
"""Attributes of others' exceptions that hold no value of anybody's."""
_NEVER: Final = frozenset(
    {"card_number", "pin_block", "nik", "kk", "name", "key", "token", "authorization", "secret", "password"}
)
_FRAMES: Final = 40
_CAUSES: Final = 8
_TEXT: Final = 500
_ROOT: Final = str(Path(__file__).resolve().parent.parent) + "/"
_NOT_TOLD: Final = "[not told]"


class _StandardError(TextIOBase):
    """Whatever `sys.stderr` is when a line is written."""

    def write(self, text: str, /) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STANDARD_ERROR: Final = _StandardError()


def configure(level: Level = "info") -> None:
    """Our own lines are written so from now on."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, *_written()],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _STANDARD_ERROR)),
        cache_logger_on_first_use=True,
    )


def own_the_process(level: Level = "info") -> None:
    """Also what libraries, warnings and exceptions that nobody caught have to say is written so."""
    configure(level)
    handler = logging.StreamHandler(_STANDARD_ERROR)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, _of_a_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_written()],
        )
    )
    logging.basicConfig(handlers=[handler], level=_number(level), force=True)
    # Of alembic, uvicorn and others what went wrong is enough; at `debug` all of it.
    for library in ("uvicorn", "asyncio", "aiohttp", "sqlalchemy"):
        logging.getLogger(library).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_a_thread


def in_a_loop(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """For `loop.set_exception_handler`: of a task or callback that failed unheard. Its repr would quote the message."""
    structlog.get_logger().error("fault_in_the_loop", said=context.get("message"), exc_info=context.get("exception"))


def _written() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_the_fault,
        _without_what_is_personal,
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(event: EventDict, **_: object) -> str:
    """Objects that are no JSON are told by their type: their repr may hold anything."""
    return orjson.dumps(event, default=lambda each: type(each).__name__, option=orjson.OPT_NON_STR_KEYS).decode()


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


# What a line says.


def _of_a_library(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Its name and the first line of what it says: further lines quote code, tasks and values."""
    record: logging.LogRecord = event["_record"]
    said = str(event["event"]).split("\n", 1)[0][:_TEXT]
    return {**event, "event": said, "logger": record.name, "stack": None}


def _with_the_fault(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if event.get("stack") is None:
        event.pop("stack", None)
    fault = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if given is True:
        fault = sys.exc_info()[1]
    if fault is not None:
        event["exception"] = [_fault(each) for each in _chain(fault)]
    return event


def _chain(fault: BaseException) -> list[BaseException]:
    """The fault, what it was caused by, and the members of groups, the outermost first."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [fault]
    while waiting and len(found) < _CAUSES:
        one = waiting.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        waiting.append(one.__cause__ or (None if one.__suppress_context__ else one.__context__))
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
    return found


def _fault(fault: BaseException) -> dict[str, Any]:
    kind = type(fault)
    codes = {name: value for name in _CODES if isinstance(value := getattr(fault, name, None), str | int)}
    # Sentences of ours in which nobody is named say so.
    told = {"message": str(fault)} if getattr(kind, "may_be_logged", False) else {}
    return {"type": f"{kind.__module__}.{kind.__qualname__}", **codes, **told, "frames": _frames(fault.__traceback__)}


def _frames(trace: TracebackType | None) -> list[str]:
    """`file:line function`, the innermost last."""
    frames = [
        f"{frame.f_code.co_filename.removeprefix(_ROOT)}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(trace)
    ]
    return frames[-_FRAMES:]


def _without_what_is_personal(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last gate: nothing that gets here should have to be withheld."""
    return {name: _NOT_TOLD if name in _NEVER else _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    match value:
        case bool() | None | float():
            return value
        case str():
            return without_them(value)
        case int():
            return WITHHELD if without_them(str(abs(value))) == WITHHELD else value
        case Mapping():
            return {str(name): _NOT_TOLD if name in _NEVER else _clean(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(each) for each in value]
    return type(value).__name__


# What nobody caught.


def _uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process_failed", exc_info=fault.with_traceback(trace))


def _uncaught_in_a_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        structlog.get_logger().error("thread_failed", exc_info=failed.exc_value)


def _unraisable(failed: "sys.UnraisableHookArgs") -> None:
    structlog.get_logger().error("fault_that_cannot_be_raised", exc_info=failed.exc_value)
