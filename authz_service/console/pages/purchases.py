"""One decision explained in plain words, as `explanation/` has it."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response

from authz_service.console.pages.families import is_open
from authz_service.console.visit import Here, Page
from authz_service.declines import DeclineReason
from authz_service.explanation.explain import explanation_document

router = APIRouter(route_class=Page)
FOR_THE_COMPANION: Final = {DeclineReason.PACKAGES_USED_UP, DeclineReason.MONTHLY_CAP_EXCEEDED}
"""A voucher may help; with everything else it is the operator."""


@router.get("/families/{beneficiary_id}/purchases/{authorisation_id}")
async def purchase(visit: Here, beneficiary_id: str, authorisation_id: str) -> Response:
    """What was asked, which rule said no, what would have passed, whom to ask."""
    if not await is_open(visit, beneficiary_id):
        return visit.redirect(f"/families/{beneficiary_id}")
    async with visit.lent() as connection:
        document = await explanation_document(connection, visit.programme_id, authorisation_id, visit.desk.clock)
    if document is None or document["beneficiary_id"] != beneficiary_id:
        return visit.refused(HTTPStatus.NOT_FOUND, "why.none")
    words = "indonesian" if visit.language == "id" else "english"
    shop = visit.programme.shops.get(document["merchant_id"])
    reasons = {reason["reason"] for reason in document["reasons"]}
    return visit.page(
        "purchase.html",
        why=document,
        words=words,
        shop=document["merchant_id"] if shop is None else shop.name,
        beneficiary_id=beneficiary_id,
        companion=document["facts"].get("companion") if reasons & FOR_THE_COMPANION else None,
        asks_operator=bool(reasons - FOR_THE_COMPANION),
        operator=visit.programme.programme.operator_name,
    )
