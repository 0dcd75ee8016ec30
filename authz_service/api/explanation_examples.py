"""Examples of explanations, made by the code that makes the real ones, in the world of `examples.py`."""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from typing import Final

import orjson
from pydantic import TypeAdapter

from authz_service.answers import Document, shown
from authz_service.api.examples import REFUSED, decided
from authz_service.authorisation import journal_of
from authz_service.declines import DeclineReason
from authz_service.explanation.document import explained
from authz_service.explanation.recorded import Recorded, Seen
from authz_service.requests import Purchase
from authz_service.rules.decide import decide
from authz_service.rules.facts import Facts
from authz_service.vocabulary import AuthorisationId

_REFERENCE_VERSION: Final = 41
_WALLET_VERSION: Final = 7


@cache
def explanation_examples() -> Mapping[str, Document]:
    """Name → OpenAPI example of `GET /v1/authorizations/{id}/explanation`."""
    return {
        reason.value: {"summary": f"Declined: {reason}", "value": _explained(*REFUSED[reason])}
        for reason in (DeclineReason.MONTHLY_CAP_EXCEEDED, DeclineReason.PRICE_ABOVE_CEILING)
    }


def _explained(request: Document, facts: Facts) -> Document:
    answer, zone = decided(request, facts), facts.programme.zone
    now = {name: answer[name] for name in ("status", "held_amount", "captured_amount", "refunded_amount")} | {
        "as_of": shown(facts.now + timedelta(days=90), zone),
        "vouchers_used": [],
        "events": [{"type": "declined", "amount": 0, "created_at": shown(facts.now, zone)}],
    }
    document: Document = orjson.loads(orjson.dumps(explained(_recorded(request, facts, answer), _seen(facts), now)))
    return document


def _seen(facts: Facts) -> Seen:
    sources: dict[tuple[str, str, str | None, date], str] = {
        (product.name, product.unit, ceiling.district_code, ceiling.valid_from): "Perbadan 5/2024"
        for product in facts.programme.products.values()
        for ceiling in product.ceilings
    }
    return Seen(programme=facts.programme, shop=facts.shop, ceiling_sources=sources)


def _recorded(request: Document, facts: Facts, answer: Document) -> Recorded:
    purchase = TypeAdapter(Purchase).validate_json(orjson.dumps(request))
    journal = journal_of(purchase, facts, decide(purchase, facts), _REFERENCE_VERSION, _WALLET_VERSION)
    return Recorded(
        programme_id=facts.programme.programme_id,
        authorisation_id=AuthorisationId(answer["id"]),
        created_at=facts.now,
        merchant_id=facts.terminal.merchant_id,
        terminal_id=facts.terminal.terminal_id,
        beneficiary_id=facts.family.beneficiary_id if facts.family else None,
        card_id=facts.card.card_id if facts.card else None,
        last_four=purchase.card_number[-4:] if facts.card else None,
        month=facts.now.date().replace(day=1),
        reason=answer["reason"],
        amount_rupiah=answer["amount"],
        approved_rupiah=answer["approved_amount"],
        reduction_rupiah=answer["price_reduction"],
        request_id="req_3f2b8c1d9a7e4f60b5c2d1e0f9a8b7c6",
        journal=orjson.loads(orjson.dumps(journal)),
        answer=orjson.loads(orjson.dumps(answer)),
    )
