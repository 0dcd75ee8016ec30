"""Settings that make no sense together are refused at the start, in a sentence for who set them."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from authz_service.settings import Settings

NONSENSE = (
    ({"event_timeout_seconds": 60}, "event_lease_seconds must be more than event_timeout_seconds and office_deadline"),
    ({"event_timeout_seconds": 54}, "event_lease_seconds must be more than event_timeout_seconds and office_deadline"),
    ({"event_lease_seconds": 26}, "event_lease_seconds must be more than event_timeout_seconds and office_deadline"),
    ({"event_lease_seconds": "nan"}, "event_lease_seconds must be more than event_timeout_seconds and office_deadline"),
    ({"record_reserve_seconds": 1.5}, "record_reserve_seconds must be less than deadline_seconds"),
    ({"hot_lock_timeout_ms": 1_500}, "hot_lock_timeout_ms must be less than deadline_seconds"),
    ({"redis_timeout_seconds": 2}, "redis_timeout_seconds must be less than deadline_seconds"),
    ({"redecide_wait_limit_seconds": 1.5}, "redecide_wait_limit_seconds must be less than deadline_seconds"),
    ({"redecide_wait_seconds": 0.06}, "redecide_wait_seconds must not be more than redecide_wait_limit_seconds"),
    ({"stall_seconds": 1.5}, "deadline_seconds must be less than stall_seconds"),
    ({"deadline_seconds": 3}, "deadline_seconds must be less than stall_seconds"),
    ({"office_lock_timeout_ms": 5_000}, "office_lock_timeout_ms must be less than office_statement_timeout_ms"),
    ({"office_deadline_seconds": 5}, "office_statement_timeout_ms must be less than office_deadline_seconds"),
    ({"closing_statement_timeout_ms": 5_000}, "closing_lock_timeout_ms must be less than closing_statement_timeout_ms"),
    ({"shutdown_seconds": 6}, "office_deadline_seconds must be less than shutdown_seconds"),
    ({"drain_seconds": 9}, "stop_seconds must be more than drain_seconds and three times shutdown_seconds"),
    ({"event_connect_timeout_seconds": 20}, "event_connect_timeout_seconds must be less than event_timeout_seconds"),
    ({"event_look_back_seconds": 60}, "event_journal_margin_seconds must be less than event_look_back_seconds"),
    ({"event_look_back_seconds": 30 * 86_400}, "event_look_back_seconds must be less than event_retention_days"),
)


@pytest.mark.parametrize(("given", "said"), NONSENSE)
def test_a_pair_that_makes_sense_only_in_the_other_order_is_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(**given)  # type: ignore[arg-type]


def test_what_makes_sense_together_is_taken() -> None:
    assert Settings(event_timeout_seconds=30).event_lease_seconds == 60
    assert Settings(event_timeout_seconds=90, event_lease_seconds=97).event_timeout_seconds == 90
    assert Settings(deadline_seconds=20, stall_seconds=21).deadline_seconds == 20
    assert Settings(redecide_wait_seconds=0.05).redecide_wait_limit_seconds == 0.05


def test_a_command_says_which_two_and_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "authz_service.cli", "serve"],
        env={**os.environ, "AUTHZ_EVENT_TIMEOUT_SECONDS": "90", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "A setting is not valid: Value error, event_lease_seconds must be more than event_timeout_seconds" in said
    assert "Traceback" not in said
