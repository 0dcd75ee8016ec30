"""`authz settlement paid | failed | returned | release`, and `authz settlement account`: what becomes of payouts, and
where they go.

Account numbers are read from a file or from standard input (`-`), never from arguments, and are shown masked.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter

from authz_service.clock import clock_from
from authz_service.commands.family_files import content_of
from authz_service.commands.place import Actor, Named, Office, console, done_in, refusals
from authz_service.requests import STRICT
from authz_service.settings import Settings
from authz_service.settlement.accounts import accounts_of, approve_account, masked, request_account
from authz_service.settlement.by_hand import say_of_payouts
from authz_service.settlement.instructions import PayoutEvent
from authz_service.settlement.positions import Account
from authz_service.vocabulary import ProgrammeId, in_rupiah

payouts = typer.Typer()
accounts = typer.Typer(no_args_is_help=True, help="To which account a shop is paid.")
Instructions = Annotated[list[str], typer.Argument(metavar="INSTRUCTION...", help="pay_…, one or several.")]
InstructionsOrBatch = Annotated[
    list[str],
    typer.Argument(metavar="INSTRUCTION...", help="pay_…, one or several; set_…: what of that batch is under way."),
]
BankReference = Annotated[str, typer.Option(help="The bank's own, under which it has paid.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for good, so nothing personal.")]
Shop = Annotated[str, typer.Argument(metavar="SHOP", help="mrc_…")]
_SAID: Final = {
    PayoutEvent.SETTLED: "is paid",
    PayoutEvent.FAILED: "has failed and waits until it is released",
    PayoutEvent.RETURNED: "has come back and waits until it is released",
    PayoutEvent.RELEASED: "is released: it is in the next batch",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFile:
    """A shop's new account, as its form says."""

    __pydantic_config__ = STRICT

    bank_code: str
    account_number: str = field(repr=False)
    holder: str

    def account(self) -> Account:
        return Account(bank_code=self.bank_code, account_number=self.account_number, holder=self.holder)


_ACCOUNT: Final = TypeAdapter(AccountFile)


@payouts.command("paid")
def paid_command(
    named: InstructionsOrBatch, *, bank_reference: BankReference, actor: Actor, programme_id: Named = None
) -> None:
    """The bank has paid these."""
    _say_of(PayoutEvent.SETTLED, named, programme_id, actor=actor, bank_reference=bank_reference)


@payouts.command("failed")
def failed_command(named: InstructionsOrBatch, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """The bank could not pay these: the shops are owed it again, and it waits until it is released."""
    _say_of(PayoutEvent.FAILED, named, programme_id, actor=actor, reason=reason)


@payouts.command("returned")
def returned_command(named: Instructions, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """These were paid and have come back to the bank: it waits until it is released."""
    _say_of(PayoutEvent.RETURNED, named, programme_id, actor=actor, reason=reason)


@payouts.command("release")
def release_command(named: Instructions, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """What failed or came back is in the next batch, to the account that is in force then."""
    _say_of(PayoutEvent.RELEASED, named, programme_id, actor=actor, reason=reason)


@accounts.command("set")
def set_command(
    shop: Shop,
    file: Annotated[typer.FileText, typer.Argument(help="A JSON file, or - for standard input.")],
    *,
    actor: Actor,
    programme_id: Named = None,
) -> None:
    """Asks for a shop's new account; somebody else must approve it.

    FILE: {"bank_code", "account_number", "holder"}.
    """
    with refusals():
        account = content_of(file, _ACCOUNT).account()

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        clock = clock_from(settings.clock_offset_file)
        account_ref = await request_account(
            connection, settings, chosen, shop, account, actor=actor, clock=clock, chance=os.urandom
        )
        _say(f"{account_ref} ({masked(account.account_number)}) waits for somebody else's approval.")

    done_in(programme_id, work)


@accounts.command("approve")
def approve_command(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="acc_…, as `set` and `show` say it.")],
    *,
    actor: Actor,
    programme_id: Named = None,
) -> None:
    """From the next batch on its shop is paid to it."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        clock = clock_from(settings.clock_offset_file)
        merchant_id = await approve_account(
            connection, settings, chosen, account, actor=actor, clock=clock, chance=os.urandom
        )
        _say(f"{merchant_id} is paid to {account} from the next batch on.")

    done_in(programme_id, work)


@accounts.command("show")
def show_command(shop: Shop, *, programme_id: Named = None) -> None:
    """All that were ever asked for, the one in force first."""

    async def work(connection: Office, _: Settings, chosen: ProgrammeId) -> None:
        found = await accounts_of(connection, chosen, shop)
        if not found:
            _say(f"{shop} has no account: what it is owed is carried.")
        for each in found:
            state = "in force" if each.is_in_force else "was approved" if each.approved_by else "waits for approval"
            approved = f", approved by {each.approved_by}" if each.approved_by else ""
            eyes = f"asked for by {each.requested_by}{approved}"
            _say(f"{each.account_ref} {each.masked} {each.holder} (bank {each.bank_code}): {state}; {eyes}")

    done_in(programme_id, work)


def _say_of(
    event: PayoutEvent,
    named: list[str],
    programme_id: str | None,
    *,
    actor: str,
    bank_reference: str | None = None,
    reason: str | None = None,
) -> None:
    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        applied = await say_of_payouts(
            *(connection, settings, chosen, event, named),
            actor=actor,
            clock=clock_from(settings.clock_offset_file),
            chance=os.urandom,
            bank_reference=bank_reference,
            reason=reason,
        )
        if not applied:
            _say("Nothing of it is under way; nothing was changed.")
        for each in applied:
            before = "" if each.changed else " (said before; nothing was changed)"
            _say(f"{each.instruction_id} of {in_rupiah(each.amount_rupiah)} {_SAID[event]}{before}.")

    done_in(programme_id, work)


def _say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
