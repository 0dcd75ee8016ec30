"""The same request gets the same answer: PostgreSQL is the last word, Redis a hint that may vanish at any time.

Redis keeps two things. Finished declines, so that a repeat is answered even while PostgreSQL is away; never an
approval, because a reversal may have killed it and only PostgreSQL knows. And a lock per card, so that two processes
seldom decide the same family at once; when it is refused twice the request goes on, the wallet's version guards it.
"""

import asyncio
from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Final

import orjson
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from authz_service.answers import Answer
from authz_service.clock import monotonic_seconds
from authz_service.keys import DIGEST_BYTES, Keys
from authz_service.metrics import REDIS_FAILURES, REDIS_TOLD, STAGE_LOCK
from authz_service.requests import canonical
from authz_service.settings import Settings

_TAKE: Final = """
-- Takes every lock that is free, for ARGV[2] milliseconds; says 1 for each that another process has.
local others = {}
for place, lock in ipairs(KEYS) do
  local owner = redis.pcall('SET', lock, ARGV[1], 'NX', 'GET', 'PX', ARGV[2])
  others[place] = type(owner) == 'string' and owner ~= ARGV[1] and 1 or 0
end
return others
"""
_RELEASE: Final = """
-- Gives back every lock that is still this process's.
for _, lock in ipairs(KEYS) do
  if redis.pcall('GET', lock) == ARGV[1] then redis.call('DEL', lock) end
end
return #KEYS
"""
_STATUS_BYTES: Final = 2
Command = tuple[str | bytes | int, ...]


def fingerprint(keys: Keys, method: str, path: str, body: object) -> bytes:
    """The keyed digest of a request's canonical form: white space and the order of members do not count, defaults
    are filled in, times are instants, quantities are thousandths; a PIN block is left out."""
    return keys.request_digest(orjson.dumps([method, path, canonical(body)]))


async def _reply(connection: AbstractConnection) -> object:
    try:
        return await connection.read_response()
    except ResponseError as refused:
        return refused


class Hint:
    """Redis behind a breaker: no failure of it is an error, it only makes the answer slower."""

    def __init__(self, settings: Settings, keys: Keys, url: str, *, epoch: str, token: str) -> None:
        self._settings = settings
        self._keys = keys
        # The pool only makes them: to take one of it, checked, and give it back costs thrice what a lone lock costs.
        self._new: Callable[[], AbstractConnection] = ConnectionPool.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=settings.redis_connect_timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        ).make_connection
        self._kept: list[AbstractConnection] = []
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

    async def taken(self, locks: Sequence[bytes | None]) -> list[bool]:
        """Takes these locks in one round trip; True where another process has it. None is no lock."""
        wanted = [lock for lock in locks if lock is not None]
        if not wanted:
            return [False] * len(locks)
        px, began = self._settings.redis_card_lock_ms, monotonic_seconds()
        replies = await self._asked([("EVAL", _TAKE, len(wanted), *wanted, self._token, px)])
        STAGE_LOCK.observe(monotonic_seconds() - began)
        others = replies[0] if replies and isinstance(replies[0], list) else []
        is_taken = iter([*others, *[0] * (len(wanted) - len(others))])
        return [lock is not None and next(is_taken) == 1 for lock in locks]

    async def declines(self, asked: Sequence[tuple[bytes, bytes]]) -> list[Answer | None]:
        """The finished decline of each of these (answer key, fingerprint), where Redis has one; as it was given."""
        replies = await self._asked([("GET", key) for key, _ in asked])
        values = [*replies, *[None] * (len(asked) - len(replies))]
        return [self._opened(key, told, value) for (key, told), value in zip(asked, values, strict=True)]

    def tell_later(self, declines: Sequence[tuple[bytes, bytes, Answer]], locks: Sequence[bytes]) -> None:
        """Finished declines (key, fingerprint, answer) and locks to give back; dropped when too much waits."""
        news = [(key, self._sealed(key, told, answer)) for key, told, answer in declines]
        try:
            self._news.put_nowait([*news, *((lock,) for lock in locks)])
        except asyncio.QueueFull:
            REDIS_FAILURES.inc()

    async def tell_for_ever(self) -> None:
        """The one task that writes to Redis; nobody waits for it."""
        while True:
            news = await self._news.get()
            while len(news) < self._settings.redis_queue_limit and not self._news.empty():
                news += self._news.get_nowait()
            await self._tell(news)

    async def is_up(self) -> bool:
        """It answers now."""
        return await self._asked([("PING",)]) == [b"PONG"]

    @property
    def untold(self) -> int:
        """Batches whose news wait to be told."""
        return self._news.qsize()

    async def close(self) -> None:
        """No connection is kept any more."""
        while self._kept:
            await self._kept.pop().disconnect(nowait=True)

    async def _tell(self, news: list[tuple[bytes, ...]]) -> None:
        seconds = self._settings.redis_answer_seconds
        commands: list[Command] = [("SET", *item, "EX", seconds) for item in news if len(item) > 1]
        locks = [item[0] for item in news if len(item) == 1]
        if locks:
            commands.append(("EVAL", _RELEASE, len(locks), *locks, self._token))
        if await self._asked(commands):
            REDIS_TOLD.inc(len(news))

    async def _asked(self, commands: Sequence[Command]) -> list[object]:
        """One reply a command, in one round trip; none at all while Redis is away."""
        if not commands or monotonic_seconds() < self._open_until:
            return []
        try:
            replies = await self._round_trip(commands)
        except (RedisError, OSError, TimeoutError):
            self._failed()
            return []
        self._failures = 0
        return replies

    async def _round_trip(self, commands: Sequence[Command]) -> list[object]:
        """On a connection that is kept. Where it was closed meanwhile the rest are too, and the next one is new."""
        connection: AbstractConnection = self._kept.pop() if self._kept else self._new()
        try:
            if not connection.is_connected:
                async with asyncio.timeout(self._settings.redis_connect_timeout_seconds):
                    await connection.connect()  # type: ignore[no-untyped-call]
            async with asyncio.timeout(self._settings.redis_timeout_seconds):
                await connection.send_packed_command(connection.pack_commands(commands))
                replies = [await _reply(connection) for _ in commands]
        except BaseException:
            # What was asked may still be answered, and nobody else must read that.
            await connection.disconnect(nowait=True)
            await self.close()
            raise
        self._kept.append(connection)
        return replies

    def _sealed(self, key: bytes, told: bytes, answer: Answer) -> bytes:
        content = told + answer.status.to_bytes(_STATUS_BYTES) + answer.body
        return self._keys.request_digest(key + content) + content

    def _opened(self, key: bytes, asked: bytes, value: object) -> Answer | None:
        """Only what this service wrote, under this key and for this very request, is an answer."""
        if not isinstance(value, bytes):
            return None
        seal, content = value[:DIGEST_BYTES], value[DIGEST_BYTES:]
        if not compare_digest(seal, self._keys.request_digest(key + content)):
            return None
        told, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if told != asked:
            return None
        return Answer(status=int.from_bytes(rest[:_STATUS_BYTES]), body=rest[_STATUS_BYTES:], replayed=True)

    def _failed(self) -> None:
        REDIS_FAILURES.inc()
        self._failures += 1
        if self._failures >= self._settings.redis_failures_to_open:
            self._failures = 0
            self._open_until = monotonic_seconds() + self._settings.redis_open_seconds
