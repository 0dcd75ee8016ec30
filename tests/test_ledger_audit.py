"""The books that the service writes keep every invariant, and one forged row is enough to break each of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import StringIO
from os import urandom
from typing import Any, Final

import asyncpg
import pytest
from msgspec.structs import replace
from rich.console import Console

from authz_service.clock import month_of
from authz_service.database import Connection
from authz_service.enrolment.enrol import enrol
from authz_service.keys import Keys
from authz_service.ledger.audit import Finding, check, check_since, expired_unwritten, render, summary
from authz_service.ledger.book import AllowanceUse, FamilyRecord, Snapshot, record
from authz_service.ledger.invariants import INVARIANTS
from authz_service.ledger.invariants.given import DIRECTIONS, FAMILY, Reach
from authz_service.ledger.invariants.settlement import SETTLEMENT
from authz_service.ledger.invariants.statements import STATEMENTS
from authz_service.ledger.postings import EFFECT_ON_WALLET, Parties, Transfer, effect_on_wallet, of_hold
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.settlement.waits import wait
from authz_service.vocabulary import (
    AccountId,
    AuthorisationId,
    BeneficiaryId,
    Cause,
    HoldStatus,
    MerchantId,
    ProgrammeId,
    TransferId,
    TransferKind,
)
from authz_service.vouching import vouch
from tests.conftest import Cluster, EnrolledTemplate, _database
from tests.operators import Operator, a_newcomer
from tests.reconciling import reconciled
from tests.settling import batch_closed, instructions, said
from tests.world import A_MORNING, PROGRAMME, WITA, Reply, World, running

THE_NEXT_DAY: Final = A_MORNING + timedelta(hours=25)


@dataclass(frozen=True, slots=True)
class HonestBooks:
    """A database in which one of everything has happened, to copy; and the time at its end."""

    database: str
    now: datetime


@pytest.fixture(scope="session")
async def honest(
    cluster: Cluster, enrolled: EnrolledTemplate, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HonestBooks]:
    async for url in _database(cluster, f"TEMPLATE {enrolled.database}"):
        directory = tmp_path_factory.mktemp("honest")
        async with running(url, cluster.servers.redis_url, directory, enrolled.tills) as world:
            await _one_of_everything(world)
            database, now = await world.database.fetchval("SELECT current_database()"), world.now
        yield HonestBooks(database, now)


@pytest.fixture
async def books(cluster: Cluster, honest: HonestBooks) -> AsyncIterator[Connection]:
    async for url in _database(cluster, f"TEMPLATE {honest.database}"):
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


async def test_what_the_service_writes_keeps_every_invariant(books: Connection, honest: HonestBooks) -> None:
    findings = await check(books, PROGRAMME, now=honest.now)
    assert [finding.invariant for finding in findings] == list(INVARIANTS)
    assert _broken(findings) == {}


async def test_the_honest_books_have_one_of_everything(books: Connection) -> None:
    """Else a query could keep silent because it has nothing to read."""
    kinds = await books.fetch("SELECT DISTINCT kind FROM transfer")
    states = await books.fetch("SELECT DISTINCT status FROM hold")
    assert {row[0] for row in kinds} == set(TransferKind)
    assert {row[0] for row in states} == set(HoldStatus) - {HoldStatus.DECLINED, HoldStatus.REVERSED}
    for table in ("voucher_movement", "allowance", "request_key", "family_change"):
        assert await books.fetchval(f"SELECT count(*) FROM {table}"), table
    assert await books.fetchval("SELECT count(*) FROM authorisation WHERE reason <> 'approved' AND card_id IS NULL")
    assert await books.fetchval("SELECT count(*) FROM authorisation WHERE reason <> 'approved' AND card_id IS NOT NULL")


A_POST: Final = "transfer_id = (SELECT min(transfer_id) FROM transfer WHERE kind = 'post')"
A_VOID: Final = "transfer_id = (SELECT min(transfer_id) FROM transfer WHERE cause = 'void')"
THE_GRANT: Final = "kind = 'grant' AND credit_account_id = (SELECT min(beneficiary_id) FROM hold)"
A_FAMILY: Final = "beneficiary_id = (SELECT min(beneficiary_id) FROM hold)"
BOUGHT: Final = "authorisation_id = (SELECT min(authorisation_id) FROM hold WHERE captured_rupiah > refunded_rupiah)"
APPROVED: Final = "authorisation_id = (SELECT min(authorisation_id) FROM authorisation WHERE reason = 'approved')"
A_MOVEMENT: Final = "ctid = (SELECT min(ctid) FROM voucher_movement)"
DECLINED: Final = "authorisation_id = (SELECT min(authorisation_id) FROM authorisation WHERE reason <> 'approved')"
THE_ENTRANT: Final = "(SELECT beneficiary_id FROM family_change WHERE kind = 'enter')"
ANOTHER_FAMILY: Final = "(SELECT max(beneficiary_id) FROM wallet)"
A_QUIET_FAMILY: Final = "(SELECT min(beneficiary_id) FROM wallet WHERE version = 1 AND spent_rupiah + held_rupiah = 0)"
ANOTHER_SHOP: Final = "(SELECT max(merchant_id) FROM merchant)"
AN_ITEM: Final = "transfer_id = (SELECT min(transfer_id) FROM settlement_item WHERE amount_rupiah > 0)"
A_HOLDS_TRANSFER: Final = "(SELECT min(transfer_id) FROM transfer WHERE kind = 'hold')"
AN_INSTRUCTION: Final = "instruction_id = (SELECT min(instruction_id) FROM payout_instruction)"
A_PAID_SHOP: Final = "(SELECT min(merchant_id) FROM payout_instruction)"
ONCE_MORE: Final = """
    INSERT INTO transfer SELECT programme_id, 'trf_again', kind, cause, debit_account_id, credit_account_id,
                                amount_rupiah, authorisation_id, reason, created_at FROM transfer WHERE"""
_SAYING: Final = (
    "UPDATE authorisation SET answer = convert_to(replace(convert_from(answer, 'UTF8'), {said}), 'UTF8') WHERE "
)
"""An answer holds backslashes (its receipt's line ends), which a cast to bytea would read."""

FORGERIES: Final = {
    "debits_equal_credits": (
        "DELETE FROM account WHERE account_id = (SELECT min(credit_account_id) FROM transfer WHERE kind = 'post')",
    ),
    "funded_is_accounted_for": (
        f"UPDATE wallet SET available_rupiah = available_rupiah + 1 WHERE {A_FAMILY}",
        "UPDATE transfer SET kind = 'payout' WHERE kind = 'payout_settled'",
    ),
    "granted_is_in_the_wallets": (
        f"UPDATE wallet SET spent_rupiah = spent_rupiah + 1 WHERE {A_FAMILY}",
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'return'",
    ),
    "own_accounts_are_covered": (
        "UPDATE transfer SET amount_rupiah = amount_rupiah - 3000000 WHERE kind = 'fund'",
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 100000 WHERE kind = 'payout_settled'",
    ),
    "own_accounts_are_there": (
        "DELETE FROM account WHERE account_id = 'sponsor'",
        "INSERT INTO account VALUES ('samarinda-2024', 'petty_cash', 'fund')",
        "UPDATE account SET kind = 'merchant' WHERE account_id = 'clearing'",
    ),
    "transfers_go_the_right_way": (
        (
            "UPDATE transfer SET debit_account_id = credit_account_id, credit_account_id = debit_account_id"
            f" WHERE {A_POST}"
        ),
        "UPDATE transfer SET credit_account_id = 'sponsor' WHERE kind = 'fund'",
    ),
    "transfers_are_dated": (
        f"UPDATE transfer SET created_at = created_at + interval '1 year' WHERE {A_POST}",
        f"ALTER TABLE transfer ALTER recorded_at DROP NOT NULL;UPDATE transfer SET recorded_at = NULL WHERE {A_POST}",
    ),
    "families_have_a_wallet_and_an_account": (
        f"DELETE FROM wallet WHERE {A_FAMILY}",
        f"DELETE FROM beneficiary WHERE {A_FAMILY}",
        "DELETE FROM account WHERE account_id = (SELECT min(beneficiary_id) FROM hold)",
    ),
    "shops_have_an_account": (
        f"DELETE FROM account WHERE account_id = {ANOTHER_SHOP}",
        "INSERT INTO account VALUES ('samarinda-2024', 'mrc_nobody', 'merchant')",
    ),
    "wallets_equal_their_transfers": (
        f"UPDATE wallet SET available_rupiah = available_rupiah - 1, spent_rupiah = spent_rupiah + 1 WHERE {A_FAMILY}",
        f"UPDATE wallet SET available_rupiah = available_rupiah - 1, held_rupiah = held_rupiah + 1 WHERE {A_FAMILY}",
        f"UPDATE transfer SET kind = 'release' WHERE {A_POST}",
    ),
    "wallets_equal_their_holds": (
        f"UPDATE hold SET captured_rupiah = captured_rupiah - 1 WHERE {BOUGHT}",
        "UPDATE hold SET held_rupiah = held_rupiah - 1 WHERE held_rupiah > 0",
    ),
    "families_stay_within_their_grants": (
        f"UPDATE transfer SET amount_rupiah = 1 WHERE {THE_GRANT}",
        f"DELETE FROM transfer WHERE {THE_GRANT}",
    ),
    "families_have_a_companion_and_a_district": (
        f"UPDATE beneficiary SET companion_id = 'cmp_nobody' WHERE {A_FAMILY}",
        f"UPDATE beneficiary SET district_code = '00.00.00' WHERE {A_FAMILY}",
    ),
    "cards_have_a_family": (f"UPDATE card SET beneficiary_id = 'ben_nobody' WHERE {A_FAMILY}",),
    "families_have_one_grant": (
        f"DELETE FROM transfer WHERE {THE_GRANT}",
        f"{ONCE_MORE} {THE_GRANT}",
        f"UPDATE transfer SET amount_rupiah = 1 WHERE kind = 'grant' AND credit_account_id = {THE_ENTRANT}",
        f"DELETE FROM transfer WHERE kind = 'grant' AND credit_account_id = {THE_ENTRANT}",
    ),
    "removed_families_keep_nothing": (
        (
            "UPDATE wallet SET available_rupiah = 1 WHERE beneficiary_id IN"
            " (SELECT beneficiary_id FROM family_change WHERE kind = 'remove')"
        ),
        (
            "UPDATE beneficiary SET status = 'removed' WHERE beneficiary_id ="
            " (SELECT max(beneficiary_id) FROM wallet WHERE held_rupiah = 0 AND available_rupiah > 0)"
        ),
    ),
    "removals_are_final": (
        "UPDATE beneficiary SET next_status = 'active', next_status_at = '2030-01-01' WHERE status = 'removed'",
    ),
    "merged_families_are_removed_and_survived": (
        "UPDATE beneficiary SET status = 'active' WHERE merged_into IS NOT NULL",
        "UPDATE beneficiary SET merged_into = 'ben_nobody' WHERE merged_into IS NOT NULL",
        (
            f"UPDATE beneficiary SET merged_into = {THE_ENTRANT} WHERE beneficiary_id ="
            " (SELECT merged_into FROM beneficiary WHERE merged_into IS NOT NULL)"
        ),
        (
            "UPDATE beneficiary SET status = 'suspended', next_status = 'active', next_status_at = '2030-01-01'"
            " WHERE merged_into IS NOT NULL"
        ),
    ),
    "changes_have_a_family": (
        "UPDATE family_change SET beneficiary_id = 'ben_nobody' WHERE kind = 'remove'",
        "UPDATE family_change SET recorded_at = '2030-01-01' WHERE kind = 'remove'",
    ),
    "holds_equal_their_transfers": (
        f"UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE {A_POST}",
        f"UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE {A_VOID}",
        "UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'refund'",
        f"UPDATE transfer SET amount_rupiah = amount_rupiah + 1 WHERE kind = 'hold' AND {BOUGHT}",
        f"DELETE FROM transfer WHERE kind = 'hold' AND {BOUGHT}",
        f"{ONCE_MORE} kind = 'hold' AND {BOUGHT}",
    ),
    "hold_status_agrees_with_the_amounts": (
        f"UPDATE hold SET status = 'voided' WHERE {BOUGHT}",
        f"UPDATE hold SET status = 'reversed' WHERE {BOUGHT}",
        "UPDATE hold SET status = 'partly_captured' WHERE status = 'held'",
        "UPDATE hold SET status = 'held' WHERE status = 'partly_captured'",
        "UPDATE hold SET status = 'captured' WHERE status = 'voided'",
    ),
    "holds_are_closed_once": (
        f"{ONCE_MORE} {A_VOID}",
        f"{ONCE_MORE} kind = 'hold' AND {BOUGHT}; UPDATE transfer SET kind = 'release' WHERE transfer_id = 'trf_again'",
        "UPDATE hold SET status = 'expired' WHERE status = 'voided'",
        "UPDATE transfer SET cause = 'authorise' WHERE kind = 'release'",
    ),
    "holds_last_until_they_end": (
        f"UPDATE transfer SET created_at = created_at + interval '1 day' WHERE {A_POST}",
        f"UPDATE transfer SET created_at = created_at - interval '1 day' WHERE {A_VOID}",
        "UPDATE transfer SET created_at = created_at + interval '1 second' WHERE cause = 'expire'",
        "UPDATE transfer SET created_at = created_at - interval '2 days' WHERE kind = 'refund'",
        "UPDATE transfer SET created_at = created_at + interval '1 second' WHERE kind = 'hold'",
    ),
    "holds_are_between_their_parties": (
        f"UPDATE hold SET merchant_id = {ANOTHER_SHOP} WHERE {BOUGHT}",
        f"UPDATE transfer SET credit_account_id = {ANOTHER_FAMILY} WHERE kind = 'refund'",
    ),
    "packages_are_used_as_long_as_something_is_bought": (
        f"UPDATE hold SET packages = 0 WHERE {BOUGHT}",
        "UPDATE hold SET packages = 0 WHERE status = 'held'",
        "UPDATE hold SET packages = 1 WHERE status = 'voided'",
        "UPDATE hold SET packages = 1 WHERE captured_rupiah > 0 AND captured_rupiah = refunded_rupiah",
    ),
    "holds_have_a_family_and_a_shop": (
        f"UPDATE hold SET merchant_id = 'mrc_nobody' WHERE {BOUGHT}",
        f"UPDATE hold SET beneficiary_id = 'ben_nobody' WHERE {BOUGHT}",
    ),
    "transfers_have_their_accounts": (
        f"UPDATE transfer SET credit_account_id = 'mrc_nobody' WHERE {A_POST}",
        f"UPDATE transfer SET debit_account_id = 'ben_nobody' WHERE {A_POST}",
    ),
    "transfers_have_their_hold": (f"UPDATE transfer SET authorisation_id = 'auth_nobody' WHERE {A_POST}",),
    "months_with_purchases_have_an_allowance": (f"DELETE FROM allowance WHERE {A_FAMILY}",),
    "allowances_equal_their_purchases": (
        f"UPDATE allowance SET used_rupiah = used_rupiah + 1 WHERE {A_FAMILY}",
        f"UPDATE allowance SET packages_used = packages_used + 1 WHERE {A_FAMILY}",
        f"INSERT INTO allowance VALUES ('samarinda-2024', {ANOTHER_FAMILY}, '2024-12-01', 600000, 2, 1, 0, 0, 0)",
    ),
    "allowances_equal_what_vouchers_cover": (
        "UPDATE voucher_movement SET used_rupiah = used_rupiah - 1 WHERE used_rupiah > 0",
        "UPDATE allowance SET covered_packages = covered_packages + 1 WHERE covered_packages > 0",
    ),
    "months_stay_within_their_caps": (
        (
            "ALTER TABLE allowance DROP CONSTRAINT allowance_used_is_within_the_cap;"
            f"UPDATE allowance SET cap_rupiah = 1 WHERE {A_FAMILY}"
        ),
        (
            "ALTER TABLE allowance DROP CONSTRAINT allowance_packages_are_within_the_cap;"
            f"UPDATE allowance SET packages_cap = -1 WHERE {A_FAMILY}"
        ),
    ),
    "allowances_have_a_family": (
        "INSERT INTO allowance VALUES ('samarinda-2024', 'ben_nobody', '2024-10-01', 600000, 2, 0, 0, 0, 0)",
    ),
    "vouchers_equal_their_uses": (
        "UPDATE voucher SET used_rupiah = used_rupiah - 1 WHERE used_rupiah > 0",
        "UPDATE voucher SET packages_used = packages_used - 1 WHERE packages_used > 0",
    ),
    "vouchers_are_never_exceeded": (
        "UPDATE voucher_movement SET used_rupiah = 200001 WHERE used_rupiah > 0",
        "UPDATE voucher_movement SET packages_used = 3 WHERE used_rupiah > 0",
    ),
    "vouchers_serve_their_own_month": (
        "UPDATE voucher SET month = '2024-11-01'",
        f"UPDATE voucher SET beneficiary_id = {ANOTHER_FAMILY}",
    ),
    "vouchers_cover_no_more_than_was_bought": (
        "UPDATE voucher_movement SET used_rupiah = 120001 WHERE used_rupiah > 0",
    ),
    "vouchers_get_back_no_more_than_they_gave": (
        "UPDATE voucher_movement SET used_rupiah = -used_rupiah, packages_used = -packages_used",
    ),
    "vouchers_cover_nothing_before_they_are_approved": (
        "UPDATE voucher SET approved_at = NULL",
        "UPDATE voucher SET approved_at = '2030-01-01'",
    ),
    "voucher_movements_have_their_transfer_and_voucher": (
        f"UPDATE voucher_movement SET voucher_id = 'vch_nobody' WHERE {A_MOVEMENT}",
        f"UPDATE voucher_movement SET transfer_id = 'trf_nobody' WHERE {A_MOVEMENT}",
        "UPDATE voucher_movement SET authorisation_id = 'auth_nobody' WHERE used_rupiah > 0",
    ),
    "vouchers_have_a_family_and_a_companion": (
        "UPDATE voucher SET companion_id = 'cmp_nobody'",
        "UPDATE voucher SET beneficiary_id = 'ben_nobody'",
    ),
    "approvals_have_a_hold": (
        f"DELETE FROM hold WHERE {BOUGHT}",
        f"DELETE FROM authorisation WHERE {BOUGHT}",
        f"UPDATE authorisation SET reason = 'card_blocked', approved_rupiah = 0 WHERE {BOUGHT}",
        f"UPDATE authorisation SET approved_rupiah = approved_rupiah - 1 WHERE {BOUGHT}",
        f"UPDATE hold SET month = '2024-11-01' WHERE {BOUGHT}",
        f"UPDATE hold SET merchant_id = {ANOTHER_SHOP} WHERE {BOUGHT}",
        f"UPDATE authorisation SET beneficiary_id = NULL WHERE {BOUGHT}",
    ),
    "approvals_are_within_a_package": (
        f"UPDATE authorisation SET journal = jsonb_set(journal, '{{facts,package}}', '1') WHERE {APPROVED}",
    ),
    "approvals_are_within_the_programme": (
        f"UPDATE authorisation SET created_at = '2024-12-31T16:00:00Z' WHERE {APPROVED}",
        f"UPDATE authorisation SET created_at = '2024-09-30T15:59:59Z' WHERE {APPROVED}",
    ),
    "decisions_are_of_their_month": (
        f"UPDATE authorisation SET month = '2024-11-01' WHERE {DECLINED}",
        f"UPDATE authorisation SET created_at = '2024-10-31T16:00:00Z' WHERE {APPROVED}",
    ),
    "decisions_are_past": (f"UPDATE authorisation SET created_at = '2024-10-09T00:00:00Z' WHERE {DECLINED}",),
    "decisions_have_their_key": (
        f"DELETE FROM request_key WHERE {DECLINED}",
        f"UPDATE request_key SET status = 200 WHERE {DECLINED}",
        f"UPDATE request_key SET principal_id = 'trm_nobody' WHERE {DECLINED}",
        f"UPDATE request_key SET created_at = created_at - interval '1 second' WHERE {DECLINED}",
        (
            "INSERT INTO request_key SELECT programme_id, principal_id, 'another key', key_id, fingerprint, '999999',"
            f" terminal_time, authorisation_id, status, answer, NULL, created_at FROM request_key WHERE {DECLINED}"
        ),
    ),
    "decisions_agree_with_their_answer": (
        f"UPDATE authorisation SET answer = (SELECT answer FROM authorisation WHERE {DECLINED}) WHERE {APPROVED}",
        _SAYING.format(said="'amount\":1', 'amount\":2'") + APPROVED,
        _SAYING.format(said="'\"declined\"', '\"approved\"'") + DECLINED,
        f"UPDATE authorisation SET answer = '{{}}' WHERE {APPROVED}",
        f"UPDATE authorisation SET answer = 'not JSON' WHERE {APPROVED}",
        f"UPDATE authorisation SET answer = '\\xff' WHERE {APPROVED}",
    ),
    "decisions_have_their_parties": (
        f"UPDATE authorisation SET terminal_id = 'trm_nobody' WHERE {DECLINED}",
        f"UPDATE authorisation SET merchant_id = 'mrc_nobody' WHERE {DECLINED}",
        f"UPDATE authorisation SET card_id = 'crd_nobody' WHERE {DECLINED}",
        f"UPDATE authorisation SET beneficiary_id = 'ben_nobody' WHERE {DECLINED}",
        f"UPDATE authorisation SET card_id = NULL WHERE {APPROVED}",
    ),
    "keys_have_their_authorisation": (
        "UPDATE request_key SET authorisation_id = 'auth_nobody' WHERE answer IS NOT NULL",
    ),
    "items_are_as_their_transfers": (
        f"UPDATE settlement_item SET amount_rupiah = amount_rupiah + 1 WHERE {AN_ITEM}",
        f"UPDATE settlement_item SET merchant_id = {ANOTHER_SHOP} WHERE {AN_ITEM}",
        f"UPDATE settlement_item SET transfer_id = 'trf_nobody' WHERE {AN_ITEM}",
        f"UPDATE settlement_item SET transfer_id = {A_HOLDS_TRANSFER} WHERE {AN_ITEM}",
    ),
    "positions_equal_their_items": (
        f"DELETE FROM settlement_item WHERE {AN_ITEM}",
        f"UPDATE settlement_item SET batch_id = 'set_nobody' WHERE {AN_ITEM}",
        "UPDATE settlement_position SET captured_rupiah = captured_rupiah + 1, refunded_rupiah = refunded_rupiah + 1",
        f"DELETE FROM settlement_position WHERE merchant_id = {A_PAID_SHOP}",
    ),
    "positions_go_on_from_the_batch_before": (
        (
            "UPDATE settlement_position SET brought_rupiah = 1, carried_rupiah = carried_rupiah + 1 - brought_rupiah"
            " WHERE carried_rupiah < 0"
        ),
        "UPDATE settlement_batch SET number = 3 WHERE number = 1",
    ),
    "batches_are_the_sums_of_their_positions": (
        "UPDATE settlement_batch SET captured_rupiah = captured_rupiah + 1, refunded_rupiah = refunded_rupiah + 1",
        "UPDATE settlement_batch SET items = items + 1",
        "DELETE FROM settlement_batch",
        f"UPDATE settlement_position SET batch_id = 'set_nobody' WHERE merchant_id = {A_PAID_SHOP}",
    ),
    "batches_are_numbered_and_chained": (
        "UPDATE settlement_batch SET number = number + 10",
        "UPDATE settlement_batch SET hash = sha256(hash) WHERE number = 1",
        "UPDATE settlement_batch SET cut_off_at = cut_off_at - interval '1 microsecond' WHERE number = 2",
        "UPDATE payout_instruction SET account_number = '999999999999'",
        "UPDATE payout_instruction SET holder = 'SAYA'",
        f"UPDATE settlement_item SET amount_rupiah = amount_rupiah + 2 WHERE {AN_ITEM}",
        "DELETE FROM settlement_batch WHERE number = 1",
    ),
    "instructions_equal_their_positions": (
        "UPDATE payout_instruction SET amount_rupiah = amount_rupiah + 1",
        f"UPDATE payout_instruction SET merchant_id = {ANOTHER_SHOP} WHERE {AN_INSTRUCTION}",
        f"DELETE FROM payout_instruction WHERE {AN_INSTRUCTION}",
    ),
    "payouts_have_their_instruction": (
        (
            "UPDATE transfer SET reason = 'pay_nobody' WHERE transfer_id = (SELECT max(transfer_id) FROM transfer"
            " WHERE kind = 'payout')"
        ),
        "UPDATE transfer SET amount_rupiah = amount_rupiah - 1 WHERE kind = 'payout_settled'",
        "UPDATE transfer SET reason = NULL WHERE kind = 'payout_failed'",
        "DELETE FROM transfer WHERE kind = 'return' AND debit_account_id = 'fund'",
        f"{ONCE_MORE} kind = 'payout' AND reason = (SELECT max(instruction_id) FROM payout_instruction)",
        "DELETE FROM payout_event WHERE event = 'settled'",
    ),
    "payout_events_follow_each_other": (
        "UPDATE payout_event SET event = 'failed' WHERE event = 'settled'",
        "UPDATE payout_event SET instruction_id = 'pay_nobody' WHERE event = 'released'",
    ),
    "payables_are_explained": (
        f"DELETE FROM settlement_item WHERE {AN_ITEM}",
        f"UPDATE transfer SET credit_account_id = {ANOTHER_SHOP} WHERE {A_POST}",
        (
            "UPDATE settlement_position SET carried_rupiah = carried_rupiah + 1, brought_rupiah = brought_rupiah + 1"
            " WHERE carried_rupiah < 0"
        ),
    ),
    "clearing_is_what_is_under_way": (
        "DELETE FROM payout_event WHERE event = 'settled'",
        "DELETE FROM transfer WHERE kind = 'payout_settled'",
        "UPDATE payout_instruction SET amount_rupiah = amount_rupiah + 1",
    ),
    "waits_have_their_purchase": ("UPDATE settlement_wait SET authorisation_id = 'auth_nobody'",),
    "statement_lines_are_of_their_statement": (
        "UPDATE bank_statement SET lines = 0",
        "UPDATE bank_statement_line SET booked_on = booked_on + 1",
        "DELETE FROM bank_statement",
    ),
    "statement_lines_are_about_one_thing": (
        "UPDATE bank_statement_match SET reference = 'pay_nobody'",
        "DELETE FROM bank_statement_line",
        "INSERT INTO expected_funding SELECT programme_id, reference, 1, matched_at, 'x' FROM bank_statement_match",
    ),
    "what_a_statement_did_is_on_it": (
        "DELETE FROM bank_statement_match",
        "UPDATE bank_statement_line SET amount_rupiah = -amount_rupiah",
        "UPDATE bank_statement_line SET amount_rupiah = amount_rupiah - 1",
        "UPDATE payout_event SET source = 'statement' WHERE event = 'failed'",
    ),
    "closed_programmes_are_empty": (f"UPDATE programme SET ends_at = '{A_MORNING}', closed_at = '2024-10-09'",),
    "nothing_moves_after_the_close": (f"UPDATE programme SET ends_at = '{A_MORNING}', closed_at = '{A_MORNING}'",),
}
"""Invariant → what breaks it, each by itself."""


@pytest.mark.parametrize(("name", "forgery"), [(name, each) for name, several in FORGERIES.items() for each in several])
async def test_a_forged_row_breaks_the_invariant(
    books: Connection, honest: HonestBooks, name: str, forgery: str
) -> None:
    await _forge(books, forgery)
    broken = _broken(await check(books, PROGRAMME, now=honest.now))
    assert name in broken
    assert all(broken[name].examples)


ONLY_FOUND_IN_FULL: Final = {
    *FORGERIES["own_accounts_are_covered"],  # a sum over the whole programme
    *FORGERIES["closed_programmes_are_empty"],
    FORGERIES["own_accounts_are_there"][1],  # accounts and months of nobody: they are no touched family's
    FORGERIES["shops_have_an_account"][1],
    *FORGERIES["allowances_have_a_family"],
    FORGERIES["transfers_go_the_right_way"][1],  # the funding, which is older
    *(forgery for each in STATEMENTS for forgery in FORGERIES[each.name]),
    *(forgery for each in SETTLEMENT if each.reach is Reach.PROGRAMME for forgery in FORGERIES[each.name]),
    FORGERIES["items_are_as_their_transfers"][2],  # an item of no transfer
}
"""What a check of the new rows alone says nothing about."""


BEFORE_IT_ALL: Final = A_MORNING - timedelta(days=1)
"""After the enrolment, before the first sale."""


@pytest.mark.parametrize(("name", "forgery"), [(name, each) for name, several in FORGERIES.items() for each in several])
async def test_a_forged_row_of_a_touched_family_is_found_among_what_is_new(
    books: Connection, honest: HonestBooks, name: str, forgery: str
) -> None:
    await _forge(books, forgery)
    checked = await check_since(books, PROGRAMME, now=honest.now, since=BEFORE_IT_ALL)
    assert (name in _broken(checked.findings)) == (forgery not in ONLY_FOUND_IN_FULL)


@pytest.mark.parametrize("hours", [-24, 0, 1, 24, 25, 26])
async def test_from_wherever_the_new_rows_begin_honest_books_are_in_order(
    books: Connection, honest: HonestBooks, hours: int
) -> None:
    """Their families are read whole: also what they bought before, and with what card."""
    checked = await check_since(books, PROGRAMME, now=honest.now, since=A_MORNING + timedelta(hours=hours))
    assert _broken(checked.findings) == {}


async def test_what_is_new_is_found_by_its_families(books: Connection, honest: HonestBooks) -> None:
    all_of_it = await check_since(books, PROGRAMME, now=honest.now, since=BEFORE_IT_ALL)
    # Twelve families bought, one returned its money, three more changed their places, one entered; the fund is older.
    held = await books.fetch("SELECT DISTINCT beneficiary_id FROM hold")
    assert {row[0] for row in held} < set(all_of_it.recent.families)
    assert len(all_of_it.recent.families) < 20
    assert len(all_of_it.recent.authorisations) == await books.fetchval("SELECT count(*) FROM authorisation")
    later = await check_since(books, PROGRAMME, now=honest.now, since=honest.now + timedelta(seconds=1))
    assert len(later.recent.authorisations) == 2, "only the refunds below, whose ids have no time"
    assert {finding.invariant.reach for finding in all_of_it.findings} == {Reach.FAMILY, Reach.DECISION}


async def test_a_row_forged_while_its_family_did_nothing_is_only_found_in_full(
    books: Connection, honest: HonestBooks
) -> None:
    await _forge(books, f"UPDATE wallet SET spent_rupiah = 1 WHERE beneficiary_id = {A_QUIET_FAMILY}")
    checked = await check_since(books, PROGRAMME, now=honest.now, since=BEFORE_IT_ALL)
    assert _broken(checked.findings) == {}
    assert "wallets_equal_their_transfers" in _broken(await check(books, PROGRAMME, now=honest.now))


def test_every_invariant_has_a_name_of_its_own_a_sentence_and_a_forged_row() -> None:
    names = [invariant.name for invariant in INVARIANTS]
    assert len(set(names)) == len(names)
    assert set(names) == set(FORGERIES)
    assert all(invariant.sentence.endswith(".") for invariant in INVARIANTS)


def test_every_kind_of_transfer_has_a_direction() -> None:
    assert {kind for kind, _, _ in DIRECTIONS} == set(TransferKind)


def test_the_kinds_that_change_a_wallet_are_those_with_a_family_on_one_side() -> None:
    assert {kind for kind, debit, credit in DIRECTIONS if FAMILY in {debit, credit}} == set(EFFECT_ON_WALLET)


async def test_all_rows_count_and_the_first_twenty_are_shown(books: Connection, honest: HonestBooks) -> None:
    cards = await books.fetchval("SELECT count(*) FROM card")
    await _forge(books, "UPDATE card SET beneficiary_id = 'ben_nobody', status = 'lost'")
    finding = _broken(await check(books, PROGRAMME, now=honest.now))["cards_have_a_family"]
    assert (finding.violations, len(finding.examples)) == (cards, 20)
    first = await books.fetchval("SELECT min(card_id) FROM card")
    assert finding.examples[0] == f"{first}: ben_nobody is missing"


async def test_another_programmes_forged_rows_are_not_its_own(books: Connection, honest: HonestBooks) -> None:
    keys = Keys(SANDBOX_ROOT_KEY)
    await enrol(books, keys, PROGRAMME, seed=2, at=A_MORNING, programme_id="bystander")
    await _forge(books, "UPDATE wallet SET spent_rupiah = 1 WHERE programme_id = 'bystander'")
    assert _broken(await check(books, PROGRAMME, now=honest.now)) == {}
    assert "wallets_equal_their_transfers" in _broken(await check(books, "bystander", now=honest.now))


async def test_a_programme_that_is_not_there_has_no_books_in_order(books: Connection, honest: HonestBooks) -> None:
    assert set(_broken(await check(books, "nowhere-2024", now=honest.now))) == {"own_accounts_are_there"}


async def test_the_limits_of_a_check_end_with_it(books: Connection, honest: HonestBooks) -> None:
    names = ("statement_timeout", "work_mem", "enable_nestloop", "transaction_isolation", "transaction_read_only")
    before = [await books.fetchval(f"SHOW {name}") for name in names]
    await check(books, PROGRAMME, now=honest.now)
    assert [await books.fetchval(f"SHOW {name}") for name in names] == before


async def test_a_hold_that_is_over_but_unwritten_is_a_figure_and_no_violation(
    books: Connection, honest: HonestBooks
) -> None:
    assert await expired_unwritten(books, PROGRAMME, honest.now) == 1
    assert await expired_unwritten(books, PROGRAMME, THE_NEXT_DAY - timedelta(hours=1, microseconds=1)) == 0
    all_over = honest.now + timedelta(days=2)
    open_holds = await books.fetchval("SELECT count(*) FROM hold WHERE held_rupiah > 0")
    assert await expired_unwritten(books, PROGRAMME, all_over) == open_holds
    assert _broken(await check(books, PROGRAMME, now=all_over)) == {}


async def test_the_report_has_a_line_for_each_invariant_and_shows_what_is_wrong(
    books: Connection, honest: HonestBooks
) -> None:
    await _forge(books, "UPDATE card SET beneficiary_id = 'ben_nobody', status = 'lost'")
    findings = await check(books, PROGRAMME, now=honest.now)
    lines = _rendered(findings)
    assert sum(line.startswith("✓ ") for line in lines) == len(INVARIANTS) - 1
    broken = lines.index("✗ Every card belongs to a family of the programme. (988)")
    assert lines[broken + 1].endswith(": ben_nobody is missing")
    assert lines[broken + 21] == "    and 968 more"
    assert lines[-1] == summary(findings)
    assert lines[-1] == f"The books are NOT in order: 1 of {len(INVARIANTS)} invariants are broken by 988 rows."


def test_the_report_of_honest_books_says_so() -> None:
    findings = [Finding(invariant=invariant, violations=0, examples=()) for invariant in INVARIANTS]
    assert _rendered(findings)[-1] == f"The books are in order: all {len(INVARIANTS)} invariants hold."


def _rendered(findings: list[Finding]) -> list[str]:
    console = Console(file=StringIO(), width=80)
    render(findings, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def _broken(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.invariant.name: finding for finding in findings if finding.violations}


async def _forge(books: Connection, statement: str) -> None:
    """Done behind the triggers' back, as somebody with all rights could; and it hits something."""
    await books.execute("SET session_replication_role = replica")
    assert not (await books.execute(statement)).endswith(" 0")
    await books.execute("RESET session_replication_role")


# --- One of everything: by the tills where the service can do it already, else by the books' own record statement. ---


async def _one_of_everything(world: World) -> None:
    cards = [card.card_number for card in world.tills.cards]

    async def buy(card: int, **changes: Any) -> str:
        reply = await world.authorise(card_number=cards[card], **changes)
        return _approved(reply)

    voided, partly, remainder, bought = await buy(0), await buy(1), await buy(2), await buy(3, capture=True)
    await buy(4)
    await buy(5)
    assert (await world.void(voided)).status == 200
    assert (await world.void(voided)).status == 409
    assert (await world.capture(partly, amount=50_000, final=False)).status == 201
    assert (await world.void(partly)).status == 200
    assert (await world.capture(remainder, amount=200_000)).status == 422
    assert (await world.capture(remainder, amount=100_000)).status == 201
    unknown, too_much = await world.authorise(card_number="9360000000000013"), await world.authorise(amount=300_001)
    assert (unknown["reason"], too_much["reason"]) == ("card_unknown", "package_cap_exceeded")
    await _beyond_the_cap(world, 6)

    world.at(THE_NEXT_DAY)  # The holds of cards 4 and 5 are over; only that of card 4 is written.
    await buy(4)
    still_open = await buy(0, amount=120_000)
    assert (await world.capture(await buy(1), amount=60_000, final=False)).status == 201
    assert (await world.capture(still_open, amount=120_001)).status == 422
    await _refund(world, bought, 100_000)
    await _refund(world, _approved(await world.authorise(card_number=cards[7], capture=True)), 150_000)
    await _return(world, BeneficiaryId(world.tills.cards[8].beneficiary_id), 1_800_000)
    await _change_families(world)
    await _pay_out(world)


async def _change_families(world: World) -> None:
    """One is removed, one is merged into another, one enters late, and one is to be suspended on a day to come."""
    operator, cards = Operator(world, world.database), world.tills.cards
    await operator.remove(cards[9])
    await operator.merge(cards[10], cards[11])
    await operator.enter(a_newcomer())
    await operator.suspend(cards[12], on=date(2024, 10, 20))


async def _beyond_the_cap(world: World, card: int) -> None:
    """Three packages in a month of two: the third on a voucher, and one that gave its cover back."""
    family = world.tills.cards[card]
    number = family.card_number
    for amount in (300_000, 250_000):
        _approved(await world.authorise(card_number=number, amount=amount, capture=True))
    for extra_rupiah, extra_packages in ((100_000, 0), (200_000, 2)):
        await vouch(
            world.database,
            programme_id=PROGRAMME,
            beneficiary_id=family.beneficiary_id,
            month=datetime(2024, 10, 1, tzinfo=A_MORNING.tzinfo).date(),
            extra_rupiah=extra_rupiah,
            extra_packages=extra_packages,
            reason="anak sakit",
            now=world.now,
            chance=urandom,
        )
    third = _approved(await world.authorise(card_number=number, amount=200_000))
    assert (await world.capture(third, amount=120_000)).status == 201
    fourth = _approved(await world.authorise(card_number=number, amount=100_000))
    assert (await world.void(fourth)).status == 200


async def _refund(world: World, authorisation_id: str, amount_rupiah: int) -> None:
    hold = await world.database.fetchrow("SELECT * FROM hold WHERE authorisation_id = $1", authorisation_id)
    assert hold is not None
    parties = Parties(
        authorisation_id=AuthorisationId(authorisation_id),
        beneficiary_id=BeneficiaryId(hold["beneficiary_id"]),
        merchant_id=MerchantId(hold["merchant_id"]),
    )
    refund = of_hold(f"ref_{authorisation_id}", TransferKind.REFUND, Cause.REFUND, parties, amount_rupiah, world.now)
    packages = hold["packages"] if amount_rupiah == hold["captured_rupiah"] else 0
    family = await _family(world, parties.beneficiary_id, refund)
    family.holds_changed[authorisation_id] = (
        hold["status"],
        hold["held_rupiah"],
        hold["captured_rupiah"],
        amount_rupiah,
        hold["packages"] - packages,
    )
    used = AllowanceUse(
        cap_rupiah=None,
        packages_cap=None,
        used_rupiah=-amount_rupiah,
        packages_used=-packages,
        covered_rupiah=0,
        covered_packages=0,
    )
    family.use_allowance(hold["month"], used)
    await _record(world, family)


async def _return(world: World, beneficiary_id: BeneficiaryId, amount_rupiah: int) -> None:
    """The family has left: what it did not spend is unallocated, and part of that goes back to the sponsor."""
    returned = Transfer(
        transfer_id=TransferId("trf_returned"),
        kind=TransferKind.RETURN,
        cause=Cause.CLOSE,
        debit_account_id=AccountId(beneficiary_id),
        credit_account_id=AccountId("unallocated"),
        amount_rupiah=amount_rupiah,
        authorisation_id=None,
        created_at=world.now,
    )
    family = await _family(world, beneficiary_id, returned)
    onward = replace(
        returned,
        transfer_id=TransferId("trf_onward"),
        debit_account_id=AccountId("unallocated"),
        credit_account_id=AccountId("sponsor"),
        amount_rupiah=amount_rupiah // 2,
    )
    family.transfers.append(onward)
    await _record(world, family)


async def _pay_out(world: World) -> None:
    """A shop was paid and owes; a payout failed and is paid again; one came back; one is under way; a sale waits."""
    paid, failed, back, on_its_way = world.tills.terminals[:4]
    sales = {
        till.merchant_id: _approved(
            await world.authorise(card_number=card.card_number, amount=30_000, capture=True, till=till)
        )
        for till, card in zip((failed, back, on_its_way), world.tills.cards[13:16], strict=True)
    }
    waits = _approved(await world.authorise(card_number=world.tills.cards[16].card_number, capture=True, till=back))
    how: dict[str, Any] = {"reason": "harga janggal", "actor": "dinsos", "clock": world.clock, "chance": urandom}
    await wait(world.database, world.settings, ProgrammeId(PROGRAMME), waits, **how)
    await batch_closed(world)
    of_shop = {shop: instruction for instruction, shop, _ in await instructions(world)}
    assert set(of_shop) == {paid.merchant_id, *sales}
    await said(world, "settled", of_shop[paid.merchant_id], of_shop[back.merchant_id], bank_reference="BKT-1")
    await said(world, "failed", of_shop[failed.merchant_id], reason="rekening ditutup")
    await said(world, "returned", of_shop[back.merchant_id], reason="nama tidak cocok")
    await said(world, "released", of_shop[failed.merchant_id], reason="rekening dibuka lagi")
    bought = await world.authorise(card_number=world.tills.cards[13].card_number, amount=20_000, capture=True)
    assert (await world.refund(bought["id"], 20_000)).status == 201
    sold = await world.database.fetchval(
        "SELECT authorisation_id FROM hold WHERE merchant_id = $1 AND captured_rupiah - refunded_rupiah >= 50000",
        paid.merchant_id,
    )
    assert (await world.refund(sold, 40_000)).status == 201
    await batch_closed(world)
    *_, (again, _, rupiah) = [each for each in await instructions(world) if each[1] == failed.merchant_id]
    assert (await reconciled(world, (-rupiah, again))).steps == 1
    assert (await world.refund(sales[on_its_way.merchant_id], 1_000, till=on_its_way)).status == 201


async def _family(world: World, beneficiary_id: BeneficiaryId, transfer: Transfer) -> FamilyRecord:
    version = await world.database.fetchval("SELECT version FROM wallet WHERE beneficiary_id = $1", beneficiary_id)
    return FamilyRecord(
        beneficiary_id=beneficiary_id,
        version=version,
        changes=True,
        balance=effect_on_wallet(transfer),
        transfers=[transfer],
    )


async def _record(world: World, family: FamilyRecord) -> None:
    version = await world.database.fetchval("SELECT version FROM reference WHERE programme_id = $1", PROGRAMME)
    snapshot = Snapshot(
        programme_id=ProgrammeId(PROGRAMME), reference_version=version, now=world.now, month=month_of(world.now, WITA)
    )
    written = await record(world.database, snapshot, [family])
    assert family.beneficiary_id in written


def _approved(reply: Reply) -> str:
    assert (reply.status, reply["decision"]) == (201, "approved"), reply.raw
    authorisation_id: str = reply["id"]
    return authorisation_id
