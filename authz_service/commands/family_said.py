"""What an operator is told: one sentence of what was done; a family at a glance."""

from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from rich.console import Console

from authz_service.commands.tables import print_table
from authz_service.roll.orders import Change, ChangeKind, Effects
from authz_service.roll.showing import FamilyShown
from authz_service.vocabulary import in_rupiah


def change_said(change: Change) -> str:
    """What was done, and each rupiah that moved or still may."""
    when = f"from {change.effective_at:%Y-%m-%d} on" if change.waits else "now"
    return f"{_what(change, when)}{_effects_said(change.effects)}."


def family_said(beneficiary_id: str, shown: FamilyShown, console: Console) -> None:
    """The console shows the family."""

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    merged = f", merged into {shown.merged_into}" if shown.merged_into else ""
    say(f"{beneficiary_id}: {shown.status}{merged}; entered on {shown.entered_on}.")
    if shown.waiting is not None:
        status, at = shown.waiting
        say(f"It is to be {status} from {_local(at, shown.zone)} on.")
    say(f"Companion {shown.companion or 'none'}, district {shown.district or 'none'}.")
    available, held, spent = map(in_rupiah, (shown.available_rupiah, shown.held_rupiah, shown.spent_rupiah))
    say(f"Available {available}, held {held}, spent {spent}.")
    for card in shown.cards:
        say(f"Card ending {card['last_four']} ({card['card_id']}): {card['status']}, good until {card['expires_on']}.")
    for month in shown.months:
        money = in_rupiah(month["used_rupiah"]) + _of(month["cap_rupiah"] and in_rupiah(month["cap_rupiah"]))
        covered = f", vouchers cover {in_rupiah(month['covered_rupiah'])}" if month["covered_rupiah"] else ""
        packages = f"{month['packages_used']}{_of(month['packages_cap'])} packages"
        say(f"{month['month']:%Y-%m}: {money}, {packages}{covered}.")
    _changes(shown, console)


def _changes(shown: FamilyShown, console: Console) -> None:
    rows = []
    for row in shown.changes:
        times = (_local(row["effective_at"], shown.zone), _local(row["recorded_at"], shown.zone))
        rows.append((row["kind"], row["beneficiary_id"], *times, row["actor"], row["reason"]))
    print_table(
        console,
        ("what", "family", "effective", "recorded", "by", "why"),
        rows,
        nothing="Nothing was ordered for it yet.",
    )


def _what(change: Change, when: str) -> str:
    who, effects = change.beneficiary_id, change.effects
    match change.kind:
        case ChangeKind.ENTER:
            return f"{who} may buy {when}, with {in_rupiah(effects.granted_rupiah)}"
        case ChangeKind.SUSPEND:
            return f"{who} is suspended {when}"
        case ChangeKind.RESUME:
            return f"{who} is active {when}"
        case ChangeKind.REMOVE:
            return f"{who} is removed {when}"
        case ChangeKind.MERGE:
            return f"{who} is merged into {effects.survivor_id} {when}"
        case ChangeKind.DETAILS:
            return f"{who}: {' and '.join(effects.details)} corrected"
        case ChangeKind.MOVE:
            return f"{who} is looked after by {effects.companion_label} {when}"
        case ChangeKind.CARD:
            return f"{who} has the card {effects.card_id}, which is {effects.card_status} {when}"
        case unreachable:
            assert_never(unreachable)


def _effects_said(effects: Effects) -> str:
    said = ""
    if effects.returned_rupiah:
        said += f"; {in_rupiah(effects.returned_rupiah)} is unallocated again"
    if effects.held_rupiah:
        said += f"; {in_rupiah(effects.held_rupiah)} is still held and honoured, the rest is unallocated afterwards"
    if effects.cards_replaced:
        said += f"; no longer good: {', '.join(effects.cards_replaced)}"
    for voucher in effects.vouchers_revoked:
        unused = f"{in_rupiah(voucher.unused_rupiah)} and {voucher.unused_packages} packages"
        said += f"; revoked: {voucher.voucher_id} with {unused} unused"
    if effects.withdrawn is not None:
        said += f"; it does not become {effects.withdrawn.status} any more, as was ordered"
    return said


def _of(cap: object) -> str:
    return f" of {cap}" if cap is not None else ""


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"
