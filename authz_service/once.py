"""The same request of a companion or operator is done once, and answered with the same bytes for ever.

PostgreSQL is the arbiter: a request claims its key in the transaction that does what it asks. Of two that are equal
the second waits at the claim until the first is done, and then finds its answer. Claims stand before the locks of
wallets: no terminal has a key of these principals, and no statement of the hot path waits for a wallet.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import asyncpg

from authz_service.answers import Answer
from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.keys import KEY_ID
from authz_service.problems import InProgress, KeyReused, NotDecided, OutcomeUnknown, Problem

Work = Callable[[Connection], Awaitable[Answer]]
"""What is to be done, in the transaction that is given. Raises a Problem where it is refused."""

_PATIENCE: Final = """
-- How long this transaction waits for any lock; and what time it is.
SELECT set_config('lock_timeout', $1, true), clock_timestamp() AS database_now
"""
_CLAIM: Final = """
-- The key is this request's until the transaction ends; whoever has it already is waited for.
INSERT INTO request_key (programme_id, principal_id, key_digest, key_id, fingerprint, status, created_at)
VALUES ($1, $2, $3, $4, $5, 0, $6)
    ON CONFLICT DO NOTHING
"""
_KNOWN: Final = """
-- What the first request with this key asked and was answered.
SELECT fingerprint, status, answer FROM request_key WHERE programme_id = $1 AND principal_id = $2 AND key_digest = $3
"""
_KEEP: Final = """
UPDATE request_key SET status = $4, answer = $5 WHERE programme_id = $1 AND principal_id = $2 AND key_digest = $3
"""
_COMMIT_LOST: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
"""Whether what was to be committed is written is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """One request that changes something: whose it is, its key and content as digests, and its id in the logs."""

    programme_id: str
    principal_id: str
    key_digest: bytes
    fingerprint: bytes
    request_id: str


async def once(connection: Connection, keyed: Keyed, work: Work, *, clock: Clock, lock_timeout_ms: int) -> Answer:
    """The answer of `work`, done and kept together, or the one that was kept before.

    A refusal that state or amount caused is kept like any answer; any other leaves nothing behind.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        answer = await _answered(connection, keyed, work, clock, f"{lock_timeout_ms}ms")
    except asyncpg.LockNotAvailableError:
        await transaction.rollback()
        raise NotDecided("others had the family for too long") from None
    except BaseException:
        await transaction.rollback()
        raise
    try:
        await transaction.commit()
    except _COMMIT_LOST as fault:
        raise OutcomeUnknown("the connection was lost while the change was being written") from fault
    return answer


async def _answered(connection: Connection, keyed: Keyed, work: Work, clock: Clock, patience: str) -> Answer:
    identity = (keyed.programme_id, keyed.principal_id, keyed.key_digest)
    row = await connection.fetchrow(_PATIENCE, patience)
    assert row is not None  # noqa: S101  (a SELECT without FROM has one row)
    try:
        claimed = await connection.execute(_CLAIM, *identity, KEY_ID, keyed.fingerprint, clock.at(row["database_now"]))
    except asyncpg.LockNotAvailableError:
        raise InProgress("the first request with this key has no answer yet") from None
    if claimed != "INSERT 0 1":
        return _known(await connection.fetchrow(_KNOWN, *identity), keyed)
    answer = await _done(connection, keyed, work)
    await connection.execute(_KEEP, *identity, answer.status, answer.body)
    return answer


async def _done(connection: Connection, keyed: Keyed, work: Work) -> Answer:
    try:
        # A savepoint: a refusal leaves nothing of what was done before it.
        async with connection.transaction():
            return await work(connection)
    except Problem as problem:
        if not problem.kept:
            raise
        return Answer(status=problem.status, body=problem.document(keyed.request_id), problem=True)


def _known(row: asyncpg.Record | None, keyed: Keyed) -> Answer:
    if row is None:
        raise NotDecided("the first request with this key was undone just now")
    if row["fingerprint"] != keyed.fingerprint:
        raise KeyReused("the key was used for a request with other content")
    status: int = row["status"]
    return Answer(status=status, body=row["answer"], replayed=True, problem=status >= HTTPStatus.BAD_REQUEST)
