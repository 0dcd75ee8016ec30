"""What the benchmark says of what it measured: percentiles, ratios, the bars, the file, and why CI fails."""

import random
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from authz_service.api.examples import REQUEST, examples
from authz_service.ledger.audit import Finding
from authz_service.ledger.invariants import INVARIANTS
from authz_service.requests import Line, Purchase
from loadtests import empty_endpoint, guard, workers
from loadtests.bars import Bar, bars, peak_per_second
from loadtests.counted import APPROVALS, BALANCES, CAPTURES, REPLAYS, astray, batch_mean, refused, samples, since
from loadtests.kinds import AUTHORISE, BUSY_SHOP, EMPTY, TPC_B
from loadtests.machine import DURABILITY, NotDurableError, disturbances, require_durable
from loadtests.measures import Measure
from loadtests.percentiles import percentile
from loadtests.report import Run, document
from loadtests.shots import Shot, shot_of
from loadtests.tpcb import failed, latencies_us, tps

PGBENCH_SAID = """
number of transactions actually processed: 23108
number of failed transactions: 3 (0.013%)
latency average = 3.032 ms
tps = 5276.622121 (without initial connection time)
"""


def a_shot(per_second: float = 1000.0, **figures: Any) -> Shot:
    shot = Shot(requests=round(per_second * 2), seconds=2.0, p50_us=1000, p99_us=2000, p999_us=3000, errors=0)
    return replace(shot, **figures)


def a_measure(
    kind: str, per_second: float = 1000.0, *, connections: int = 64, number: int = 1, **figures: Any
) -> Measure:
    return Measure(
        kind=kind,
        round=number,
        connections=connections,
        asked_per_second=None,
        shot=a_shot(per_second, **figures),
        cpu_us_per_request={"service": 100.0, "empty": 0.0, "postgres": 80.0, "valkey": 5.0, "generator": 20.0},
        batch_mean=20.0,
        refused={},
        astray=0,
    )


def astray_by(answers: int) -> Measure:
    return replace(a_measure(AUTHORISE.name, 9000.0), astray=answers)


def paced(kind: str, *, asked: float, kept: float, p99_us: float, number: int = 1) -> Measure:
    return replace(a_measure(kind, kept, p99_us=p99_us, number=number), asked_per_second=asked)


def tails(*rounds: tuple[float, float, float]) -> list[Measure]:
    """Each round by the p99 of authorise, of the empty endpoint and of TPC-B, in milliseconds."""
    return [
        paced(kind, asked=500, kept=500, p99_us=p99_ms * 1000, number=number)
        for number, each in enumerate(rounds, start=1)
        for kind, p99_ms in zip((AUTHORISE.name, EMPTY.name, TPC_B), each, strict=True)
    ]


def the_bar(measures: list[Measure], name: str) -> Bar:
    (found,) = (bar for bar in bars(measures) if name in bar.name)
    return found


@pytest.mark.parametrize(("percent", "is_"), [(50, 500), (99, 990), (99.9, 999), (100, 1000), (0, 1)])
def test_a_percentile_is_one_of_the_observations_by_nearest_rank(percent: float, is_: float) -> None:
    assert percentile(range(1, 1001), percent) == is_


def test_a_shot_does_not_care_in_which_order_the_answers_came() -> None:
    latencies = [float(number) for number in range(1, 1001)]
    random.shuffle(latencies)
    shot = shot_of(latencies, seconds=4.0, errors=2)
    assert (shot.requests, shot.per_second, shot.p50_us, shot.p99_us, shot.errors) == (1000, 250.0, 500.0, 990.0, 2)


def test_nothing_observed_is_zero_and_not_an_error() -> None:
    assert shot_of([], seconds=1.0, errors=1).p99_us == 0.0


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() -> None:
    pairs = [(1000.0, 1000.0), (900.0, 450.0), (300.0, 100.0)]
    measures = [
        measure
        for number, (authorised, empty) in enumerate(pairs, start=1)
        for measure in (
            a_measure(AUTHORISE.name, authorised, number=number),
            a_measure(EMPTY.name, empty, number=number),
        )
    ]
    assert the_bar(measures, "empty endpoint, 64").ratio == pytest.approx(2.0)


@pytest.mark.parametrize(("authorised", "met"), [(1300.0, True), (1290.0, False)])
def test_a_floor_itself_is_still_met(authorised: float, met: bool) -> None:
    measures = [a_measure(AUTHORISE.name, authorised, connections=256), a_measure(EMPTY.name, 1000.0, connections=256)]
    assert the_bar(measures, "256").met is met


def test_tpc_b_counts_with_the_number_of_clients_at_which_it_was_best() -> None:
    measures = [a_measure(AUTHORISE.name, 4000.0)]
    measures += [
        a_measure(TPC_B, rate, connections=clients) for clients, rate in ((1, 900.0), (16, 5000.0), (64, 4000.0))
    ]
    assert the_bar(measures, "best TPC-B").ratio == pytest.approx(0.8)


def test_alone_authorise_may_take_half_again_as_long_as_both_floors_together() -> None:
    measures = [
        a_measure(AUTHORISE.name, connections=1, p50_us=1800),
        a_measure(EMPTY.name, connections=1, p50_us=300),
        a_measure(TPC_B, connections=1, p50_us=900),
    ]
    assert the_bar(measures, "one connection").met
    assert not the_bar([replace(measures[0], shot=a_shot(p50_us=1801)), *measures[1:]], "one connection").met


def test_the_tail_is_compared_at_the_rate_that_was_asked() -> None:
    fast = [a_measure(kind, p99_us=1) for kind in (AUTHORISE.name, EMPTY.name, TPC_B)]
    slow = [
        paced(kind, asked=500, kept=495, p99_us=p99_us)
        for kind, p99_us in ((AUTHORISE.name, 8000), (EMPTY.name, 1000), (TPC_B, 3000))
    ]
    assert the_bar([*fast, *slow], "half of the peak").ratio == pytest.approx(2.0)


def test_a_floor_that_did_not_keep_the_rate_flatters_nobody() -> None:
    measures = [
        paced(AUTHORISE.name, asked=5000, kept=5000, p99_us=8000),
        paced(EMPTY.name, asked=5000, kept=5000, p99_us=1000),
        paced(TPC_B, asked=5000, kept=4000, p99_us=900_000),
    ]
    bar = the_bar(measures, "half of the peak")
    assert (bar.ratio, bar.met, bar.why_void) == (None, None, "TPC-B did not keep the rate")


def test_a_round_in_which_a_floor_stalled_does_not_count() -> None:
    bar = the_bar(tails((38, 1.2, 149.0), (18, 1.5, 2.5), (21, 1.2, 3.1), (20, 1, 3), (24, 1, 3)), "half of the peak")
    assert [each.ratio for each in bar.rounds] == [0.253, 4.5, 4.884, 5.0, 6.0]
    assert [each.why_void for each in bar.rounds] == ["TPC-B's p99 was 49.7 x its median", "", "", "", ""]
    assert bar.ratio == 4.942
    assert not bar.met


def test_where_half_of_the_rounds_stalled_the_tail_says_nothing() -> None:
    bar = the_bar(tails((20, 1, 3), (20, 9, 3), (20, 1, 90), (20, 1, 3)), "half of the peak")
    assert (bar.ratio, bar.met) == (None, None)
    assert bar.why_void == "empty endpoint's p99 was 9.0 x its median; TPC-B's p99 was 30.0 x its median"


def test_a_floor_may_move_by_less_than_the_factor() -> None:
    bar = the_bar(tails((20, 1, 3), (20, 1.9, 3), (20, 1, 1.6)), "half of the peak")
    assert not any(each.why_void for each in bar.rounds)


def test_a_bar_is_judged_by_the_digits_that_are_printed() -> None:
    measures = [a_measure(AUTHORISE.name, 10_000.0), a_measure(BUSY_SHOP.name, 8996.0)]
    assert (the_bar(measures, "busy shop").ratio, the_bar(measures, "busy shop").met) == (0.9, True)
    measures[1] = a_measure(BUSY_SHOP.name, 8990.0)
    assert (the_bar(measures, "busy shop").ratio, the_bar(measures, "busy shop").met) == (0.899, False)


def test_tpc_b_is_compared_round_by_round() -> None:
    pairs = [(1000.0, 2000.0), (900.0, 1000.0), (3000.0, 4000.0)]
    measures = [
        a_measure(kind, rate, number=number)
        for number, pair in enumerate(pairs, start=1)
        for kind, rate in zip((AUTHORISE.name, TPC_B), pair, strict=True)
    ]
    assert the_bar(measures, "best TPC-B").ratio == 0.75


def test_a_bar_without_its_measurements_is_not_spoken_of() -> None:
    assert bars([a_measure(AUTHORISE.name)]) == []


def test_the_peak_is_the_best_of_the_medians_and_no_lucky_round() -> None:
    measures = [a_measure(AUTHORISE.name, rate, number=number) for number, rate in enumerate((100.0, 200.0, 900.0))]
    measures += [a_measure(AUTHORISE.name, rate, connections=256) for rate in (300.0, 300.0)]
    assert peak_per_second(measures, AUTHORISE.name) == 300.0


def test_metrics_are_told_apart_by_their_labels_and_counted_from_before() -> None:
    before = samples('# HELP x y\na_total{call="b",status="201"} 5.0\n')
    after = samples('a_total{call="b",status="201"} 7.0\na_total{call="b",status="429"} 1.0\n')
    assert since(before, after) == {'a_total{call="b",status="201"}': 2.0, 'a_total{call="b",status="429"}': 1.0}


def test_what_was_refused_is_told_by_status_over_all_calls() -> None:
    head = "authz_http_requests_total"
    counts = {f'{head}{{call="capture",status="503"}}': 2.0, f'{head}{{call="authorise",status="503"}}': 3.0}
    counts |= {f'{head}{{call="authorise",status="201"}}': 9.0, f'{head}{{call="authorise",status="429"}}': 0.0}
    assert refused(counts) == {"503": 5}


DECLINES = 'authz_decisions_total{outcome="declined",reason="monthly_cap_exceeded"}'


@pytest.mark.parametrize(
    ("added", "meant", "answered", "is_"),
    [
        ({APPROVALS: 100}, (APPROVALS,), 100, 0),
        # What was under way when the shot ended is counted by the service alone, and hides no decline.
        ({APPROVALS: 160, DECLINES: 3}, (APPROVALS,), 100, 3),
        # Of a request file that began anew.
        ({APPROVALS: 160, REPLAYS: 5}, (APPROVALS,), 100, 5),
        ({APPROVALS: 90}, (APPROVALS,), 100, 10),
        ({REPLAYS: 100, APPROVALS: 2}, (REPLAYS,), 100, 2),
        ({APPROVALS: 50, CAPTURES: 48}, (APPROVALS, CAPTURES), 100, 2),
        ({BALANCES: 100, APPROVALS: 0}, (BALANCES,), 100, 0),
        ({}, (), 100, 0),
    ],
)
def test_a_decision_that_was_not_meant_is_counted_whatever_else_was_under_way(
    added: dict[str, float], meant: tuple[str, ...], answered: int, is_: int
) -> None:
    assert astray(added, meant, answered=answered) == is_


def test_the_mean_of_no_batches_is_zero() -> None:
    assert batch_mean({"authz_batch_requests_sum": 60.0, "authz_batch_requests_count": 4.0}) == 15.0
    assert batch_mean({}) == 0.0


def test_pgbench_is_read_with_what_failed() -> None:
    assert (tps(PGBENCH_SAID), failed(PGBENCH_SAID)) == (5276.622121, 3)


def test_a_transaction_that_failed_has_no_latency(tmp_path: Path) -> None:
    """Lines as `pgbench --log` writes them: client, transaction, latency, script, second, microsecond."""
    log = tmp_path / "tpcb.1"
    log.write_text(
        "0 1 812 0 1764000000 1\n1 1 failed 0 1764000000 2\n0 2 skipped 0 1764000000 3\n0 3 9 0 1764000000 4\n"
    )
    assert list(latencies_us(log)) == [812.0, 9.0]


def test_the_empty_endpoint_takes_what_the_contract_takes() -> None:
    """A member that only the contract had would make the floor a refusal."""
    asked = [each["value"] for each in examples()["authorise"][REQUEST].values()]
    assert asked
    for each in asked:
        empty_endpoint.Purchase.model_validate_json(orjson.dumps(each))
    for empty, contracts in ((empty_endpoint.Purchase, Purchase), (empty_endpoint.Line, Line)):
        assert set(empty.model_fields) == {each.name for each in fields(contracts)}


def a_run(*, violations: int = 0, astray: int = 0) -> Run:
    measure = replace(a_measure(AUTHORISE.name), astray=astray)
    return Run(
        began_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        plan={"rounds": 1},
        machine={"cores": 2},
        disturbed=[],
        generator="wrk",
        measures=[measure, a_measure(EMPTY.name, 500.0)],
        findings=[Finding(invariant=INVARIANTS[0], violations=violations, examples=("a rupiah",) * violations)],
        audit_seconds=1.23,
    )


def test_the_file_has_every_raw_figure_and_what_is_said_of_them() -> None:
    written = orjson.loads(orjson.dumps(document(a_run())))
    assert set(written) == {
        *("began_at", "void", "errors", "disturbed", "generator", "plan", "machine", "bars", "books", "measures"),
    }
    assert set(written["measures"][0]) == {
        *("kind", "round", "connections", "asked_per_second", "shot", "cpu_us_per_request", "batch_mean", "astray"),
        *("per_second", "refused"),
    }
    (bar,) = written["bars"]
    assert (bar["ratio"], bar["bound"], bar["met"]) == (2.0, 1.0, True)
    assert (written["void"], written["errors"], written["books"]["broken"]) == (False, 0, {})


def test_a_run_with_broken_books_is_void_and_says_what_broke() -> None:
    written = document(a_run(violations=2))
    assert written["void"]
    assert written["books"]["broken"] == {INVARIANTS[0].sentence: ("a rupiah", "a rupiah")}


@pytest.mark.parametrize("setting", DURABILITY)
def test_a_server_that_may_lose_what_it_confirmed_is_not_measured(setting: str) -> None:
    durable = dict.fromkeys(DURABILITY, "on")
    require_durable(durable)
    with pytest.raises(NotDurableError, match=f"not durable: {setting} is off"):
        require_durable({**durable, setting: "off"})


def test_a_run_beside_somebody_elses_work_is_marked() -> None:
    assert disturbances((0.5, 4.0, 4.0)) == []
    assert disturbances((0.77, 0.0, 0.0)) == ["the load average was 0.8 when the run began, more than 0.5"]


def test_an_answer_that_is_not_the_one_meant_is_an_error_and_voids_the_run() -> None:
    written = document(a_run(astray=3))
    assert (written["errors"], written["void"]) == (3, True)
    assert a_run(astray=3).void == ["3 answers were 2xx and not what was meant"]


@pytest.mark.parametrize(
    ("authorised", "in_order", "says"),
    [
        (guard.RATIO_AT_LEAST * 1000, True, None),
        (guard.RATIO_AT_LEAST * 1000 - 10, True, "of an empty endpoint"),
        (1000.0, False, "not in order"),
    ],
)
def test_the_guard_refuses_below_its_margin_and_broken_books(
    authorised: float, in_order: bool, says: str | None
) -> None:
    measures = [a_measure(AUTHORISE.name, authorised), a_measure(EMPTY.name, 1000.0)]
    said = guard.refusal(measures, books_in_order=in_order)
    assert (said is None) if says is None else (said is not None and says in said)


@pytest.mark.parametrize("wrong", [a_measure(AUTHORISE.name, 9000.0, errors=1), astray_by(1)])
def test_the_guard_does_not_judge_errors_that_came_fast(wrong: Measure) -> None:
    measures = [wrong, a_measure(EMPTY.name, 1000.0)]
    assert guard.refusal(measures, books_in_order=True) == (
        "1 answers were not what was meant, so the ratio says nothing."
    )


def test_two_workers_are_compared_with_one_round_by_round() -> None:
    rates = {workers.ONE.name: (1000.0, 2000.0, 500.0), workers.TWO.name: (1500.0, 1000.0, 600.0)}
    measures = [
        a_measure(kind, rate, number=number)
        for kind, each in rates.items()
        for number, rate in enumerate(each, start=1)
    ]
    assert workers.ratios(measures) == [1.5, 0.5, 1.2]
