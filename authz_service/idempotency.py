"""The same request gets the same answer: PostgreSQL is the last word, Redis a hint that may vanish at any time.

Redis keeps two things. Finished declines, so that a repeat is answered even while PostgreSQL is away; never an
approval, because a reversal may have killed it and only PostgreSQL knows. And a lock per card, so that two processes
seldom decide the same family at once; when it is refused twice the request goes on, the wallet's version guards it.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from authz_service.answers import Answer
from authz_service.clock import monotonic_seconds
from authz_service.keys import Keys
from authz_service.metrics import HINT_FAILURES, HINT_TOLD
from authz_service.requests import canonical
from authz_service.settings import Settings

_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_FINGERPRINT_BYTES: Final = 16
_STATUS_BYTES: Final = 2


def fingerprint(keys: Keys, method: str, path: str, body: object) -> bytes:
    """The keyed digest of a request's canonical form: white space and the order of members do not count, defaults
    are filled in, times are instants, quantities are thousandths; a PIN block is left out."""
    return keys.request_digest(orjson.dumps([method, path, canonical(body)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a batch asks Redis for one request."""

    answer_key: bytes | None
    fingerprint: bytes | None
    lock_key: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hinted:
    """A finished decline of the very same request, if Redis has one; and whether another process decides the card."""

    answer: Answer | None = None
    card_is_busy: bool = False


NOTHING: Final = Hinted()


class Hint:
    """Redis behind a breaker: no failure of it is an error, it only makes the answer slower."""

    def __init__(self, settings: Settings, url: str, *, epoch: str, token: str) -> None:
        self._settings = settings
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=settings.redis_timeout_seconds,
            socket_connect_timeout=settings.redis_connect_timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self._epoch = epoch.encode()
        self._token = token.encode()
        self._failures = 0
        self._open_until = float("-inf")
        self._news: asyncio.Queue[list[tuple[bytes, ...]]] = asyncio.Queue(settings.redis_queue_limit)

    def answer_key(self, programme_id: str, principal_id: str, key_digest: bytes) -> bytes:
        return b"%b:answer:%b:%b:%b" % (
            self._epoch,
            programme_id.encode(),
            principal_id.encode(),
            key_digest.hex().encode(),
        )

    def lock_key(self, programme_id: str, card_digest: bytes) -> bytes:
        return b"%b:card:%b:%b" % (self._epoch, programme_id.encode(), card_digest.hex().encode())

    async def ask(self, asking: Sequence[Asking]) -> list[Hinted]:
        """One round trip for the whole batch; nothing is hinted while Redis is away."""
        if monotonic_seconds() < self._open_until:
            return [NOTHING] * len(asking)
        pipeline = self._redis.pipeline(transaction=False)
        for each in asking:
            if each.answer_key is not None:
                pipeline.get(each.answer_key)
            if each.lock_key is not None:
                pipeline.set(each.lock_key, self._token, nx=True, get=True, px=self._settings.redis_card_lock_ms)
        try:
            replies = iter(await pipeline.execute(raise_on_error=False))
        except (RedisError, OSError, TimeoutError):
            self._failed()
            return [NOTHING] * len(asking)
        self._failures = 0
        return [self._hinted(each, replies) for each in asking]

    def tell_later(self, declines: Sequence[tuple[bytes, bytes, Answer]], locks: Sequence[bytes]) -> None:
        """Finished declines (key, fingerprint, answer) and locks to give back; dropped when too much waits."""
        news = [(key, told + answer.status.to_bytes(_STATUS_BYTES) + answer.body) for key, told, answer in declines]
        try:
            self._news.put_nowait([*news, *((lock,) for lock in locks)])
        except asyncio.QueueFull:
            HINT_FAILURES.inc()

    async def tell_for_ever(self) -> None:
        """The one task that writes to Redis; nobody waits for it."""
        while True:
            news = await self._news.get()
            while len(news) < self._settings.redis_queue_limit and not self._news.empty():
                news += self._news.get_nowait()
            if monotonic_seconds() >= self._open_until:
                await self._tell(news)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _tell(self, news: list[tuple[bytes, ...]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for item in news:
            if len(item) == 1:
                pipeline.eval(_RELEASE, 1, item[0], self._token)
            else:
                pipeline.set(item[0], item[1], ex=self._settings.redis_answer_seconds)
        try:
            await pipeline.execute(raise_on_error=False)
            HINT_TOLD.inc(len(news))
        except (RedisError, OSError, TimeoutError):
            self._failed()

    def _hinted(self, each: Asking, replies: Iterator[object]) -> Hinted:
        answer = None
        if each.answer_key is not None:
            value = next(replies)
            if isinstance(value, bytes) and value[:_FINGERPRINT_BYTES] == each.fingerprint:
                status = int.from_bytes(value[_FINGERPRINT_BYTES : _FINGERPRINT_BYTES + _STATUS_BYTES])
                answer = Answer(status=status, body=value[_FINGERPRINT_BYTES + _STATUS_BYTES :], replayed=True)
        if each.lock_key is None:
            return Hinted(answer=answer)
        owner = next(replies)
        return Hinted(answer=answer, card_is_busy=isinstance(owner, bytes) and owner != self._token)

    def _failed(self) -> None:
        HINT_FAILURES.inc()
        self._failures += 1
        if self._failures >= self._settings.redis_failures_to_open:
            self._failures = 0
            self._open_until = monotonic_seconds() + self._settings.redis_open_seconds
