"""`authz signals`: what was found and what becomes of it, how each is set, and what a setting would have done."""

import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
import typer

from authz_service.clock import clock_from
from authz_service.commands.place import Actor, Named, Office, console, done_in, now_of, say, shown
from authz_service.commands.tables import print_table
from authz_service.settings import Settings
from authz_service.signals.backtest import backtest
from authz_service.signals.kinds import Action, Signal
from authz_service.signals.reading import zone_of
from authz_service.signals.rules import RuleRefused, rules_of, set_rule, set_watch, watch_of
from authz_service.signals.standing import (
    AboutPurchase,
    Finding,
    Standing,
    confirm,
    dismiss,
    findings,
    in_words,
    one_finding,
)
from authz_service.signals.thresholds import changed_from_default, thresholds_of
from authz_service.signals.watching import alone_at, compute_day
from authz_service.vocabulary import ProgrammeId, in_rupiah, several

signals: Final = typer.Typer(no_args_is_help=True, help="Signals of misuse: found, judged, set, and tried on the past.")
FindingNamed = Annotated[str, typer.Argument(metavar="FINDING", help="sig_…")]
Reason = Annotated[str, typer.Option(help="Why; it is kept for good, so nothing personal.")]
SetTo = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=NUMBER", help="A threshold; may be given several times.")
]
_DAY: Final = ["%Y-%m-%d"]


@signals.command("list")
def list_command(
    *,
    standing: Annotated[Standing | None, typer.Option(help="Only those that are so.")] = None,
    signal: Annotated[Signal | None, typer.Option(help="Only of this signal.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    programme_id: Named = None,
) -> None:
    """What was found, the newest day first."""

    async def work(connection: Office, _: Settings, chosen: ProgrammeId) -> None:
        found = await findings(connection, chosen, standing=standing, signal=signal, limit=limit)
        print_table(console, _LISTED, map(_listed, found), nothing="Nothing was found.")

    done_in(programme_id, work)


@signals.command("show")
def show_command(finding: FindingNamed, *, programme_id: Named = None) -> None:
    """One of them: what was seen, in both languages, its evidence, its purchases, and who has said what of it."""

    async def work(connection: Office, _: Settings, chosen: ProgrammeId) -> None:
        found, purchases = await one_finding(connection, chosen, finding)
        zone = await zone_of(connection, chosen)
        say(f"{found.finding_id} {found.signal}, score {found.score}, {found.action}: {found.standing}")
        say(found.signal.indonesian)
        say(found.signal.english)
        say(f"{found.day}, {_on_what(found)}: {in_words(found.evidence)}")
        for sentence in _said(found, zone):
            say(sentence)
        rows = [_purchase(each, zone) for each in purchases]
        print_table(console, _PURCHASES, rows, nothing="It is about no purchase.")

    done_in(programme_id, work)


@signals.command("dismiss")
def dismiss_command(finding: FindingNamed, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """It was honest: nothing is declined for it any more, and what was held for it alone is in the next batch."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        released = await dismiss(connection, settings, chosen, finding, reason=reason, actor=actor, **_how(settings))
        say(f"{finding} is dismissed; {several(len(released), 'purchase')} released for the next batch.")

    done_in(programme_id, work)


@signals.command("confirm")
def confirm_command(finding: FindingNamed, *, reason: Reason, actor: Actor, programme_id: Named = None) -> None:
    """It was misuse. The first who says so accuses; it is confirmed when somebody else says so too."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        standing = await confirm(connection, settings, chosen, finding, reason=reason, actor=actor, **_how(settings))
        waits = "it needs somebody else to confirm it too" if standing is Standing.OPEN else "what is held stays held"
        say(f"{finding} is {standing}: {waits}.")

    done_in(programme_id, work)


@signals.command("rules")
def rules_command(*, programme_id: Named = None) -> None:
    """How each signal is set; thresholds with a star differ from the default."""

    async def work(connection: Office, _: Settings, chosen: ProgrammeId) -> None:
        watch, rules = await watch_of(connection, chosen), await rules_of(connection, chosen)
        say(
            f"A settlement is held from score {watch.hold_score} on; nights are computed at {watch.nightly_at:%H:%M}"
            f" of the day after, the last one of {watch.nights_through or 'no day yet'}."
        )
        rows = []
        for signal, rule in rules.items():
            changed = changed_from_default(signal, rule.thresholds)
            told = ", ".join(
                f"{name}{'*' if name in changed else ''} {value}"
                for name, value in msgspec.structs.asdict(rule.thresholds).items()
            )
            rows.append((signal, rule.action if rule.enabled else "off", told))
        print_table(console, ("signal", "action", "thresholds"), rows, nothing="")

    done_in(programme_id, work)


@signals.command("set")
def set_command(
    signal: Annotated[Signal | None, typer.Argument(help="None: what all signals have together.")] = None,
    *,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether it is looked for.")] = None,
    action: Annotated[Action | None, typer.Option(help="What follows; decline needs a backtest of late.")] = None,
    set_to: SetTo = None,
    hold_score: Annotated[int | None, typer.Option(min=1, max=100, help="Of all signals together.")] = None,
    nightly_at: Annotated[datetime | None, typer.Option(formats=["%H:%M"], help="The hour of the nights.")] = None,
    reason: Reason,
    actor: Actor,
    programme_id: Named = None,
) -> None:
    """Sets a signal of a programme from now on: on or off, what follows, thresholds."""

    of_all, of_one = (hold_score, nightly_at), (enabled, action, set_to)

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        if signal is None and any(each is not None for each in of_one):
            raise RuleRefused("Name the signal: --on, --off, --action and --set are of one.")
        if signal is not None and any(each is not None for each in of_all):
            raise RuleRefused("Name no signal: --hold-score and --nightly-at are of all together.")
        if all(each is None for each in (*of_all, *of_one)):
            raise RuleRefused("Say what is to be set.")
        if signal is None:
            at = nightly_at.time() if nightly_at is not None else None
            how = {"hold_score": hold_score, "nightly_at": at, "reason": reason, "actor": actor} | _how(settings)
            watch = await set_watch(connection, settings, chosen, **how)
            return say(f"Held from score {watch.hold_score} on; nights at {watch.nightly_at:%H:%M}.")
        rule, rests_on = await set_rule(
            connection,
            settings,
            chosen,
            signal,
            enabled=enabled,
            action=action,
            thresholds=numbers(set_to),
            reason=reason,
            actor=actor,
            **_how(settings),
        )
        if rests_on is not None:
            say(f"Backtest of {rests_on.from_on} to {rests_on.to_on}: {_figures(rests_on.figures)}")
        say(f"{signal}: {rule.action if rule.enabled else 'off'}.")

    done_in(programme_id, work)


@signals.command("nightly")
def nightly_command(
    *,
    day: Annotated[datetime, typer.Option(formats=_DAY, help="2024-12-31, in the programme's zone.")],
    programme_id: Named = None,
) -> None:
    """Computes all signals of a day, as the service does in the night after; a second time it changes nothing."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        async with alone_at(connection, chosen) as is_alone:
            if not is_alone:
                raise RuleRefused("Another process is computing signals of this programme: try again in a minute.")
            kept = await compute_day(connection, settings, chosen, day.date(), **_how(settings))
        say(
            f"{day:%Y-%m-%d}: {several(len(kept.findings), 'finding')} new or larger;"
            f" settlement held of {several(len(kept.held), 'purchase')}."
        )

    done_in(programme_id, work)


@signals.command("backtest")
def backtest_command(
    *,
    signal: Annotated[Signal, typer.Option(help="One of them.")],
    from_day: Annotated[datetime, typer.Option("--from", formats=_DAY, help="The first day.")],
    to_day: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="The last day; else yesterday.")] = None,
    set_to: SetTo = None,
    actor: Actor,
    programme_id: Named = None,
) -> None:
    """What the signal would have touched in the stored history under these thresholds. Changes nothing, and is kept."""

    async def work(connection: Office, settings: Settings, chosen: ProgrammeId) -> None:
        now = await now_of(connection, settings)
        today = now.astimezone(await zone_of(connection, chosen)).date()
        last = to_day.date() if to_day is not None else date.fromordinal(today.toordinal() - 1)
        if from_day.date() > last:
            raise RuleRefused("The first day is after the last one.")
        set_as = (await rules_of(connection, chosen))[signal].thresholds
        thresholds = thresholds_of(signal, changed_from_default(signal, set_as) | numbers(set_to))
        done = await backtest(
            connection, settings, chosen, signal, thresholds, from_day.date(), last, actor=actor, **_how(settings)
        )
        how = in_words(msgspec.structs.asdict(thresholds))
        say(f"{done.backtest_id} {signal} from {done.from_on} to {done.to_on}: {how}")
        say(_figures(done.figures))

    done_in(programme_id, work)


def numbers(set_to: Sequence[str] | None) -> dict[str, int]:
    """`at_least=10` and so on."""
    thresholds = {}
    for each in set_to or ():
        name, _, number = each.partition("=")
        if not number.strip().isascii() or not number.strip().isdigit():
            raise RuleRefused(f"Say a threshold as name=number, not {each!r}.")
        thresholds[name.strip().replace("-", "_")] = int(number)
    return thresholds


def _how(settings: Settings) -> Any:
    return {"clock": clock_from(settings.clock_offset_file), "chance": os.urandom}


def _figures(figures: Mapping[str, int]) -> str:
    return (
        f"{several(figures['findings'], 'finding')} ({figures['strong_findings']} strong enough alone) about"
        f" {several(figures['purchases'], 'purchase')} of {several(figures['families'], 'family', 'families')} at"
        f" {several(figures['shops'], 'shop')}, {in_rupiah(figures['rupiah'])}; held"
        f" {several(figures['held_purchases'], 'purchase')}, {in_rupiah(figures['held_rupiah'])}; would decline"
        f" {several(figures['declined_purchases'], 'purchase')} of"
        f" {several(figures['declined_families'], 'family', 'families')}, {in_rupiah(figures['declined_rupiah'])}."
    )


_LISTED: Final = ("finding", "day", "signal", "score", "on", "purchases", "action", "standing")


def _listed(each: Finding) -> tuple[str, ...]:
    return (
        each.finding_id,
        each.day.isoformat(),
        each.signal,
        str(each.score),
        _on_what(each),
        str(each.purchases),
        each.action,
        each.standing if each.accused_by is None or each.standing is not Standing.OPEN else "accused",
    )


def _on_what(each: Finding) -> str:
    companion = each.evidence.get("companion")
    who = f"{companion} " if companion else ""
    return f"{who}{each.shop or ''} ({each.subject_kind} {each.subject_id})".strip()


def _said(found: Finding, zone: ZoneInfo) -> list[str]:
    said = [f"Found {shown(found.found_at, zone)}."]
    if found.accused_by is not None:
        said.append(f"{found.accused_by} says it is misuse: {found.accused_because}")
    if found.closed_by is not None:
        said.append(f"{found.standing} {shown(found.closed_at, zone)} by {found.closed_by}: {found.closed_because}")
    return said


_PURCHASES: Final = ("purchase", "at", "family", "came out", "amount", "settlement")


def _purchase(each: AboutPurchase, zone: ZoneInfo) -> tuple[str, ...]:
    waits = "released" if each.released_at is not None else f"held by {each.flagged_by}"
    return (
        each.authorisation_id,
        shown(each.created_at, zone),
        each.beneficiary_id or "",
        each.reason,
        in_rupiah(each.approved_rupiah),
        waits if each.flagged_by is not None else "",
    )
