"""The README's `make demo`, from start to Ctrl-C, as its reader would type it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from authz_service.people import Role
from authz_service.serving import another_free_port, free_port
from authz_service.simulation.orders import read_orders
from authz_service.simulation.statement import Statement

START_SECONDS = 240
TIES = 4
NOTICE, STATEMENT = "the bank's notice", "its statement, before a notice came"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed command is a curl")
@pytest.mark.timeout(START_SECONDS + 60)
def test_the_demo_plays_the_quarter_serves_today_and_its_curl_gets_an_approval(tmp_path: Path) -> None:
    port = free_port()
    demo = _demo(tmp_path, port)
    ended = threading.Timer(START_SECONDS, demo.kill)
    ended.start()
    try:
        printed = _until_the_curl(demo)
        report = "".join(printed)
        assert "Control total: Rp1.776.600.000 granted" in report
        # Every scheme of the plan was found, and nothing that was honest; nobody honest waits for money.
        assert re.search(r"^in all +([1-9]\d*) +\1 +100 % +\1 +100 %", report, re.MULTILINE)
        assert re.search(r"^settlement held +([1-9]\d*) +\1 +100 %", report, re.MULTILINE)
        settled = report.partition("The bank and the books")[2].partition("Closing statement: ")[0]
        assert_the_bank_is_the_books(settled)
        orders = sorted((tmp_path / "demo" / "bank" / "orders").glob("batch-*.csv"))
        statement = Statement.read((tmp_path / "demo" / "bank" / "statement.csv").read_text())
        assert sum(len(read_orders(each.read_text())) for each in orders) == len(
            [each for each in statement.rows if each.debit]
        )
        closing = report.partition("Closing statement: ")[2]
        assert "Control total: granted to 987 families      Rp1.776.600.000" in closing
        assert re.search(r"Refunded by shops +-?Rp[1-9]", closing)
        assert len(re.findall(r"^✓ .* (Rp[\d.]+) = .* \1$", closing, re.MULTILINE)) == TIES
        assert "The books are in order" in closing
        assert _runs_on_the_same_directory(tmp_path) == (1, True)
        first, again = (_pasted(report[report.index("curl -s") :]) for _ in range(2))
        assert (first["decision"], first["approved_amount"]) == ("approved", 107000)
        assert again == first
        session = _session_of_the_readme("## An operator's session", tmp_path, port)
        assert "operator Meja pengaduan" in session
        assert '"decision": "declined"' in session
        vouched = json.loads(session[session.rindex('{"id":"vch_') :])
        assert (vouched["status"], vouched["extra_amount"]) == ("live", 300000)
        settling = _session_of_the_readme("## The shops get their money", tmp_path, port)
        assert "is closed: 1 item, captured Rp13.000, refunded Rp0, to be paid Rp13.000." in settling
        assert "of Rp13.000 is paid." in settling
        assert "****0002" in settling
        assert "000000000002" in (tmp_path / "demo" / "bank.csv").read_text()
        assert "Penjualan" in (tmp_path / "demo" / "shop.csv").read_text()
        assert_people_can_look(report, port)
        with urlopen(f"http://127.0.0.1:{port}/docs", timeout=20) as answer:
            page = answer.read().decode()
        assert "swagger-ui" in page
        assert not re.search(r"(src|href)=\"https?:", page)
    finally:
        ended.cancel()
        demo.send_signal(signal.SIGINT)
        status = demo.wait(60)  # PostgreSQL writes its last checkpoint, on a disk that others use, too
        if demo.stdout is not None:
            demo.stdout.close()
    assert status == 0


def assert_people_can_look(report: str, port: int) -> None:
    """The metrics and the console are where the report says, and each role has a sign-in."""
    (metrics_url,) = re.findall(r"^Metrics for Prometheus: (http://127\.0\.0\.1:\d+/metrics)$", report, re.MULTILINE)
    with urlopen(metrics_url, timeout=20) as answer:
        assert 'authz_decisions_total{outcome="approved",reason="approved"} ' in answer.read().decode()
    assert len(re.findall(r"^  \w+ +[a-z.]+ +sandbox-[0-9a-z-]{19}$", report, re.MULTILINE)) == len(Role)
    with urlopen(f"http://127.0.0.1:{port}/console/", timeout=20) as answer:
        assert "Masuk ke konsol" in answer.read().decode()


def assert_the_bank_is_the_books(settled: str) -> None:
    """The city's money came by the bank's notice, every shop was paid, and nothing is left over on either side."""
    numbers = {
        title.strip(): (int(number.replace(".", "")), rupiah)
        for title, number, rupiah in re.findall(r"^(.+?) {2,}([\d.]+)(?: +(Rp[\d.]+))? *$", settled, re.MULTILINE)
    }
    assert numbers["the city's money that came"] == (1, "Rp1.776.600.000")
    payments, kept = numbers["payments ordered"][0], numbers["notices kept"][0]
    by_notice, by_statement = (numbers[f"settled by {each}"][0] for each in (NOTICE, STATEMENT))
    assert payments == by_notice + by_statement > 1_000
    assert numbers["lines of the statement"][0] == 1 + payments + numbers["came back, and were paid again"][0]
    for odd in ("on a later day than the payment", "told a second time", "pending, though it was paid"):
        assert 0 < numbers[odd][0] < kept
    for odd in ("the same notice again, answered as before", "forged, refused", "came back, and were paid again"):
        assert numbers[odd][0] > 0
    assert (numbers["parked"][0], numbers["that nothing here explains"][0]) == (0, 0)
    assert re.search(
        r"^Statement = books: (Rp[1-9][\d.]+) at the bank = \1 in the books; payable Rp0, clearing Rp0$",
        settled,
        re.MULTILINE,
    )


def _demo(directory: Path, port: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "authz_service.cli", "demo"],
        env={
            **os.environ,
            "AUTHZ_DATA_DIR": str(directory),
            "AUTHZ_PORT": str(port),
            "AUTHZ_METRICS_PORT": str(another_free_port(port)),
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def _until_the_curl(demo: "subprocess.Popen[str]") -> list[str]:
    assert demo.stdout is not None
    printed = []
    for line in demo.stdout:
        printed.append(line)
        if line.startswith("  -d "):
            return printed
    raise AssertionError("".join(printed))


def _pasted(command: str) -> dict[str, Any]:
    """What a shell makes of the printed lines."""
    answer: dict[str, Any] = json.loads(subprocess.check_output(["sh", "-c", command], timeout=20))
    return answer


def _session_of_the_readme(title: str, directory: Path, port: int) -> str:
    """What the commands below this title say, for this demo's port and folder; nothing of them fails."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    commands = readme.partition(title)[2].split("```")[1].strip()
    here = {
        ".venv/bin/python": sys.executable,
        ".venv/bin/authz": f"{sys.executable} -m authz_service.cli",
        "var/demo": str(directory / "demo"),
        ":8000": f":{port}",
    }
    for there, instead in here.items():
        assert there in commands
        commands = commands.replace(there, instead)
    # As typed, with nothing set that a reader has not set.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
    return subprocess.check_output(["sh", "-euc", commands], env=environment, text=True, timeout=60)


def _runs_on_the_same_directory(directory: Path) -> tuple[int, bool]:
    second = subprocess.run(
        [sys.executable, "-m", "authz_service.cli", "demo", "--no-serve"],
        env={**os.environ, "AUTHZ_DATA_DIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return second.returncode, str(directory) in second.stderr.replace("\n", "")
