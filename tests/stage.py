"""Where the machine of `test_machine.py` plays: the real service twice on one database, and the roll's office.

The clock stands still between two steps, so that an expiry or a month's end can be met to the microsecond. Nobody
has used the families that an example gets. When they run out the programme is settled and closed, and a new database
is copied; also, without a close, when an example failed.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import orjson

from authz_service.closing import close
from authz_service.enrolment.sandbox import SandboxCard, SandboxTerminal
from authz_service.ledger.audit import check
from authz_service.roll.cards import CardFromTheBank, new_card, set_card_status
from authz_service.roll.entering import enter
from authz_service.roll.merging import merge
from authz_service.roll.moving import move
from authz_service.roll.orders import Change, Here, Order, RollBusy, RollRefused
from authz_service.roll.status import remove, resume, suspend
from authz_service.terms import Caps, TermsRefused, change_cap
from authz_service.vocabulary import BeneficiaryId, CardId, CardStatus, ProgrammeId
from tests.calls import Call, Document
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.model_offices import OPERATOR
from tests.office import bearer
from tests.operators import KEYS, a_newcomer
from tests.settling import all_settled
from tests.tally import ENDS
from tests.world import A_MORNING, PROGRAMME, World, running

INSTANCES: Final = 2
TRIES: Final = 50
"""A request that is told to wait so often, a second at the least, will never be answered."""
LEAVERS: Final = 200
"""So many families of a database are removed before anybody plays."""
PATHS: Final = {
    "authorise": "/v1/authorizations",
    "dry_run": "/v1/authorizations?dry_run=true",
    "capture": "/v1/authorizations/{}/captures",
    "void": "/v1/authorizations/{}/void",
    "refund": "/v1/authorizations/{}/refunds",
    "get": "/v1/authorizations/{}",
    "reverse": "/v1/reversals",
    "balance": "/v1/balance-inquiries",
    "get_voucher": "/v1/vouchers/{}",
    "vouch": "/v1/vouchers",
    "approve": "/v1/vouchers/{}/approve",
    "revoke": "/v1/vouchers/{}/revoke",
}
_ROWS: Final = """
-- All that the books have of these families; instants as microseconds.
SELECT w.beneficiary_id, ARRAY[w.available_rupiah, w.held_rupiah, w.spent_rupiah] AS wallet,
       (SELECT ARRAY[b.status, b.companion_id, b.merged_into]
          FROM beneficiary b
         WHERE b.programme_id = $1 AND b.beneficiary_id = w.beneficiary_id) AS status,
       (SELECT array_agg(c.status ORDER BY c.status)
          FROM card c
         WHERE c.programme_id = $1 AND c.beneficiary_id = w.beneficiary_id) AS cards,
       (SELECT json_object_agg(a.month, json_build_array(a.used_rupiah, a.packages_used, a.covered_rupiah,
                                                         a.covered_packages))
          FROM allowance a
         WHERE a.programme_id = $1 AND a.beneficiary_id = w.beneficiary_id) AS months,
       (SELECT json_object_agg(v.voucher_id, json_build_array(v.used_rupiah, v.packages_used,
                                                              v.approved_at IS NOT NULL, v.revoked_at IS NOT NULL))
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
_chances: Final = count(1)
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

    status: list[str | None]
    """The family's, its companion, and into whom it was merged."""
    cards: list[str]
    wallet: tuple[int, ...]
    months: dict[str, list[int]]
    vouchers: dict[str, list[int]]
    holds: dict[str, list[Any]]


class Stage:
    def __init__(self, runner: asyncio.Runner, cluster: Cluster, enrolled: EnrolledTemplate, directory: Path) -> None:
        self.run = runner.run
        self.tills: dict[str, SandboxTerminal] = dict(zip("ab", enrolled.tills.terminals, strict=False))
        self.companions = [each.companion_id for each in enrolled.tills.companions[:3]]
        self._keys = {name: till.key for name, till in self.tills.items()}
        self._keys |= {each.companion_id: each.key for each in enrolled.tills.companions}
        self._keys[OPERATOR] = enrolled.tills.operators[0].key
        self.clock = StillClock(A_MORNING)
        self.operations, self.spent = 0, 0
        """So many calls; and rupiah that the families of this database have spent for good, as their models say."""
        self.entered: dict[str, BeneficiaryId] = {}
        """Late entrants, by the names that the machine gave them before they had an id."""
        self.is_spoilt = False
        """Something broke here: what breaks next might be its fault."""
        self._cluster, self._enrolled, self._directory = cluster, enrolled, directory
        self._families: Iterator[SandboxCard] = iter(())
        self._latest = self.clock.instant
        self._open: AsyncExitStack | None = None
        self._worlds: list[World] = []

    def families(self, number: int) -> list[SandboxCard]:
        """So many that nobody has used."""
        found = [] if self.is_spoilt else list(islice(self._families, number))
        if len(found) == number:
            return found
        if self._worlds and not self.is_spoilt:
            self.run(self.closed())
        self.is_spoilt = False
        self.run(self._reopen())
        self._families = iter(self._enrolled.tills.cards[:-LEAVERS])
        return list(islice(self._families, number))

    async def close(self) -> None:
        if self._open is not None:
            await self._open.aclose()

    def set_clock(self, instant: datetime) -> None:
        self.clock.instant = instant
        self._latest = max(self._latest, instant)

    async def at_once(self, calls: Sequence[Call], ids: dict[object, Any]) -> list[Heard]:
        """All of them in the same moment, by turns at both instances; orders to the roll one after another."""
        self.operations += len(calls)
        orders = asyncio.create_task(self._ordered([call for call in calls if not call.who]))
        asked = [self._ask(self._worlds[n % INSTANCES], call, ids) for n, call in enumerate(calls) if call.who]
        heard, done = iter(await asyncio.gather(*asked)), iter(await orders)
        return [next(heard if call.who else done) for call in calls]

    async def books(self, families: Sequence[str]) -> dict[str, Books]:
        """Of those that are on the roll."""
        names = {self.entered.get(each, each): each for each in families}
        rows = await self._worlds[0].database.fetch(_ROWS, PROGRAMME, [*names])
        return {
            names[row["beneficiary_id"]]: Books(
                row["status"],
                row["cards"],
                tuple(row["wallet"]),
                *(orjson.loads(row[each] or b"{}") for each in ("months", "vouchers", "holds")),
            )
            for row in rows
        }

    async def kept(self) -> tuple[int, int]:
        """How many keys are used up, and how many purchases are in the journal."""
        row = await self._worlds[0].database.fetchrow(_KEPT)
        assert row is not None
        return row["kept"], row["sales"]

    async def audit(self) -> None:
        """All invariants of the books hold."""
        # Other examples have been later than this one.
        findings = await check(self._worlds[0].database, PROGRAMME, now=self._latest)
        broken = [each for each in findings if each.violations]
        assert not broken, broken

    async def closed(self) -> None:
        """The shops are paid and the programme is closed: its statement adds up, and so do the books once more."""
        self.set_clock(max(self._latest, ENDS) + timedelta(days=2))
        database, settings, programme = self._worlds[0].database, self._worlds[0].settings, ProgrammeId(PROGRAMME)
        how: Any = {"actor": _ORDER.actor, "clock": self.clock, "chance": os.urandom}
        await all_settled(database, settings, self.clock)
        statement = (await close(database, settings, programme, reason="berita acara", **how)).statement
        assert all(tie.holds for tie in statement.ties)
        assert (statement.available_rupiah, statement.held_rupiah, statement.spent_rupiah) == (0, 0, self.spent)
        await self.audit()

    async def begin(self, *, reduces: bool) -> None:
        """The programme is of this kind, and nobody has changed its caps."""
        database, kind = self._worlds[0].database, "reduce" if reduces else "decline"
        await database.execute("UPDATE programme SET above_ceiling = $1", kind)
        await database.execute("DELETE FROM month_cap")

    async def suspend(self, till: str, status: str) -> None:
        """The status of a till's shop."""
        await self._worlds[0].database.execute(
            "UPDATE merchant SET status = $2 WHERE merchant_id = $1", self.tills[till].merchant_id, status
        )

    async def _ask(self, world: World, call: Call, ids: Mapping[object, Any]) -> Heard:
        """Repeats the request unchanged until it is answered, as a till must."""
        path, headers = PATHS[call.kind].format(ids.get(call.about)), bearer(self._keys[call.who])
        body, key = self._body(call), call.key or None
        for times in range(TRIES):
            try:
                reply = await (
                    world.get(path, headers=headers)
                    if call.kind.startswith("get")
                    else world.post(path, body, key=key, headers=headers)
                )
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                await asyncio.sleep(0.02)
                continue
            said = reply.body
            if reply.status not in {429, 503} and said.get("code") != "in_progress":
                replayed = reply.headers.get("idempotent-replayed") == "true"
                return Heard(reply.status, reply.raw, said, replayed, repeated=times > 0)
            await asyncio.sleep(0.02)
        raise AssertionError(f"never answered: {call}")

    def _body(self, call: Call) -> Document:
        if call.kind != "vouch":
            return dict(call.body)
        family, (rupiah, packages) = call.body["family"], call.body["extra"]
        extra = {"extra_amount": rupiah, "extra_packages": packages, "reason": "anak sakit"}
        return {"beneficiary_id": self.entered.get(family, family), "month": f"{call.body['month']:%Y-%m}", **extra}

    async def _ordered(self, calls: Sequence[Call]) -> list[Heard]:
        here = Here(programme_id=PROGRAMME, now=self.clock.instant, chance=os.urandom)
        roll = Roll(self._worlds[-1].database, here, self.entered)
        return [await roll.order(**call.body) for call in calls]

    async def _reopen(self) -> None:
        """A fresh copy of the enrolled programme, its first shop open day and night, and two instances on it."""
        await self.close()
        self._latest, self.spent = A_MORNING, 0
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
            assert world.service is not None
            assert service is not None
            office = world.service._framework.state.office
            # Ids sort as they were made, also those of one instant: the model takes vouchers in that order.
            office.clock, office.chance = self.clock, lambda size: next(_chances).to_bytes(size)
            service.door.clock = self.clock
            for lane in service.lanes:
                lane.clock = self.clock
        database = self._worlds[0].database
        await database.execute(
            "UPDATE merchant SET opens_at = NULL, closes_at = NULL WHERE merchant_id = $1", self.tills["a"].merchant_id
        )
        # These leave what late entrants get, so that it never runs out.
        here = Here(programme_id=PROGRAMME, now=A_MORNING, chance=os.urandom)
        for card in self._enrolled.tills.cards[-LEAVERS:]:
            await remove(database, beneficiary_id=card.beneficiary_id, order=_ORDER, **here)


@dataclass(frozen=True, slots=True)
class Roll:
    """The operators' functions behind `authz family` and `authz cap`, and what came of an order."""

    database: "asyncpg.Connection[asyncpg.Record]"
    here: Here
    entered: dict[str, BeneficiaryId]

    async def order(self, order: str, **what: Any) -> Heard:
        while True:
            try:
                return Heard(200, b"", await self._done(order, what))
            except RollBusy:
                continue
            except (RollRefused, TermsRefused):
                return Heard(409, b"", {})

    async def _done(self, order: str, what: Mapping[str, Any]) -> Document:
        """Said in the words of the model."""
        if order == "cap":
            caps = Caps(cap_rupiah=what["caps"][0], packages_cap=what["caps"][1])
            await change_cap(self.database, month=what["month"], caps=caps, actor=_ORDER.actor, **self.here)
            return {}
        change = await self._changed(order, self._family(what["family"]), what)
        if order == "enter":
            self.entered[what["family"]] = change.beneficiary_id
        return {"returned": change.effects.returned_rupiah, "beneficiary_id": change.beneficiary_id}

    async def _changed(self, order: str, family: BeneficiaryId, what: Mapping[str, Any]) -> Change:
        match order:
            case "suspend":
                return await suspend(self.database, beneficiary_id=family, order=_ORDER, **self.here)
            case "resume":
                return await resume(self.database, beneficiary_id=family, order=_ORDER, **self.here)
            case "remove":
                return await remove(self.database, beneficiary_id=family, order=_ORDER, **self.here)
            case "merge":
                into = self._family(what["survivor"])
                return await merge(self.database, survivor_id=into, other_id=family, order=_ORDER, **self.here)
            case "move":
                companion = what["companion"]
                return await move(self.database, beneficiary_id=family, companion=companion, order=_ORDER, **self.here)
            case "card":
                card = CardFromTheBank(number=what["card"])
                return await new_card(
                    self.database, beneficiary_id=family, card=card, keys=KEYS, order=_ORDER, **self.here
                )
            case "block":
                return await self._block(what["card"])
            case _:
                newcomer = a_newcomer(
                    # Known by its NIK, which is of its name: whoever enters twice is refused.
                    nik=f"6472059999{what['family'].rpartition('-')[2]:0>6}",
                    companion=what["companion"],
                    card=CardFromTheBank(number=what["card"]),
                    amount_rupiah=what["rupiah"],
                )
                return await enter(self.database, newcomer=newcomer, keys=KEYS, order=_ORDER, **self.here)

    def _family(self, name: str) -> BeneficiaryId:
        return self.entered.get(name, BeneficiaryId(name))

    async def _block(self, number: str) -> Change:
        card_id = await self.database.fetchval(_CARD, KEYS.card_digest(number))
        return await set_card_status(
            self.database, card_id=card_id or CardId(""), status=CardStatus.BLOCKED, order=_ORDER, **self.here
        )


_CARD: Final = "SELECT card_id FROM card WHERE card_digest = $1"
_ORDER: Final = Order(actor="dinsos", reason="verifikasi data")
