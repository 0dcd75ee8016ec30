"""The load tests themselves: what they let pass, what they fail, and that the journeys are what the service expects."""

import asyncio
import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from authz_service.demo import habits
from authz_service.demo.plan import Settling
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.serving import free_port
from loadtests.journeys.calls import NAMES, PAGE, Answer, Request, retry_after_seconds
from loadtests.targets import (
    Target,
    TargetsRefusedError,
    Verdict,
    is_passed,
    judged,
    load_targets,
    verdict_in_words,
    without_targets,
)
from tests.harm import Premises
from tests.instances import instances
from tests.losing_line import losing_line
from tests.office import get, operators_key

JOURNEYS = ("shops_day", "first_of_the_month", "busy_shop", "banks_night")
LOADTESTS = Path(__file__).parent.parent / "loadtests"
ON_A_LOSING_LINE = (
    "".join(
        f"[{journey}]\n"
        + "".join(f"{call} = {{ most_errors = 1.0 }}\n" for call in ("capture", "void", "refund", "decline"))
        + "authorise = { most_errors = 1.0, least_rate = 0.1 }\n"
        for journey in JOURNEYS
    )
    + "page = { least_rate = 0.1 }\nexplanation = { least_rate = 0.1 }\n"
)
"""Of calls that come seldom, one lost answer may be half."""
EVERY_SETTLING = Path(__file__).with_name("every_settling.py")
SETTLED = {
    Settling.AT_ONCE: (("captured", 100_000, 0), ("captured", 50_000, 0)),
    Settling.CAPTURED: (("captured", 100_000, 0), ("captured", 50_000, 0)),
    Settling.CAPTURED_IN_PART: (("captured", 80_000, 0), ("captured", 50_000, 0)),
    Settling.REFUNDED_IN_PART: (("captured", 100_000, 20_000), ("captured", 50_000, 0)),
    Settling.TAKEN_BACK: (("captured", 100_000, 100_000), ("captured", 50_000, 50_000)),
    Settling.VOIDED: (("voided", 0, 0), ("voided", 0, 0)),
    Settling.LEFT_OPEN: (("held", 0, 0), ("held", 0, 0)),
}
"""What the shop has and what came back: of a basket of three lines, the last one of 20 000, and of one line alone."""


async def test_every_journey_gets_its_answers_through_a_line_that_loses_one_in_four(
    premises: Premises, tmp_path: Path
) -> None:
    """The keys are used again, with the same bytes; each sale is decided once; the books balance."""
    async with instances(premises, 1) as one:
        async with losing_line(one.world.base_url) as line:
            code, said = await a_run(line.base_url, premises.tills, tmp_path, seconds=10, targets=ON_A_LOSING_LINE)
        assert code == 0, said
        assert "Every target" in said
        assert {row["Error"] for row in rows_of(tmp_path / "run_failures.csv")} == {
            "CatchResponseError('no answer in time')"
        }
        assert len([key for key in line.lost if line.sent[key] > 1]) > 3
        assert all(len(bodies) == 1 for key, bodies in line.bodies.items() if key)
        assert (await one.world.counts())["authorisation"] == len(line.sent)
        await one.world.books_balance()


async def test_every_settling_of_the_demo_is_played_to_its_end(premises: Premises, tmp_path: Path) -> None:
    """A basket of three lines in every way, then one of a single line, of which no part can be taken."""
    assert {settling for settling, _ in habits.SETTLINGS} == set(Settling) - {Settling.TAKEN_BACK}, "no honest habit"
    assert set(Settling) == SETTLED.keys()
    async with premises.service() as world:
        environment = {"AUTHZ_TILLS": str(premises.tills.write(tmp_path)), "AUTHZ_TIMES_AS_FAST": "1000"}
        code, said = await locust(EVERY_SETTLING, world.base_url, "--run-time", "30s", environment=environment)
        assert code == 0, said
        page = await get(world, "/v1/authorizations?limit=100", by=operators_key(world))
        await world.books_balance()
    came = [(each["status"], each["captured_amount"], each["refunded_amount"]) for each in reversed(page["data"])]
    assert came == [amounts for basket in (0, 1) for amounts in (SETTLED[settling][basket] for settling in Settling)]


async def test_the_banks_night_has_its_work_on_fresh_books_and_again_when_no_package_is_left(
    premises: Premises, tmp_path: Path
) -> None:
    """One family has two packages: the first run uses them up, and in the second one everything is declined."""
    tills = replace(premises.tills, cards=premises.tills.cards[:1])
    targets = "[banks_night]\npage = { least_rate = 0.3 }\nexplanation = { least_rate = 0.3 }\n"
    async with premises.service() as world:
        for _ in range(2):
            code, said = await a_run(world.base_url, tills, tmp_path, "BanksNight", seconds=5, targets=targets)
            assert code == 0, said
            assert "BanksNight: 1 x batch" in said
        assert "banks_night capture" not in said


async def test_a_service_that_is_not_there_fails_the_run(premises: Premises, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    code, said = await a_run(nobody, premises.tills, tmp_path, "FirstOfTheMonth", seconds=1, targets=ON_A_LOSING_LINE)
    assert code == 1, said
    assert "The run has failed." in said
    assert "FAIL" in said


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("", "The file of targets asks nothing of first_of_the_month."),
        ("[shops_day]\nauthorise = {}", "The file of targets asks nothing of first_of_the_month."),
        ("[first_of_the_month]", "The file of targets asks nothing of first_of_the_month."),
        ("[first_of_the_month]\nauthorize = {}", "targets.toml names no journey or call: authorize."),
        ("[first_of_the_month", "targets.toml is no TOML: "),
    ],
)
async def test_a_run_that_nothing_is_asked_of_fails_before_it_begins(
    premises: Premises, tmp_path: Path, targets: str, said: str
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    code, heard = await a_run(nobody, premises.tills, tmp_path, "FirstOfTheMonth", seconds=50, targets=targets)
    assert code == 1, heard
    assert said in heard
    assert "Traceback" not in heard


async def test_a_run_that_was_cut_short_says_so_and_fails(premises: Premises, tmp_path: Path) -> None:
    """Though whatever it did until then was right; one that has its time passes."""
    targets = "[first_of_the_month]\nauthorise = { most_p99_ms = 60000 }\n"
    cut = "The run was cut short: it was to last 40 seconds."
    async with premises.service() as world:
        for seconds, after_seconds in ((40, 5.0), (3, None)):
            code, said = await a_run(
                world.base_url, premises.tills, tmp_path, "FirstOfTheMonth",
                seconds=seconds, targets=targets, terminated_after_seconds=after_seconds,
            )  # fmt: skip
            assert (code, cut in said, "The run has failed." in said) == (bool(after_seconds),) * 3, said
            assert "first_of_the_month authorise" in said


@pytest.mark.skipif(shutil.which("make") is None, reason="asks make")
def test_make_load_of_no_journey_fails() -> None:
    """Nothing is installed for it: the test takes what is there for new."""
    command = ["make", "-o", ".venv/installed", "load", "JOURNEYS= "]
    done = subprocess.run(command, cwd=LOADTESTS.parent, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert "JOURNEYS names no journey" in done.stderr


# --- What an answer must be ------------------------------------------------------------------------------------------

AN_EMPTY_PAGE = b'{"data":[],"has_more":false}'


def a_request(**changes: Any) -> Request:
    return Request(**{"call": PAGE, "method": "POST", "path": "/", "headers": {}, **changes})


def an_answer(**changes: Any) -> Answer:
    return Answer(**{"status": 200, "raw": AN_EMPTY_PAGE, "replayed": False, **changes})


def test_the_first_answer_again_is_right_and_another_one_under_the_key_is_not() -> None:
    request = a_request()
    assert request.wrong(an_answer()) is None
    assert request.wrong(an_answer(replayed=True)) is None
    assert request.wrong(an_answer(replayed=True, raw=AN_EMPTY_PAGE + b" ")) == "the same key got another answer"


def test_two_answers_that_both_claim_to_be_the_first_are_two_decisions() -> None:
    request = a_request()
    assert request.wrong(an_answer()) is None
    assert request.wrong(an_answer()) == "the same key was decided twice"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (an_answer(status=201), "HTTP 201, not 200"),
        (an_answer(status=409, raw=b'{"code":"state_conflict"}'), "HTTP 409 (state_conflict), not 200"),
        (an_answer(raw=b'{"data":[]}'), "not the contract's document: has_more: Field required"),
        (an_answer(raw=b"<html>"), "not the contract's document"),
    ],
)
def test_another_status_or_document_than_the_contracts_is_wrong(answer: Answer, said: str) -> None:
    assert not answer.is_none
    assert said in (a_request().wrong(answer) or "")


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_may_be_repeated_is_no_answer(status: int) -> None:
    assert an_answer(status=status, raw=b"").is_none
    assert an_answer(status=HTTPStatus.CONFLICT, raw=b'{"code":"in_progress"}').is_none


def test_what_a_journey_knows_of_its_answer_is_asked_too() -> None:
    assert a_request(check=lambda page: f"{len(page['data'])} listed").wrong(an_answer()) == "0 listed"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 05 Nov 2024 08:00:03 GMT", 3.0),
        ("Tue, 05 Nov 2024 07:59:00 GMT", 0.0),
        ("Tue, 05 Nov 2024 08:00:03 -0000", 3.0),
        *((unread, 1.0) for unread in (None, "", "soon", "nan", "-3", "inf", "²")),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_whatever_else_it_says_a_second(
    header: str | None, seconds: float
) -> None:
    assert retry_after_seconds(header, now=datetime(2024, 11, 5, 8, tzinfo=UTC)) == seconds


# --- The table -------------------------------------------------------------------------------------------------------

NEVER = Verdict.NEVER_CAME.value

IN_TIME = Target(least_rate=5, most_p50_ms=20, most_p99_ms=100, most_errors=Decimal("0.29"))


def a_run_of(**changes: Any) -> Any:
    """Locust's figures of a run in which one call came."""
    figures = {"requests": 1000, "rate": 10.0, "p50": 10.0, "p99": 50.0, "errors": 0, **changes}
    entry = SimpleNamespace(
        name="shops_day authorise",
        num_requests=figures["requests"],
        total_rps=figures["rate"],
        num_failures=figures["errors"],
        get_response_time_percentile=lambda part: figures["p50"] if part < 0.9 else figures["p99"],
    )
    return SimpleNamespace(entries={("shops_day authorise", "POST"): entry})


@pytest.mark.parametrize(
    ("run", "passes"),
    [
        ({}, True),
        ({"rate": 5.0, "p50": 20.0, "p99": 100.0, "errors": 290}, True),
        ({"rate": 4.99}, False),
        ({"p50": 20.1}, False),
        ({"p99": 101.0}, False),
        ({"errors": 291}, False),
    ],
)
def test_each_figure_of_a_target_can_be_missed_by_itself(run: dict[str, float], passes: bool) -> None:
    (row,) = judged(a_run_of(**run), {"shops_day": {"authorise": IN_TIME}}, ["shops_day"])
    assert row.verdict is (Verdict.REACHED if passes else Verdict.FAIL)


def test_a_call_with_a_rate_that_never_came_has_failed_and_one_without_is_not_judged() -> None:
    targets = {"shops_day": {"authorise": IN_TIME, "capture": IN_TIME, "void": Target(most_p99_ms=1)}}
    rows = judged(a_run_of(), targets, ["shops_day"])
    assert {row.call: str(row.verdict) for row in rows} == {"authorise": "pass", "capture": "FAIL", "void": NEVER}
    assert [figure.text for figure in rows[2].figures] == ["0.00", NEVER, f"{NEVER} ≤ 1", NEVER]


def test_what_never_came_is_named_at_the_end_and_nothing_at_all_is_no_pass() -> None:
    asked = {"shops_day": {"authorise": IN_TIME, "void": Target(most_p99_ms=1)}}
    rows = judged(a_run_of(), asked, ["shops_day"])
    assert verdict_in_words(rows) == "Every target of a call that came was reached. Never came: shops_day void."
    assert verdict_in_words(rows[:1]) == "Every target was reached."
    assert not is_passed(rows[1:])
    assert not is_passed([])


def test_a_call_without_a_target_must_not_fail_once() -> None:
    assert [row.verdict for row in judged(a_run_of(), {}, ["shops_day"])] == [Verdict.REACHED]
    assert [row.verdict for row in judged(a_run_of(errors=1), {}, ["shops_day"])] == [Verdict.FAIL]


def test_a_share_of_errors_is_shown_as_the_number_it_allows() -> None:
    a_thousandth = {"shops_day": {"authorise": Target(most_errors=Decimal("0.001"))}}
    for requests, errors, text in ((390, 0, "0 ≤ 0"), (390, 1, "1 ≤ 0"), (3000, 3, "3 ≤ 3")):
        (row,) = judged(a_run_of(requests=requests, errors=errors), a_thousandth, ["shops_day"])
        assert (row.figures[-1].text, row.requests) == (text, requests)
        assert (row.verdict is Verdict.REACHED) == (errors != 1)


def test_up_to_a_hundred_requests_have_a_slowest_one_and_no_p99() -> None:
    asked = {"shops_day": {"authorise": Target(most_p99_ms=40)}}
    (few,) = judged(a_run_of(requests=100), asked, ["shops_day"])
    (more,) = judged(a_run_of(requests=101), asked, ["shops_day"])
    assert (few.figures[2].text, few.verdict) == ("slowest 50", Verdict.REACHED)
    assert (more.figures[2].text, more.verdict) == ("50 ≤ 40", Verdict.FAIL)


def test_a_journey_that_was_not_played_is_not_asked_for() -> None:
    targets = {"shops_day": {"authorise": IN_TIME}, "busy_shop": {"authorise": IN_TIME}}
    assert [row.journey for row in judged(a_run_of(), targets, ["shops_day"])] == ["shops_day"]


def test_the_table_of_the_repository_has_a_rate_for_every_journey() -> None:
    targets = load_targets(LOADTESTS / "targets.toml", journeys=JOURNEYS, calls=NAMES)
    assert targets.keys() == set(JOURNEYS)
    assert all(any(target.least_rate for target in calls.values()) for calls in targets.values())


@pytest.mark.parametrize(
    "text",
    ["[shops_days]\nauthorise = {}", "[shops_day]\nauthorize = {}", "[shops_day]\nauthorise = { most_p95_ms = 1 }"],
)
def test_a_misspelt_target_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "targets.toml").write_text(text)
    with pytest.raises(TargetsRefusedError, match=r"shops_days|authorize|most_p95_ms"):
        load_targets(tmp_path / "targets.toml", journeys=JOURNEYS, calls=NAMES)


def test_a_file_of_targets_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TargetsRefusedError, match=r"none\.toml cannot be read: No such file"):
        load_targets(tmp_path / "none.toml", journeys=JOURNEYS, calls=NAMES)


def test_each_journey_that_is_played_must_be_asked_for_something() -> None:
    asked = {"shops_day": {"authorise": IN_TIME}, "busy_shop": {}}
    assert without_targets(asked, ["shops_day"]) is None
    assert without_targets(asked, JOURNEYS[:3]) == "The file of targets asks nothing of first_of_the_month, busy_shop."


# --- A run -----------------------------------------------------------------------------------------------------------


async def a_run(
    host: str,
    tills: SandboxTills,
    directory: Path,
    *journeys: str,
    seconds: int,
    targets: str,
    terminated_after_seconds: float | None = None,
) -> tuple[int, str]:
    """Locust without its page, as `make load` starts it: the exit code and all that was said."""
    (directory / "targets.toml").write_text(targets)
    environment = {
        "AUTHZ_TILLS": str(tills.write(directory)),
        "AUTHZ_TARGETS": str(directory / "targets.toml"),
        "AUTHZ_DAY_SECONDS": str(seconds),
    }
    users = f"--users 28 --spawn-rate 28 --run-time {seconds}s --csv {directory / 'run'}"
    return await locust(
        LOADTESTS / "locustfile.py",
        host,
        *(*users.split(), *journeys),
        environment=environment,
        terminated_after_seconds=terminated_after_seconds,
    )


async def locust(
    file: Path, host: str, *options: str, environment: dict[str, str], terminated_after_seconds: float | None = None
) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", str(file), "--host", host),
        *("--headless", "--only-summary", "--loglevel", "WARNING", *options),
        env={**os.environ, **environment},
        cwd=LOADTESTS.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    coming = asyncio.create_task(process.communicate())
    if terminated_after_seconds:
        await asyncio.sleep(terminated_after_seconds)
        process.terminate()
    said, _ = await asyncio.wait_for(coming, 60)
    return process.returncode or 0, said.decode()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
