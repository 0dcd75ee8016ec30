"""Families that have not shopped, and what would expire unused, for people and as CSV. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

from authz_service.registry import Reference
from authz_service.reports.expiring import Of, Unused, UnusedRow
from authz_service.reports.families import IdleFamily
from authz_service.reports.sheets import Cell, Kind, Paper, Sheet, made_at, said
from authz_service.reports.words import Words
from authz_service.vocabulary import in_rupiah

IDLE_COLUMNS: Final = (
    *("programme", "month", "companion", "family", "name", "kecamatan_code", "has_active_card"),
    *("left_rupiah", "next_purchase_rupiah"),
)
EXPIRING_COLUMNS: Final = (
    *("programme", "group", "key", "name", "families", "left_rupiah", "within_reach_rupiah"),
    *("needs_voucher_rupiah", "needs_voucher_families", "suspended_rupiah"),
)
_MOMENT: Final = timedelta(microseconds=1)


def idle_row(programme_id: str, month: date, family: IdleFamily) -> Sequence[Cell]:
    """One line of CSV."""
    return (
        *(programme_id, f"{month:%Y-%m}", family.companion_label, family.beneficiary_id, family.name),
        *(family.district_code, "yes" if family.has_a_card else "no", family.left_rupiah, family.purchase_rupiah),
    )


def expiring_row(programme_id: str, row: UnusedRow, districts: Mapping[str, str]) -> Sequence[Cell]:
    """One line of CSV."""
    return programme_id, row.of, row.key, districts.get(row.key, row.key), *_cells(row.unused)


def idle_paper(families: Sequence[IdleFamily], reference: Reference, month: date, now: datetime, words: Words) -> Paper:
    """A table for each companion."""
    with_names = any(family.name is not None for family in families)
    columns = [
        (words("family"), Kind.TEXT),
        *([(words("name"), Kind.TEXT)] if with_names else []),
        (words("district"), Kind.TEXT),
        (words("card"), Kind.TEXT),
        (words("left"), Kind.RUPIAH),
        (words("next_purchase"), Kind.RUPIAH),
    ]
    left = in_rupiah(sum(family.left_rupiah for family in families))
    note = words("idle_note", month=words.month(month), families=said(len(families), Kind.COUNT), left=left)
    return Paper(
        title=f"{words('idle')}: {words.month(month)}",
        programme=_programme(reference),
        made=made_at(words, now, reference.programme.zone),
        notes=[note if families else words("nobody")],
        sheets=[
            Sheet(
                title=f"{words('companion')} {label}",
                columns=columns,
                rows=[_idle(family, reference, words, with_names=with_names) for family in of_companion],
            )
            for label, of_companion in groupby(families, key=lambda family: family.companion_label)
        ],
    )


def expiring_paper(rows: Sequence[UnusedRow], reference: Reference, now: datetime, words: Words) -> Paper:
    programme, districts = reference.programme, district_names(reference)
    last_day = words.day((programme.ends_at - _MOMENT).astimezone(programme.zone).date())
    total = next(row.unused for row in rows if row.of is Of.ALL)
    return Paper(
        title=words("expiring"),
        programme=_programme(reference),
        made=made_at(words, now, programme.zone),
        notes=[words("expiring_note" if now < programme.ends_at else "expired_note", last_day=last_day)],
        sheets=[
            Sheet(
                title=words(title),
                columns=[
                    (words(first), Kind.TEXT),
                    (words("families"), Kind.COUNT),
                    *((words(name), Kind.RUPIAH) for name in ("left", "within_reach", "beyond_reach")),
                    (words("beyond_families"), Kind.COUNT),
                    (words("suspended"), Kind.RUPIAH),
                ],
                rows=[(districts.get(row.key, row.key), *_cells(row.unused)) for row in rows if row.of is of],
                total=(words("total"), *_cells(total)),
                nothing=words("nothing"),
            )
            for title, first, of in (
                ("home_districts", "district", Of.DISTRICT),
                ("companions", "companion", Of.COMPANION),
            )
        ],
    )


def district_names(reference: Reference) -> dict[str, str]:
    """Of the kecamatan that have a shop; others go by their code."""
    return {shop.district_code: shop.district_name for shop in reference.shops.values()}


def _idle(family: IdleFamily, reference: Reference, words: Words, *, with_names: bool) -> Sequence[Cell]:
    return (
        family.beneficiary_id,
        *([family.name] if with_names else []),
        district_names(reference).get(family.district_code, family.district_code),
        words("yes" if family.has_a_card else "no"),
        family.left_rupiah,
        family.purchase_rupiah,
    )


def _cells(unused: Unused) -> Sequence[Cell]:
    return (
        *(unused.families, unused.left_rupiah, unused.within_reach_rupiah, unused.beyond_reach_rupiah),
        *(unused.beyond_reach_families, unused.suspended_rupiah),
    )


def _programme(reference: Reference) -> str:
    return f"{reference.programme.name} ({reference.programme.programme_id})"
