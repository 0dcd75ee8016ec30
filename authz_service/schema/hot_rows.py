"""The rows that the hot path sends to its two statements, as types: an array of rows a part."""

from collections.abc import Mapping

ROW_TYPES: Mapping[str, str] = {
    "asked_facts": (
        "place integer, principal_id text, key_digest bytea, stan text, terminal_time timestamptz"
        ", card_digest bytea, authorisation_id text, original_digest bytea"
    ),
    "record_seen": (
        "beneficiary_id text, version bigint, changes boolean, available_rupiah bigint, held_rupiah bigint"
        ", spent_rupiah bigint"
    ),
    "record_allowances_used": (
        "beneficiary_id text, month date, cap_rupiah bigint, packages_cap integer, used_rupiah bigint"
        ", packages_used integer, covered_rupiah bigint, covered_packages integer"
    ),
    "record_allowances_returned": (
        "beneficiary_id text, month date, used_rupiah bigint, packages_used integer, covered_rupiah bigint"
        ", covered_packages integer"
    ),
    "record_vouchers": "beneficiary_id text, voucher_id text, used_rupiah bigint, packages_used integer",
    "record_voucher_movements": (
        "beneficiary_id text, transfer_id text, voucher_id text, authorisation_id text, used_rupiah bigint"
        ", packages_used integer"
    ),
    "record_request_keys": (
        "beneficiary_id text, principal_id text, key_digest bytea, key_id smallint, fingerprint bytea"
        ", stan text, terminal_time timestamptz, authorisation_id text, status smallint, answer bytea"
        ", reversal_answer bytea"
    ),
    "record_authorisations": (
        "beneficiary_id text, authorisation_id text, merchant_id text, terminal_id text, card_id text"
        ", reason text, amount_rupiah bigint, approved_rupiah bigint, reduction_rupiah bigint, request_id text"
        ", journal jsonb, answer bytea"
    ),
    "record_holds_placed": (
        "beneficiary_id text, authorisation_id text, merchant_id text, status text, approved_rupiah bigint"
        ", held_rupiah bigint, captured_rupiah bigint, packages smallint, expires_at timestamptz"
    ),
    "record_holds_changed": (
        "beneficiary_id text, authorisation_id text, status text, held_rupiah bigint, captured_rupiah bigint"
        ", refunded_rupiah bigint, packages smallint"
    ),
    "record_transfers": (
        "beneficiary_id text, transfer_id text, kind text, cause text, debit_account_id text"
        ", credit_account_id text, amount_rupiah bigint, authorisation_id text, reason text"
        ", created_at timestamptz"
    ),
    "record_keys_reversed": "beneficiary_id text, key_digest bytea, principal_id text, answer bytea",
    "record_tombstones_met": (
        "beneficiary_id text, key_digest bytea, principal_id text, stan text, terminal_time timestamptz"
    ),
}
"""What the hot path sends: `ledger/book.py` makes the rows, `ledger/statements.py` reads them as tables. A type is
never changed, since an older program may still send its rows: what needs other columns gets another type."""
