"""A shop that sells each family far more than the other shops do: cards that are left with it, or all that is on them.
Pure."""

from statistics import median

from authz_service.signals.facts import Day, Found
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.thresholds import FarSales


def far_sales(day: Day, rule: FarSales) -> list[Found]:
    """At shops that sold something on this day; small shops are no measure, and are not measured."""
    for_a_family = {
        each.merchant_id: each.rupiah / each.families for each in day.sales if each.families >= rule.families
    }
    today: dict[str, list[str]] = {}
    for each in day.decided:
        if each.approved:
            today.setdefault(each.merchant_id, []).append(each.authorisation_id)
    found = []
    for merchant_id, rupiah in sorted(for_a_family.items()):
        others = [other for who, other in for_a_family.items() if who != merchant_id]
        if len(others) < rule.shops or merchant_id not in today:
            continue
        percent = 100 * rupiah / median(others)
        if score := rule.score(percent):
            found.append(
                Found(
                    signal=Signal.FAR_SALES,
                    subject_kind=Subject.MERCHANT,
                    subject_id=merchant_id,
                    score=score,
                    purchases=tuple(today[merchant_id]),
                    evidence={
                        "rupiah_for_a_family": round(rupiah),
                        "median_of_others": round(median(others)),
                        "percent": int(percent),
                        "days": rule.days,
                    },
                )
            )
    return found
