"""An operator's hands: families change as by `authz family`, at the world's time; and what the books say of it."""

import os
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Any

import asyncpg

from authz_service.enrolment.sandbox import SandboxCard
from authz_service.keys import Keys
from authz_service.roll.cards import CardFromTheBank, new_card, set_card_status
from authz_service.roll.due import apply_due
from authz_service.roll.entering import Newcomer, enter
from authz_service.roll.merging import merge
from authz_service.roll.moving import move
from authz_service.roll.orders import Change, Here, Order
from authz_service.roll.status import remove, resume, suspend
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import BeneficiaryId, CardId, CardStatus, with_luhn
from authz_service.vouching import vouch
from tests.world import PROGRAMME, WITA, World

KEYS = Keys(SANDBOX_ROOT_KEY)
_numbers = count(1)


def a_card_number() -> str:
    """Of no bank, and of no family of the enrolled template."""
    return with_luhn(f"93600000999{next(_numbers):04d}")


def a_newcomer(**changes: Any) -> Newcomer:
    """A family of Samarinda Utara; its NIK is of no day and no month."""
    good: dict[str, Any] = {
        "name": "KELUARGA BARU",
        "nik": f"6472050000{900000 + next(_numbers)}",
        "companion": "P-001",
        "district_code": "64.72.05",
        "card": CardFromTheBank(number=a_card_number()),
    }
    return Newcomer(**{**good, **changes})


@dataclass(slots=True)
class Operator:
    """`connection` of its own, where it works beside others."""

    world: World
    connection: "asyncpg.Connection[asyncpg.Record]"
    actor: str = "dinsos"

    def here(self) -> Here:
        return Here(programme_id=PROGRAMME, now=self.world.now, chance=os.urandom)

    def order(self, reason: str = "verifikasi data", on: date | None = None) -> Order:
        return Order(actor=self.actor, reason=reason, on=on)

    def family(self, card: SandboxCard | None = None) -> BeneficiaryId:
        return BeneficiaryId((card or self.world.card).beneficiary_id)

    async def suspend(self, card: SandboxCard | None = None, **order: Any) -> Change:
        who, how = self.family(card), self.order(**order)
        return await suspend(self.connection, beneficiary_id=who, order=how, **self.here())

    async def resume(self, card: SandboxCard | None = None, **order: Any) -> Change:
        who, how = self.family(card), self.order(**order)
        return await resume(self.connection, beneficiary_id=who, order=how, **self.here())

    async def remove(self, card: SandboxCard | None = None, **order: Any) -> Change:
        who, how = self.family(card), self.order(**order)
        return await remove(self.connection, beneficiary_id=who, order=how, **self.here())

    async def merge(self, survivor: SandboxCard, other: SandboxCard, **order: Any) -> Change:
        names, how = (self.family(survivor), self.family(other)), self.order(**order)
        return await merge(self.connection, survivor_id=names[0], other_id=names[1], order=how, **self.here())

    async def move(self, card: SandboxCard | None = None, companion: str = "P-002", **order: Any) -> Change:
        who, how = self.family(card), self.order(**order)
        return await move(self.connection, beneficiary_id=who, companion=companion, order=how, **self.here())

    async def new_card(self, number: str, card: SandboxCard | None = None, **more: Any) -> Change:
        how = self.order(on=more.pop("on", None))
        given = CardFromTheBank(number=number, **more)
        who = self.family(card)
        return await new_card(self.connection, beneficiary_id=who, card=given, keys=KEYS, order=how, **self.here())

    async def card_becomes(self, status: CardStatus, card_id: CardId | None = None) -> Change:
        which = card_id or await self.card_id()
        return await set_card_status(self.connection, card_id=which, status=status, order=self.order(), **self.here())

    async def enter(self, newcomer: Newcomer, **order: Any) -> Change:
        how = self.order(**order)
        return await enter(self.connection, newcomer=newcomer, keys=KEYS, order=how, **self.here())

    async def write_due(self, limit: int = 100) -> int:
        return await apply_due(self.connection, limit=limit, **self.here())

    async def vouch(self, card: SandboxCard | None = None, rupiah: int = 300_000, packages: int = 1) -> str:
        """The family's companion has vouched for the running month."""
        return await vouch(
            self.connection,
            programme_id=PROGRAMME,
            beneficiary_id=self.family(card),
            month=self.world.now.astimezone(WITA).date().replace(day=1),
            extra_rupiah=rupiah,
            extra_packages=packages,
            reason="anak sakit",
            now=self.world.now,
            chance=os.urandom,
        )

    # What the database says

    async def card_id(self, card: SandboxCard | None = None) -> CardId:
        """Of the family's first card."""
        found: str = await self.connection.fetchval(
            "SELECT min(card_id) FROM card WHERE beneficiary_id = $1", self.family(card)
        )
        return CardId(found)

    async def cards(self, card: SandboxCard | None = None) -> list[str]:
        """The status of each card of the family, the oldest first."""
        rows = await self.connection.fetch(
            "SELECT status FROM card WHERE beneficiary_id = $1 ORDER BY card_id", self.family(card)
        )
        return [row[0] for row in rows]

    async def on_the_roll(self, card: SandboxCard | None = None) -> asyncpg.Record:
        row = await self.connection.fetchrow("SELECT * FROM beneficiary WHERE beneficiary_id = $1", self.family(card))
        assert row is not None
        return row

    async def version(self, card: SandboxCard | None = None) -> int:
        version: int = await self.connection.fetchval(
            "SELECT version FROM wallet WHERE beneficiary_id = $1", self.family(card)
        )
        return version

    async def unallocated(self) -> int:
        rupiah: int = await self.connection.fetchval(
            "SELECT coalesce(sum(amount_rupiah * CASE credit_account_id WHEN 'unallocated' THEN 1 ELSE -1 END), 0)"
            "::bigint FROM transfer WHERE 'unallocated' IN (debit_account_id, credit_account_id)"
        )
        return rupiah

    async def control_total(self) -> int:
        """Grants less returned grants; the invariants compare it with all wallets."""
        rupiah: int = await self.connection.fetchval(
            "SELECT sum(CASE kind WHEN 'grant' THEN amount_rupiah ELSE -amount_rupiah END)::bigint FROM transfer"
            " WHERE kind IN ('grant', 'return')"
        )
        return rupiah
