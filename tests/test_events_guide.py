"""docs/events.md is true: its code verifies its sample and ours, its list is the code's, its numbers the settings'."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from authz_service.events.kinds import TYPES
from authz_service.events.signature import signed_headers
from authz_service.settings import Settings
from tests.event_examples import BEGIN, END, PAGE, section

TEXT = PAGE.read_text(encoding="utf-8")
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def block(kind: str) -> str:
    """What stands in the fenced block that begins with these words."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def is_genuine() -> Any:
    names: dict[str, Any] = {}
    exec(compile(block("python"), "docs/events.md", "exec"), names)
    return names["is_genuine"]


def sample() -> tuple[dict[str, str], bytes, str, int]:
    head, _, body = block("http").rstrip("\n").partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.split("\n")[1:])
    return headers, body.encode(), block("text secret").strip(), int(headers["webhook-timestamp"])


def test_the_sample_verifies_with_the_code_of_the_page_and_by_our_own(is_genuine: Any) -> None:
    headers, body, secret, now = sample()
    assert is_genuine(headers, body, [secret], now)
    assert is_genuine(headers, body, [OTHER, secret], now + 300)
    at = datetime.fromtimestamp(now, UTC)
    assert Webhook(secret).sign(headers["webhook-id"], at, body.decode()) == headers["webhook-signature"]


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{}"},
        {"secrets": [OTHER]},
        {"secrets": []},
        {"late": 301},
        {"late": -301},
        {"webhook-id": "evt_other"},
        {"webhook-timestamp": "1733122806"},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,not base64"},
        {"webhook-signature": "v1 \x00 v1a,x"},
        {"webhook-signature": None},
        {"webhook-id": None},
    ],
)
def test_nothing_else_is_genuine_and_nothing_that_a_stranger_sends_raises(is_genuine: Any, change: Any) -> None:
    headers, body, secret, now = sample()
    changed = {name: change.get(name, value) for name, value in headers.items()}
    sent = {name: value for name, value in changed.items() if value is not None}
    secrets = change.get("secrets", [secret])
    assert is_genuine(sent, change.get("body", body), secrets, now + change.get("late", 0)) is False


def test_while_a_secret_changes_either_one_verifies(is_genuine: Any) -> None:
    at = datetime(2024, 12, 2, tzinfo=UTC)
    headers = signed_headers("evt_1", at, b"{}", [b"old" * 10, b"new" * 10])
    for key in ("b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk", "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"):
        assert is_genuine(headers, b"{}", [f"whsec_{key}"], at.timestamp())


def test_the_list_of_types_is_that_of_the_code() -> None:
    """`make docs` draws it."""
    drawn = TEXT.partition(BEGIN)[2].partition(END)[0]
    assert BEGIN + drawn + END == section()
    assert re.findall(r"^### `(.*)`$", TEXT, re.MULTILINE) == list(TYPES)


def test_the_numbers_of_the_page_are_those_of_the_settings() -> None:
    settings = Settings()
    assert f"2xx within {settings.event_timeout_seconds:g} seconds" in TEXT
    assert f"up to {settings.event_rest_limit_seconds:g} seconds" in TEXT
    assert f"kept for {settings.event_retention_days} days" in TEXT
    assert settings.event_retry_after_limit_seconds == 3600
    units = {"s": 1, "min": 60, "h": 3600}
    said = TEXT.partition("**Schedule** after a failure: ")[2].partition(", each")[0]
    waits = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (\w+)", said)]
    assert waits == list(settings.event_retry_seconds)


FACTS = (
    "settlement_batch",
    "payout_instruction",
    "payout_event",
    "family_change",
    "reconciliation_exception",
    "dispute",
)


@pytest.mark.parametrize("table", FACTS)
def test_whoever_writes_a_fact_also_tells_it(table: str) -> None:
    """No file writes one of these tables and publishes nothing."""
    writes = re.compile(rf'INSERT INTO {table}\b|copy_records_to_table\("{table}"')
    files = [path for path in Path("authz_service").rglob("*.py") if writes.search(path.read_text(encoding="utf-8"))]
    assert files
    for path in files:
        assert re.search(r"await (publish|self\.tell)\(", path.read_text(encoding="utf-8")), path
