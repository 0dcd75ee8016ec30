"""`authz family`: families come and go. Every order has a reason and somebody who gave it, and is kept with both.

Names, NIK and card numbers are read from a file or from standard input (`-`), never from arguments, which every user
of the machine can see.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import typer

from authz_service.commands.family_files import CARD, NEWCOMER, SOUGHT, content_of
from authz_service.commands.family_said import change_said, family_said
from authz_service.commands.place import Actor, console, now_of, office, programme_of, refusals, servers
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.roll.cards import new_card, set_card_status
from authz_service.roll.entering import enter
from authz_service.roll.merging import merge
from authz_service.roll.moving import move
from authz_service.roll.naming import fill_name_words
from authz_service.roll.orders import Change, Here, Order
from authz_service.roll.showing import find, show
from authz_service.roll.status import remove, resume, suspend
from authz_service.settings import Settings
from authz_service.vocabulary import BeneficiaryId, CardId, CardStatus

family = typer.Typer(no_args_is_help=True, help="Families come and go.")
Outcome = TypeVar("Outcome")
Act = Callable[[Connection, Keys, Here], Awaitable[Outcome]]

Programme = Annotated[str | None, typer.Option(help="The programme; the only one if it is not said.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for good, so nothing personal.")]
On = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="From which day on, in the programme's zone; else now.")
]
Sandbox = Annotated[bool, typer.Option(help="Accept the public sandbox root key: synthetic data only.")]
FamilyId = Annotated[str, typer.Argument(metavar="FAMILY", help="ben_…")]
File = Annotated[typer.FileText, typer.Argument(help="A JSON file, or - for standard input.")]


@family.command("enter")
def enter_command(
    file: File,
    *,
    reason: Reason,
    actor: Actor,
    on: On = None,
    programme: Programme = None,
    sandbox: Sandbox = False,
) -> None:
    """A late entrant, with money that is unallocated.

    FILE: {"name", "nik", "companion", "district_code", "card_number"}.

    Where they differ also "amount" (else the whole entitlement), "card_expires_on" (else as the programme's other
    cards), "card_is_activated" (else true).
    """
    with refusals():
        newcomer, order = content_of(file, NEWCOMER).newcomer(), _order(actor, reason, on)
        _order_is_done(
            programme,
            lambda connection, keys, here: enter(connection, newcomer=newcomer, keys=keys, order=order, **here),
            sandbox=sandbox,
        )


@family.command("index")
def index_command(*, programme: Programme = None, sandbox: Sandbox = False) -> None:
    """Fills what families are found by name with, of those that were on the roll before there was such an index."""

    async def run(settings: Settings) -> int:
        async with office(settings) as connection:
            keys = Keys(settings.root_key.get_secret_value())
            return await fill_name_words(connection, keys, await programme_of(connection, programme))

    with refusals(), servers(sandbox=sandbox) as settings:
        console.print(f"Families that are found by name now: {asyncio.run(run(settings))}")


@family.command("suspend")
def suspend_command(
    beneficiary: FamilyId, *, reason: Reason, actor: Actor, on: On = None, programme: Programme = None
) -> None:
    """Nothing new is approved until the family is resumed; what is held is honoured."""
    with refusals():
        who, order = BeneficiaryId(beneficiary), _order(actor, reason, on)
        _order_is_done(
            programme, lambda connection, _, here: suspend(connection, beneficiary_id=who, order=order, **here)
        )


@family.command("resume")
def resume_command(
    beneficiary: FamilyId, *, reason: Reason, actor: Actor, on: On = None, programme: Programme = None
) -> None:
    """The family may buy again; a dated suspension or removal that has not come is withdrawn."""
    with refusals():
        who, order = BeneficiaryId(beneficiary), _order(actor, reason, on)
        _order_is_done(
            programme, lambda connection, _, here: resume(connection, beneficiary_id=who, order=order, **here)
        )


@family.command("remove")
def remove_command(
    beneficiary: FamilyId, *, reason: Reason, actor: Actor, on: On = None, programme: Programme = None
) -> None:
    """For good; what is held is honoured, and what is unspent is unallocated once nothing is held."""
    with refusals():
        who, order = BeneficiaryId(beneficiary), _order(actor, reason, on)
        _order_is_done(
            programme, lambda connection, _, here: remove(connection, beneficiary_id=who, order=order, **here)
        )


@family.command("merge")
def merge_command(
    survivor: Annotated[str, typer.Argument(metavar="SURVIVOR", help="The family that stays as it is.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The family that is removed.")],
    *,
    reason: Reason,
    actor: Actor,
    on: On = None,
    programme: Programme = None,
) -> None:
    """OTHER is the same family as SURVIVOR: its cards are dead, its holds are honoured, its past is linked."""
    with refusals():
        names, order = (BeneficiaryId(survivor), BeneficiaryId(other)), _order(actor, reason, on)
        _order_is_done(
            programme,
            lambda connection, _, here: merge(connection, survivor_id=names[0], other_id=names[1], order=order, **here),
        )


@family.command("move")
def move_command(
    beneficiary: FamilyId,
    companion: Annotated[str, typer.Argument(metavar="COMPANION", help="The new companion's label or id.")],
    *,
    reason: Reason,
    actor: Actor,
    on: On = None,
    programme: Programme = None,
) -> None:
    """To another companion; the unused parts of the former one's vouchers are revoked."""
    with refusals():
        who, order = BeneficiaryId(beneficiary), _order(actor, reason, on)
        _order_is_done(
            programme,
            lambda connection, _, here: move(connection, beneficiary_id=who, companion=companion, order=order, **here),
        )


@family.command("card")
def card_command(
    beneficiary: FamilyId,
    file: File,
    *,
    reason: Reason,
    actor: Actor,
    on: On = None,
    programme: Programme = None,
    sandbox: Sandbox = False,
) -> None:
    """A new card; the old one is dead at once, and money, month and vouchers stay.

    FILE: {"card_number"}, and where they differ "card_expires_on", "card_is_activated".
    """
    with refusals():
        who, order, card = BeneficiaryId(beneficiary), _order(actor, reason, on), content_of(file, CARD).card()
        _order_is_done(
            programme,
            lambda connection, keys, here: new_card(
                connection, beneficiary_id=who, card=card, keys=keys, order=order, **here
            ),
            sandbox=sandbox,
        )


@family.command("card-status")
def card_status_command(
    card: Annotated[str, typer.Argument(metavar="CARD", help="crd_…, as `authz family show` names it.")],
    status: Annotated[Literal["active", "blocked", "lost", "stolen"], typer.Argument()],
    *,
    reason: Reason,
    actor: Actor,
    programme: Programme = None,
) -> None:
    """The card desk activates a card, blocks it, gives it free again, or takes a report; at once."""
    with refusals():
        order, card_id, wanted = _order(actor, reason, None), CardId(card), CardStatus(status)
        _order_is_done(
            programme,
            lambda connection, _, here: set_card_status(
                connection, card_id=card_id, status=wanted, order=order, **here
            ),
        )


@family.command("show")
def show_command(beneficiary: FamilyId, *, programme: Programme = None) -> None:
    """Status, cards, money, months and changes of a family; no name and no number."""
    with refusals():
        shown = _done(
            programme,
            lambda connection, _, here: show(
                connection, programme_id=here["programme_id"], beneficiary_id=beneficiary, now=here["now"]
            ),
            sandbox=True,
        )
        family_said(beneficiary, shown, console)


@family.command("find")
def find_command(file: File, *, programme: Programme = None, sandbox: Sandbox = False) -> None:
    """The id of the family with this {"nik"} or {"card_number"}."""
    with refusals():
        sought = content_of(file, SOUGHT)
        found = _done(
            programme,
            lambda connection, keys, here: find(
                connection,
                keys,
                programme_id=here["programme_id"],
                nik=sought.nik,
                card_number=sought.card_number,
            ),
            sandbox=sandbox,
        )
        console.print(found, soft_wrap=True, highlight=False)


def _order_is_done(programme: str | None, act: Act[Change], *, sandbox: bool = True) -> None:
    """Without `sandbox` the root key must be a secret one: something is sealed or looked up with it."""
    change = _done(programme, act, sandbox=sandbox)
    console.print(change_said(change), soft_wrap=True, highlight=False, markup=False)


def _done(programme: str | None, act: Act[Outcome], *, sandbox: bool) -> Outcome:
    with servers(sandbox=sandbox) as settings:
        return asyncio.run(_acted(settings, programme, act))


async def _acted(settings: Settings, programme: str | None, act: Act[Outcome]) -> Outcome:
    keys = Keys(settings.root_key.get_secret_value())
    async with office(settings) as connection:
        programme_id = await programme_of(connection, programme)
        now = await now_of(connection, settings)
        return await act(connection, keys, Here(programme_id=programme_id, now=now, chance=os.urandom))


def _order(actor: str, reason: str, on: datetime | None) -> Order:
    return Order(actor=actor, reason=reason, on=None if on is None else on.date())
