"""What other systems are told of notices: ids, codes and rupiah; no words of the bank."""

from collections.abc import Iterator, Sequence

import asyncpg

from authz_service.events.kinds import Event, NoticeParked


def told_of_parked(
    notices: Sequence[asyncpg.Record], reasons: Sequence[str | None], instruction_id: str | None
) -> Iterator[Event]:
    """Each notice that is parked now and was not before, or for another reason; never one that people have resolved."""
    for notice, reason in zip(notices, reasons, strict=True):
        if reason is None or notice["standing"] == "resolved" or notice["reason"] == reason:
            continue
        yield NoticeParked(
            notice_id=notice["notice_id"],
            partner_id=notice["partner_id"],
            told=notice["status"],
            reason=reason,
            instruction_id=instruction_id,
            amount=notice["amount_rupiah"],
        )
