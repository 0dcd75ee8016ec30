"""`authz certify`: whether a bank and a service understand each other, before any money depends on it."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from authz_service.bank.partners import SignatureStyle
from authz_service.clock import clock_from
from authz_service.commands.place import console, refusals
from authz_service.commands.tables import print_table

certify: Final = typer.Typer(no_args_is_help=True, help="The checklist of a bank's engineer, asked of a service.")


@certify.callback()
def _noun() -> None:
    """A single command would otherwise lose its name."""


@certify.command("bank")
def bank_command(
    *,
    base_url: Annotated[str, typer.Option(help="Where the service answers, for example http://127.0.0.1:8000.")],
    partner: Annotated[str, typer.Option(help="The X-PARTNER-ID that the bank was given.")],
    private_key: Annotated[Path, typer.Option(help="The bank's own private key, PEM; the service has the public one.")],
    secret_file: Annotated[Path | None, typer.Option(help="What `authz bank secret` printed.")] = None,
    signature: Annotated[
        SignatureStyle | None, typer.Option(help="As the bank is set; by itself with_token where there is a secret.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="A payout that the service knows; told as pending.")] = None,
    amount: Annotated[int | None, typer.Option(min=1, help="Its whole rupiah.")] = None,
    wait_for_expiry: Annotated[bool, typer.Option(help="Also waits 15 minutes until a token has ended.")] = False,
    clock_file: Annotated[Path | None, typer.Option(envvar="AUTHZ_CLOCK_OFFSET_FILE", hidden=True)] = None,
) -> None:
    """Asks each point of the checklist and prints what came; the exit code is 1 when one is not as it must be.

    No money moves: what is genuine tells of a payment that is pending. Without --reference it stays in the service's
    inbox as of an unknown payment; the refusals are in its security log.
    """
    with refusals():
        if not asyncio.run(
            _certified(
                base_url,
                (partner, private_key, secret_file, signature),
                (reference, amount, wait_for_expiry),
                clock_file,
            )
        ):
            raise typer.Exit(1)


async def _certified(
    base_url: str,
    who: tuple[str, Path, Path | None, SignatureStyle | None],
    what: tuple[str | None, int | None, bool],
    clock_file: Path | None,
) -> bool:
    # Their HTTP client is not there in production.
    from authz_service.simulation.certifying import certify as asked  # noqa: PLC0415
    from authz_service.simulation.identity import identity_from  # noqa: PLC0415
    from authz_service.simulation.line import Line  # noqa: PLC0415

    identity, (reference, amount, waits) = identity_from(*who), what
    rows, failed, left_out = [], 0, 0
    async with Line(identity, base_url, clock_from(clock_file)) as line:
        async for each in asked(line, reference=reference, amount_rupiah=amount, waits_for_expiry=waits):
            failed, left_out = failed + (each.wrong is not None), left_out + each.left_out
            mark = "-" if each.left_out else "✗" if each.wrong else "✓"
            why = "not asked: --wait-for-expiry" if each.left_out else each.wrong or ""
            rows.append((mark, each.point.title, each.point.code, each.came, why))
    print_table(console, ("", "point", "must be", "came", ""), rows, nothing="No point was asked.")
    asked_points = len(rows) - left_out
    console.print(f"{asked_points - failed} of {asked_points} points are as they must be ({identity.style}).")
    return not failed
