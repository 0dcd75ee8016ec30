"""Totals that hit the cap exactly, again and again: many families really spend all of it, but not one after the other
without a family in between that does not. Pure."""

from collections import defaultdict
from datetime import timedelta

from authz_service.signals.facts import Day, Decided, Found
from authz_service.signals.kinds import Signal, Subject
from authz_service.signals.thresholds import ExactCap


def exact_cap(day: Day, rule: ExactCap) -> list[Found]:
    """The longest run at each terminal, and the purchases of all runs that are long enough."""
    if day.package_rupiah is None:
        return []
    at_terminals: dict[str, list[Decided]] = defaultdict(list)
    for each in day.decided:
        if each.approved:
            at_terminals[each.terminal_id].append(each)
    found = []
    for terminal_id, decided in sorted(at_terminals.items()):
        runs = [run for run in _runs(decided, day.package_rupiah, rule) if len(run) >= rule.at_least]
        if not runs:
            continue
        longest = max(map(len, runs))
        found.append(
            Found(
                signal=Signal.EXACT_CAP,
                subject_kind=Subject.TERMINAL,
                subject_id=terminal_id,
                score=rule.score(longest),
                purchases=tuple(each.authorisation_id for run in runs for each in run),
                evidence={
                    "in_a_row": longest,
                    "rupiah": day.package_rupiah,
                    "of_the_day": len(decided),
                    "merchant_id": decided[0].merchant_id,
                },
            )
        )
    return found


def _runs(decided: list[Decided], cap_rupiah: int, rule: ExactCap) -> list[list[Decided]]:
    gap = timedelta(minutes=rule.minutes)
    runs: list[list[Decided]] = [[]]
    for each in decided:
        if each.approved_rupiah != cap_rupiah:
            runs.append([])
            continue
        if runs[-1] and each.at - runs[-1][-1].at > gap:
            runs.append([])
        runs[-1].append(each)
    return runs
