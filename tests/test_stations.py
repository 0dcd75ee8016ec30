"""A profile says where a sale's time goes: every stack has its station, and every file that a sale runs through."""

import subprocess
import sys
from collections import Counter

import pytest

from loadtests.stations import BACKGROUND, LOOP, OFF_THE_PATH, by_station, folded, of_the_loop, station_of
from loadtests.stations import station_of_file as of_file

RUN = "Runner.run (asyncio/runners.py)"
DOOR = f"{RUN};PosDoor.__call__ (authz_service/api/pos.py);PosDoor._post (authz_service/api/pos.py)"
DECIDED = f"{RUN};Lane._decide (authz_service/lanes.py);_purchase (authz_service/authorisation.py)"


@pytest.mark.parametrize(
    ("stack", "station"),
    [
        (RUN, LOOP),
        (f"{RUN};HttpToolsProtocol.on_header (uvicorn/protocols/http/httptools_impl.py)", LOOP),
        (DOOR, "the door"),
        (
            f"{DOOR};parse (authz_service/api/bodies.py);validate_json (pydantic/type_adapter.py)",
            "body and fingerprint",
        ),
        (f"{DOOR};fingerprint (authz_service/idempotency.py)", "body and fingerprint"),
        (f"{DOOR};WaitingRoom.answer (authz_service/waiting.py)", "waiting and lanes"),
        (f"{DECIDED};decide (authz_service/rules/decide.py);replace (msgspec/structs.py)", "rules"),
        (f"{DECIDED};Desk.new_id (authz_service/desk.py)", "family, ids, records"),
        (f"{DECIDED};decision_document (authz_service/answers.py)", "answer"),
        (f"{DECIDED};decision_document (authz_service/answers.py);laid_out (authz_service/paper.py)", "receipt"),
        (f"{RUN};record (authz_service/ledger/book.py);Connection.fetch (asyncpg/connection.py)", "asyncpg"),
        (f"{RUN};Hint._round_trip (authz_service/idempotency.py);pack (redis/connection.py)", "Redis"),
        (f"{RUN};Sweeper.sweep_for_ever (authz_service/sweeping.py)", BACKGROUND),
    ],
)
def test_a_stack_belongs_to_its_innermost_frame_that_has_a_station(stack: str, station: str) -> None:
    assert station_of(stack) == station


def test_only_the_thread_that_decides_is_counted_from_its_loop_inwards() -> None:
    at_lines = DOOR.replace(".py)", ".py:118)")
    lines = [
        f"main (a.py:1);{RUN} 3",
        f"main (b.py);{at_lines} 4",
        "Thread.run (threading.py:9);wait (threading.py) 90",
    ]
    assert of_the_loop(lines) == Counter({RUN: 3, DOOR: 4})
    assert {station: count for station, count in by_station(of_the_loop(lines)).items() if count} == {
        LOOP: 3,
        "the door": 4,
    }


def test_a_shortened_profile_has_the_same_samples_in_the_same_stations() -> None:
    stacks = Counter({f"{DECIDED};f{number} (json/decoder.py)": 1 + number % 3 for number in range(500)})
    stacks[DOOR] = 7
    lines = folded(stacks, 2_000)
    assert sum(map(len, lines)) <= 2_000
    assert by_station(of_the_loop(lines)) == by_station(stacks)


def test_every_file_of_ours_that_a_sale_runs_through_has_a_station() -> None:
    program = "import sys, authz_service.lanes, authz_service.api.pos; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("authz_service.")}
    packages = {name.rpartition(".")[0] for name in ours}
    files = {f"{name.replace('.', '/')}.py" for name in ours - packages}
    assert len(files) > 30
    assert {file for file in files if of_file(file) is None} == set(OFF_THE_PATH)
