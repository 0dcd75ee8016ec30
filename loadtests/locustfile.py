"""A shop's day, as the tills of a sandbox programme would load a running service. `loadtests/README.md` says how."""

import os
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import choice, random
from uuid import uuid4

import orjson
from locust import FastHttpUser, between, task

from authz_service.enrolment.sandbox import SandboxTills

TILLS = SandboxTills.load(Path(os.environ["AUTHZ_TILLS"]))
RICE = {"category": "beras", "product": "beras premium", "unit": "kg", "quantity": "1", "unit_price": 15400}
REFUSALS_OF_A_FULL_SHOP = {429, 503}
RETRIES = 5
_stans = count(int(datetime.now(UTC).timestamp()) % 1_000_000)


class Till(FastHttpUser):
    """One terminal: it sells, captures, sometimes voids, and asks what is left; it repeats with the same key."""

    wait_time = between(0.5, 3)

    def on_start(self) -> None:
        self.terminal = choice(TILLS.terminals)  # noqa: S311

    @task(8)
    def sell(self) -> None:
        sale = self._post("/v1/authorizations", self._purchase(), name="authorise")
        if sale.get("decision") != "approved":
            return
        call, body = ("captures", {}) if random() < 0.95 else ("void", {"reason": "pembeli batal"})  # noqa: S311, PLR2004
        self._post(f"/v1/authorizations/{sale['id']}/{call}", body, name=call)

    @task(2)
    def ask(self) -> None:
        card_number = choice(TILLS.cards).card_number  # noqa: S311
        self._post("/v1/balance-inquiries", {"card_number": card_number}, name="balance")

    def _purchase(self) -> dict[str, object]:
        return {
            "card_number": choice(TILLS.cards).card_number,  # noqa: S311
            "stan": f"{next(_stans) % 1_000_000:06d}",
            "terminal_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "amount": 15400,
            "currency": "IDR",
            "lines": [{**RICE, "amount": 15400}],
        }

    def _post(self, path: str, body: object, *, name: str) -> dict[str, object]:
        headers = {
            "Authorization": f"Bearer {self.terminal.key}",
            "Idempotency-Key": uuid4().hex,
            "Content-Type": "application/json",
        }
        for _ in range(RETRIES):
            with self.client.post(
                path, data=orjson.dumps(body), headers=headers, name=name, catch_response=True
            ) as reply:
                if reply.status_code in REFUSALS_OF_A_FULL_SHOP:
                    reply.failure(f"HTTP {reply.status_code}: repeated with the same key")
                    continue
                if reply.status_code not in {200, 201}:
                    reply.failure(f"HTTP {reply.status_code}")
                    return {}
                answer: dict[str, object] = orjson.loads(reply.content or b"{}")
                return answer
        return {}
