"""Every line that a process of ours writes is one JSON object, and says nothing of anybody, whatever goes wrong."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from authz_service.vocabulary import with_luhn
from tests.harm import Premises, silent_postgresql
from tests.written import findings

CARD, NIK = with_luhn("936000000123450"), "6472050000123456"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FAULTS = f"""
import asyncio, gc, logging, threading, warnings
import asyncpg, structlog
from pydantic import BaseModel
from authz_service import logs
from authz_service.database import DatabaseUnusable

logs.own_the_process()
log = structlog.get_logger()
CARD, NIK = "{CARD}", "{NIK}"

class Wants(BaseModel):
    count: int

def refused_by_the_database(nik):
    error = asyncpg.UniqueViolationError("duplicate key value violates a constraint")
    error.sqlstate, error.constraint_name = "23505", "family_nik_key"
    error.detail = f"Key (nik)=({{nik}}) already exists."
    raise error

def guarded(name, work):
    try:
        work()
    except Exception as fault:
        log.error(name, exc_info=fault)

def caused():
    try:
        refused_by_the_database(NIK)
    except asyncpg.PostgresError as error:
        raise RuntimeError(f"family {{NIK}}") from error

class Falls:
    def __del__(self):
        raise ValueError(CARD)

async def unheard():
    asyncio.get_running_loop().set_exception_handler(logs.in_a_loop)
    async def fails():
        raise ValueError(CARD)
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()

guarded("database", caused)
guarded("pydantic", lambda: Wants(count="x" + CARD))
guarded("ours", lambda: (_ for _ in ()).throw(DatabaseUnusable("PostgreSQL is away.")))
told = {{"card": int(CARD), "card_number": "x", "said": f"card {{CARD}}"}}
log.error("told_too_much", **told, thing=Wants(count=1), more=[NIK, {{"nik": 1}}])
logging.getLogger("uvicorn.error").error("Exception in ASGI application\\n" + CARD, exc_info=ValueError(CARD))
logging.getLogger("asyncpg").warning("row %s\\nof %s", NIK, CARD)
logging.getLogger("alembic.runtime.migration").info("Running upgrade 0001 -> 0002, a sentence")
warnings.warn(f"about {{CARD}}")
asyncio.run(unheard())
thread = threading.Thread(target=lambda: Wants(count="x" + CARD)); thread.start(); thread.join()
fallen = Falls(); del fallen
def last(card): raise ValueError(card)
last(CARD)
"""


def test_whatever_goes_wrong_is_told_in_json_and_without_what_it_was_about() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    lines: list[dict[str, Any]] = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert CARD.encode() not in done.stderr
    assert NIK.encode() not in done.stderr
    assert not list(findings(done.stderr))
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    by_event = {line["event"]: line for line in lines}
    outer, inner = by_event["database"]["exception"]
    assert (outer["type"], inner["type"]) == ("builtins.RuntimeError", "asyncpg.exceptions.UniqueViolationError")
    assert (inner["sqlstate"], inner["constraint_name"]) == ("23505", "family_nik_key")
    assert inner["frames"][-1].endswith(" refused_by_the_database")
    assert "message" not in inner
    assert by_event["pydantic"]["exception"][0]["type"].endswith("ValidationError")
    assert by_event["ours"]["exception"][0]["message"] == "PostgreSQL is away."
    told = by_event["told_too_much"]
    assert (told["card"], told["card_number"], told["said"], told["thing"], told["more"]) == (
        *("[number withheld]", "[not told]", "card [number withheld]", "Wants"),
        ["[number withheld]", {"nik": "[not told]"}],
    )
    assert by_event["Exception in ASGI application"]["logger"] == "uvicorn.error"
    assert by_event["row [number withheld]"]["logger"] == "asyncpg"
    assert by_event["Running upgrade 0001 -> 0002, a sentence"]["level"] == "info"
    assert any(line.get("logger") == "py.warnings" for line in lines)
    assert {"fault_in_the_loop", "thread_failed", "fault_that_cannot_be_raised"} <= set(by_event)
    assert by_event["process_failed"]["level"] == "critical"


async def test_a_sale_that_cannot_be_decided_is_found_by_its_name_and_trace(premises: Premises) -> None:
    """The database refuses its row, and quotes it to us: neither its log nor ours has that."""
    async with premises.child() as (world, child):
        await world.database.execute("ALTER TABLE authorisation ADD CONSTRAINT no_4711 CHECK (amount_rupiah <> 4711)")
        headers = {"x-request-id": "till-27-4711", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        refused = await world.post("/v1/authorizations", world.a_purchase(amount=4711), key="k", headers=headers)
        assert (refused.status, refused["request_id"]) == (503, "till-27-4711")
        child.process.terminate()
        child.process.wait(15)
        lines = [orjson.loads(line) for line in child.log.read_bytes().splitlines()]
    (line,) = [line for line in lines if line["event"] == "request_cannot_be_decided"]
    assert (line["request_id"], line["trace_id"], line["level"]) == ("till-27-4711", TRACE, "error")
    assert line["exception"][0]["constraint_name"] == "no_4711"
    server = next(Path(premises.directory).parent.rglob("postgres.log")).read_bytes()
    assert b"no_4711" in server
    assert b"Failing row" not in server
    assert b"STATEMENT" not in server


async def test_a_sale_without_an_answer_in_time_is_found_by_its_name(premises: Premises) -> None:
    """The journal has nothing of it; a decline is in the journal, and is no line."""
    async with premises.child() as (world, child):
        assert (await world.authorise(card_number=with_luhn("936000000099999"))).status == 201
        async with silent_postgresql(world):
            headers = {"x-request-id": "till-27-4712"}
            refused = await world.post("/v1/authorizations", world.a_purchase(), key="k", headers=headers)
        assert (refused.status, refused["code"]) == (503, "not_decided")
        lines = [orjson.loads(line) for line in child.log.read_bytes().splitlines()]
    (line,) = [line for line in lines if line["event"] == "request_not_decided"]
    assert (line["request_id"], line["code"], line["level"]) == ("till-27-4712", "not_decided", "warning")


async def test_the_level_is_a_setting(premises: Premises) -> None:
    async with premises.child(log_level="error") as (world, child):
        assert (await world.get("/healthz")).status == 200
        assert child.log.read_bytes() == b""
