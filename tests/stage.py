"""Where the machine of `test_machine.py` plays: the real service twice on one database, and the offices beside it.

The clock stands still between two steps, so that an expiry or a month's end can be met to the microsecond. Nobody
has used the families that an example gets; a new database is copied when they run out, or when an example failed.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import orjson

from authz_service.enrolment.sandbox import SandboxCard, SandboxTerminal
from authz_service.keys import Keys
from authz_service.ledger.audit import check
from authz_service.problems import FamilyRemoved, MonthNotOpen
from authz_service.roll.cards import CardFromTheBank, new_card
from authz_service.roll.orders import Here, Order, RollRefused
from authz_service.roll.status import remove, resume, suspend
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import BeneficiaryId
from authz_service.vouching import vouch
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.model import Call, Document
from tests.world import A_MORNING, PROGRAMME, World, running

INSTANCES: Final = 2
TRIES: Final = 50
"""A request that is told to wait so often, a second at the least, will never be answered."""
AUDIT_AFTER: Final = 400
"""So many calls go by from one audit of the books to the next: it takes as long as fifty calls."""
PATHS: Final = {
    "authorise": "/v1/authorizations",
    "dry_run": "/v1/authorizations?dry_run=true",
    "capture": "/v1/authorizations/{}/captures",
    "void": "/v1/authorizations/{}/void",
    "refund": "/v1/authorizations/{}/refunds",
    "get": "/v1/authorizations/{}",
    "reverse": "/v1/reversals",
    "balance": "/v1/balance-inquiries",
}
_ROWS: Final = """
-- All that the books have of these families; instants as microseconds.
SELECT w.beneficiary_id, ARRAY[w.available_rupiah, w.held_rupiah, w.spent_rupiah] AS wallet,
       (SELECT json_object_agg(a.month, json_build_array(a.used_rupiah, a.packages_used, a.covered_rupiah,
                                                         a.covered_packages))
          FROM allowance a
         WHERE a.programme_id = $1 AND a.beneficiary_id = w.beneficiary_id) AS months,
       (SELECT json_object_agg(v.voucher_id, json_build_array(v.used_rupiah, v.packages_used))
          FROM voucher v
         WHERE v.programme_id = $1 AND v.beneficiary_id = w.beneficiary_id) AS vouchers,
       (SELECT json_object_agg(h.authorisation_id, json_build_array(
                   h.status, h.approved_rupiah, h.held_rupiah, h.captured_rupiah, h.refunded_rupiah, h.packages,
                   h.month, (extract(epoch FROM h.expires_at) * 1000000)::bigint,
                   (SELECT count(*) FROM transfer t
                     WHERE t.programme_id = $1 AND t.authorisation_id = h.authorisation_id)))
          FROM hold h
         WHERE h.programme_id = $1 AND h.beneficiary_id = w.beneficiary_id) AS holds
  FROM wallet w
 WHERE w.programme_id = $1 AND w.beneficiary_id = ANY ($2)
"""
_KEPT: Final = "SELECT (SELECT count(*) FROM request_key) AS kept, (SELECT count(*) FROM authorisation) AS sales"


class StillClock:
    """Any instant, for as long as nobody moves it."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def at(self, _: datetime) -> datetime:
        return self.instant

    def estimate(self) -> datetime:
        return self.instant


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as a till got it; `repeated` where it had to ask again, so that the answer may be a replay."""

    status: int
    raw: bytes
    said: Document
    replayed: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Books:
    """What the database has of one family, in the terms of the model; holds and vouchers by their ids."""

    wallet: tuple[int, ...]
    months: dict[str, list[int]]
    vouchers: dict[str, list[int]]
    holds: dict[str, list[Any]]


class Stage:
    def __init__(self, runner: asyncio.Runner, cluster: Cluster, enrolled: EnrolledTemplate, directory: Path) -> None:
        self.run = runner.run
        self.tills: dict[str, SandboxTerminal] = dict(zip("ab", enrolled.tills.terminals, strict=False))
        self.clock = StillClock(A_MORNING)
        self.operations = 0
        self.is_spoilt = False
        """Something broke here: what breaks next might be its fault."""
        self._cluster, self._enrolled, self._directory = cluster, enrolled, directory
        self._families: Iterator[SandboxCard] = iter(())
        self._latest = self.clock.instant
        self._audited, self._audits_after = 0, AUDIT_AFTER
        self._open: AsyncExitStack | None = None
        self._worlds: list[World] = []

    def families(self, number: int) -> list[SandboxCard]:
        """So many that nobody has used."""
        found = [] if self.is_spoilt else list(islice(self._families, number))
        if len(found) == number:
            return found
        # Whoever looks for what spoilt it must find it in the one example that is played again.
        self._audits_after = 0 if self.is_spoilt else AUDIT_AFTER
        self.is_spoilt = False
        self.run(self._reopen())
        self._families = iter(self._enrolled.tills.cards)
        return list(islice(self._families, number))

    async def close(self) -> None:
        if self._open is not None:
            await self._open.aclose()

    def set_clock(self, instant: datetime) -> None:
        self.clock.instant = instant
        self._latest = max(self._latest, instant)

    async def at_once(self, calls: Sequence[Call], ids: dict[object, Any]) -> list[Heard]:
        """All of them in the same moment, by turns at both instances; acts of offices one after another."""
        self.operations += len(calls)
        acts = asyncio.create_task(self._acts([call for call in calls if not call.till], ids))
        asked = [self._ask(self._worlds[n % INSTANCES], call, ids) for n, call in enumerate(calls) if call.till]
        heard, done = iter(await asyncio.gather(*asked)), iter(await acts)
        return [next(heard if call.till else done) for call in calls]

    async def books(self, families: Sequence[str]) -> dict[str, Books]:
        rows = await self._worlds[0].database.fetch(_ROWS, PROGRAMME, families)
        return {
            row["beneficiary_id"]: Books(
                tuple(row["wallet"]), *(orjson.loads(row[each] or b"{}") for each in ("months", "vouchers", "holds"))
            )
            for row in rows
        }

    async def kept(self) -> tuple[int, int]:
        """How many keys are used up, and how many purchases are in the journal."""
        row = await self._worlds[0].database.fetchrow(_KEPT)
        assert row is not None
        return row["kept"], row["sales"]

    async def audit(self, *, now: bool = False) -> None:
        """All invariants of the books hold; looked at once in a while, or `now`."""
        if not now and self.operations < self._audited + self._audits_after:
            return
        self._audited = self.operations
        # Other examples have been later than this one.
        findings = await check(self._worlds[0].database, PROGRAMME, now=self._latest)
        broken = [each for each in findings if each.violations]
        assert not broken, broken

    async def suspend(self, till: str, status: str) -> None:
        """The status of a till's shop."""
        await self._worlds[0].database.execute(
            "UPDATE merchant SET status = $2 WHERE merchant_id = $1", self.tills[till].merchant_id, status
        )

    async def _ask(self, world: World, call: Call, ids: dict[object, Any]) -> Heard:
        """Repeats the request unchanged until it is answered, as a till must."""
        path = PATHS[call.kind].format(ids.get(call.sale))
        till, key = self.tills[call.till], call.key or None
        for times in range(TRIES):
            try:
                reply = await (
                    world.get(path, till=till)
                    if call.kind == "get"
                    else world.post(path, call.body, key=key, till=till)
                )
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
                continue
            said = reply.body
            if reply.status not in {429, 503} and said.get("code") != "in_progress":
                replayed = reply.headers.get("idempotent-replayed") == "true"
                return Heard(reply.status, reply.raw, said, replayed, repeated=times > 0)
            await asyncio.sleep(0.02)
        raise AssertionError(f"never answered: {call}")

    async def _acts(self, calls: Sequence[Call], ids: dict[object, Any]) -> list[Heard]:
        office = Office(self._worlds[-1].database, self.clock.instant, ids)
        return [Heard(200, b"", {"returned": 0} | await office.act(call)) for call in calls]

    async def _reopen(self) -> None:
        """A fresh copy of the enrolled programme, its first shop open day and night, and two instances on it."""
        await self.close()
        self._latest = A_MORNING
        self._open = AsyncExitStack()
        copy = asynccontextmanager(_database)(self._cluster, f"TEMPLATE {self._enrolled.database}")
        url = await self._open.enter_async_context(copy)
        self._worlds = [
            await self._open.enter_async_context(
                running(
                    url,
                    self._cluster.servers.redis_url,
                    self._directory,
                    self._enrolled.tills,
                    waiting_per_terminal=1000,
                )
            )
            for _ in range(INSTANCES)
        ]
        for world in self._worlds:
            service = world.service._running if world.service else None
            assert service is not None
            service.door.clock = self.clock
            for lane in service.lanes:
                lane.clock = self.clock
        # What companions may give is not the question here.
        await self._worlds[0].change(
            **{f"voucher_{each}_rupiah": 10**9 for each in ("limit", "month_limit", "approval_above")},
            **{f"voucher_{each}_packages": 10**6 for each in ("limit", "month_limit", "approval_above")},
        )
        await self._worlds[0].database.execute(
            "UPDATE merchant SET opens_at = NULL, closes_at = NULL WHERE merchant_id = $1", self.tills["a"].merchant_id
        )


@dataclass(frozen=True, slots=True)
class Office:
    """What offices do to a family, for want of commands partly by hand. This is the only place that knows how."""

    database: "asyncpg.Connection[asyncpg.Record]"
    now: datetime
    ids: Mapping[object, Any]

    async def act(self, call: Call) -> Document:
        """What came of it, by the names of the model."""
        family, what = BeneficiaryId(call.body["family"]), call.body
        match call.kind:
            case "vouch":
                with suppress(FamilyRemoved, MonthNotOpen):
                    return await self._vouch(family, what)
                return {"voucher_id": None}
            case "revoke":
                statement = "UPDATE voucher SET revoked_at = $2 WHERE voucher_id = $1 AND revoked_at IS NULL"
                await self.database.execute(statement, self.ids[what["voucher"]], self.now)
            case "suspend":
                with suppress(RollRefused):
                    await suspend(self.database, beneficiary_id=family, order=_ORDER, **self._here())
            case "resume":
                with suppress(RollRefused):
                    await resume(self.database, beneficiary_id=family, order=_ORDER, **self._here())
            case "remove":
                with suppress(RollRefused):
                    removed = await remove(self.database, beneficiary_id=family, order=_ORDER, **self._here())
                    return {"returned": removed.effects.returned_rupiah}
                return {"returned": 0}
            case "block":
                statement = "UPDATE card SET status = 'blocked' WHERE card_digest = $1 AND status = 'active'"
                await self.database.execute(statement, _KEYS.card_digest(what["card"]))
            case "recard":
                with suppress(RollRefused):
                    await self._recard(family, what["card"])
        return {}

    async def _vouch(self, family: BeneficiaryId, what: Mapping[str, Any]) -> Document:
        voucher_id = await vouch(
            self.database,
            programme_id=PROGRAMME,
            beneficiary_id=family,
            month=what["month"],
            extra_rupiah=what["rupiah"],
            extra_packages=what["packages"],
            reason="anak sakit",
            now=self.now,
            # Ids of vouchers sort as they were made: the model takes them in that order.
            chance=what["voucher"].to_bytes,
        )
        return {"voucher_id": voucher_id}

    async def _recard(self, family: BeneficiaryId, number: str) -> None:
        """The old card is dead at once."""
        card = CardFromTheBank(number=number)
        await new_card(self.database, beneficiary_id=family, card=card, keys=_KEYS, order=_ORDER, **self._here())

    def _here(self) -> Here:
        return Here(programme_id=PROGRAMME, now=self.now, chance=os.urandom)


_ORDER: Final = Order(actor="dinsos", reason="verifikasi data")
_KEYS: Final = Keys(SANDBOX_ROOT_KEY)
