"""The explanation as an operator gets it. All of it stays as it is for ever, but for `now`, which is how the money
stands, and `rules_agree`, which is what the rules of today say.

A member that nobody wrote down at the time is missing, and named in `not_recorded`; null is "none" or "no limit".
"""

from authz_service import __version__
from authz_service.answers import CURRENCY, Document
from authz_service.explanation.checks import Check, checks
from authz_service.explanation.paragraphs import decision_in_words, now_in_words
from authz_service.explanation.questions import english_reason, question
from authz_service.explanation.recorded import Recorded, Seen, agrees, decided_again, listed, not_recorded, zone_of
from authz_service.explanation.then import facts_then, settings_then
from authz_service.requests import THOUSAND
from authz_service.rules.decide import Decision, Refusal
from authz_service.rules.facts import Ceiling, Product


def explained(recorded: Recorded, seen: Seen | None, now: Document) -> Document:
    """`now` has status, amounts and events as of this moment."""
    missing, again = not_recorded(recorded, seen), decided_again(recorded, seen)
    english = [english_reason(recorded, seen, refusal) for refusal in recorded.refusals]
    document: Document = {
        "authorization_id": recorded.authorisation_id,
        "programme_id": recorded.programme_id,
        "created_at": recorded.created_at.astimezone(zone_of(recorded, seen)).isoformat(timespec="milliseconds"),
        "merchant_id": recorded.merchant_id,
        "terminal_id": recorded.terminal_id,
        "beneficiary_id": recorded.beneficiary_id,
        "card": recorded.card_id and {"card_id": recorded.card_id, "last_four": recorded.last_four},
        "stan": recorded.answer["stan"],
        "request_id": recorded.request_id,
        "decision": recorded.answer["decision"],
        "reason": recorded.reason,
        "response_code": recorded.answer["response_code"],
        "message": recorded.answer["message"],
        "in_words": decision_in_words(recorded, seen, english),
        "amount": recorded.amount_rupiah,
        "approved_amount": recorded.approved_rupiah,
        "tender_due": recorded.answer["tender_due"],
        "price_reduction": recorded.reduction_rupiah,
        "currency": CURRENCY,
        "largest_approvable_amount": recorded.answer["largest_approvable_amount"],
        "asked": recorded.journal["asked"],
        "lines": _lines(recorded, seen),
        "reasons": [said | {"english": words} for said, words in zip(_said(recorded), english, strict=True)],
        "checks": [_check(each) for each in checks(recorded, seen)],
        "facts": facts_then(recorded),
        "settings_known": seen is not None,
    }
    if seen is not None:
        document["settings"] = settings_then(seen)
    return document | {
        "versions": recorded.journal["versions"],
        **_verdict(recorded, again),
        "not_recorded": missing,
        "now": now | {"in_words": now_in_words(now)},
    }


def _said(recorded: Recorded) -> list[Document]:
    """The reasons with the sentences of the counter, as the first answer has them."""
    return [
        {name: value for name, value in each.items() if name != "message"} | {"indonesian": each["message"]}
        for each in recorded.answer["reasons"]
    ]


def _verdict(recorded: Recorded, again: Decision | None) -> Document:
    """Whether today's rules say the same of the same facts, and what they say if not."""
    if again is None:
        return {"rules_agree": None}
    if agrees(recorded, again):
        return {"rules_agree": True}
    return {
        "rules_agree": False,
        "decided_today": {
            "rules": __version__,
            "decision": "approved" if again.approved else "declined",
            "approved_amount": again.approved_rupiah,
            "price_reduction": again.reduction_rupiah,
            "reasons": [_refusal(each) for each in again.refusals],
        },
    }


def _refusal(refusal: Refusal) -> Document:
    return {"reason": refusal.reason} | ({} if refusal.line is None else {"line": refusal.line})


def _check(check: Check) -> Document:
    return {
        "check": check.reason,
        "stage": check.reason.stage,
        "question": question(check.reason),
        "outcome": check.outcome,
        "lines": list(check.lines),
        "figures": check.figures,
    }


def _lines(recorded: Recorded, seen: Seen | None) -> list[Document]:
    reason_of = {refusal.line: refusal.reason for refusal in recorded.refusals}
    lines = []
    for number, line in enumerate(recorded.journal["lines"], start=1):
        category, amount, approved, reduction, action, product, unit, quantity, unit_price = line
        document = {
            "line": number,
            "category": category,
            "product": product,
            "unit": unit,
            "quantity": None if quantity is None else _decimal(quantity),
            "unit_price": unit_price,
            "amount": amount,
            "action": action,
            "approved_amount": approved,
            "price_reduction": reduction,
        }
        if number in reason_of:
            document["reason"] = reason_of[number]
        if seen is not None:
            document["catalogue"] = _catalogue(recorded, seen, number)
        lines.append(document)
    return lines


def _catalogue(recorded: Recorded, seen: Seen, number: int) -> Document:
    """What the programme's list said of the line: null is not on it."""
    product, ceiling = listed(recorded, seen, number)
    category = recorded.journal["lines"][number - 1][0]
    return {
        "category": category if category in seen.programme.categories else None,
        "name": seen.programme.categories.get(category),
        "product": product and product.name,
        "price_ceiling": product and ceiling and _ceiling(seen, product, ceiling),
    }


def _ceiling(seen: Seen, product: Product, ceiling: Ceiling) -> Document:
    return {
        "price": ceiling.price_rupiah,
        "district_code": ceiling.district_code,
        "valid_from": ceiling.valid_from.isoformat(),
        "valid_to": ceiling.valid_to and ceiling.valid_to.isoformat(),
        "source": seen.ceiling_sources[product.name, product.unit, ceiling.district_code, ceiling.valid_from],
    }


def _decimal(thousandths: int) -> str:
    """`2.5`, as the till wrote it or shorter."""
    whole, rest = divmod(thousandths, THOUSAND)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
