"""Whatever is sent to the bank's door, signed or not: one of SNAP's codes comes back, and never a 500."""

import asyncio
import json
import re
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings

from authz_service.bank.partners import SignatureStyle
from tests.bank import NOTIFY, TOKEN, Bank, a_bank
from tests.world import World

CODE = re.compile(r"[0-9]{7}")
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
async def bank(world: World) -> Bank:
    return await a_bank(world, SignatureStyle.WITHOUT_TOKEN)


def has_a_code(response: requests.Response) -> None:
    assert response.status_code < 500, response.text
    if response.headers["content-type"] == "application/json":
        code = response.json()["responseCode"]
        assert CODE.fullmatch(code)
        assert int(code[:3]) == response.status_code


def cases(schema: Any, path: str) -> Any:
    return schema[path]["POST"].as_strategy()


@pytest.mark.parametrize("path", [NOTIFY, TOKEN])
async def test_what_the_document_allows_and_what_it_does_not_gets_a_code(bank: Bank, path: str) -> None:
    def run() -> None:
        schema = schemathesis.openapi.from_url(f"{bank.world.base_url}/openapi.json")

        @EXAMPLES
        @given(case=cases(schema, path))
        def sent(case: Any) -> None:
            has_a_code(case.call())

        sent()

    await asyncio.to_thread(run)


async def test_what_is_genuinely_signed_gets_a_code_whatever_it_says(bank: Bank) -> None:
    def run() -> None:
        schema = schemathesis.openapi.from_url(f"{bank.world.base_url}/openapi.json")
        kept: list[bool] = []

        @EXAMPLES
        @given(case=cases(schema, NOTIFY))
        def sent(case: Any) -> None:
            body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=repr).encode()
            response = requests.post(bank.world.base_url + NOTIFY, data=body, headers=bank.headers(body), timeout=10)
            has_a_code(response)
            kept.append(response.status_code == 200)

        sent()
        assert any(kept), "nothing that was sent was a notice"

    await asyncio.to_thread(run)
