"""`authz seal`, as typed: what is sealed is shown, proven, handed out, and verified elsewhere."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import verify_ledger
from authz_service.commands.seal import ChainName
from authz_service.ledger.seal import seal as sealed
from authz_service.ledger.sealed_head import seal_key
from authz_service.ledger.sealed_rows import CHAINS, TRANSFERS
from authz_service.settings import Settings
from tests.test_seal import SAMARINDA
from tests.world import World


@dataclass(frozen=True, slots=True)
class Said:
    exit_code: int
    output: str


TYPED = """
import json, sys
from typer.testing import CliRunner
from authz_service.cli import app
said = [CliRunner().invoke(app, ["seal", *words]) for words in json.loads(sys.argv[1])]
print(json.dumps([(each.exit_code, each.output) for each in said]))
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


async def test_heads_are_signed_by_the_operators_own_key(world: World, tmp_path: Path) -> None:
    file = tmp_path / "seal.pem"
    await sealed(world.database, world.settings, SAMARINDA, TRANSFERS)
    own = {"AUTHZ_SEAL_KEY_FILE": str(file), "AUTHZ_SEAL_KEY_NAME": "dinsos.example", "AUTHZ_ROOT_KEY": "a secret one"}
    without, made, again, verifier, head = await seal(
        world, ["head"], ["key", str(file)], ["key", str(file)], ["verifier"], ["head"], **own
    )
    assert (without.exit_code, without.output[:49]) == (1, "authz: The key to sign with is not read: No such ")
    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert again.exit_code == 1, "no key is overwritten"
    assert verify_ledger.read_head(head.output.encode(), verifier.output.strip()).programme == "samarinda-2024"
