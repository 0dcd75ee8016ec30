"""`authz certify bank`: a service that keeps to SNAP passes in either style; each way not to fails a point."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from authz_service.bank.partners import SignatureStyle
from authz_service.simulation.certifying import Verdict, certify
from authz_service.simulation.checklist import POINTS
from authz_service.simulation.identity import Identity, IdentityUnusable, identity_from, write_new_key
from authz_service.simulation.line import Line, Reply, Unanswered
from authz_service.simulation.requests import Request
from tests.bank import Bank, a_bank, became, followed
from tests.harm import Premises
from tests.settling import batch_closed, instructions
from tests.simulated import key_files, typed
from tests.world import World


@pytest.fixture(params=list(SignatureStyle))
async def bank(world: World, request: pytest.FixtureRequest) -> Bank:
    """One that signs in either way."""
    return await a_bank(world, request.param)


def identity_of(bank: Bank, **changes: str) -> Identity:
    secret = changes.get("secret", bank.secret)
    return Identity(partner_id=bank.partner_id, style=bank.style, private_key=bank.private_key, secret=secret)


async def verdicts(
    bank: Bank, identity: Identity | None = None, reference: str | None = None, amount: int | None = None
) -> Sequence[Verdict]:
    """Of all points; time passes without a wait."""
    world = bank.world

    async def time_passes(seconds: float) -> None:
        world.later(seconds=seconds)

    async with Line(identity or identity_of(bank), world.base_url, world.clock) as line:
        return [
            each
            async for each in certify(
                line, reference=reference, amount_rupiah=amount, waits_for_expiry=True, pause=time_passes
            )
        ]


async def test_a_service_that_keeps_to_snap_passes_each_point_of_the_banks_own_style(bank: Bank) -> None:
    found = await verdicts(bank)
    assert [(each.point.title, each.wrong) for each in found if each.wrong] == []
    assert [each.point for each in found] == [each for each in POINTS if each.only in {None, bank.style}]
    assert {each.point.code for each in found} >= {
        *("2007300", "4017300", "4007302", "2005600", "4015600", "4005602", "4005601", "4005600", "4095600")
    }


async def test_a_payout_that_is_known_is_told_as_pending_and_no_money_moves(bank: Bank) -> None:
    world = bank.world
    await world.authorise(amount=1_000, capture=True)
    await batch_closed(world)
    ((reference, _, amount),) = await instructions(world)
    assert not any(each.wrong for each in await verdicts(bank, reference=reference, amount=amount))
    await followed(world)
    kept = await became(world)
    assert {status for status, *_ in kept} == {"pending"}
    assert {(standing, why) for _, standing, why in kept} == {("followed", None), ("parked", "reference_unknown")}
    assert await world.database.fetchval("SELECT count(*) FROM payout_event") == 0


async def test_another_secret_fails_all_that_must_be_genuine(world: World) -> None:
    bank = await a_bank(world, SignatureStyle.WITH_TOKEN)
    wrong = {each.point.title for each in await verdicts(bank, identity_of(bank, secret="another")) if each.wrong}
    assert {"notice", "the same X-EXTERNAL-ID and body: the same answer", "unknown reference: kept"} <= wrong
    # What is wrong with a token is told to the bank alone.
    assert "notice: no token" in wrong
    assert not {"token", "notice: wrong signature"} & wrong


async def test_a_service_that_takes_any_time_fails_the_window(premises: Premises) -> None:
    async with premises.service(bank_clock_seconds=86_400.0) as world:
        bank = await a_bank(world, SignatureStyle.WITH_TOKEN)
        wrong = {each.point.title for each in await verdicts(bank) if each.wrong}
    assert wrong == {"token: ten minutes late", "notice: ten minutes late", "notice: ten minutes early"}


async def test_an_answer_that_is_not_snaps_is_said_to_be_wrong(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a proxy that answers instead of the service."""

    async def proxied(_: object, __: object) -> Reply:
        return Reply(status=502, raw=b"<html>", headers={})

    monkeypatch.setattr(Line, "send", proxied)
    assert all(each.wrong and "no SNAP answer" in each.wrong for each in await verdicts(bank))


async def test_a_service_that_goes_away_fails_the_points_that_it_did_not_answer(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, answers = Line.send, count(1)

    async def goes_away(line: Line, request: Request) -> Reply:
        if next(answers) > 5:
            raise Unanswered("nobody answers")
        return await whole(line, request)

    monkeypatch.setattr(Line, "send", goes_away)
    wrong = [each.wrong for each in await verdicts(bank)]
    assert wrong[:4] == [None] * 4
    assert set(wrong[4:]) == {"nobody answers"}


async def test_the_command_prints_the_table_and_its_exit_code_says_whether_all_is_well(
    bank: Bank, tmp_path: Path
) -> None:
    key, secret = key_files(tmp_path, bank.private_key, bank.secret)
    world = bank.world
    command = ["certify", "bank", "--base-url", world.base_url, "--partner", bank.partner_id]
    command += ["--private-key", str(key), "--signature", str(bank.style)]
    status, printed = await typed(world, *command, "--secret-file", str(secret))
    assert status == 0, printed
    assert "✓  the same X-EXTERNAL-ID, another body" in printed
    assert "✗" not in printed
    write_new_key(other := tmp_path / "other.pem")
    command[command.index(str(key))] = str(other)
    status, printed = await typed(world, *command, "--secret-file", str(secret))
    assert status == 1
    assert "✗  token " in printed
    command[3] = "http://127.0.0.1:1"
    status, printed = await typed(world, *command, "--secret-file", str(secret))
    assert (status, "did not answer" in printed) == (1, True)


def test_files_that_no_bank_could_sign_with_are_refused_in_a_sentence(tmp_path: Path) -> None:
    key, empty = tmp_path / "bank.pem", tmp_path / "secret"
    public = write_new_key(key)
    empty.touch()
    assert key.stat().st_mode & 0o077 == 0
    assert identity_from("BANK", key, None, None).style is SignatureStyle.WITHOUT_TOKEN
    for private_key, secret, style in (
        (tmp_path / "nowhere", None, None),
        (public, None, None),
        (key, empty, None),
        (key, None, SignatureStyle.WITH_TOKEN),
    ):
        with pytest.raises(IdentityUnusable):
            identity_from("BANK", private_key, secret, style)
    with pytest.raises(IdentityUnusable):
        write_new_key(key)
