"""What a till prints of a sale, a refund or a balance inquiry, in Indonesian. Pure; `paper.py` lays it out.

Of the card its last four digits are shown, and only where it is known to be a card of the programme: else the paper
would tell a finder what the answer does not.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from authz_service.clock import month_end
from authz_service.declines import DeclineReason, Stage
from authz_service.paper import BLANK, Receipt, Row, dotted, plain, printed
from authz_service.requests import THOUSAND, Line, Purchase
from authz_service.rules.basket import LineAction, LineOutcome
from authz_service.rules.decide import Decision, Refusal
from authz_service.rules.facts import Facts
from authz_service.rules.goods import product_of
from authz_service.rules.message import month_is_used_up, purchases_left, refusal_message, room_of_the_month
from authz_service.rules.money import Room
from authz_service.vocabulary import in_rupiah

LINES_SHOWN: Final = 12
"""A longer basket ends in one line for the rest of it."""

_WHY: Final = {
    DeclineReason.CASH_NOT_PERMITTED: "dilarang: uang atau pulsa",
    DeclineReason.CATEGORY_NOT_PERMITTED: "bukan barang bantuan",
    DeclineReason.PRODUCT_NOT_PERMITTED: "tidak ada di daftar",
    DeclineReason.PRICE_ABOVE_CEILING: "harga di atas batas",
    DeclineReason.PACKAGE_CAP_EXCEEDED: "melebihi satu paket",
    DeclineReason.ENTITLEMENT_EXCEEDED: "melebihi sisa bantuan",
    DeclineReason.PACKAGES_USED_UP: "jatah belanja habis",
    DeclineReason.MONTHLY_CAP_EXCEEDED: "melebihi jatah bulan ini",
}
"""Why a line was cut or refused, in a word."""


def purchase_receipt(
    purchase: Purchase,
    facts: Facts,
    decision: Decision,
    message: str,
    *,
    authorisation_id: str,
    approval_code: str | None,
) -> Receipt:
    """A decided sale: what was bought, who pays what, and what is left; or that and why it was declined."""
    number = f"STAN {purchase.stan}  Kode {approval_code}" if approval_code else f"STAN {purchase.stan}"
    rows = _head(facts)
    rows += _card(purchase.card_number, facts, decision.refusals)
    rows += [(number, ""), (authorisation_id, ""), BLANK]
    if decision.approved:
        rows += _approved(purchase, facts, decision)
    else:
        rows += _declined(purchase, facts, decision, message)
    return _printed(rows, facts)


def balance_receipt(
    card_number: str, facts: Facts, refusals: Sequence[Refusal], room: Room | None, *, largest_rupiah: int
) -> Receipt:
    """What is left, and what one purchase may cost now; or why that may not be told."""
    rows = [*_head(facts), *_card(card_number, facts, refusals), BLANK, ("CEK SALDO", "")]
    if room is None:
        rows.append(("DITOLAK", ""))
    if refusals:
        rows.append((plain(refusal_message(refusals[0], facts, room, None)), ""))
    if room is not None:
        rows += _left(room, facts)
    if room is not None and not refusals:
        rows += [("Sekali belanja maks.", in_rupiah(largest_rupiah)), *_whom_to_ask(room, facts)]
    return _printed(rows, facts)


def refund_receipt(
    facts: Facts, message: str, *, refund_id: str, authorisation: Mapping[str, Any], amount_rupiah: int
) -> Receipt:
    """What was given back, for which purchase, and that it is not cash."""
    rows = [
        *_head(facts),
        (refund_id, ""),
        BLANK,
        ("PENGEMBALIAN", in_rupiah(amount_rupiah)),
        (
            f"Belanja {_day(datetime.fromisoformat(authorisation['created_at']))}",
            f"Kode {authorisation['approval_code']}",
        ),
        (authorisation["id"], ""),
        BLANK,
        (plain(message), ""),
    ]
    return _printed(rows, facts)


# What stands on every receipt.


def _head(facts: Facts) -> list[Row]:
    at = (_at(facts.now, facts.programme.zone), "")
    if facts.shop is None:
        return [at]
    where = [(f"Kec. {plain(facts.shop.district_name)}", "")] if facts.shop.district_name else []
    return [(plain(facts.shop.name), ""), *where, at]


@lru_cache(maxsize=64)
def _at(instant: datetime, zone: ZoneInfo) -> str:
    """The same for every sale of a batch."""
    local = instant.astimezone(zone)
    return f"{_day(local)} {local.hour:02}:{local.minute:02} {local.tzname()}"


def _card(card_number: str, facts: Facts, refusals: Sequence[Refusal]) -> list[Row]:
    shop_is_refused = bool(refusals) and refusals[0].reason.stage is Stage.SHOP_AND_TERMINAL
    return [] if shop_is_refused or facts.card is None else [(f"Kartu **** {card_number[-4:]}", "")]


def _printed(rows: list[Row], facts: Facts) -> Receipt:
    operator = plain(facts.programme.operator_name)
    is_named = operator in "\n".join([text for text, _ in rows])
    closing = "Simpan struk ini." if is_named else f"Simpan struk ini. Pertanyaan: hubungi {operator}."
    return printed([*rows, BLANK, (closing, "")])


# A sale.


def _approved(purchase: Purchase, facts: Facts, decision: Decision) -> list[Row]:
    rows = [("DISETUJUI SEBAGIAN" if decision.tender_due_rupiah else "DISETUJUI", "")]
    rows += _basket(purchase, facts, decision.lines)
    rows.append(("TOTAL", in_rupiah(purchase.amount)))
    if decision.reduction_rupiah:
        rows.append(("Potongan harga warung", f"-{in_rupiah(decision.reduction_rupiah)}"))
    rows.append(("Dibayar bantuan", in_rupiah(decision.approved_rupiah)))
    if decision.tender_due_rupiah:
        rows.append(("BAYAR SENDIRI", in_rupiah(decision.tender_due_rupiah)))
    rows.append(BLANK)
    if decision.room is not None:
        rows += [*_left(decision.room, facts), *_whom_to_ask(decision.room, facts)]
    return rows


def _declined(purchase: Purchase, facts: Facts, decision: Decision, message: str) -> list[Row]:
    rows = [("DITOLAK", ""), (plain(message), "")]
    if decision.room is None:
        return rows
    refused = sorted((each.line, each.reason) for each in decision.refusals if each.line is not None)
    for number, reason in refused[:LINES_SHOWN]:
        name = _name(purchase.lines[number - 1], facts)
        rows += [(f"Baris {number}: {name}", ""), (f"  {_WHY[reason]}", "")]
    if len(refused) > LINES_SHOWN:
        rows.append((f"dan {len(refused) - LINES_SHOWN} baris lain", ""))
    return [*rows, BLANK, ("Diminta", in_rupiah(purchase.amount)), *_left(decision.room, facts)]


def _basket(purchase: Purchase, facts: Facts, outcomes: Sequence[LineOutcome]) -> list[Row]:
    if len(outcomes) <= LINES_SHOWN:
        return [row for outcome in outcomes for row in _line(purchase, facts, outcome)]
    # What was cut or reduced is shown before what needs no word, and all of it in the order of the basket.
    ranked = sorted(outcomes, key=lambda outcome: outcome.action is LineAction.ACCEPTED)
    shown, others = sorted(ranked[: LINES_SHOWN - 1], key=lambda outcome: outcome.number), ranked[LINES_SHOWN - 1 :]
    rows = [row for outcome in shown for row in _line(purchase, facts, outcome)]
    amount = sum(purchase.lines[outcome.number - 1].amount for outcome in others)
    paid = sum(outcome.approved_rupiah for outcome in others)
    rows.append((f"{len(others)} barang lain", dotted(amount)))
    return rows if paid == amount else [*rows, ("  dibayar bantuan", dotted(paid))]


def _line(purchase: Purchase, facts: Facts, outcome: LineOutcome) -> list[Row]:
    line = purchase.lines[outcome.number - 1]
    name, amount = _name(line, facts), dotted(line.amount)
    if line.quantity is None or line.unit_price is None:
        rows = [(name, amount)]
    else:
        times = f"  {_quantity(line.quantity)} {plain(line.unit or '')} x {dotted(line.unit_price)}"
        rows = [(name, ""), (times, amount)]
    return rows if outcome.action is LineAction.ACCEPTED else [*rows, *_cut(outcome)]


def _cut(outcome: LineOutcome) -> list[Row]:
    """What of a line is not paid for, and why in a word."""
    rows: list[Row] = []
    if outcome.action is LineAction.PRICE_REDUCED or outcome.reduction_rupiah:
        rows.append((f"  {_WHY[DeclineReason.PRICE_ABOVE_CEILING]}", dotted(-outcome.reduction_rupiah)))
    if outcome.reason is not None:
        rows.append((f"  {_WHY[outcome.reason]}", ""))
        rows.append(("  dibayar bantuan", dotted(outcome.approved_rupiah)))
    return rows


def _name(line: Line, facts: Facts) -> str:
    if line.product is None:
        return plain(facts.programme.categories.get(line.category) or line.category.replace("_", " "))
    product = product_of(line, facts)
    # A till may send the GTIN; people read the name.
    return plain(line.product if product is None else product.name)


# What is left.


def _left(room: Room, facts: Facts) -> list[Row]:
    programme, rows = facts.programme, []
    if facts.family is not None and programme.starts_at <= facts.now < programme.ends_at:
        rows = _left_this_month(room, facts, facts.family.month.month)
    last_day = _last_day_before(programme.ends_at, programme.zone)
    return [*rows, ("Sisa bantuan", in_rupiah(room.programme_rupiah)), (f"  s.d. {last_day}", "")]


def _left_this_month(room: Room, facts: Facts, month: date) -> list[Row]:
    month_rupiah, purchases = room_of_the_month(room, facts.programme), purchases_left(room, facts.programme)
    rows = [] if month_rupiah is None else [("Sisa bulan ini", in_rupiah(month_rupiah))]
    until = f"s.d. {_last_day_before(month_end(month, facts.programme.zone), facts.programme.zone)}"
    if purchases is not None:
        rows.append((f"  {purchases} kali belanja {until}", ""))
    elif rows:
        rows.append((f"  {until}", ""))
    return rows


def _whom_to_ask(room: Room, facts: Facts) -> list[Row]:
    if facts.family is None or not month_is_used_up(room):
        return []
    return [(f"Jika sangat perlu belanja lagi, hubungi pendamping {plain(facts.family.companion_label)}.", "")]


@lru_cache(maxsize=64)
def _last_day_before(end: datetime, zone: ZoneInfo) -> str:
    return _day((end - timedelta(microseconds=1)).astimezone(zone))


# Words and figures.


def _day(local: datetime) -> str:
    return f"{local.day:02}-{local.month:02}-{local.year}"


def _quantity(thousandths: int) -> str:
    """`2,5`: with a comma, as Indonesian receipts print it."""
    whole, rest = divmod(thousandths, THOUSAND)
    return f"{whole},{rest:03}".rstrip("0") if rest else str(whole)
