"""`authz settlement`: batches, their papers, and flagged purchases that wait. `payouts.py` has payouts and accounts."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from authz_service.clock import clock_from
from authz_service.commands.calendar import cut_offs, limits
from authz_service.commands.payouts import accounts, payouts
from authz_service.commands.place import Actor, Named, Office, console, done_in, now_of
from authz_service.commands.tables import print_table
from authz_service.ledger.entries import one_snapshot
from authz_service.settings import Settings
from authz_service.settlement.accounts import masked
from authz_service.settlement.batches import BatchRefused, close_batch, schedule_of
from authz_service.settlement.papers import bank_file, shop_file, write
from authz_service.settlement.positions import Carried
from authz_service.settlement.reading import Batch, Payout, ShopInBatch, all_batches, one_batch, payouts_of, shops_of
from authz_service.settlement.waits import unwait, wait
from authz_service.vocabulary import ProgrammeId, in_rupiah, several

settlement = typer.Typer(no_args_is_help=True, help="The shops' money: batches, payouts, accounts.")
settlement.add_typer(payouts)
settlement.add_typer(accounts, name="account")
settlement.add_typer(cut_offs, name="cut-off")
settlement.add_typer(limits, name="limit")
BatchNamed = Annotated[str, typer.Argument(metavar="BATCH", help="Its number, or set_…")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for good, so nothing personal.")]
Purchase = Annotated[str, typer.Argument(metavar="PURCHASE", help="auth_…")]
_ZONE: Final = "SELECT zone FROM programme WHERE programme_id = $1"
_WHY: Final = {
    Carried.BELOW_NOTHING: "refunded more than it is owed",
    Carried.NO_ACCOUNT: "no account is approved",
}


@settlement.command("close")
def close_command(
    *,
    actor: Actor,
    cut_off: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M"], help="2024-10-07T15:00 in the programme's zone; else the last one."),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="An extra batch, at this instant.")] = False,
    programme_id: Named = None,
) -> None:
    """Closes the batch of the last cut-off, as the scheduler does: it has all that is captured and in no batch yet."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        at = None if now else await _cut_off(connection, settings, chosen, cut_off)
        clock = clock_from(settings.clock_offset_file)
        done = await close_batch(
            connection, settings, chosen, cut_off_at=at, actor=actor, clock=clock, chance=os.urandom
        )
        batch = await one_batch(connection, chosen, done.batch_id)
        state = "is closed" if done.now else "was closed before"
        _say(f"Batch {batch.number} ({batch.batch_id}) {state}: {_sums(batch)}.")

    done_in(programme_id, work)


@settlement.command("list")
def list_command(*, programme_id: Named = None) -> None:
    """A line for each batch: its cut-off, what was sold, what is paid, and how the payouts stand."""

    async def work(connection: Office, _: Settings, chosen: ProgrammeId) -> None:
        zone = ZoneInfo(await connection.fetchval(_ZONE, chosen))
        batches = await all_batches(connection, chosen)
        if not batches:
            _say(f"{chosen} has no batch yet.")
        for each in batches:
            _say(f"{each.number:>4} {_at(each.cut_off_at, zone)} {each.batch_id}: {_sums(each)}; {_standing(each)}")

    done_in(programme_id, work)


@settlement.command("show")
def show_command(batch: BatchNamed, *, programme_id: Named = None) -> None:
    """One batch: control totals and hash, each shop with what is carried and why, each payout and how it stands."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        async with one_snapshot(connection, settings):
            found = await one_batch(connection, chosen, batch)
            shops = await shops_of(connection, chosen, found.batch_id)
            told = await payouts_of(connection, chosen, found.batch_id)
            zone = ZoneInfo(await connection.fetchval(_ZONE, chosen))
        _say(f"Batch {found.number} ({found.batch_id}), cut-off {_at(found.cut_off_at, zone)}")
        _say(f"closed {_at(found.closed_at, zone)} by {found.closed_by}: {_sums(found)}")
        _say(f"hash {found.hash.hex()}")
        print_table(console, _SHOPS, map(_shop, shops), nothing="No shop has anything in it.")
        print_table(console, _PAYOUTS, map(_payout, told), nothing="Nothing is paid by it.")

    done_in(programme_id, work)


@settlement.command("export")
def export_command(
    batch: BatchNamed,
    *,
    bank: Annotated[
        Path | None, typer.Option(help="Writes the bank's file: all instructions, with account numbers.")
    ] = None,
    shop: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="SHOP FILE", help="Writes a shop's remittance advice, in Indonesian."),
    ] = None,
    programme_id: Named = None,
) -> None:
    """Writes a batch as CSV, for the bank (`--bank`) or for one of its shops (`--shop mrc_… FILE`)."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        if bank is None and shop is None:
            raise BatchRefused("Say --bank FILE, or --shop SHOP FILE.")
        async with one_snapshot(connection, settings):
            found = await one_batch(connection, chosen, batch)
            told = await payouts_of(connection, chosen, found.batch_id)
            zone = ZoneInfo(await connection.fetchval(_ZONE, chosen))
            papers = {bank: bank_file(found, told, zone)} if bank is not None else {}
            if shop is not None:
                shops = await shops_of(connection, chosen, found.batch_id)
                papers[shop[1]] = await shop_file(connection, chosen, found, shops, told, shop[0], zone)
        for path, text in papers.items():
            write(path, text)
            _say(f"Written to {path}.")

    done_in(programme_id, work)


@settlement.command("wait")
def wait_command(purchase: Purchase, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """A flagged purchase waits: what of it is in no batch yet is in none, also its refunds, until it is released."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        clock = clock_from(settings.clock_offset_file)
        await wait(connection, settings, chosen, purchase, reason=reason, actor=actor, clock=clock, chance=os.urandom)
        _say(f"{purchase} waits.")

    done_in(programme_id, work)


@settlement.command("unwait")
def unwait_command(purchase: Purchase, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """What waited is in the next batch."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        clock = clock_from(settings.clock_offset_file)
        await unwait(connection, settings, chosen, purchase, reason=reason, actor=actor, clock=clock, chance=os.urandom)
        _say(f"{purchase} waits no more: it is in the next batch.")

    done_in(programme_id, work)


async def _cut_off(
    connection: Office, settings: Settings, programme_id: ProgrammeId, named: datetime | None
) -> datetime:
    """The one that was named, in the programme's zone, or the last that has passed."""
    if named is not None:
        return named.replace(tzinfo=ZoneInfo(await connection.fetchval(_ZONE, programme_id)))
    now = await now_of(connection, settings)
    schedule = await schedule_of(connection, programme_id)
    cut_off_at = schedule.last_before(now)
    if cut_off_at is None:
        raise BatchRefused(f"No cut-off of {programme_id} has passed: `--now` closes an extra batch.")
    return cut_off_at


def _sums(batch: Batch) -> str:
    totals = batch.totals
    parts = [f"captured {in_rupiah(totals.captured_rupiah)}", f"refunded {in_rupiah(totals.refunded_rupiah)}"]
    parts += [f"came back {in_rupiah(totals.returned_rupiah)}"] if totals.returned_rupiah else []
    parts += [f"brought {in_rupiah(totals.brought_rupiah)}"] if totals.brought_rupiah else []
    parts.append(f"to be paid {in_rupiah(totals.instructed_rupiah)}")
    parts += [f"carried {in_rupiah(totals.carried_rupiah)}"] if totals.carried_rupiah else []
    return f"{several(totals.items, 'item')}, {', '.join(parts)}"


def _standing(batch: Batch) -> str:
    counts = {"under way": batch.under_way, "paid": batch.paid, "came back": batch.came_back}
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "no payout"


_SHOPS: Final = ("shop", "brought", "captured", "refunded", "came back", "to be paid", "carried", "why")


def _shop(each: ShopInBatch) -> tuple[str, ...]:
    totals = each.totals
    moved = (totals.brought_rupiah, totals.captured_rupiah, totals.refunded_rupiah, totals.returned_rupiah)
    amounts = map(in_rupiah, (*moved, totals.instructed_rupiah, totals.carried_rupiah))
    why = _WHY[each.carried_because] if each.carried_because is not None else ""
    return (f"{each.name} ({each.merchant_id})", *amounts, why)


_PAYOUTS: Final = ("instruction", "shop", "bank", "account", "amount", "state", "bank's reference")


def _payout(each: Payout) -> tuple[str, ...]:
    to = each.instruction
    where = (to.instruction_id, to.merchant_id, to.bank_code, masked(to.account_number))
    return (*where, in_rupiah(to.amount_rupiah), each.state, each.bank_reference or "")


def _at(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
