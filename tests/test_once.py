"""A change and the answer to it are written together or not at all, and the answer is given for ever."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from authz_service.answers import Answer
from authz_service.clock import SystemClock
from authz_service.database import Connection
from authz_service.once import Keyed, once
from authz_service.problems import KeyReused, MonthNotOpen, NoSuchFamily, OutcomeUnknown

KEYED = Keyed(programme_id="p", principal_id="cmp_1", key_digest=b"k", fingerprint=b"f", request_id="req_1")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database with one account, which the work of these tests adds to."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def open_an_account(connection: Connection) -> Answer:
    await connection.execute("INSERT INTO account SELECT 'p', 'a' || count(*), 'fund' FROM account")
    return Answer(status=201, body=b"opened")


async def done(connection: asyncpg.Connection, work: object = open_an_account, keyed: Keyed = KEYED) -> Answer:
    return await once(connection, keyed, work, clock=SystemClock(), lock_timeout_ms=1000)  # type: ignore[arg-type]


async def written(connection: asyncpg.Connection) -> tuple[int, int]:
    """How many accounts and keys there are."""
    row = await connection.fetchrow("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM request_key)")
    assert row is not None
    return tuple(row)


async def test_what_was_done_is_not_done_again_and_gets_the_same_answer(connection: asyncpg.Connection) -> None:
    assert await done(connection) == Answer(status=201, body=b"opened")
    assert await done(connection) == Answer(status=201, body=b"opened", replayed=True)
    assert await written(connection) == (1, 1)


async def test_a_refusal_that_is_kept_leaves_nothing_but_its_answer(connection: asyncpg.Connection) -> None:
    async def refused(connection: Connection) -> Answer:
        await open_an_account(connection)
        raise MonthNotOpen("the month is over")

    first = await done(connection, refused)
    assert (first.status, first.problem, first.replayed) == (409, True, False)
    assert await written(connection) == (0, 1)
    again = await done(connection)
    assert (again.status, again.body, again.problem, again.replayed) == (409, first.body, True, True)


@pytest.mark.parametrize("fault", [NoSuchFamily("there is none"), ZeroDivisionError(), KeyboardInterrupt()])
async def test_whatever_else_goes_wrong_leaves_nothing(connection: asyncpg.Connection, fault: BaseException) -> None:
    async def failed(connection: Connection) -> Answer:
        await open_an_account(connection)
        raise fault

    with pytest.raises(type(fault)):
        await done(connection, failed)
    assert await written(connection) == (0, 0)
    assert not connection.is_in_transaction()
    assert (await done(connection)).status == 201


async def test_another_request_under_the_key_is_refused_and_another_principals_is_not(
    connection: asyncpg.Connection,
) -> None:
    await done(connection)
    other = Keyed(programme_id="p", principal_id="cmp_1", key_digest=b"k", fingerprint=b"g", request_id="req_2")
    with pytest.raises(KeyReused):
        await done(connection, keyed=other)
    theirs = Keyed(programme_id="p", principal_id="cmp_2", key_digest=b"k", fingerprint=b"g", request_id="req_3")
    assert (await done(connection, keyed=theirs)).replayed is False


async def test_a_connection_that_is_lost_at_the_commit_leaves_the_outcome_unknown(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_: Transaction) -> None:
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def outer_only(connection: Connection) -> Answer:
        monkeypatch.setattr(Transaction, "commit", lost)
        return await open_an_account(connection)

    with pytest.raises(OutcomeUnknown):
        await done(connection, outer_only)
