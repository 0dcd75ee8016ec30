"""Lanes: each owns a connection, takes all that waits of one programme, reads once, decides, records once, answers.

    take ─▶ card locks ∥ facts ─▶ decide (authorisation.py) ─▶ record ─▶ answers go out, Redis is told
                  ▲                                              │
                  └── families whose facts changed meanwhile ◀───┘

No statement here runs under a time-out that would cancel it: a commit that waits must not be reported as undone. A
statement that stalls loses its connection, and the same requests are run again: their keys and the wallets' versions
make that safe, and there is no other way to ask for an outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from authz_service.answers import Answer
from authz_service.authorisation import decide_all
from authz_service.clock import Clock, monotonic_seconds, month_of
from authz_service.database import DatabaseUnusable
from authz_service.declines import APPROVED, PARTLY_APPROVED
from authz_service.desk import Desk, Given
from authz_service.idempotency import Hint
from authz_service.ledger.book import Question, read_facts, record
from authz_service.metrics import (
    ALERTS,
    BATCH_SIZE,
    DECIDED_AGAIN,
    DECISIONS,
    EXPIRED_WRITTEN,
    LANE_FAULTS,
    LANES_ALIVE,
    REPLAYS,
    STAGE_ANSWER,
    STAGE_FACTS,
    STAGE_RECORD,
    STAGE_RULES,
    STAGE_WAITING,
)
from authz_service.problems import Problem
from authz_service.registry import Registry
from authz_service.requests import Purchase, Reversal
from authz_service.settings import Settings
from authz_service.vocabulary import Chance
from authz_service.waiting import Asked, Batch, WaitingRoom

log = structlog.get_logger()
Connect = Callable[[], Awaitable[asyncpg.Connection]]


class FactsMovedError(Exception):
    """The reference data changed each time that the facts were read."""


DECIDE_AGAIN: Final = (
    FactsMovedError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)
"""Somebody else was there first: read again, and act on what is found."""
CONNECTION_LOST: Final = (
    OSError,
    DatabaseUnusable,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.InternalClientError,
)
"""The connection is of no use any more; whether a record was written is not known."""
OUR_FAULTS: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
EXPIRY_SLACK: Final = timedelta(minutes=5)
"""Holds that end so soon are read as well; if this machine's clock is further behind, the facts are read again."""
_NO_DECLINE: Final = frozenset({None, APPROVED, PARTLY_APPROVED})
_RECONNECT_SECONDS: Final = 0.1
_LOCK_WAIT_SECONDS: Final = 0.005
_LOCK_REFUSALS: Final = 2


@dataclass(slots=True, kw_only=True)
class Lane:
    """One connection and the task that serves the waiting room with it."""

    settings: Settings
    room: WaitingRoom
    registry: Registry
    hint: Hint
    clock: Clock
    chance: Chance
    connect: Connect
    connection: asyncpg.Connection | None = None
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    batches: int = 0
    """Served so far; at each power of two the statements are planned anew."""

    async def serve(self) -> None:
        """Until cancelled; a fault of one batch never ends the lane."""
        LANES_ALIVE.inc()
        try:
            while True:
                batch = await self.room.take()
                started = monotonic_seconds()
                STAGE_WAITING.observe(started - (batch.asked[0].deadline - self.settings.deadline_seconds))
                try:
                    await self._serve(batch)
                except Exception:
                    LANE_FAULTS.labels("bug").inc()
                    log.exception("lane_fault", programme=batch.programme_id)
                    _refuse(batch.asked, "an error of ours")
                finally:
                    self.room.done(batch, monotonic_seconds() - started)
        finally:
            LANES_ALIVE.dec()
            if self.connection is not None:
                self.connection.terminate()

    async def _serve(self, batch: Batch) -> None:
        BATCH_SIZE.observe(len(batch.asked))
        todo = [asked for asked in batch.asked if self._in_time(asked)]
        for _ in range(self.settings.decide_attempts):
            if not todo:
                return
            todo = await self._attempt(batch, todo)
            DECIDED_AGAIN.inc(len(todo))
        for asked in todo:
            self._again(asked)

    async def _attempt(self, batch: Batch, todo: list[Asked]) -> list[Asked]:
        """Decides `todo` once; those that must be decided again are returned."""
        try:
            connection = await self.connected()
            return await self._decide(connection, batch, todo)
        except DECIDE_AGAIN as raced:
            LANE_FAULTS.labels("raced").inc()
            log.info("lane_raced", error=type(raced).__name__)
            if len(todo) == 1 or not isinstance(raced, asyncpg.UniqueViolationError):
                return todo
            # Should it happen each time, then only to the one whose row is there already.
            return [again for half in _halves(todo) for again in await self._attempt(batch, half)]
        except CONNECTION_LOST as lost:
            LANE_FAULTS.labels("connection_lost").inc()
            log.warning("lane_connection_lost", error=type(lost).__name__)
            self._drop()
            await self._give_known_declines(todo)
            await asyncio.sleep(_RECONNECT_SECONDS)
            return todo
        except (asyncpg.PostgresError, *OUR_FAULTS) as fault:
            return await self._find_the_guilty(batch, todo, fault)

    async def _find_the_guilty(self, batch: Batch, todo: list[Asked], fault: Exception) -> list[Asked]:
        """Halves the batch until the one that cannot be decided stands alone, and only it is refused."""
        LANE_FAULTS.labels("guilty").inc()
        if len(todo) == 1:
            log.error("request_cannot_be_decided", **todo[0].names.said, error=type(fault).__name__, exc_info=fault)
            _refuse(todo, "this request cannot be decided; operators were told")
            return []
        return [again for half in _halves(todo) for again in await self._attempt(batch, half)]

    async def _decide(self, connection: asyncpg.Connection, batch: Batch, todo: list[Asked]) -> list[Asked]:
        todo = [asked for asked in todo if not asked.answer.done()]
        if not todo:
            return []
        began = monotonic_seconds()
        locks = [self._lock_key(asked) for asked in todo]
        locking = asyncio.ensure_future(self.hint.taken(locks))
        try:
            desk, rows = await self._read(connection, batch, todo)
            read = monotonic_seconds()
        finally:
            taken = await locking
        locked = monotonic_seconds()
        open_rows = [
            (asked, row)
            for asked, row, is_taken in zip(todo, rows, taken, strict=True)
            if not (is_taken and self._steps_back(asked))
        ]
        decide_all(desk, [asked for asked, _ in open_rows], [row for _, row in open_rows])
        decided = monotonic_seconds()
        written = await self._record(connection, desk)
        recorded = monotonic_seconds()
        again = [given.asked for given in desk.given if not self._answered(given, written)]
        self._tell(desk, written, {lock for lock in locks if lock is not None})
        STAGE_FACTS.observe(read - began)
        STAGE_RULES.observe(decided - locked)
        STAGE_RECORD.observe(recorded - decided)
        STAGE_ANSWER.observe(monotonic_seconds() - recorded)
        return [*again, *desk.postponed]

    async def _read(
        self, connection: asyncpg.Connection, batch: Batch, todo: list[Asked]
    ) -> tuple[Desk, list[asyncpg.Record]]:
        """The facts of the batch's one instant. Read again when the month turned, or the registry, while they came."""
        await self._plan_anew(connection)
        questions = [_question(asked) for asked in todo]
        zone = self.registry.reference(batch.programme_id).programme.zone
        month, expired_by = month_of(self.clock.estimate(), zone), self.clock.estimate() + EXPIRY_SLACK
        for _ in range(self.settings.facts_attempts):
            with self._watched(connection):
                rows = await read_facts(connection, batch.programme_id, month, expired_by, questions)
            now = self.clock.at(rows[0]["database_now"])
            if month_of(now, zone) != month or now > expired_by:
                month, expired_by = month_of(now, zone), now + EXPIRY_SLACK
                continue
            if rows[0]["reference_version"] != self.registry.reference(batch.programme_id).version:
                await self.registry.load()
            reference = self.registry.reference(batch.programme_id)
            if rows[0]["reference_version"] <= reference.version:
                return Desk(reference=reference, now=now, month=month, chance=self.chance), rows
        raise FactsMovedError

    async def _plan_anew(self, connection: asyncpg.Connection) -> None:
        """After 1, 2, 4, 8, … batches: a plan made for tables with no rows looks through all of them when they have."""
        self.batches += 1
        if self.batches.bit_count() == 1:
            with self._watched(connection):
                await connection.execute("DISCARD PLANS")

    async def _record(self, connection: asyncpg.Connection, desk: Desk) -> set[str]:
        records = desk.records()
        if not records:
            return set()
        first_sent = [given for given in desk.given if given.rests_on is not None and not given.asked.sent]
        for given in first_sent:
            given.asked.sent = True
        try:
            with self._watched(connection):
                written = await record(connection, desk.snapshot, records)
        except asyncpg.PostgresError as error:
            if not isinstance(error, CONNECTION_LOST):
                # The server itself said no, so nothing of this statement was written.
                for given in first_sent:
                    given.asked.sent = False
            raise
        for given in first_sent:
            # Skipped, so surely not written; of one that was sent before, that is not known.
            given.asked.sent = given.rests_on in written
        EXPIRED_WRITTEN.inc(sum(each.expired for each in records if each.beneficiary_id in written))
        return written

    def _answered(self, given: Given, written: set[str]) -> bool:
        """Sends the answer if nothing it rests on is missing."""
        if given.rests_on is not None and given.rests_on not in written:
            return False
        if isinstance(given.outcome, Problem):
            given.asked.fail(given.outcome)
        else:
            given.asked.give(given.outcome)
            if given.outcome.replayed:
                REPLAYS.inc()
        if given.decided is not None:
            DECISIONS[given.decided].inc()
        if given.alert is not None:
            ALERTS.labels(given.alert).inc()
            who = given.asked.principal
            log.warning(given.alert, merchant=who.merchant_id, terminal=who.terminal_id, **given.asked.names.said)
        return True

    # Redis

    def _lock_key(self, asked: Asked) -> bytes | None:
        """Only an authorise request names a card that it may change."""
        if not isinstance(asked.body, Purchase) or asked.card_digest is None:
            return None
        return self.hint.lock_key(asked.principal.programme_id, asked.card_digest)

    def _answer_key(self, asked: Asked) -> bytes:
        return self.hint.answer_key(asked.principal.programme_id, asked.principal.terminal_id, asked.key_digest or b"")

    def _steps_back(self, asked: Asked) -> bool:
        """Lets another process finish with the card first, twice at most."""
        if asked.lock_refusals >= _LOCK_REFUSALS:
            return False
        asked.lock_refusals += 1
        asyncio.get_running_loop().call_later(_LOCK_WAIT_SECONDS, self.room.put, asked)
        return True

    async def _give_known_declines(self, todo: list[Asked]) -> None:
        """While PostgreSQL is away: what was declined stays declined."""
        keyed = [asked for asked in todo if isinstance(asked.body, Purchase) and asked.key_digest and asked.fingerprint]
        known = await self.hint.declines([(self._answer_key(asked), asked.fingerprint or b"") for asked in keyed])
        for asked, answer in zip(keyed, known, strict=True):
            if answer is not None:
                asked.give(answer)
                REPLAYS.inc()

    def _tell(self, desk: Desk, written: set[str], locks: set[bytes]) -> None:
        declines = [
            (self._answer_key(given.asked), given.asked.fingerprint, given.outcome)
            for given in desk.given
            if given.decided not in _NO_DECLINE
            and given.rests_on in written
            and given.asked.fingerprint is not None
            and isinstance(given.outcome, Answer)
        ]
        self.hint.tell_later(declines, list(locks))

    # the connection

    async def connected(self) -> asyncpg.Connection:
        """The lane's connection, a new one where it was lost."""
        async with self.connecting:
            if self.connection is None or self.connection.is_closed():
                self.connection = await self.connect()
            return self.connection

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None

    def _watched(self, connection: asyncpg.Connection) -> "_Watch":
        return _Watch(connection, self.settings.stall_seconds)

    # waiters

    def _in_time(self, asked: Asked) -> bool:
        """Too little time left to be decided and recorded: never sent."""
        if asked.deadline - monotonic_seconds() >= self.settings.record_reserve_seconds:
            return True
        asked.refuse("it waited too long to be decided in time")
        return False

    def _again(self, asked: Asked) -> None:
        if self._in_time(asked):
            asked.wait_seconds = min(
                self.settings.redecide_wait_limit_seconds,
                2 * (asked.wait_seconds or self.settings.redecide_wait_seconds),
            )
            asyncio.get_running_loop().call_later(asked.wait_seconds, self.room.put, asked)


class _Watch:
    """While it is entered a statement runs; if that takes longer than the limit, the connection is dropped."""

    def __init__(self, connection: asyncpg.Connection, limit_seconds: float) -> None:
        self._connection = connection
        self._limit_seconds = limit_seconds

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limit_seconds, self._connection.terminate)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _question(asked: Asked) -> Question:
    body = asked.body
    named = body if isinstance(body, Purchase | Reversal) and not asked.dry_run else None
    return Question(
        principal_id=asked.principal.terminal_id,
        key_digest=asked.key_digest,
        original_digest=asked.original_digest,
        stan=named.stan if named else None,
        terminal_time=named.terminal_time if named else None,
        card_digest=asked.card_digest,
        authorisation_id=asked.authorisation_id,
    )


def _halves(todo: list[Asked]) -> tuple[list[Asked], list[Asked]]:
    middle = len(todo) // 2
    return todo[:middle], todo[middle:]


def _refuse(asked: list[Asked], detail: str) -> None:
    for each in asked:
        each.refuse(detail)
