"""The catalogue of words: both languages have every word, every word is used, and every state has one."""

import re
from pathlib import Path
from string import Formatter

import pytest

from authz_service.console.drawing import HERE, STATIC
from authz_service.console.menu import MENU
from authz_service.console.pages.books import ACCOUNTS
from authz_service.console.pages.families import REASONS
from authz_service.console.pages.home import WAIT
from authz_service.console.pages.roll import STANDINGS
from authz_service.console.pages.signals import EVIDENCE
from authz_service.console.permissions import PERMITTED
from authz_service.console.words import CATALOGUES, LANGUAGES, WORDS
from authz_service.declines import DeclineReason
from authz_service.explanation.checks import Outcome
from authz_service.ledger.sealed_rows import CHAINS
from authz_service.people import Role
from authz_service.reconciliation.findings import State
from authz_service.reconciliation.outcomes import Outcome as Became
from authz_service.roll.orders import ChangeKind
from authz_service.settlement.positions import Carried
from authz_service.settlement.reading import PayoutState
from authz_service.signals.kinds import Action, Subject
from authz_service.signals.standing import Standing
from authz_service.vocabulary import BeneficiaryStatus, CardStatus, HoldStatus, MerchantStatus
from authz_service.vouchers import VoucherStatus

DEEDS = ("block", "unblock", "activate", "lost", "stolen", "suspend", "resume", "replace")
ORDERS = (
    *("shops.suspend", "shops.resume", "terminals.suspend", "terminals.resume"),
    *("vouchers.approve", "vouchers.reject", "vouchers.revoke", "settlement.release", "settlement.unwait"),
    *("settlement.account", "inbox.resolve", "inbox.approve", "exceptions.resolve", "exceptions.approve"),
    *("signals.dismiss", "signals.accuse", "signals.confirm", "roll.approve", "roll.withdraw"),
)
SAID = (
    *("shop_suspend", "shop_resume", "terminal_suspend", "terminal_resume", "voucher_approved", "voucher_rejected"),
    *("voucher_revoked", "payout_released", "purchase_freed", "account_approved", "notice_resolved"),
    *("notice_approved", "exception_resolved", "exception_approved", "finding_dismissed", "finding_accused"),
    *("finding_confirmed", "list_approved", "list_withdrawn"),
)
BUILT = {
    *(f"role.{each}" for each in Role),
    *(f"language.{each}" for each in LANGUAGES),
    *(item.word for item in MENU),
    *(f"family.status.{each}" for each in BeneficiaryStatus),
    *(f"cards.status.{each}" for each in CardStatus),
    *(f"purchases.status.{each}" for each in HoldStatus),
    *(f"vouchers.status.{each}" for each in VoucherStatus),
    *(f"changes.kind.{each}" for each in ChangeKind),
    *(f"reason.{each}" for each in DeclineReason),
    *(f"why.outcome.{each}" for each in Outcome),
    *(f"look.{each}" for each in REASONS),
    *("why.approved", "why.declined", "said.session_over", "said.signed_out", "said.password_changed"),
    *(f"{kind}.{deed}" for deed in DEEDS for kind in ("deed", "will", "said")),
    *(f"deed.{deed}.title" for deed in DEEDS),
    *(f"{order}{part}" for order in ORDERS for part in ("", ".title", ".will")),
    *(f"said.{each}" for each in SAID),
    *(f"shops.{each}" for each in (*MerchantStatus, "unbound")),
    *(f"books.{each}" for each in ACCOUNTS),
    *(f"books.chain.{each}" for each in CHAINS),
    *(f"books.age.{each}" for each in ("seconds", "minutes", "hours", "days")),
    *(f"inbox.standing.{each}" for each in ("new", "followed", "parked", "resolved")),
    *(f"settlement.state.{each}" for each in PayoutState),
    *(f"settlement.carried_because.{each}" for each in Carried),
    *(f"exceptions.kind.{each}" for each in State if each not in {State.MATCHED, State.UNDER_WAY}),
    *(f"exceptions.outcome.{each}" for each in Became),
    *(f"home.waits.{path.removeprefix('/')}" for path in WAIT),
    *(f"signals.evidence.{each}" for each in EVIDENCE),
    *(f"roll.standing.{each}" for each in STANDINGS.values()),
    *(f"signals.subject.{each}" for each in Subject),
    *(f"signals.action.{each}" for each in Action),
    *(f"signals.standing.{each}" for each in Standing),
}
"""Words whose key is put together from a state or a name."""


def _sources() -> str:
    files = [*HERE.rglob("*.html"), *(each for each in HERE.rglob("*.py") if "words" not in each.parts)]
    return "\n".join(each.read_text(encoding="utf-8") for each in files)


def test_no_word_is_written_twice() -> None:
    assert sum(map(len, CATALOGUES)) == len(WORDS)


@pytest.mark.parametrize("key", WORDS)
def test_each_word_is_there_in_both_languages_with_the_same_gaps(key: str) -> None:
    indonesian, english = WORDS[key]
    assert indonesian.strip()
    assert english.strip()
    gaps = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (indonesian, english)]
    assert gaps[0] == gaps[1]


def test_every_word_that_a_page_asks_for_is_there_and_every_word_that_is_there_is_asked_for() -> None:
    quoted = set(re.findall(r"['\"]([a-z_]+(?:\.[a-z_]+)*)['\"]", _sources()))
    assert not BUILT - WORDS.keys()
    assert not WORDS.keys() - quoted - BUILT
    asked = set(re.findall(r"\bt\(['\"]([a-z_.]+)['\"][,)]", _sources()))
    assert not asked - WORDS.keys()


def test_no_page_has_a_script_a_style_or_anything_from_elsewhere() -> None:
    for each in HERE.rglob("*.html"):
        text = each.read_text(encoding="utf-8")
        assert not re.search(r"<script|style=|\son[a-z]+=|https?://|javascript:", text), each.name


def test_the_files_are_small() -> None:
    assert set(STATIC) == {each.name for each in Path(HERE / "static").iterdir()}
    assert (HERE / "static" / "console.css").stat().st_size < 15_000


def test_each_line_of_the_menu_is_an_address_that_somebody_may_open() -> None:
    assert all(PERMITTED[f"GET {item.path}"] for item in MENU)
