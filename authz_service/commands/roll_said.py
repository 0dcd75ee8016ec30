"""What an operator is told of a list of families: figures, ids and rupiah."""

from collections.abc import Sequence

import asyncpg
from rich.console import Console

from authz_service.commands.tables import print_table
from authz_service.roll.importing.comparing import Difference
from authz_service.roll.importing.lists import KeptList, Standing
from authz_service.roll.importing.staging import Faulty
from authz_service.vocabulary import in_rupiah, several


def difference_said(found: Difference, console: Console) -> None:
    """The console shows what the list would do."""
    _print(
        console, f"{found.import_id} would change the roll{f' on {found.effective_on}' if found.effective_on else ''}:"
    )
    _figures(found, console)
    after = found.unallocated_rupiah - found.granting_rupiah
    returned = after + found.returning_rupiah
    _print(
        console,
        f"Unallocated: {in_rupiah(found.unallocated_rupiah)} now, {in_rupiah(after)} when they have entered,"
        f" {in_rupiah(returned)} when the others have left.",
    )
    if found.later_rupiah:
        _print(console, f"Leavers with open holds have {in_rupiah(found.later_rupiah)} more, until these end.")
    if found.shared_family_cards:
        _print(console, f"{several(found.shared_family_cards, 'row')} share a family card (KK) with another row.")
    if found.elsewhere:
        _print(console, f"{several(found.elsewhere, 'newcomer')} are on another programme's roll today.")


def faulty_said(faulty: Faulty, console: Console) -> None:
    """The console shows what is wrong with how many rows, and where each is said."""
    rows = [(str(count), fault.value) for fault, count in faulty.faults]
    print_table(console, ("rows", "what is wrong"), rows, nothing="")
    _print(console, f"{several(faulty.rows, 'row')} of the list are wrong; nothing of it was kept.")
    _print(console, f"{faulty.returned} says what is wrong with each: correct it there, and import that file.")


def lists_said(found: Sequence[KeptList], console: Console) -> None:
    """The console shows the lists."""
    rows = [
        (
            each.import_id,
            f"{each.imported_at:%Y-%m-%d %H:%M}",
            each.imported_by,
            each.standing.value,
            *(str(number) for number in (each.entering, each.changing, each.merging, each.leaving)),
        )
        for each in found
    ]
    columns = ("list", "imported", "by", "is", "enter", "change", "merge", "leave")
    print_table(console, columns, rows, nothing="No list was imported yet.")


def list_said(found: KeptList, rows: Sequence[asyncpg.Record], console: Console) -> None:
    """The console shows the list, and families whose place changes."""
    when = f"from {found.effective_on} on" if found.effective_on else "from its application on"
    _print(console, f"{found.import_id} ({found.standing.value}), {when}: {found.reason}.")
    _print(console, f"Imported by {found.imported_by} on {found.imported_at:%Y-%m-%d %H:%M %Z}.")
    for what, who, at in (
        ("Approved", found.approved_by, found.approved_at),
        ("Applied", found.applied_by, found.applied_at),
        ("Withdrawn", found.withdrawn_by, found.withdrawn_at),
    ):
        if at is not None:
            _print(console, f"{what} by {who} on {at:%Y-%m-%d %H:%M %Z}.")
    _figures(found, console)
    if found.standing in {Standing.WAITS, Standing.APPROVED}:
        shown = [(row["kind"], row["beneficiary_id"], str(row["row_number"] or ""), _what(row)) for row in rows]
        print_table(console, ("what", "family", "row", "how"), shown, nothing="No family's place changes.")


def _figures(found: Difference | KeptList, console: Console) -> None:
    rows = (
        ("as they are", str(found.unchanged), ""),
        ("enter", str(found.entering), f"-{in_rupiah(found.granting_rupiah)}" if found.granting_rupiah else ""),
        ("change", str(found.changing), ""),
        ("merge into another", str(found.merging), ""),
        ("leave", str(found.leaving), f"+{in_rupiah(found.returning_rupiah)}" if found.returning_rupiah else ""),
    )
    print_table(console, ("families", "number", "unallocated money"), rows, nothing="")


def _what(row: asyncpg.Record) -> str:
    match row["kind"]:
        case "enter":
            return f"{in_rupiah(row['amount_rupiah'])}, district {row['district_code']}"
        case "change":
            return ", ".join(row["changes"])
        case "merge":
            return f"into {row['survivor_id']}"
    return ""


def _print(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
