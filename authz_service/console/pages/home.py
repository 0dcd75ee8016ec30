"""The first page: the programme's terms, and where to begin."""

from datetime import timedelta

from fastapi import APIRouter, Response

from authz_service.console.visit import Here, Page

router = APIRouter(route_class=Page)


@router.get("/")
async def home(visit: Here) -> Response:
    """What everybody may know."""
    programme = visit.programme.programme
    last = programme.ends_at - timedelta(microseconds=1)
    return visit.page("home.html", programme=programme, last=last, shops=len(visit.programme.shops))
