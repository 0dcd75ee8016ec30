"""What other systems are told of notices: ids, codes and rupiah; no words of the bank."""

from collections.abc import Iterator, Sequence

import asyncpg

from authz_service.events.kinds import Event, NoticeParked


def told_of_parked(changed: Sequence[asyncpg.Record], instruction_id: str | None) -> Iterator[Event]:
    """Each notice that is parked now and was not before, or for another reason."""
    for notice in changed:
        if notice["reason"] is not None:
            yield NoticeParked(
                notice_id=notice["notice_id"],
                partner_id=notice["partner_id"],
                told=notice["status"],
                reason=notice["reason"],
                instruction_id=instruction_id,
                amount=notice["amount_rupiah"],
            )
