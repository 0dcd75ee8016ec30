"""The operators' side: what they change while the programme runs, and what the plan must know of it.

Families and cards change as by `authz family`. Shops have no command yet: plain statements, and the triggers raise
the versions that decisions compare.
"""

import asyncio
from datetime import time, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

import asyncpg

from authz_service.access import Caller
from authz_service.clock import ShiftedClock
from authz_service.demo.plan import (
    CardExpirySet,
    CardIssued,
    CardStatusSet,
    Change,
    FamilyStatusSet,
    ShopClosesAt,
    ShopLeaves,
    ShopStatusSet,
    Vouching,
)
from authz_service.demo.town import DemoFailedError, Family, Shop, Terms, Town
from authz_service.enrolment.sandbox import SandboxTerminal, SandboxTills
from authz_service.keys import Keys
from authz_service.roll.cards import CardFromTheBank, new_card, set_card_status
from authz_service.roll.orders import Here, Order
from authz_service.roll.status import remove, resume, suspend
from authz_service.vocabulary import BeneficiaryId, BeneficiaryStatus, CardId, CardStatus, Chance
from authz_service.vouching import approve, vouch

_TERMS: Final = """
-- The terms of one programme, as its row has them.
SELECT zone, starts_at, ends_at, entitlement_rupiah, package_rupiah, month_cap_rupiah, month_packages
  FROM programme WHERE programme_id = $1
"""
_HOURS: Final = """
-- When each shop opens and closes.
SELECT merchant_id, opens_at, closes_at FROM merchant WHERE programme_id = $1
"""
_CARD: Final = "SELECT card_id FROM card WHERE programme_id = $1 AND card_digest = $2"
_SET_CARD_EXPIRY: Final = "UPDATE card SET expires_on = $3 WHERE programme_id = $1 AND card_digest = $2"
_SET_SHOP_STATUS: Final = "UPDATE merchant SET status = $3 WHERE programme_id = $1 AND merchant_id = $2"
_SET_SHOP_LEAVES: Final = "UPDATE merchant SET leaves_on = $3 WHERE programme_id = $1 AND merchant_id = $2"
_WAITS: Final = """
-- Whether this voucher still needs an operator.
SELECT approved_at IS NULL FROM voucher WHERE programme_id = $1 AND voucher_id = $2
"""
_SET_SHOP_CLOSES: Final = "UPDATE merchant SET closes_at = $3 WHERE programme_id = $1 AND merchant_id = $2"
_BECOMING: Final = {
    BeneficiaryStatus.ACTIVE: (resume, "data sudah diverifikasi"),
    BeneficiaryStatus.SUSPENDED: (suspend, "verifikasi data"),
    BeneficiaryStatus.REMOVED: (remove, "verifikasi data"),
}
"""The status that a story wants → who brings it about, and why."""
_DINSOS: Final = "dinsos"
_CARD_DESK: Final = "meja kartu bank"


class Office:
    """One connection, shared by the operators and the companions: they come one after the other."""

    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        keys: Keys,
        tills: SandboxTills,
        clock: ShiftedClock,
        chance: Chance,
    ) -> None:
        self._connection = connection
        self._busy = asyncio.Lock()
        self._keys = keys
        self._tills = tills
        self._clock = clock
        self._chance = chance
        self._operator = Caller(
            programme_id=tills.programme_id, companion_id=None, operator_id=tills.operators[0].operator_id
        )

    async def town(self) -> Town:
        """The programme's terms from its row, its shops with their hours, and the families whose cards are at hand."""
        terms = _terms(await self._connection.fetchrow(_TERMS, self._tills.programme_id))
        rows = await self._connection.fetch(_HOURS, self._tills.programme_id)
        hours = {row["merchant_id"]: (row["opens_at"], row["closes_at"]) for row in rows if row["opens_at"]}
        if any(each.merchant_id not in hours for each in self._tills.terminals):
            raise DemoFailedError("The quarter is about shops that have hours.")
        shops = tuple(_shop(each, *hours[each.merchant_id]) for each in self._tills.terminals)
        families = tuple(
            Family(
                beneficiary_id=each.beneficiary_id,
                district_code=each.district_code,
                card_number=each.card_number,
                companion_id=each.companion_id,
            )
            for each in self._tills.cards
        )
        return Town(terms=terms, shops=shops, families=families)

    async def change(self, change: Change) -> None:
        """The change is in the database; whatever is decided from now on knows of it."""
        match change:
            case CardStatusSet(card_number=number, status=status):
                await self._set_card(number, status)
            case CardExpirySet(card_number=number, expires_on=expires_on):
                await self._write(_SET_CARD_EXPIRY, self._keys.card_digest(number), expires_on)
            case CardIssued():
                await self._issue(change)
            case FamilyStatusSet(beneficiary_id=beneficiary_id, status=status):
                become, reason = _BECOMING[status]
                order = Order(actor=_DINSOS, reason=reason)
                async with self._busy:
                    await become(self._connection, beneficiary_id=beneficiary_id, order=order, **self._here())
            case ShopStatusSet(merchant_id=merchant_id, status=status):
                await self._write(_SET_SHOP_STATUS, merchant_id, status)
            case ShopLeaves(merchant_id=merchant_id, leaves_on=leaves_on):
                await self._write(_SET_SHOP_LEAVES, merchant_id, leaves_on)
            case ShopClosesAt(merchant_id=merchant_id, closes_at=closes_at):
                await self._write(_SET_SHOP_CLOSES, merchant_id, closes_at)
            case unreachable:
                assert_never(unreachable)

    async def vouch(self, beneficiary_id: BeneficiaryId, voucher: Vouching) -> None:
        """The family's companion has vouched, and an operator has approved where that is needed."""
        async with self._busy:
            voucher_id = await vouch(
                self._connection,
                programme_id=self._tills.programme_id,
                beneficiary_id=beneficiary_id,
                month=voucher.month,
                extra_rupiah=voucher.extra_rupiah,
                extra_packages=voucher.extra_packages,
                reason=voucher.reason,
                now=self._clock.estimate(),
                chance=self._chance,
            )
            if await self._connection.fetchval(_WAITS, self._tills.programme_id, voucher_id):
                async with self._connection.transaction():
                    await approve(self._connection, self._operator, voucher_id, self._clock)

    async def _set_card(self, card_number: str, status: CardStatus) -> None:
        digest = self._keys.card_digest(card_number)
        async with self._busy:
            card_id: CardId = await self._connection.fetchval(_CARD, self._tills.programme_id, digest)
            order = Order(actor=_CARD_DESK, reason="laporan keluarga")
            await set_card_status(self._connection, card_id=card_id, status=status, order=order, **self._here())

    async def _issue(self, issued: CardIssued) -> None:
        card = CardFromTheBank(number=issued.card_number, is_activated=issued.status is CardStatus.ACTIVE)
        order = Order(actor=_CARD_DESK, reason="kartu pengganti")
        async with self._busy:
            await new_card(
                self._connection,
                beneficiary_id=issued.beneficiary_id,
                card=card,
                keys=self._keys,
                order=order,
                **self._here(),
            )

    def _here(self) -> Here:
        return Here(programme_id=self._tills.programme_id, now=self._clock.estimate(), chance=self._chance)

    async def _write(self, statement: str, *arguments: object) -> None:
        async with self._busy:
            done = await self._connection.execute(statement, self._tills.programme_id, *arguments)
        if done != "UPDATE 1":
            raise DemoFailedError(f"An operator's change found no row: {' '.join(statement.split()[:2])}.")


def _shop(till: SandboxTerminal, opens_at: time, closes_at: time) -> Shop:
    return Shop(
        merchant_id=till.merchant_id,
        terminal_id=till.terminal_id,
        district_code=till.district_code,
        opens_at=opens_at,
        closes_at=closes_at,
    )


def _terms(row: asyncpg.Record | None) -> Terms:
    if row is None:
        raise DemoFailedError("The programme is not enrolled.")
    if None in (row["package_rupiah"], row["month_cap_rupiah"], row["month_packages"]):
        raise DemoFailedError("The quarter is about a programme with packages and a monthly cap.")
    zone = ZoneInfo(row["zone"])
    return Terms(
        zone=zone,
        starts_on=row["starts_at"].astimezone(zone).date(),
        ends_on=(row["ends_at"].astimezone(zone) - timedelta(microseconds=1)).date(),
        entitlement_rupiah=row["entitlement_rupiah"],
        package_rupiah=row["package_rupiah"],
        month_cap_rupiah=row["month_cap_rupiah"],
        month_packages=row["month_packages"],
    )
