"""`authz simulate`: a bank to test against, in a process of its own."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from authz_service.bank.partners import SignatureStyle
from authz_service.clock import clock_from
from authz_service.commands.place import console, refusals
from authz_service.vocabulary import in_rupiah

simulate: Final = typer.Typer(no_args_is_help=True, help="A bank to test against: never with real money or real keys.")


@simulate.command("key")
def key_command(
    file: Annotated[Path, typer.Argument(help="Of the new private key; the public one is written beside it.")],
) -> None:
    """Makes the bank a key pair: the public key is for `authz bank public-key`."""
    with refusals():
        from authz_service.simulation.identity import write_new_key  # noqa: PLC0415

        console.print(f"The public key is in {write_new_key(file)}.", highlight=False, soft_wrap=True)


@simulate.command("bank")
def bank_command(
    *,
    base_url: Annotated[str, typer.Option(help="Where the service answers, for example http://127.0.0.1:8000.")],
    partner: Annotated[str, typer.Option(help="The X-PARTNER-ID that the bank was given.")],
    private_key: Annotated[Path, typer.Option(help="The bank's own private key, PEM.")],
    secret_file: Annotated[Path | None, typer.Option(help="What `authz bank secret` printed.")] = None,
    signature: Annotated[
        SignatureStyle | None, typer.Option(help="As the bank is set; by itself with_token where there is a secret.")
    ] = None,
    orders: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Watched for files of `authz settlement export --bank`.")
    ],
    statement: Annotated[Path, typer.Option(help="Where its statement is written, and gone on with.")],
    opening_balance: Annotated[int, typer.Option(help="Of a new statement, in whole rupiah.")] = 0,
    deposit: Annotated[
        list[str] | None,
        typer.Option(help="Money that the city pays in at the start: REFERENCE=RUPIAH, as `authz bank expect` has it."),
    ] = None,
    misbehave: Annotated[
        str,
        typer.Option(
            help="late, twice, out-of-order, wrong-amount, wrong-signature, silent, error-500, fails, returns, pending:"
            " each with a share of the payments, as in late=0.2,silent=0.05."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="The same seed behaves the same for the same accounts and batches.")] = 2024,
    pace_seconds: Annotated[
        float, typer.Option(min=0.01, help="Between two rounds; what is late comes two later.")
    ] = 1,
    retry_seconds: Annotated[float, typer.Option(min=0.01, help="Before a notice is sent again; then doubled.")] = 1,
    attempts: Annotated[int, typer.Option(min=1, help="So often a notice is sent before it is given up.")] = 1_000,
    on_request: Annotated[
        bool, typer.Option("--on-request", help="A round for each line of standard input, answered by a line of JSON.")
    ] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Ends when nothing is left to pay or tell.")] = False,
    clock_file: Annotated[Path | None, typer.Option(envvar="AUTHZ_CLOCK_OFFSET_FILE", help="The demo's clock.")] = None,
) -> None:
    """A bank that pays what it is ordered to, tells it by SNAP until it is heard, and keeps a statement.

    It tells everything again when it is started again, under the same X-EXTERNAL-IDs; it pays nothing twice.
    """
    place = _Place(orders=orders, statement=statement, opening_rupiah=opening_balance, clock_file=clock_file)
    how = _How(
        deposits=deposit or [],
        misbehave=misbehave,
        seed=seed,
        pace=None if on_request else pace_seconds,
        retry=retry_seconds,
        attempts=attempts,
        ends=until_idle,
    )
    with refusals():
        if not asyncio.run(_worked(base_url, (partner, private_key, secret_file, signature), place, how)):
            raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    orders: Path
    statement: Path
    opening_rupiah: int
    clock_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    deposits: list[str]
    misbehave: str
    seed: int
    pace: float | None
    """Seconds; None where rounds are asked for."""
    retry: float
    attempts: int
    ends: bool


async def _worked(
    base_url: str, who: tuple[str, Path, Path | None, SignatureStyle | None], place: _Place, how: _How
) -> bool:
    """Whether all that it told was acknowledged."""
    # Their HTTP client is not there in production.
    from authz_service.simulation.bank import Bank, Patience  # noqa: PLC0415
    from authz_service.simulation.identity import identity_from  # noqa: PLC0415
    from authz_service.simulation.line import Line  # noqa: PLC0415
    from authz_service.simulation.misbehaviour import behaviour_of  # noqa: PLC0415
    from authz_service.simulation.orders import read_deposit  # noqa: PLC0415
    from authz_service.simulation.working import at_a_pace, on_request, statement_at, work  # noqa: PLC0415

    identity, behaviour, clock = (
        identity_from(*who),
        behaviour_of(how.misbehave, how.seed),
        clock_from(place.clock_file),
    )
    patience = Patience(first_seconds=how.retry, attempts=how.attempts)
    statement = statement_at(place.statement, clock, place.opening_rupiah)
    async with Line(identity, base_url, clock) as line:
        bank = Bank(line, behaviour, statement, patience)
        bank.take(map(read_deposit, how.deposits))
        rounds = on_request(bank, typer.echo) if how.pace is None else at_a_pace(how.pace)
        try:
            await work(bank, place.orders, place.statement, rounds, until_idle=how.ends, say=_say)
        finally:
            done = bank.tally
            _say(
                f"{done.orders} payments and deposits, {done.acknowledged} notices acknowledged,"
                f" {done.sent_again} sent again, {done.forged} forgeries refused;"
                f" balance {in_rupiah(statement.balance_rupiah)}."
            )
            for each in done.given_up:
                _say(f"given up: {each}")
    return not bank.tally.given_up


def _say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
