"""`authz seal`, as typed: what is sealed is shown, proven, handed out, and verified elsewhere."""

import asyncio
import json
import os
import shlex
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import verify_ledger
from authz_service.commands.seal import ChainName
from authz_service.ledger.seal import seal as sealed
from authz_service.ledger.sealed_head import seal_key
from authz_service.ledger.sealed_rows import CHAINS, TRANSFERS
from authz_service.settings import Settings
from tests.test_seal import SAMARINDA
from tests.world import World

ROOT = Path(verify_ledger.__file__).parent


@dataclass(frozen=True, slots=True)
class Said:
    exit_code: int
    output: str


TYPED = """
import json, pathlib, sys
from typer.testing import CliRunner
from authz_service.cli import app
said = []
for words in json.loads(sys.argv[1]):
    words, told = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
    one = CliRunner().invoke(app, ["seal", *words])
    said.append((one.exit_code, one.output))
    if told:
        pathlib.Path(told).write_text(one.stdout, encoding="utf-8")
print(json.dumps(said))
"""


async def seal(world: World, *commands: Sequence[str], **environment: str) -> list[Said]:
    """What each command says, typed one after the other."""
    assert world.settings.database_url is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TYPED, json.dumps(commands)),
        env={
            **os.environ,
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "REDIS_URL": "redis://nowhere",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return [Said(*each) for each in json.loads(output)]


def test_every_chain_has_a_name_to_type() -> None:
    assert [each.value for each in ChainName] == list(CHAINS)


async def test_a_day_is_sealed_handed_out_and_verified_by_those_who_have_the_file_alone(
    world: World, tmp_path: Path
) -> None:
    await world.authorise(capture=True)
    await world.database.execute(
        "INSERT INTO audit_entry (programme_id, entry_id, at, actor, action, subject_kind, subject_id, before, after)"
        " VALUES ('samarinda-2024', 'aud_1', now(), 'dinsos', 'card_blocked', 'card', 'crd_1',"
        """ '{"b": 1.50, "a": "é"}', NULL)"""
    )
    now, handed_out = await seal(world, ["now"], ["head"])
    assert now.exit_code == 0, now.output
    assert "audit: " in now.output
    assert "1 in all." in now.output
    verifier = seal_key(Settings()).verifier
    head, today, entry = (tmp_path / name for name in ("head", "today", "entry"))
    head.write_text(handed_out.output, encoding="utf-8")
    await world.authorise()
    await sealed(world.database, world.settings, SAMARINDA, TRANSFERS)
    shown, proven, exported, one, refused = await seal(
        world,
        ["show"],
        ["verify", "--head", str(head)],
        ["export", str(today), "--since", str(head)],
        ["export", str(entry), "--chain", "audit", "--row", "aud_1"],
        ["export", str(entry), "--chain", "audit", "--since", str(head)],
    )
    assert "transfers: " in shown.output
    assert "audit: 1 row in 1 block, the last of" in shown.output
    assert proven.exit_code == 0, proven.output
    assert "✓ transfers: " in proven.output
    assert "✓ audit: 1 row in 1 block are as they were sealed" in proven.output
    assert f"{today}: 1 row in 1 block of" in exported.output.replace("\n", "")
    assert verify_ledger.main([str(today), "--key", verifier, "--head", str(head)]) == 0
    assert one.exit_code == 0, one.output
    assert verify_ledger.main([str(entry), "--key", verifier]) == 0
    assert "é" in entry.read_text(encoding="utf-8")
    assert (refused.exit_code, refused.output) == (1, "authz: That is a head of samarinda-2024, transfers.\n")

    # Somebody at the database changes a row.
    await world.database.execute("SET session_replication_role = replica")
    changed = await world.database.fetchval(
        "UPDATE transfer SET amount_rupiah = 1 WHERE transfer_id = (SELECT max(transfer_id) FROM transfer)"
        " RETURNING transfer_id"
    )
    (found,) = await seal(world, ["verify"])
    assert found.exit_code == 1
    assert f", {changed}, was changed." in found.output
    assert "transfers: the sealed books are NOT as they were." in found.output


def commands_of_the_readme() -> list[list[str]]:
    """Of the section about the sealed books, word by word."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The books are sealed")[2]
    return [shlex.split(line, comments=True) for line in section.split("```")[1].strip().split("\n")]


async def test_the_commands_of_the_readme_hand_out_heads_that_are_proven(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await sealed(world.database, world.settings, SAMARINDA, TRANSFERS)
    *typed, script = commands_of_the_readme()
    assert [words[:2] for words in typed] == [["authz", "seal"]] * 6
    own = {"AUTHZ_SEAL_KEY_FILE": "seal.pem", "AUTHZ_SEAL_KEY_NAME": "dinsos.example", "AUTHZ_ROOT_KEY": "a secret one"}
    first, *all_said = await seal(
        world, ["head"], *(words[2:] for words in typed), ["key", "seal.pem"], PYTHONPATH=str(ROOT), **own
    )
    assert first.output.startswith("authz: The key to sign with is not read: No such file")
    assert [each.exit_code for each in all_said] == [0] * 6 + [1], "and no key is overwritten"
    assert stat.S_IMODE(Path("seal.pem").stat().st_mode) == 0o600
    assert script[:2] == ["python", "verify_ledger.py"]
    assert verify_ledger.main(script[2:]) == 0
    verifier = Path("verifier.txt").read_text(encoding="utf-8").strip()
    assert verifier.startswith("dinsos.example+")
    assert verify_ledger.read_head(Path("head.txt").read_bytes(), verifier).programme == "samarinda-2024"
