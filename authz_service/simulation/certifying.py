"""The checklist is asked of a running service, point by point, and each answer is compared with what it must be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authz_service.bank.partners import SignatureStyle
from authz_service.simulation.checklist import POINTS, Point, Talk
from authz_service.simulation.line import Line, Reply, Unanswered

Pause = Callable[[float], Awaitable[None]]
TOKEN_SECONDS: Final = 901.0
"""A token lives 900."""
_MESSAGE_LIMIT: Final = 150
_CERTIFIED_AMOUNT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`wrong` says what is not as it must be; None where all is, and where the point was `left_out`."""

    point: Point
    came: str
    wrong: str | None
    left_out: bool = False


async def certify(
    line: Line,
    *,
    reference: str | None,
    amount_rupiah: int | None,
    waits_for_expiry: bool,
    pause: Pause = asyncio.sleep,
) -> AsyncIterator[Verdict]:
    """Each point of the bank's own way of signing, in order; Unanswered, if nobody is there.

    Without a reference the genuine notices are of none that the service knows; it keeps them, and operators find them
    parked.
    """
    run = _run_of(line.now())
    talk = Talk(
        identity=line.identity,
        now=line.now,
        reference=reference or f"CERTIFY-{run}-0",
        amount_rupiah=amount_rupiah or _CERTIFIED_AMOUNT,
        run=run,
    )
    # Nobody there is one sentence, and not forty points that fail.
    await line.send(talk.ask_for_token())
    for point in POINTS:
        if point.only not in {None, line.identity.style}:
            continue
        if point.ends_a_token and not waits_for_expiry:
            yield Verdict(point=point, came="", wrong=None, left_out=True)
            continue
        if point.ends_a_token:
            await pause(TOKEN_SECONDS)
        yield await _asked(line, talk, point)
        if point.ends_a_token:
            await _asked(line, talk, POINTS[0])


async def _asked(line: Line, talk: Talk, point: Point) -> Verdict:
    try:
        replies = [await line.send(request) for request in point.send(talk)]
    except Unanswered as unanswered:
        return Verdict(point=point, came="", wrong=str(unanswered))
    last = replies[-1]
    if last.code == "2007300" and talk.identity.style is SignatureStyle.WITH_TOKEN:
        talk.token = str(last.document.get("accessToken", ""))
    return Verdict(point=point, came=last.code or f"HTTP {last.status}", wrong=_what_is_wrong(point, replies))


def _what_is_wrong(point: Point, replies: Sequence[Reply]) -> str | None:
    last = replies[-1]
    if last.code != point.code:
        return f"{last.code or 'no SNAP answer'} came, not {point.code}: {last.message or last.status}"
    if point.same and len({reply.raw for reply in replies}) > 1:
        return "the answers differ"
    if str(last.status) != last.code[:3]:
        return f"HTTP {last.status} is not the code's first three digits"
    if "x-timestamp" not in last.headers:
        return "the answer has no X-TIMESTAMP"
    if len(last.message) > _MESSAGE_LIMIT:
        return f"responseMessage is longer than {_MESSAGE_LIMIT}"
    if point.code == "2007300" and (last.document.get("tokenType"), last.document.get("expiresIn")) != (
        "Bearer",
        "900",
    ):
        return "a token is a Bearer of 900 seconds"
    return None


def _run_of(now: datetime) -> str:
    """Milliseconds: two runs of a day have X-EXTERNAL-IDs of their own."""
    return f"{int(now.timestamp() * 1000)}"
