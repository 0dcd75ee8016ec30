"""Signing in at the console, and staying so. A token is random, new at every sign-in, and kept only as a digest.

A try is counted before the password is compared, in one statement: of any number at once, no more are compared than
may be wrong in a row. What is right forgets the tries. A name that nobody has costs the same time and gets the same
answer, as does one that is locked or disabled.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from authz_service.audit import Subject, keep_audit
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.people import PersonId, Role
from authz_service.settings import Settings
from authz_service.vocabulary import Chance, ProgrammeId

_SEEN_EVERY: Final = timedelta(minutes=1)
"""When somebody was last there is written no oftener."""
_TRY: Final = """
-- One more try of this name, if it is neither disabled nor locked; the last that may be wrong locks it, until it is
-- seen to be right. $1 programme, $2 name, $3 now, $4 tries, $5 locked until
UPDATE person
   SET failed_tries = CASE WHEN locked_until <= $3 THEN 1 ELSE failed_tries + 1 END,
       locked_until = CASE WHEN CASE WHEN locked_until <= $3 THEN 1 ELSE failed_tries + 1 END >= $4
                           THEN $5::timestamptz END
 WHERE programme_id = $1 AND sign_in = $2 AND disabled_at IS NULL AND (locked_until IS NULL OR locked_until <= $3)
RETURNING person_id, sign_in, role, password_hash, password_is_for_once, locked_until IS NOT NULL AS is_locked
"""
_RIGHT: Final = """
-- The password was right, and is still the one that was compared; hashed anew where $4 is given.
UPDATE person SET failed_tries = 0, locked_until = NULL, password_hash = coalesce($4, password_hash)
 WHERE programme_id = $1 AND person_id = $2 AND password_hash = $3 AND disabled_at IS NULL
"""
_BEGIN: Final = """
INSERT INTO console_session (programme_id, token_digest, person_id, created_at, last_seen_at, ends_at)
VALUES ($1, $2, $3, $4, $4, $5)
"""
_FORGET: Final = """
-- Sessions that were over a day ago, whosever they were.
DELETE FROM console_session WHERE programme_id = $1 AND ends_at < $2
"""
_WHOSE: Final = """
-- Whose session this is, as the person is now.
SELECT s.programme_id, s.last_seen_at, s.ends_at, p.person_id, p.sign_in, p.role, p.password_is_for_once,
       p.password_hash
  FROM console_session s JOIN person p USING (programme_id, person_id)
 WHERE s.token_digest = $1 AND p.disabled_at IS NULL
"""
_SEEN: Final = "UPDATE console_session SET last_seen_at = $3 WHERE programme_id = $1 AND token_digest = $2"
_END: Final = "DELETE FROM console_session WHERE programme_id = $1 AND token_digest = $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who has signed in, with the role of this moment."""

    programme_id: ProgrammeId
    person_id: PersonId
    sign_in: str
    role: Role
    password_is_for_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A name that may be tried, and what its password is compared with."""

    person: SignedIn
    password_hash: str
    is_the_last: bool
    """If it is wrong, the person is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """At which instant, with whose chance, in which request something about a session happens."""

    now: datetime
    chance: Chance
    request_id: str


async def try_name(
    connection: Connection, settings: Settings, programme_id: ProgrammeId, sign_in: str, now: datetime
) -> Try | None:
    """The try is counted; None for a name that nobody has, and for one that may not be tried now."""
    until = now + timedelta(seconds=settings.console_lock_seconds)
    row = await connection.fetchrow(_TRY, programme_id, sign_in, now, settings.console_tries, until)
    if row is None:
        return None
    person = SignedIn(
        programme_id=programme_id,
        person_id=PersonId(row["person_id"]),
        sign_in=row["sign_in"],
        role=Role(row["role"]),
        password_is_for_once=row["password_is_for_once"],
    )
    return Try(person=person, password_hash=row["password_hash"], is_the_last=row["is_locked"])


async def begin(
    connection: Connection, keys: Keys, settings: Settings, tried: Try, token: str, where: Where, fresh_hash: str | None
) -> bool:
    """The person is signed in with the new token; False where the password was changed meanwhile. `fresh_hash`: of the
    same password, by the parameters of today."""
    person = tried.person
    async with connection.transaction():
        done = await connection.execute(_RIGHT, person.programme_id, person.person_id, tried.password_hash, fresh_hash)
        if done != "UPDATE 1":
            return False
        await connection.execute(_FORGET, person.programme_id, where.now - timedelta(days=1))
        ends_at = where.now + timedelta(seconds=settings.console_session_seconds)
        row = (person.programme_id, keys.session_digest(token), person.person_id, where.now, ends_at)
        await connection.execute(_BEGIN, *row)
        await _told(connection, person, "signed_in", where)
    return True


async def failed(connection: Connection, tried: Try, where: Where) -> None:
    """That the password was wrong stands in the audit log: at most so often as may be tried."""
    await _told(connection, tried.person, "person_locked" if tried.is_the_last else "sign_in_failed", where)


async def whose(connection: Connection, keys: Keys, settings: Settings, token: str, now: datetime) -> SignedIn | None:
    """Who has this session now; None where it was never one, or is over, by sign-out, idleness or time."""
    digest = keys.session_digest(token)
    row = await connection.fetchrow(_WHOSE, digest)
    idle = timedelta(seconds=settings.console_idle_seconds)
    if row is None or now >= row["ends_at"] or now - row["last_seen_at"] >= idle:
        return None
    if now - row["last_seen_at"] >= _SEEN_EVERY:
        await connection.execute(_SEEN, row["programme_id"], digest, now)
    return SignedIn(
        programme_id=ProgrammeId(row["programme_id"]),
        person_id=PersonId(row["person_id"]),
        sign_in=row["sign_in"],
        role=Role(row["role"]),
        password_is_for_once=row["password_is_for_once"],
    )


async def end(connection: Connection, keys: Keys, person: SignedIn, token: str, where: Where) -> None:
    """The token opens nothing any more."""
    async with connection.transaction():
        await connection.execute(_END, person.programme_id, keys.session_digest(token))
        await _told(connection, person, "signed_out", where)


async def _told(connection: Connection, person: SignedIn, action: str, where: Where) -> None:
    await keep_audit(
        connection,
        person.programme_id,
        actor=person.sign_in,
        role=person.role,
        action=action,
        subject=Subject(kind="person", id=person.person_id),
        reason=None,
        before=None,
        after=None,
        now=where.now,
        chance=where.chance,
        request_id=where.request_id,
    )
