"""The task that numbers events and sends them, in every process; endpoints are shared out by claims."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
from aiohttp import ClientSession

from authz_service.clock import Clock, monotonic_seconds
from authz_service.database import OfficePool
from authz_service.events.deliveries import Claimed, claim_endpoints, keep_attempt, next_due, release
from authz_service.events.numbering import number_events, programmes_with_work
from authz_service.events.retention import remove_old
from authz_service.events.schedule import Outcome
from authz_service.events.sending import open_session, send
from authz_service.events.signature import signed_headers
from authz_service.keys import Keys
from authz_service.metrics import ALERTS, EVENT_ATTEMPTS
from authz_service.settings import Settings
from authz_service.tracing import SPAN_BYTES, headers_of_its_cause
from authz_service.vocabulary import Chance, ProgrammeId

log = structlog.get_logger()
_TOKEN_BYTES: Final = 8
_CHANCE_BYTES: Final = 2


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """One event at a time to each endpoint that it has claimed, and to several endpoints at once."""

    settings: Settings
    pool: OfficePool
    keys: Keys
    clock: Clock
    chance: Chance
    _sending: "dict[asyncio.Task[None], Claimed]" = field(default_factory=dict)
    _stops: bool = False
    _removed_at: float = float("-inf")

    async def dispatch_for_ever(self) -> None:
        """Until it is cancelled. Attempts that are under way then have `shutdown_seconds` to end and be kept."""
        async with open_session(self.settings) as session:
            try:
                while True:
                    await self.round(session)
                    await asyncio.sleep(self.settings.event_seconds)
            finally:
                self._stops = True
                if self._sending:
                    _, late = await asyncio.wait(self._sending, timeout=self.settings.shutdown_seconds)
                    for task in late:
                        task.cancel()

    async def round(self, session: ClientSession) -> None:
        """Committed events are numbered, and endpoints that have something due are being sent to."""
        await self._guarded("events_not_numbered", self._number())
        await self._guarded("events_not_claimed", self._claim(session))
        await self._guarded("old_events_not_removed", self._remove())

    async def all_sent(self) -> None:
        """Nothing that this process has claimed is under way any more."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def _number(self) -> None:
        async with self.pool.lent() as connection:
            programmes = await programmes_with_work(connection)
        for programme_id in programmes:
            # One programme's fault does not keep the others waiting.
            await self._guarded("programme_not_numbered", self._number_programme(programme_id))

    async def _number_programme(self, programme_id: ProgrammeId) -> None:
        more = True
        while more:
            async with self.pool.lent() as connection:
                more = await number_events(connection, self.settings, programme_id, self.clock)

    async def _claim(self, session: ClientSession) -> None:
        room = self.settings.event_endpoints_at_once - len(self._sending)
        if room <= 0:
            return
        async with self.pool.lent() as connection:
            claimed = await claim_endpoints(connection, self.settings, self.chance(_TOKEN_BYTES).hex(), room)
        for each in claimed:
            task = asyncio.create_task(self._send_to(session, each))
            self._sending[task] = each
            task.add_done_callback(self._sending.pop)

    async def _send_to(self, session: ClientSession, claimed: Claimed) -> None:
        """Whatever is due at the endpoint is sent, until it fails, nothing is due, or the service stops."""
        try:
            while not self._stops:
                async with self.pool.lent() as connection:
                    due = await next_due(connection, self.settings, claimed)
                if due is None:
                    break
                keys = [self.keys.event_secret(claimed.endpoint_id, number) for number in due.secret_numbers]
                cause = headers_of_its_cause(due.request_id, self.chance(SPAN_BYTES).hex())
                headers = signed_headers(due.event_id, due.now, due.body, keys) | cause
                sent = await send(session, self.settings, due.url, headers, due.body, due.now)
                EVENT_ATTEMPTS.labels(sent.outcome).inc()
                chance = int.from_bytes(self.chance(_CHANCE_BYTES)) / 2 ** (8 * _CHANCE_BYTES)
                async with self.pool.lent() as connection:
                    because = await keep_attempt(connection, self.settings, claimed, due, sent, chance)
                if because is not None:
                    ALERTS.labels("event_endpoint_disabled").inc()
                    log.error("event_endpoint_disabled", endpoint=claimed.endpoint_id, because=because)
                if sent.outcome is not Outcome.DELIVERED:
                    break
            async with self.pool.lent() as connection:
                await release(connection, claimed)
        except Exception as fault:  # noqa: BLE001  (the claim ends by itself, and the event is sent again)
            log.warning("events_not_sent", endpoint=claimed.endpoint_id, error=type(fault).__name__)

    async def _guarded(self, otherwise: str, work: Coroutine[Any, Any, None]) -> None:
        """Done, or logged as what did not happen, and tried again in the next round."""
        try:
            await work
        except Exception as fault:  # noqa: BLE001  (this loop must outlive whatever goes wrong in one round)
            log.warning(otherwise, error=type(fault).__name__)

    async def _remove(self) -> None:
        """As often as the sweeper looks, what is old goes."""
        if monotonic_seconds() - self._removed_at < self.settings.sweep_seconds:
            return
        self._removed_at = monotonic_seconds()
        async with self.pool.lent() as connection:
            age, limit = timedelta(days=self.settings.event_retention_days), self.settings.events_in_a_round
            await remove_old(connection, older_than=age, limit=limit)
