"""Many cards in a row on one terminal, and cards in the night: the cards of many families in one hand. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import time, timedelta

from authz_service.signals.facts import Day, Decided, Found, ShopThen
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.thresholds import ManyCards, NightHours


def many_cards(day: Day, rule: ManyCards) -> list[Found]:
    """Whatever was decided: a card that is collected may be used up. A cashier needs half a minute for a basket."""
    at_terminals: dict[str, list[Decided]] = defaultdict(list)
    for each in day.decided:
        if each.card_id is not None:
            at_terminals[each.terminal_id].append(each)
    found = []
    for terminal_id, decided in sorted(at_terminals.items()):
        most, purchases = _densest(decided, rule)
        if score := rule.score(most):
            evidence: dict[str, int | str] = {
                "cards": most,
                "minutes": rule.minutes,
                "merchant_id": decided[0].merchant_id,
            }
            found.append(_found(Signal.MANY_CARDS, Subject.TERMINAL, terminal_id, score, purchases, evidence))
    return found


def _densest(decided: list[Decided], rule: ManyCards) -> tuple[int, list[Decided]]:
    """The most cards within the minutes; and all decisions of the stretches that have enough of them."""
    window, cards, first, most = timedelta(minutes=rule.minutes), Counter[str | None](), 0, 0
    chosen: set[int] = set()
    for place, each in enumerate(decided):
        cards[each.card_id] += 1
        while each.at - decided[first].at >= window:
            cards[decided[first].card_id] -= 1
            cards += Counter()  # those at nought are gone
            first += 1
        if len(cards) >= rule.at_least:
            chosen.update(range(first, place + 1))
        most = max(most, len(cards))
    return most, [decided[place] for place in sorted(chosen)]


def night_hours(day: Day, rule: NightHours) -> list[Found]:
    """Also what was refused because the shop was closed. A shop that says it is open at night may sell then."""
    at_shops: dict[str, list[Decided]] = defaultdict(list)
    for each in day.decided:
        if each.card_id is not None and _is_at_night(each, day.shops.get(each.merchant_id), rule):
            at_shops[each.merchant_id].append(each)
    found = []
    for merchant_id, decided in sorted(at_shops.items()):
        cards = len({each.card_id for each in decided})
        if score := rule.score(cards):
            first, last = decided[0].at, decided[-1].at
            evidence: dict[str, int | str] = {"cards": cards, "from": f"{first:%H:%M}", "to": f"{last:%H:%M}"}
            found.append(_found(Signal.NIGHT_HOURS, Subject.MERCHANT, merchant_id, score, decided, evidence))
    return found


def _is_at_night(each: Decided, shop: ShopThen | None, rule: NightHours) -> bool:
    local = each.at.time()
    if shop is not None and shop.opens_at is not None and shop.closes_at is not None:
        return not _within(local, shop.opens_at, shop.closes_at)
    return local.hour >= rule.from_hour or local.hour < rule.to_hour


def _within(local: time, opens_at: time, closes_at: time) -> bool:
    """As the rule of the shop's hours has it."""
    if opens_at < closes_at:
        return opens_at <= local < closes_at
    return local >= opens_at or local < closes_at


def _found(
    signal: Signal,
    kind: Subject,
    subject_id: str,
    score: int,
    decided: Iterable[Decided],
    evidence: dict[str, int | str],
) -> Found:
    return Found(
        signal=signal,
        subject_kind=kind,
        subject_id=subject_id,
        score=score,
        purchases=tuple(each.authorisation_id for each in decided),
        evidence=evidence,
    )
