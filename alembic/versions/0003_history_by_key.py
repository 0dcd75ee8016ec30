"""The history of reference data is found by its row's key, and a row that took another key has left its old one.

Frozen: it carries its own DDL and imports nothing of the service, which will move on.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only the history itself is rewritten (100.000 rows in a second); shops sell meanwhile."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in (*KEY, FUNCTION, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("0003 does not downgrade: older programs work on it as it is")


KEY = (
    """
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
       END
$$
""",
    """
ALTER TABLE reference_history
    ADD COLUMN key text[] NOT NULL GENERATED ALWAYS AS (reference_key(relation, row)) STORED
""",
    "COMMENT ON COLUMN reference_history.key IS 'of the row, within its programme and relation'",
    "CREATE INDEX reference_history_key_idx ON reference_history (programme_id, relation, key, version)",
)

FUNCTION = """
CREATE OR REPLACE FUNCTION raise_reference_version() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""

TRIGGERS = tuple(
    f"CREATE OR REPLACE TRIGGER {table}_update_raises_version AFTER UPDATE ON {table}"
    " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"
    " FOR EACH STATEMENT EXECUTE FUNCTION raise_reference_version()"
    for table in (
        "programme",
        "month_cap",
        "district",
        "merchant",
        "terminal",
        "category",
        "product",
        "price_ceiling",
        "companion",
    )
)
