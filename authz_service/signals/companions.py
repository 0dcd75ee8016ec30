"""One companion for nearly everyone at a shop, and all families of a companion or a shop on one evening. Pure."""

from collections import defaultdict
from datetime import timedelta

from authz_service.signals.facts import Day, Decided, Found, Vouched
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.thresholds import OneCompanion, OneEvening


def one_companion(day: Day, rule: OneCompanion) -> list[Found]:
    """At shops where one of its families used a voucher on this day; the purchases are those of the day."""
    at_shops: dict[str, list[Vouched]] = defaultdict(list)
    for each in day.vouched:
        at_shops[each.merchant_id].append(each)
    found = []
    for merchant_id, vouched in sorted(at_shops.items()):
        everyone = {each.beneficiary_id for each in vouched}
        by_companion: dict[str, list[Vouched]] = defaultdict(list)
        for each in vouched:
            by_companion[each.companion_id].append(each)
        for companion_id, own in sorted(by_companion.items()):
            families = {each.beneficiary_id for each in own}
            today = [each.authorisation_id for each in own if each.decided_at.date() == day.on]
            is_most = 100 * len(families) >= rule.share_percent * len(everyone)
            if today and is_most and (score := rule.score(len(families))):
                found.append(
                    Found(
                        signal=Signal.ONE_COMPANION,
                        subject_kind=Subject.COMPANION,
                        subject_id=companion_id,
                        score=score,
                        purchases=tuple(dict.fromkeys(today)),
                        evidence={
                            "companion": own[0].companion,
                            "merchant_id": merchant_id,
                            "families": len(families),
                            "of_vouched_families": len(everyone),
                            "days": rule.days,
                        },
                    )
                )
    return found


def one_evening(day: Day, rule: OneEvening) -> list[Found]:
    """By day a companion may well bring its families by boat; what was reported are evenings."""
    evening = [each for each in day.decided if each.approved and each.at.hour >= rule.from_hour]
    return [*_of_companions(day, evening, rule), *_of_shops(day, evening, rule)]


def _of_companions(day: Day, evening: list[Decided], rule: OneEvening) -> list[Found]:
    together: dict[tuple[str, str], list[Decided]] = defaultdict(list)
    for each in evening:
        if each.companion is not None:
            together[each.companion, each.merchant_id].append(each)
    found: dict[str, Found] = {}
    for (companion, merchant_id), decided in sorted(together.items()):
        within = _densest(decided, rule.minutes)
        families, of_all = len({each.beneficiary_id for each in within}), day.companion_families.get(companion, 0)
        score = rule.score(families)
        companion_id = day.companion_ids.get(companion)
        everybody = _families_between(evening, merchant_id, within)
        is_most = 100 * families >= max(rule.share_percent * of_all, rule.among_percent * everybody)
        if not score or companion_id is None or not is_most:
            continue
        evidence: dict[str, int | str] = {
            "companion": companion,
            "merchant_id": merchant_id,
            "families": families,
            "of_its_families": of_all,
            "of_everybody_then": everybody,
            "from": f"{within[0].at:%H:%M}",
            "to": f"{within[-1].at:%H:%M}",
        }
        one = _found(Subject.COMPANION, companion_id, score, within, evidence)
        if companion_id not in found or found[companion_id].score < score:
            found[companion_id] = one
    return list(found.values())


def _families_between(evening: list[Decided], merchant_id: str, within: list[Decided]) -> int:
    """Who bought there meanwhile: where everybody does, a companion's families are among them by chance."""
    first, last = within[0].at, within[-1].at
    return len(
        {each.beneficiary_id for each in evening if each.merchant_id == merchant_id and first <= each.at <= last}
    )


def _densest(decided: list[Decided], minutes: int) -> list[Decided]:
    """The stretch of so many minutes with the most families."""
    window, best, first = timedelta(minutes=minutes), decided[:1], 0
    for place, each in enumerate(decided):
        while each.at - decided[first].at > window:
            first += 1
        stretch = decided[first : place + 1]
        if len({one.beneficiary_id for one in stretch}) > len({one.beneficiary_id for one in best}):
            best = stretch
    return best


def _of_shops(day: Day, evening: list[Decided], rule: OneEvening) -> list[Found]:
    lately = {each.merchant_id: each.families for each in day.sales}
    at_shops: dict[str, list[Decided]] = defaultdict(list)
    for each in evening:
        at_shops[each.merchant_id].append(each)
    found = []
    for merchant_id, decided in sorted(at_shops.items()):
        families, of_all = len({each.beneficiary_id for each in decided}), lately.get(merchant_id, 0)
        if not of_all or families < rule.shop_at_least or 100 * families < rule.share_percent * of_all:
            continue
        part = min(1.0, (families - rule.shop_at_least) / max(1, rule.shop_strongly - rule.shop_at_least))
        score = rule.score(rule.at_least + part * (rule.strongly - rule.at_least))
        evidence: dict[str, int | str] = {"families": families, "of_its_families": of_all, "days": rule.days}
        found.append(_found(Subject.MERCHANT, merchant_id, score, decided, evidence))
    return found


def _found(kind: Subject, subject_id: str, score: int, decided: list[Decided], evidence: dict[str, int | str]) -> Found:
    return Found(
        signal=Signal.ONE_EVENING,
        subject_kind=kind,
        subject_id=subject_id,
        score=score,
        purchases=tuple(each.authorisation_id for each in decided),
        evidence=evidence,
    )
