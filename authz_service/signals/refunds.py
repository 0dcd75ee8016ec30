"""Captured, and soon refunded whole, with family after family: a sale made up for cash, and taken back. Pure."""

from collections import defaultdict
from datetime import timedelta

from authz_service.signals.facts import Day, Found
from authz_service.signals.facts import TakenBack as Refunded
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.thresholds import TakenBack


def taken_back(day: Day, rule: TakenBack) -> list[Found]:
    """At shops where the last of them was on this day; of one family that brings its goods back nothing follows."""
    soon = timedelta(minutes=rule.minutes)
    at_shops: dict[str, list[Refunded]] = defaultdict(list)
    for each in day.taken_back:
        is_whole = 100 * each.refunded_rupiah >= rule.share_percent * each.captured_rupiah
        if is_whole and each.refunded_at - each.decided_at <= soon:
            at_shops[each.merchant_id].append(each)
    found = []
    for merchant_id, refunds in sorted(at_shops.items()):
        families = len({each.beneficiary_id for each in refunds})
        is_of_today = any(each.refunded_at.date() == day.on for each in refunds)
        if is_of_today and (score := rule.score(families)):
            found.append(
                Found(
                    signal=Signal.TAKEN_BACK,
                    subject_kind=Subject.MERCHANT,
                    subject_id=merchant_id,
                    score=score,
                    purchases=tuple(dict.fromkeys(each.authorisation_id for each in refunds)),
                    evidence={
                        "families": families,
                        "days": rule.days,
                        "rupiah": sum(each.refunded_rupiah for each in refunds),
                    },
                )
            )
    return found
