"""The triggers that keep what is written, and raise the versions that decisions compare."""

IMMUTABLE = (
    "transfer",
    "authorisation",
    "voucher_movement",
    "family_change",
    "office_order",
    "reference_history",
    "audit_checkpoint",
    "settlement_batch",
    "settlement_item",
    "settlement_position",
    "payout_instruction",
    "payout_event",
    "bank_notice",
    "expected_funding",
    "security_event",
    "bank_statement",
    "bank_statement_line",
    "bank_statement_match",
    "audit_entry",
    "signal_purchase",
    "signal_backtest",
    "seal_block",
)
ENDED_ONCE = {
    "payout_account": (
        "approved_at",
        "programme_id, account_ref, merchant_id, bank_code, account_number, holder, requested_at, requested_by",
    ),
    "settlement_wait": ("released_at", "programme_id, authorisation_id, flagged_at, flagged_by, reason"),
    "reconciliation_exception": (
        "closed_at",
        (
            "programme_id, exception_id, kind, reference, subject, ours_rupiah, theirs_rupiah, since_on, first_seen_at,"
            " detail, proposal"
        ),
    ),
    "dispute": (
        "answered_at",
        "programme_id, dispute_id, authorisation_id, claimed_at, claimed_by, reason, answer_due_at",
    ),
    "signal_finding": (
        "closed_at",
        "programme_id, finding_id, signal, subject_kind, subject_id, day, found_at",
    ),
}
"""Rows that are kept like the immutable ones, but may be ended once: the column that ends them, and what stays."""
REMOVABLE = {
    "event": "programme_id, event_id, position, type, occurred_at, data, recorded_at",
    "event_attempt": "programme_id, endpoint_id, number, attempt, attempted_at, duration_ms, outcome, status, error",
}
"""Rows that are never changed, and removed once they are old: the books keep what they tell of."""
REFERENCE_TABLES = (
    "programme",
    "month_cap",
    "district",
    "merchant",
    "terminal",
    "category",
    "product",
    "price_ceiling",
    "companion",
    "signal_mark",
)
FAMILY_TABLES = {
    "beneficiary": "status, companion_id, next_status, next_status_at",
    "card": "status, beneficiary_id, expires_on",
    "voucher": "extra_rupiah, extra_packages, expires_at, revoked_at, approved_at",
}
"""Slow tables of a family → the columns whose change a decision must notice.

`leaves_at` is not among them: an imported roll sets it for thousands of families at once, and locks no wallet. It names
itself in `programme` in the same transaction, and so raises the version of the reference data."""

_ROWS_AFTER = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}
REFERENCE_KEY = """
CREATE FUNCTION reference_key(relation text, entry jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
SELECT CASE relation
       WHEN 'programme' THEN ARRAY[entry ->> 'programme_id']
       WHEN 'month_cap' THEN ARRAY[entry ->> 'valid_from']
       WHEN 'district' THEN ARRAY[entry ->> 'district_code']
       WHEN 'merchant' THEN ARRAY[entry ->> 'merchant_id']
       WHEN 'terminal' THEN ARRAY[entry ->> 'terminal_id']
       WHEN 'category' THEN ARRAY[entry ->> 'category']
       WHEN 'product' THEN ARRAY[entry ->> 'name', entry ->> 'unit']
       WHEN 'price_ceiling'
       THEN ARRAY[entry ->> 'product', entry ->> 'unit', entry ->> 'district_code', entry ->> 'valid_from']
       WHEN 'companion' THEN ARRAY[entry ->> 'companion_id']
       WHEN 'signal_mark' THEN ARRAY[entry ->> 'subject_id', entry ->> 'signal']
       END
$$
"""
"""A reference table that has no line here is refused by the history, which wants a key."""
_FUNCTIONS = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
""",
    """
CREATE FUNCTION raise_reference_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    UPDATE reference SET version = version + 1 WHERE programme_id IN (SELECT programme_id FROM old_rows);
    INSERT INTO reference_history (programme_id, relation, version, place, operation, row)
    SELECT r.programme_id, TG_TABLE_NAME, r.version, row_number() OVER (), TG_OP,
           to_jsonb(o) - '{key_digest,name_sealed}'::text[]
      FROM old_rows o JOIN reference r USING (programme_id);
  ELSE
    UPDATE reference SET version = version + 1 WHERE programme_id IN (SELECT programme_id FROM new_rows);
    INSERT INTO reference_history (programme_id, relation, version, place, operation, row)
    SELECT r.programme_id, TG_TABLE_NAME, r.version, row_number() OVER (), TG_OP,
           to_jsonb(n) - '{key_digest,name_sealed}'::text[]
      FROM new_rows n JOIN reference r USING (programme_id);
  END IF;
  IF TG_OP = 'UPDATE' THEN
    -- A row that has another key now is gone under its old one; places below 1 come before the new rows'.
    INSERT INTO reference_history (programme_id, relation, version, place, operation, row)
    SELECT r.programme_id, TG_TABLE_NAME, r.version, 1 - row_number() OVER (), 'DELETE',
           to_jsonb(o) - '{key_digest,name_sealed}'::text[]
      FROM old_rows o JOIN reference r USING (programme_id)
     WHERE NOT EXISTS (SELECT FROM new_rows n
                        WHERE n.programme_id = o.programme_id
                          AND reference_key(TG_TABLE_NAME, to_jsonb(n)) = reference_key(TG_TABLE_NAME, to_jsonb(o)));
  END IF;
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION raise_wallet_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE wallet SET version = version + 1
   WHERE programme_id = COALESCE(NEW.programme_id, OLD.programme_id)
     AND beneficiary_id IN (NEW.beneficiary_id, OLD.beneficiary_id);
  RETURN NULL;
END $$
""",
)


def guards() -> list[str]:
    """The triggers that keep what is written, and raise the versions that decisions compare."""
    statements = list(_FUNCTIONS)
    for table in IMMUTABLE:
        statements.append(
            f"CREATE TRIGGER {table}_is_immutable BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        statements.append(
            f"CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, (end, columns) in ENDED_ONCE.items():
        statements += [
            (
                f"CREATE TRIGGER {table}_is_immutable BEFORE DELETE OR UPDATE OF {columns} ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_ends_once BEFORE UPDATE ON {table}"
                f" FOR EACH ROW WHEN (OLD.{end} IS NOT NULL) EXECUTE FUNCTION refuse_change()"
            ),
            (
                f"CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
        ]
    for table, columns in REMOVABLE.items():
        statements.append(
            f"CREATE TRIGGER {table}_is_immutable BEFORE UPDATE OF {columns} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    statements.append(
        "CREATE TRIGGER event_is_numbered_once BEFORE UPDATE ON event"
        " FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION refuse_change()"
    )
    statements += [
        (
            "CREATE TRIGGER seal_head_only_grows BEFORE UPDATE ON seal_head FOR EACH ROW"
            " WHEN (NEW.programme_id <> OLD.programme_id OR NEW.chain <> OLD.chain OR NEW.blocks < OLD.blocks"
            " OR NEW.rows < OLD.rows) EXECUTE FUNCTION refuse_change()"
        ),
        (
            "CREATE TRIGGER seal_head_is_immutable BEFORE DELETE ON seal_head"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        ),
        (
            "CREATE TRIGGER seal_head_is_kept BEFORE TRUNCATE ON seal_head"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        ),
    ]
    for table in REFERENCE_TABLES:
        for operation, rows in _ROWS_AFTER.items():
            statements.append(
                f"CREATE TRIGGER {table}_{operation.lower()}_raises_version AFTER {operation} ON {table}"
                f" REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()"
            )
    for table, columns in FAMILY_TABLES.items():
        statements.append(
            f"CREATE TRIGGER {table}_raises_wallet_version AFTER INSERT OR DELETE OR UPDATE OF {columns} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION raise_wallet_version()"
        )
    return statements
