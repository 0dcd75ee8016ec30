"""Is the programme running? Half-open: the start belongs to it, the end does not."""

from authz_service.declines import DeclineReason
from authz_service.rules.facts import Facts


def programme_has_started(facts: Facts) -> DeclineReason | None:
    return DeclineReason.PROGRAMME_NOT_STARTED if facts.now < facts.programme.starts_at else None


def programme_has_not_ended(facts: Facts) -> DeclineReason | None:
    return DeclineReason.PROGRAMME_ENDED if facts.now >= facts.programme.ends_at else None
