"""What the bank's statement and the books say of each other: every payout, all expected money, every line. Pure.

A line is about a thing whose reference it names, else about the one payout that the bank told us of under the line's
own reference. Lines that fit by amount, account and day are only proposed: people decide. All lines that were ever read
are looked at together, so neither their order nor how often a statement is read makes a difference. Where bank and
books do not contradict each other the books may follow (`Step`); everything else is an exception, never a booking.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol, TypeVar

from authz_service.reconciliation.findings import Finding, Funding, Payout, State, Step
from authz_service.reconciliation.statement_lines import StatementLine
from authz_service.vocabulary import in_rupiah

PAID: Final = "settled"
FAILED: Final = "failed"
BACK: Final = "returned"
RELEASED: Final = "released"
T = TypeVar("T")
_NOT_OF_A_REFERENCE: Final = re.compile(r"[^0-9a-z]")


def reconcile(
    lines: Iterable[StatementLine],
    payouts: Iterable[Payout],
    fundings: Iterable[Funding],
    *,
    known: Mapping[bytes, str],
    covered_until: date | None,
    proposal_days: int,
    is_closed: bool = False,
) -> list[Finding]:
    """A finding for every payout, for all expected money, and for every line that is about neither; in one order.

    `known` is what lines were found to be about before; `covered_until` the last day of all statements.
    """
    ours: dict[str, Payout | Funding] = {}
    ours |= {each.reference: each for each in fundings}
    ours |= {each.reference: each for each in payouts}
    about: dict[str, list[StatementLine]] = defaultdict(list)
    about_nothing: list[StatementLine] = []
    index = _Index.of(ours.values())
    for line in sorted(lines, key=_place):
        reference = known.get(line.identity) or index.thing_of(line)
        (about_nothing if reference is None or reference not in ours else about[reference]).append(line)
    findings = [
        _of_payout(each, about[each.reference], covered_until, is_closed=is_closed)
        if isinstance(each, Payout)
        else _of_funding(each, about[each.reference], covered_until, is_closed=is_closed)
        for each in ours.values()
    ]
    missing = [each for each in ours.values() if isinstance(each, Payout) and not about[each.reference]]
    findings += [_of_line(line, missing, proposal_days) for line in about_nothing]
    return sorted(findings, key=lambda finding: (finding.subject, finding.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """By which words a line names a thing; a word that could mean two things means none."""

    exact: Mapping[str, str]
    bare: Mapping[str, str]
    """Letters and digits alone: MT940 has no `_`, and banks write something else in its place."""
    by_bank: Mapping[str, tuple[str, int]]

    @staticmethod
    def of(things: Iterable[Payout | Funding]) -> "_Index":
        exact: dict[str, str] = {}
        bare: dict[str, set[str]] = defaultdict(set)
        by_bank: dict[str, set[tuple[str, int]]] = defaultdict(set)
        for each in things:
            exact[each.reference] = each.reference
            bare[_bare(each.reference)].add(each.reference)
            for reference in each.bank_references if isinstance(each, Payout) else ():
                by_bank[reference].add((each.reference, each.amount_rupiah))
        return _Index(exact=exact, bare=_only(bare), by_bank=_only(by_bank))

    def thing_of(self, line: StatementLine) -> str | None:
        if found := self.exact.get(line.reference) or self.bare.get(_bare(line.reference)):
            return found
        # The bank may put its charges under the same reference of its own, so here the amount must be right as well.
        reference, amount_rupiah = self.by_bank.get(line.bank_reference, (None, 0))
        return reference if abs(line.amount_rupiah) == amount_rupiah else None


def _bare(reference: str) -> str:
    return _NOT_OF_A_REFERENCE.sub("", reference.lower())


def _only(found: Mapping[str, set[T]]) -> dict[str, T]:
    return {word: next(iter(things)) for word, things in found.items() if word and len(things) == 1}


def _place(line: StatementLine) -> tuple[date, bytes]:
    return line.booked_on, line.identity


def _of_payout(
    payout: Payout, lines: Sequence[StatementLine], covered_until: date | None, *, is_closed: bool
) -> Finding:
    """What left for it and came back, against what the books say."""
    left = [each for each in lines if each.amount_rupiah == -payout.amount_rupiah]
    back = [each for each in lines if each.amount_rupiah == payout.amount_rupiah]
    wrong = [each for each in lines if abs(each.amount_rupiah) != payout.amount_rupiah]
    events = payout.events
    since_on = max((payout.created_on, *events.values()))
    # What failed by the books and was then paid after all is like what was paid.
    has_failed = FAILED in events and PAID not in events

    def so(state: State, detail: str = "", *, steps: tuple[Step, ...] = (), since: date | None = None) -> Finding:
        return Finding(
            state=state,
            subject=payout.reference,
            reference=payout.reference,
            ours_rupiah=payout.amount_rupiah,
            theirs_rupiah=sum(-each.amount_rupiah for each in lines) if lines else None,
            since_on=since or (lines[0].booked_on if lines and state.is_exception else since_on),
            merchant_id=payout.merchant_id,
            lines=tuple(lines),
            steps=steps,
            detail=detail,
        )

    if wrong:
        return so(State.AMOUNT_DIFFERS, f"The bank booked {in_rupiah(abs(wrong[0].amount_rupiah))}.")
    if len(left) > 1 or len(back) > 1:
        return so(State.MORE_THAN_ONCE, f"It left {len(left)} times and came back {len(back)} times.")
    if back and not left:
        return so(State.RETURN_WITHOUT_PAYMENT, "It came back, and no statement shows that it left.")
    if not lines:
        if has_failed:
            return so(State.MATCHED, "It failed, and nothing left.")
        # What the books say has happened is on the statement of its day; what is on its way has a day more.
        paid_on = events.get(PAID)
        is_due = covered_until is not None and (
            covered_until > payout.created_on if paid_on is None else covered_until >= paid_on
        )
        return so(State.MISSING_THERE if is_due else State.UNDER_WAY, "Nothing left.", since=paid_on)
    if not back:
        if has_failed:
            return so(State.PAID_THOUGH_FAILED, "The books say that it failed, and it left.")
        if BACK in events:
            is_due = covered_until is not None and covered_until >= events[BACK]
            said = "It left, and has not come back."
            return so(State.MISSING_THERE if is_due else State.MATCHED, said, since=events[BACK])
        return _followed(so, events, (Step.SETTLE,), is_closed=is_closed)
    if has_failed:
        return _followed(so, events, (Step.RELEASE,), is_closed=is_closed)
    return _followed(so, events, (Step.SETTLE, Step.RETURN, Step.RELEASE), is_closed=is_closed)


_SAID: Final = {Step.SETTLE: PAID, Step.RETURN: BACK, Step.RELEASE: RELEASED}


def _followed(so: "_Say", events: Mapping[str, date], way: tuple[Step, ...], *, is_closed: bool) -> Finding:
    """The books go so far on this way as they have not gone yet."""
    steps = tuple(step for step in way if _SAID[step] not in events)
    if steps and is_closed:
        return so(State.AFTER_THE_CLOSE, "The programme is closed: the books do not follow.")
    return so(State.MATCHED, steps=steps)


class _Say(Protocol):
    """What is so of one payout."""

    def __call__(self, state: State, detail: str = "", *, steps: tuple[Step, ...] = ()) -> Finding: ...


def _of_funding(
    funding: Funding, lines: Sequence[StatementLine], covered_until: date | None, *, is_closed: bool
) -> Finding:
    """What the sponsor announced has come, once and whole, or has not."""
    finding = Finding(
        state=State.MATCHED,
        subject=funding.reference,
        reference=funding.reference,
        ours_rupiah=funding.amount_rupiah,
        theirs_rupiah=sum(each.amount_rupiah for each in lines) if lines else None,
        since_on=funding.came_on or funding.announced_on,
        lines=tuple(lines),
    )
    if not lines:
        is_due = funding.came_on is not None and covered_until is not None and covered_until >= funding.came_on
        return replace(finding, state=State.MISSING_THERE if is_due else State.UNDER_WAY, detail="Nothing came.")
    odd = replace(finding, since_on=lines[0].booked_on)
    if any(each.amount_rupiah != funding.amount_rupiah for each in lines):
        return replace(odd, state=State.AMOUNT_DIFFERS, detail="Another sum came.")
    if len(lines) > 1:
        return replace(odd, state=State.MORE_THAN_ONCE, detail=f"It came {len(lines)} times.")
    if funding.came_on is None and is_closed:
        return replace(odd, state=State.AFTER_THE_CLOSE, detail="The programme is closed: the books do not follow.")
    return replace(finding, steps=() if funding.came_on else (Step.FUND,))


def _of_line(line: StatementLine, missing: Sequence[Payout], proposal_days: int) -> Finding:
    """It is about nothing that we know; a payout that it may be about is named, and nothing more."""
    candidates = sorted(_candidates(line, missing, proposal_days))
    return Finding(
        state=State.MISSING_HERE,
        subject=line.identity.hex(),
        reference=line.reference or line.bank_reference,
        ours_rupiah=None,
        theirs_rupiah=line.amount_rupiah,
        since_on=line.booked_on,
        lines=(line,),
        proposal=candidates[0] if len(candidates) == 1 else None,
        detail="Several payouts may be meant." if len(candidates) > 1 else "",
    )


def _candidates(line: StatementLine, missing: Sequence[Payout], proposal_days: int) -> Iterator[str]:
    numbers = set(re.findall(r"[0-9]+", line.description))
    for each in missing:
        days = abs((line.booked_on - each.created_on).days)
        if abs(line.amount_rupiah) == each.amount_rupiah and each.account_number in numbers and days <= proposal_days:
            yield each.reference
