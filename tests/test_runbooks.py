"""Each alert has a page, and what the page tells people to type can be typed."""

import re
from pathlib import Path

import pytest

import authz_service
from authz_service.alerting.alert import Alert
from authz_service.alerting.rules import alerts
from authz_service.main import create_app
from tests import runbooks


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert set(runbooks.pages()) == {each.name for each in alerts()}


@pytest.mark.parametrize("alert", list(alerts()), ids=lambda each: each.name)
def test_a_page_says_what_it_means_and_what_to_do(alert: Alert) -> None:
    page = runbooks.pages()[alert.name]
    assert page.startswith(f"# {alert.name}\n")
    assert re.search(r"^\*\*Ringkas\.\*\* \S", page, re.MULTILINE)
    for heading in ("What it means", "See it", "Do", "Call", "Do not"):
        _, _, after = page.partition(f"\n## {heading}\n")
        assert len(after.partition("\n## ")[0].strip()) > 20, heading


def test_what_the_pages_tell_to_type_can_be_typed() -> None:
    commands = [(name, words) for name, page in runbooks.pages().items() for words in runbooks.typed(page)]
    assert len(commands) > 40
    faults = [(name, words, fault) for name, words in commands if (fault := runbooks.fault(words))]
    assert faults == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ledger", "mend"], "no such command"),
        (["ledger", "check", "--now"], "has no --now"),
        (["settlement", "show"], "takes 1 to 1 arguments"),
        (["exceptions", "resolve", "exc_1", "--outcome", "explained"], "wants --reason"),
        (["settlement", "close", "--cut-off"], "wants something after it"),
    ],
)
def test_a_command_that_is_none_is_found(words: list[str], says: str) -> None:
    assert says in (runbooks.fault(words) or "")


def test_what_pages_look_for_in_the_log_is_logged() -> None:
    """An event, or the beginning of some, as a string of the program."""
    service = Path(authz_service.__file__).parent
    program = "\n".join(
        file.read_text(encoding="utf-8") for file in service.rglob("*.py") if "alerting" not in file.parts
    )
    looked_for = {event for page in runbooks.pages().values() for event in runbooks.looked_for_in_the_log(page)}
    assert len(looked_for) > 15
    assert {event for event in looked_for if f'"{event}' not in program} == set()


def test_whatever_is_logged_of_a_till_that_got_an_error_is_looked_for() -> None:
    page = runbooks.pages()["AuthzErrorsBurnFast"]
    service = Path(authz_service.__file__).parent
    program = "".join((service / each).read_text(encoding="utf-8") for each in ("api/pos.py", "lanes.py"))
    logged = set(re.findall(r'log\.(?:warning|error|exception)\("(\w+)"', program))
    assert len(logged) > 4
    assert {event for event in logged if not event.startswith(tuple(runbooks.looked_for_in_the_log(page)))} == set()


def test_what_pages_ask_of_the_service_is_answered() -> None:
    """Its addresses on the machine itself."""
    known = set(create_app()._framework.openapi()["paths"])  # type: ignore[attr-defined]
    for name, page in runbooks.pages().items():
        for path in re.findall(r"127\.0\.0\.1:8000(/\S*)|`(?:GET|POST) (/\S+)`", page):
            asked = re.sub(r"\{\w+\}", "{}", "".join(path))
            assert asked in {re.sub(r"\{\w+\}", "{}", each) for each in known}, (name, asked)


def test_what_pages_link_to_is_there() -> None:
    for name, page in runbooks.pages().items():
        for link in re.findall(r"\]\(([^)#]+)", page):
            assert (runbooks.FOLDER / link).exists(), (name, link)
