"""A fault of the system has a sentence of its own, and is never told as a "no" to the family."""

import ast
import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import authz_service
from authz_service import problems
from authz_service.declines import DeclineReason
from authz_service.problems import Problem
from authz_service.receipts import purchase_receipt
from tests.conftest import EnrolledTemplate
from tests.world import Reply, World, running

THE_SENTENCE = "Sistem terganggu, saldo aman. Jangan gesek ulang; tekan Ulangi atau Batalkan."
"""As the contract has it."""
FAULTS = {408, 429, 500, 503}
SOURCES = sorted(Path(authz_service.__file__).parent.rglob("*.py"))


def kinds(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Every problem that there is."""
    for kind in of.__subclasses__():
        if kind.__module__ == problems.__name__:
            yield kind
            yield from kinds(kind)


KINDS = list(kinds())


def is_the_systems_fault(reply: Reply, status: int, code: str) -> bool:
    assert (reply.status, reply["code"]) == (status, code)
    assert (reply["message"], reply["response_code"], reply["retryable"]) == (THE_SENTENCE, "91", True)
    assert reply.headers["content-type"] == "application/problem+json"
    assert not {"decision", "reason", "remaining", "receipt"} & set(reply.body)
    return True


# --- Words -----------------------------------------------------------------------------------------------------------


def test_there_are_faults_of_every_status() -> None:
    assert {kind.status for kind in KINDS} >= FAULTS


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_fault_and_only_a_fault_says_the_contracts_sentence(kind: type[Problem]) -> None:
    is_fault = kind.status in FAULTS
    assert (kind.message == THE_SENTENCE) is is_fault
    if is_fault:
        assert (kind.response_code, kind.retryable) == ("91", True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_problem_has_the_code_or_the_words_of_a_lack_of_money(kind: type[Problem]) -> None:
    assert kind.response_code not in {"51", "61", "65"}
    assert not re.search(r"tidak cukup|sisa|jatah|paket|belanja|pendamping", kind.message, re.IGNORECASE)


def test_no_reason_has_the_code_of_a_fault() -> None:
    assert "91" not in {reason.response_code for reason in DeclineReason}


# --- Code ------------------------------------------------------------------------------------------------------------


def test_no_handler_of_an_exception_makes_a_refusal() -> None:
    """A rule says no by returning a reason; what is caught anywhere becomes a Problem, or goes on."""
    refusing = {"DeclineReason", "Refusal", "Decision", "decide", "decision_document", "balance_document"}
    for source in SOURCES:
        handlers = [node for node in ast.walk(parsed(source)) if isinstance(node, ast.ExceptHandler)]
        named = {each.id for handler in handlers for each in ast.walk(handler) if isinstance(each, ast.Name)}
        assert not named & refusing, source


def test_the_rules_catch_nothing() -> None:
    rules = [source for source in SOURCES if source.parent.name == "rules"]
    assert rules
    for source in rules:
        assert not any(isinstance(node, ast.Try) for node in ast.walk(parsed(source))), source


def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"))


# --- Over HTTP -------------------------------------------------------------------------------------------------------


async def test_an_error_of_ours_is_a_500_that_may_be_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr("authz_service.api.pos.parse", broken)
    before, body = await world.counts(), world.a_purchase()
    assert is_the_systems_fault(await world.sell(body, "k"), 500, "internal_error")
    assert is_the_systems_fault(await world.balance(), 500, "internal_error")
    assert await world.counts() == before
    monkeypatch.undo()
    assert (await world.sell(body, "k"))["decision"] == "approved"


async def test_a_receipt_that_cannot_be_made_is_a_fault_and_no_sale(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is held, nobody else waits for it, and the same request is sold once the fault is mended."""
    unlucky = world.a_purchase()

    def broken(purchase: Any, *arguments: Any, **more: Any) -> Any:
        if purchase.stan == unlucky["stan"]:
            raise KeyError("operator")
        return purchase_receipt(purchase, *arguments, **more)

    monkeypatch.setattr("authz_service.answers.purchase_receipt", broken)
    before = await world.counts()
    assert is_the_systems_fault(await world.sell(unlucky, "k"), 503, "not_decided")
    assert await world.counts() == before
    other = world.tills.cards[1].card_number
    beside, sold = await asyncio.gather(world.sell(unlucky, "k"), world.authorise(card_number=other))
    assert is_the_systems_fault(beside, 503, "not_decided")
    assert sold["decision"] == "approved"
    monkeypatch.undo()
    assert (await world.sell(unlucky, "k"))["decision"] == "approved"
    await world.books_balance()


async def test_a_body_that_does_not_come_is_a_408_that_may_be_repeated(
    enrolled_url: str, redis_url: str, enrolled: EnrolledTemplate, tmp_path: Path
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"card_number": '
        await asyncio.sleep(0.3)
        yield b"}"

    async with running(enrolled_url, redis_url, tmp_path, enrolled.tills, body_timeout_seconds=0.1) as world:
        headers = {"authorization": f"Bearer {world.till.key}", "idempotency-key": "k"}
        async with world.http.post(f"{world.base_url}/v1/authorizations", data=slowly(), headers=headers) as response:
            reply = Reply(response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()})
        assert is_the_systems_fault(reply, 408, "body_too_slow")
        assert (await world.authorise(key="k"))["decision"] == "approved"
