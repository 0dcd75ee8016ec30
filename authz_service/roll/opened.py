"""The roll of one programme while a change is written: one transaction, its waits limited, its families locked.

Locks are taken in the order of the whole service: the programme, unallocated money, wallets by ascending id, vouchers.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.audit import Deed, Subject, keep_audits, seat
from authz_service.database import Connection, limit_waits
from authz_service.events.kinds import Event
from authz_service.events.outbox import publish
from authz_service.requests import EARLIEST_YEAR
from authz_service.roll.orders import Change, ChangeKind, Effects, Order, RollBusy, RollRefused, Waiting
from authz_service.roll.told import told_of
from authz_service.settings import settings_from_environment
from authz_service.vocabulary import CHANCE_BYTES, BeneficiaryId, BeneficiaryStatus, Chance, CompanionId, new_id

_PROGRAMME: Final = """
-- While its roll changes, the programme is not closed.
SELECT zone, ends_at, entitlement_rupiah, closed_at FROM programme WHERE programme_id = $1 FOR SHARE
"""
_WALLETS: Final = """
-- The wallet is the root of its family: whoever holds it changes the family alone.
SELECT beneficiary_id, available_rupiah, held_rupiah FROM wallet
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2) ORDER BY beneficiary_id FOR UPDATE
"""
_FREE_WALLETS: Final = """
-- The same of those that nobody is at work on.
SELECT beneficiary_id, available_rupiah, held_rupiah FROM wallet
 WHERE programme_id = $1 AND beneficiary_id = ANY ($2) ORDER BY beneficiary_id FOR UPDATE SKIP LOCKED
"""
_FAMILIES: Final = """
-- Read once the wallets are held: what others wrote until then is seen.
SELECT beneficiary_id, companion_id, status, entered_on, next_status, next_status_at, merged_into, leaves_at
  FROM beneficiary WHERE programme_id = $1 AND beneficiary_id = ANY ($2)
"""
_WRITE_STATUS: Final = """
-- The trigger raises the wallet's version: decisions that saw the family as it was are made again.
UPDATE beneficiary SET status = $3, next_status = $4, next_status_at = $5, merged_into = $6, leaves_at = NULL
 WHERE programme_id = $1 AND beneficiary_id = $2
"""
_WRITE_CHANGE: Final = """
INSERT INTO family_change (programme_id, change_id, beneficiary_id, kind, effective_at, reason, actor, detail,
                           recorded_at)
SELECT $1, c.change_id, c.beneficiary_id, c.kind, c.effective_at, $6, $7, c.detail::jsonb, $9
  FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $8::text[])
       AS c(change_id, beneficiary_id, kind, effective_at, detail)
"""
_TAKEN: Final = {
    "beneficiary_programme_id_nik_digest_key": "This NIK is on the roll already.",
    "card_programme_id_card_digest_key": "This card number is given to a family already.",
    "card_one_active_per_beneficiary_key": "The family has another active card.",
}
"""Unique keys → what it means that somebody else was faster."""

_NOTHING: Final[Mapping[str, Mapping[str, object]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFamily:
    """A family that nobody else changes until the transaction ends."""

    beneficiary_id: BeneficiaryId
    companion_id: CompanionId
    status: BeneficiaryStatus
    entered_on: date
    waiting: Waiting | None
    merged_into: BeneficiaryId | None
    available_rupiah: int
    held_rupiah: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """One programme's roll at one instant, inside a transaction."""

    connection: Connection
    programme_id: str
    zone: ZoneInfo
    ends_at: datetime
    entitlement_rupiah: int
    now: datetime
    chance: Chance

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def new_id(self, prefix: str) -> str:
        return new_id(prefix, self.now, self.chance(CHANCE_BYTES))

    def instant_of(self, order: Order) -> datetime:
        """From when on the order holds: a day begins at midnight in the programme's zone."""
        if order.on is None:
            return self.now
        if order.on.year < EARLIEST_YEAR:
            raise RollRefused(f"{order.on} is before the service's time.")
        at = datetime.combine(order.on, time(), tzinfo=self.zone)
        if at > self.now and at >= self.ends_at:
            raise RollRefused(f"The programme ends before {order.on}: nothing would change any more.")
        return at

    def instant_at_once(self, order: Order) -> datetime:
        """The same for what cannot wait for its day."""
        at = self.instant_of(order)
        if at > self.now:
            raise RollRefused(f"This happens at once: give it on {order.on}, or without a day.")
        return at

    def said(self, instant: datetime) -> str:
        """The instant as people of the programme write it."""
        return f"{instant.astimezone(self.zone):%Y-%m-%d %H:%M}"

    async def lock(self, *beneficiary_ids: str) -> list[LockedFamily]:
        """The families, in the given order, locked in the order of their ids."""
        wallets = {row[0]: row for row in await self.connection.fetch(_WALLETS, self.programme_id, beneficiary_ids)}
        rows = {row[0]: row for row in await self.connection.fetch(_FAMILIES, self.programme_id, beneficiary_ids)}
        for beneficiary_id in beneficiary_ids:
            if beneficiary_id not in wallets or beneficiary_id not in rows:
                raise RollRefused(f"{self.programme_id} has no family {beneficiary_id}.")
        return [_family(wallets[each], rows[each]) for each in beneficiary_ids]

    async def lock_free(self, beneficiary_ids: Sequence[str]) -> list[LockedFamily]:
        """Those of the families that nobody else is at work on, locked, in the order of their ids."""
        wallets = await self.connection.fetch(_FREE_WALLETS, self.programme_id, beneficiary_ids)
        ids = [row["beneficiary_id"] for row in wallets]
        rows = {row[0]: row for row in await self.connection.fetch(_FAMILIES, self.programme_id, ids)}
        return [_family(wallet, rows[wallet["beneficiary_id"]]) for wallet in wallets]

    async def write_status(
        self,
        beneficiary_id: BeneficiaryId,
        status: BeneficiaryStatus,
        waiting: Waiting | None,
        merged_into: BeneficiaryId | None,
    ) -> None:
        next_status, next_status_at = (waiting.status, waiting.at) if waiting else (None, None)
        await self.connection.execute(
            _WRITE_STATUS, self.programme_id, beneficiary_id, status, next_status, next_status_at, merged_into
        )

    async def keep(
        self,
        kind: ChangeKind,
        beneficiary_id: BeneficiaryId,
        at: datetime,
        order: Order,
        effects: Effects,
        *,
        before: Mapping[str, object] | None = None,
    ) -> Change:
        """The change is on record, for good, and told; what was so `before` stands in the audit log beside it."""
        change = self.change(kind, beneficiary_id, at, effects)
        await self.keep_all([change], order, before={change.change_id: before} if before else {})
        return change

    def change(self, kind: ChangeKind, beneficiary_id: BeneficiaryId, at: datetime, effects: Effects) -> Change:
        """It is not on record yet."""
        return Change(
            change_id=self.new_id("chg"),
            kind=kind,
            beneficiary_id=beneficiary_id,
            effective_at=at,
            waits=at > self.now,
            effects=effects,
        )

    async def keep_all(
        self,
        changes: Sequence[Change],
        order: Order,
        *,
        before: Mapping[str, Mapping[str, object]] = _NOTHING,
        is_told: bool = True,
    ) -> None:
        """The changes of one order are on record, for good, and in the audit log; told, unless that is for later.

        `before` has, by the ids of changes, what was so until then.
        """
        if not changes:
            return
        await self.connection.execute(
            _WRITE_CHANGE,
            self.programme_id,
            [each.change_id for each in changes],
            [each.beneficiary_id for each in changes],
            [each.kind for each in changes],
            [each.effective_at for each in changes],
            order.reason,
            order.actor,
            [each.effects.document() for each in changes],
            self.now,
        )
        await keep_audits(
            self.connection,
            self.programme_id,
            [_deed(each, before.get(each.change_id)) for each in changes],
            actor=order.actor,
            role=seat().role,
            reason=order.reason,
            now=self.now,
            chance=self.chance,
            request_id=seat().request_id,
        )
        if is_told:
            await self.tell(*(event for change in changes for event in told_of(change)))

    async def tell(self, *events: Event) -> None:
        """Other systems are told, if this transaction is committed."""
        await publish(self.connection, self.programme_id, *events, at=self.now, chance=self.chance)


def _deed(change: Change, before: Mapping[str, object] | None) -> Deed:
    return Deed(
        action=f"family_{change.kind}",
        subject=Subject(kind="family", id=change.beneficiary_id),
        before=before,
        after={"change_id": change.change_id, "effective_at": change.effective_at, **change.effects.shown()},
    )


@asynccontextmanager
async def opened_roll(
    connection: Connection, *, programme_id: str, now: datetime, chance: Chance
) -> AsyncIterator[Roll]:
    """A transaction in which the roll changes, whole or not at all."""
    try:
        async with connection.transaction():
            await limit_waits(connection, settings_from_environment())
            yield await roll_here(connection, programme_id, now, chance)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError):
        raise RollBusy from None
    except asyncpg.UniqueViolationError as taken:
        if taken.constraint_name not in _TAKEN:
            raise
        raise RollRefused(_TAKEN[taken.constraint_name]) from None


async def roll_here(connection: Connection, programme_id: str, now: datetime, chance: Chance) -> Roll:
    """The programme's roll in a transaction that is open already."""
    row = await connection.fetchrow(_PROGRAMME, programme_id)
    if row is None:
        raise RollRefused(f"There is no programme {programme_id}.")
    if row["closed_at"] is not None:
        raise RollRefused(f"{programme_id} is closed: its roll does not change any more.")
    return Roll(
        connection=connection,
        programme_id=programme_id,
        zone=ZoneInfo(row["zone"]),
        ends_at=row["ends_at"],
        entitlement_rupiah=row["entitlement_rupiah"],
        now=now,
        chance=chance,
    )


def _family(wallet: asyncpg.Record, row: asyncpg.Record) -> LockedFamily:
    waiting = None
    if row["leaves_at"] is not None:
        waiting = Waiting(status=BeneficiaryStatus.REMOVED, at=row["leaves_at"])
    elif row["next_status"] is not None:
        waiting = Waiting(status=BeneficiaryStatus(row["next_status"]), at=row["next_status_at"])
    return LockedFamily(
        beneficiary_id=BeneficiaryId(row["beneficiary_id"]),
        companion_id=CompanionId(row["companion_id"]),
        status=BeneficiaryStatus(row["status"]),
        entered_on=row["entered_on"],
        waiting=waiting,
        merged_into=BeneficiaryId(row["merged_into"]) if row["merged_into"] is not None else None,
        available_rupiah=wallet["available_rupiah"],
        held_rupiah=wallet["held_rupiah"],
    )
