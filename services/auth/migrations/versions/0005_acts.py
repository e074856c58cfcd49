"""The audit log: only added to, and forgotten by one function."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Whoever runs the service, and whoever owns the table: they would have to change the table itself, not its rows.
STAY = """
CREATE FUNCTION acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - interval '90 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is only added to: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""
# With the rights of the owner, so that the service needs none to delete. `pg_temp` last: else a temporary table could stand in.
FORGET = """
CREATE FUNCTION forget_acts(days integer, batch integer) RETURNS bigint LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM acts WHERE id IN (
            SELECT id FROM acts WHERE at < now() - make_interval(days => greatest(days, 90)) ORDER BY at LIMIT batch
        ) RETURNING 1
    ) SELECT count(*) FROM gone
$$
"""


def upgrade() -> None:
    op.create_table(
        "acts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("account_id", sa.Integer),
        sa.Column("thing", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("network", sa.Text),
        sa.Column("device", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("times", sa.Integer, nullable=False, server_default="1"),
    )
    op.create_index("acts_user_id", "acts", ["user_id", "id"], postgresql_where=sa.text("user_id IS NOT NULL"))
    op.create_index("acts_account_id", "acts", ["account_id", "id"], postgresql_where=sa.text("account_id IS NOT NULL"))
    op.create_index("acts_act", "acts", ["act", "id"])
    op.create_index("acts_at", "acts", ["at"])
    op.execute(STAY)
    op.execute("CREATE TRIGGER acts_row_stays BEFORE DELETE ON acts FOR EACH ROW EXECUTE FUNCTION acts_stay()")
    op.execute("CREATE TRIGGER acts_stay BEFORE UPDATE OR TRUNCATE ON acts FOR EACH STATEMENT EXECUTE FUNCTION acts_stay()")
    for trigger in ("acts_row_stays", "acts_stay"):
        op.execute(f"ALTER TABLE acts ENABLE ALWAYS TRIGGER {trigger}")
    op.execute(FORGET)
    op.execute("REVOKE ALL ON FUNCTION forget_acts(integer, integer) FROM PUBLIC")
