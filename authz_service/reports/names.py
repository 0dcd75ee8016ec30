"""Names of families leave the database only for a reason, and it is known who asked for them and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from authz_service.audit import Subject, keep_audit, seat
from authz_service.database import Connection
from authz_service.orders import require_reason
from authz_service.reports.snapshot import ReportRefused
from authz_service.vocabulary import Chance

ACTION: Final = "names_read"


async def keep_names_asked(
    connection: Connection,
    programme_id: str,
    about: Mapping[str, object],
    *,
    actor: str,
    reason: str,
    now: datetime,
    chance: Chance,
) -> None:
    """It is in the audit log before any name is read, also where the report is never finished."""
    if not actor.strip():
        raise ReportRefused("Names are given to somebody: say --actor.")
    require_reason(reason)
    await keep_audit(
        connection,
        programme_id,
        actor=actor.strip(),
        role=seat().role,
        action=ACTION,
        subject=Subject(kind="report", id=str(about["report"])),
        reason=reason,
        before=None,
        after=about,
        now=now,
        chance=chance,
        request_id=seat().request_id,
    )
