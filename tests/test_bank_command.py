"""What README and the banks' guide tell to type so that a bank is connected runs as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.bank import SAMARINDA, became, followed
from tests.settling import batch_closed, instructions
from tests.test_reconcile_command import Typed
from tests.world import PROGRAMME, World

ROOT: Final = Path(__file__).parent.parent
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE: Final = (ROOT / "docs" / "bank-integration.md").read_text(encoding="utf-8")
AUTHZ: Final = f"{sys.executable} -m authz_service.cli"
A_SECOND_PROGRAMME: Final = """
CREATE TEMPORARY TABLE other AS SELECT * FROM programme; UPDATE other SET programme_id = 'balikpapan-2024';
INSERT INTO reference VALUES ('balikpapan-2024', 1); INSERT INTO programme SELECT * FROM other;
"""
pytestmark = pytest.mark.timeout(300)
"""Each command is a process of its own, and on a busy machine takes seconds to start."""


async def typed(world: World, directory: Path, line: str, actor: str = "meja kartu bank") -> Typed:
    """A line of a shell in this directory, beside the running service and on its clock."""
    settings = world.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    line = re.sub(r"^authz ", f"{AUTHZ} ", line.replace("http://127.0.0.1:8000", world.base_url))
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-euc", line),
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "AUTHZ_ROOT_KEY": settings.root_key.get_secret_value(),
            "AUTHZ_CLOCK_OFFSET_FILE": str(settings.clock_offset_file),
            "AUTHZ_ACTOR": actor,
            "COLUMNS": "80",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(shell.communicate(), 60)
    return Typed(shell.returncode, out.decode(), err.decode())


async def test_the_session_of_the_readme_runs_as_it_stands_there(world: World, tmp_path: Path) -> None:
    block = README.partition("## The bank is connected")[2].split("```")[1]
    lines = block.replace("\\\n", "").strip().splitlines()
    shown = {}
    for line in lines:
        await followed(world)
        parked = await world.database.fetchval("SELECT min(notice_id) FROM notice_standing WHERE standing = 'parked'")
        done = await typed(world, tmp_path, line.replace("ntc_…", parked or ""))
        assert (done.status, done.err) == (0, ""), line
        shown[" ".join(line.partition("#")[0].split()[:3])] = done.out
    assert [name.removeprefix("authz ") for name in shown] == [
        *("simulate key", "bank add", "bank public-key", "bank secret", "bank show", "bank expect", "mkdir orders"),
        *("simulate bank", "certify bank", "inbox list", "inbox resolve", "inbox approve"),
    ]
    assert ("success", "followed", None) in await became(world)
    assert "✗" not in shown["authz certify bank"]
    assert {"parked:", "reference_unknown", "books"} <= set(shown["authz inbox list"].split())
    standings = {standing for _, standing, _ in await became(world)}
    assert standings == {"followed", "parked", "resolved"}


async def test_the_reason_may_also_be_called_the_resolution(world: World, tmp_path: Path) -> None:
    refused = await typed(world, tmp_path, "authz inbox resolve ntc_x --resolution 'bukan kita'")
    assert refused.status == 1
    assert refused.err.startswith("authz: ntc_x is not a parked notice")


async def test_the_guides_onboarding_runs_beside_a_second_programme(world: World, tmp_path: Path) -> None:
    """And its calmer checklist leaves one parked notice; its partner id is good in no other programme."""
    await world.database.execute(A_SECOND_PROGRAMME)
    onboarding = GUIDE.partition("## 1. Onboarding")[2].partition("## 2.")[0]
    commands = [each for each in re.findall(r"`([^`]+)`", onboarding) if re.match(r"(authz|openssl) \S+ .*\S", each)]
    whole = [each for each in commands if each.startswith("openssl") or "--actor" in each]
    assert [" ".join(each.split()[:3]) for each in whole] == [
        *("authz bank add", "openssl genrsa -out", "openssl rsa -in", "authz bank public-key", "authz bank secret"),
    ]
    for line in whole:
        assert (await typed(world, tmp_path, line)).status == 0, line
    add = next(each for each in whole if each.startswith("authz bank add"))
    unnamed = await typed(world, tmp_path, add.replace(f" --programme {PROGRAMME}", ""))
    assert unnamed.err == f"authz: Name one programme with --programme: balikpapan-2024, {PROGRAMME}.\n"
    taken = await typed(world, tmp_path, add.replace(PROGRAMME, "balikpapan-2024"))
    said = f"There is a partner BANKALTIMTARA already, in {SAMARINDA}: a partner id is unique over all programmes."
    assert (taken.status, taken.err) == (1, f"authz: {said}\n")

    await world.authorise(amount=1_000, capture=True)
    await batch_closed(world)
    ((reference, _, amount),) = await instructions(world)
    certify = GUIDE.partition("## 9. The checklist")[2].partition("```sh\n")[2].partition("```")[0]
    certify = certify.replace("\\\n", "").replace("https://sandbox.example", world.base_url).strip()
    done = await typed(world, tmp_path, f"{certify} --reference {reference} --amount {amount}")
    assert (done.status, done.err) == (0, "")
    await followed(world)
    assert [why for _, standing, why in await became(world) if standing != "followed"] == ["reference_unknown"]
