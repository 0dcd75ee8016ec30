"""MT940: the library reads the fields; what it would pass over in silence is refused here. Pure.

It drops what it does not know and merges what stands twice. So lines are counted, both balances must be there, and the
sum must come out. One file may have several messages (days, or pages of a day), each going on from the one before.
"""

import logging
import re
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import mt940

from authz_service.reconciliation.statement_lines import (
    DESCRIPTION_LIMIT,
    REFERENCE_LIMIT,
    Format,
    Statement,
    StatementLine,
    StatementRefused,
    identified,
    last_digits,
    one_line,
    require_money,
    require_sums,
)

_OPTIONS: Final = mt940.Options(
    merge_keeps_values=True, reversal_sign=True, case_insensitive_marks=True, unbounded_details=True
)
_AS_WRITTEN: Final[dict[str, list[Any]]] = {"post_transaction_details": []}
"""`:86:` stays text: banks structure it each in its own way, and only our reference is looked for in it."""
_END_TO_END: Final = re.compile(r"(?:/EREF/|EREF\+)([^/?]{1,64})")
"""Where two structures of `:86:` have the payer's reference; the 16 characters of `:61:` are too few for it."""
_NONE: Final = "NONREF"
_OPENING: Final = ("final_opening_balance", "intermediate_opening_balance")
_CLOSING: Final = ("final_closing_balance", "intermediate_closing_balance")

# It would write what it cannot read, account numbers and all, to standard error.
logging.getLogger("mt940").setLevel(logging.CRITICAL)


def read_mt940(text: str, digest: bytes) -> Statement:
    """The statement in `text`; raises StatementRefused."""
    rows = text.splitlines()
    bookings = [number for number, row in enumerate(rows, start=1) if row.startswith(":61:")]
    messages = _parsed("\n".join(row for row in rows if not row.startswith("-}")), rows)
    if not messages:
        raise StatementRefused("The file has no message that begins with :20:.")
    found = [each for message in messages for each in message]
    if len(found) != len(bookings):
        raise StatementRefused(f"{len(bookings)} lines begin with :61:, and {len(found)} can be read.")
    # Pages end in `:62M:`; only the last one has `:62F:`, and only the first `:60F:`.
    opening, closing = _balance(messages[0], _OPENING[:1], "opening"), _balance(messages[-1], _CLOSING[:1], "closing")
    for before, after in pairwise(messages):
        if _balance(before, _CLOSING, "closing")[0] != _balance(after, _OPENING, "opening")[0]:
            raise StatementRefused("A message does not begin with the balance with which the one before it ends.")
    accounts = {str(message.data.get("account_identification", "")) for message in messages}
    if len(accounts) > 1:
        raise StatementRefused("The file has statements of several accounts.")
    lines = identified(
        _line(each.data, place, number)
        for place, (each, number) in enumerate(zip(found, bookings, strict=True), start=1)
    )
    require_sums(opening[0], lines, closing[0])
    days = [opening[1], closing[1], *(each.booked_on for each in lines)]
    return Statement(
        format=Format.MT940,
        account=last_digits(accounts.pop()),
        # The opening balance is dated when it was the closing balance of the day before.
        from_on=min([opening[1] + timedelta(days=1), *days[1:]]),
        to_on=max(days),
        opening_rupiah=opening[0],
        closing_rupiah=closing[0],
        lines=lines,
        digest=digest,
    )


def _parsed(text: str, rows: Sequence[str]) -> list[Any]:
    try:
        # A leading line feed: a text that names an existing file would be read as that file.
        return list(mt940.parse_statements("\n" + text, processors=dict(_AS_WRITTEN), options=_OPTIONS))
    except RuntimeError as wrong:
        value = str(wrong.args[-1]) if wrong.args else ""
        head = value.partition("\n")[0]
        line = next((n for n, row in enumerate(rows, start=1) if head and row.rstrip().endswith(head)), None)
        raise StatementRefused("this is no field of MT940.", line) from None
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as wrong:
        raise StatementRefused(f"The file is no MT940 ({type(wrong).__name__}).") from None


def _balance(message: Any, names: Sequence[str], which: str) -> tuple[int, date]:
    """Rupiah, and the day."""
    balance = next((message.data[name] for name in names if name in message.data), None)
    if balance is None:
        raise StatementRefused(f"The {which} balance is missing: the file was cut.")
    if balance.amount.currency != "IDR":
        raise StatementRefused(f"The {which} balance is not in IDR.")
    return _whole(balance.amount.amount, f"the {which} balance", None), _day(balance.date)


def _line(data: dict[str, Any], place: int, number: int) -> StatementLine:
    if "amount" not in data or "date" not in data:
        raise StatementRefused("this is no booking of MT940.", number)
    details = "".join(str(data.get("transaction_details") or "").splitlines())
    named = _END_TO_END.search(details)
    customer = str(data.get("customer_reference") or "").strip()
    reference = named[1] if named else "" if customer == _NONE else customer
    amount = _whole(data["amount"].amount, "the amount", number)
    if not amount:
        raise StatementRefused("the amount is nothing.", number)
    return StatementLine(
        line=place,
        booked_on=_day(data.get("entry_date") or data["date"]),
        amount_rupiah=amount,
        reference=one_line(reference, REFERENCE_LIMIT),
        bank_reference=one_line(str(data.get("bank_reference") or ""), REFERENCE_LIMIT),
        description=one_line(f"{data.get('extra_details') or ''} {details}", DESCRIPTION_LIMIT),
    )


def _whole(amount: Decimal, what: str, number: int | None) -> int:
    if amount != amount.to_integral_value():
        raise StatementRefused(f"{what} has sen; only whole rupiah are booked.", number)
    return require_money(int(amount), number)


def _day(found: date) -> date:
    """Without the library's own class."""
    return date(found.year, found.month, found.day)
