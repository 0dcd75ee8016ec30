"""`authz signals`, as its reader would type it; and that docs/signals.md says what the code has."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from authz_service.settings import Settings
from authz_service.signals.judging import AT_ONCE
from authz_service.signals.kinds import Signal
from authz_service.signals.thresholds import CIRCUMSTANCE, DEFAULTS, HOLD_SCORE, STRONG, WEAK
from tests.world import PROGRAMME, World

PAGE = (Path(__file__).parent.parent / "docs" / "signals.md").read_text(encoding="utf-8")
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def typed(world: World, *words: str, code: int = 0) -> str:
    """What the command says, on a wide screen."""
    assert world.settings.database_url is not None
    assert world.settings.redis_url is not None
    done = subprocess.run(
        [sys.executable, "-m", "authz_service.cli", "signals", *words],
        env={
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "REDIS_URL": world.settings.redis_url.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(world.settings.clock_offset_file),
            "AUTHZ_ACTOR": "Inspektorat",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_what_was_found_is_listed_shown_judged_and_its_signal_set(world: World) -> None:
    for card in world.tills.cards[:14]:
        await world.authorise(card_number=card.card_number, amount=300_000, capture=True)
    assert "2 findings new or larger; settlement held of 14 purchases" in typed(world, "nightly", "--day", "2024-10-07")
    assert "0 findings" in typed(world, "nightly", "--day", "2024-10-07")
    listed = typed(world, "list", "--standing", "open")
    (cards,) = re.findall(r"^(sig_\w+) .*many_cards", listed, re.MULTILINE)
    assert world.till.name in listed
    shown = typed(world, "show", cards)
    assert "Banyak kartu berbeda" in shown
    assert "Many different cards" in shown
    assert shown.count("held by signals") == 14
    assert "needs somebody else" in typed(world, "confirm", cards, "--reason", "kartu dikumpulkan")
    assert "somebody else has to confirm" in typed(world, "confirm", cards, "--reason", "lagi", code=1)
    assert "is dismissed; 14 purchases released" in typed(world, "dismiss", cards, "--reason", "kader mengantar")
    refused = typed(world, "set", "many_cards", "--action", "decline", "--reason", "uji coba", code=1)
    assert "nobody has looked how many" in refused
    empty = typed(world, "backtest", "--signal", "many_cards", "--from", "2023-01-01", "--to", "2023-01-31", code=1)
    assert "no history of these days: it goes from 2024-10-01 to 2024-10-0" in empty
    tried = typed(world, "backtest", "--signal", "many_cards", "--from", "2024-10-01", "--to", "2024-10-07")
    assert "1 finding (1 strong enough alone) about 14 purchases of 14 families at 1 shop, Rp4.200.000" in tried
    done = typed(world, "set", "many_cards", "--action", "decline", "--reason", "uji coba")
    assert "would decline 3 purchases of 3 families" in done
    assert "many_cards: decline." in done
    typed(world, "set", "same_basket", "--set", "at-least=9", "--off", "--reason", "uji coba")
    rules = typed(world, "rules")
    assert re.search(r"same_basket +off +at_least\* 9", rules)
    assert "signal: " not in typed(world, "set", "--hold-score", "75", "--nightly-at", "03:00", "--reason", "uji coba")
    assert "held from score 75 on; nights are computed at 03:00" in typed(world, "rules")
    for wrong in (["--set", "stars=3"], ["--set", "at_least=few"], ["--set", "at_least=0"]):
        typed(world, "set", "many_cards", *wrong, "--reason", "uji coba", code=1)
    for unheard in (["--off"], ["many_cards", "--hold-score", "60"], ["many_cards"], []):
        typed(world, "set", *unheard, "--reason", "uji coba", code=1)
    orders = await world.database.fetch("SELECT actor, detail FROM office_order WHERE kind = 'signal_set'")
    assert {row["actor"] for row in orders} == {"Inspektorat"}
    assert any(json.loads(row["detail"]).get("action") == "decline" for row in orders)


def test_the_commands_of_the_readme_are_those_that_there_are() -> None:
    section = README.partition("## Signals of misuse")[2].partition("\n## ")[0]
    commands = re.findall(r"^authz signals (\w+)", section, re.MULTILINE)
    assert commands == ["rules", "list", "show", "dismiss", "confirm", "nightly", "backtest", "set"]
    from authz_service.commands.signals import signals  # noqa: PLC0415

    assert {each.name for each in signals.registered_commands} == set(commands)


@pytest.mark.parametrize("signal", Signal)
def test_the_page_has_each_signal_with_its_sentence_its_defaults_and_its_lookalikes(signal: Signal) -> None:
    section = PAGE.partition(f"### `{signal}`\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    words = " ".join(section.split())
    assert signal.english in words
    assert signal.indonesian in words
    told = dict(re.findall(r"`(\w+)` (\d+)", words))
    own = msgspec.structs.asdict(DEFAULTS[signal])
    expected = {name: str(value) for name, value in own.items() if name not in {"decline_minutes", "strongest"}}
    assert {name: told.get(name) for name in expected} == expected
    assert ("Seen within seconds" in words) == (signal in AT_ONCE)
    assert ("never enough alone" in words) == (DEFAULTS[signal].strongest == CIRCUMSTANCE)
    assert "Honest lookalikes:" in words


def test_the_numbers_of_the_page_are_the_codes() -> None:
    settings, words = Settings(), " ".join(PAGE.split())
    assert f"from {WEAK} at `at_least` to {STRONG} at `strongly`, or to {CIRCUMSTANCE}" in words
    assert f"score {HOLD_SCORE} on" in words
    assert f"every {settings.signal_seconds:g} seconds" in words
    assert f"{settings.signal_before_cut_off_minutes} minutes before" in words
    assert f"not older than {settings.signal_backtest_days} days" in words
    assert f"for {DEFAULTS[Signal.MANY_CARDS].decline_minutes} minutes" in words
    assert PROGRAMME in words
