"""The operators' side: what they change in the database while the programme runs, and what the plan must know of it.

Plain statements for what has no command yet; the triggers raise the versions that decisions compare.
"""

import asyncio
from datetime import time, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

import asyncpg

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
from authz_service.keys import KEY_ID, Keys
from authz_service.roll import remove
from authz_service.vocabulary import CHANCE_BYTES, BeneficiaryId, BeneficiaryStatus, Chance, new_id
from authz_service.vouching import vouch

_TERMS: Final = """
-- The terms of one programme, as its row has them.
SELECT zone, starts_at, ends_at, entitlement_rupiah, package_rupiah, month_cap_rupiah, month_packages
  FROM programme WHERE programme_id = $1
"""
_HOURS: Final = """
-- When each shop opens and closes.
SELECT merchant_id, opens_at, closes_at FROM merchant WHERE programme_id = $1
"""
_SET_CARD_STATUS: Final = "UPDATE card SET status = $3 WHERE programme_id = $1 AND card_digest = $2"
_SET_CARD_EXPIRY: Final = "UPDATE card SET expires_on = $3 WHERE programme_id = $1 AND card_digest = $2"
_ISSUE_CARD: Final = """
-- A further card of a family, valid as long as the programme's other cards.
INSERT INTO card (programme_id, card_id, beneficiary_id, card_digest, key_id, last_four, status, expires_on)
SELECT $1, $2, $3, $4, $5, $6, $7, max(expires_on) FROM card WHERE programme_id = $1
"""
_SET_FAMILY_STATUS: Final = "UPDATE beneficiary SET status = $3 WHERE programme_id = $1 AND beneficiary_id = $2"
_SET_SHOP_STATUS: Final = "UPDATE merchant SET status = $3 WHERE programme_id = $1 AND merchant_id = $2"
_SET_SHOP_LEAVES: Final = "UPDATE merchant SET leaves_on = $3 WHERE programme_id = $1 AND merchant_id = $2"
_SET_SHOP_CLOSES: Final = "UPDATE merchant SET closes_at = $3 WHERE programme_id = $1 AND merchant_id = $2"
ONE_ROW: Final = frozenset({"UPDATE 1", "INSERT 0 1"})


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

    async def town(self) -> Town:
        """The programme's terms from its row, its shops with their hours, and the families whose cards are at hand."""
        terms = _terms(await self._connection.fetchrow(_TERMS, self._tills.programme_id))
        rows = await self._connection.fetch(_HOURS, self._tills.programme_id)
        hours = {row["merchant_id"]: (row["opens_at"], row["closes_at"]) for row in rows if row["opens_at"]}
        if any(each.merchant_id not in hours for each in self._tills.terminals):
            raise DemoFailedError("The quarter is about shops that have hours.")
        shops = tuple(_shop(each, *hours[each.merchant_id]) for each in self._tills.terminals)
        families = tuple(
            Family(beneficiary_id=each.beneficiary_id, district_code=each.district_code, card_number=each.card_number)
            for each in self._tills.cards
        )
        return Town(terms=terms, shops=shops, families=families)

    async def change(self, change: Change) -> None:
        """The change is in the database; whatever is decided from now on knows of it."""
        match change:
            case CardStatusSet(card_number=number, status=status):
                await self._write(_SET_CARD_STATUS, self._keys.card_digest(number), status)
            case CardExpirySet(card_number=number, expires_on=expires_on):
                await self._write(_SET_CARD_EXPIRY, self._keys.card_digest(number), expires_on)
            case CardIssued():
                await self._issue(change)
            case FamilyStatusSet(beneficiary_id=beneficiary_id, status=BeneficiaryStatus.REMOVED):
                await remove(
                    self._connection,
                    programme_id=self._tills.programme_id,
                    beneficiary_id=beneficiary_id,
                    reason="verifikasi data",
                    now=self._clock.estimate(),
                    chance=self._chance,
                )
            case FamilyStatusSet(beneficiary_id=beneficiary_id, status=status):
                await self._write(_SET_FAMILY_STATUS, beneficiary_id, status)
            case ShopStatusSet(merchant_id=merchant_id, status=status):
                await self._write(_SET_SHOP_STATUS, merchant_id, status)
            case ShopLeaves(merchant_id=merchant_id, leaves_on=leaves_on):
                await self._write(_SET_SHOP_LEAVES, merchant_id, leaves_on)
            case ShopClosesAt(merchant_id=merchant_id, closes_at=closes_at):
                await self._write(_SET_SHOP_CLOSES, merchant_id, closes_at)
            case unreachable:
                assert_never(unreachable)

    async def vouch(self, beneficiary_id: BeneficiaryId, voucher: Vouching) -> None:
        """The family's companion has vouched."""
        async with self._busy:
            await vouch(
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

    async def _issue(self, card: CardIssued) -> None:
        card_id = new_id("crd", self._clock.estimate(), self._chance(CHANCE_BYTES))
        digest, last_four = self._keys.card_digest(card.card_number), card.card_number[-4:]
        await self._write(_ISSUE_CARD, card_id, card.beneficiary_id, digest, KEY_ID, last_four, card.status)

    async def _write(self, statement: str, *arguments: object) -> None:
        async with self._busy:
            done = await self._connection.execute(statement, self._tills.programme_id, *arguments)
        if done not in ONE_ROW:
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
