"""The audit log, for auditors."""

from typing import Final

import orjson
from fastapi import APIRouter, Response

from authz_service.audit import Entry, entries
from authz_service.console.visit import Here, Page

router = APIRouter(route_class=Page)
PAGE: Final = 25
_FILTERS: Final = ("actor", "action", "subject")


@router.get("/audit")
async def audit(visit: Here) -> Response:
    """The newest first; the address has who, what and an id at most, none of which is personal."""
    sought = {name: visit.asked(name) for name in _FILTERS}
    before = visit.asked("before") or None
    async with visit.lent() as connection:
        found = await entries(
            connection,
            visit.programme_id,
            limit=PAGE + 1,
            before=before,
            subject_id=sought["subject"] or None,
            actor=sought["actor"] or None,
            action=sought["action"] or None,
        )
    rows = [(entry, *_changed(entry)) for entry in found[:PAGE]]
    more = found[PAGE - 1].entry_id if len(found) > PAGE else None
    return visit.page("audit.html", rows=rows, sought=sought, more=more, before=before)


def _changed(entry: Entry) -> tuple[str, str]:
    before, after = (orjson.dumps(each).decode() if each else "" for each in (entry.before, entry.after))
    return before, after
