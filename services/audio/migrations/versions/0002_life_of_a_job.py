"""Recordings of whole scenes, a job's turn, who does it, what it does over, and what happened to it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("token_name", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("start_time", sa.Float, nullable=False),
        sa.Column("end_time", sa.Float, nullable=False),
        sa.Column("s3_textgrid_url", sa.Text),
        sa.Column("s3_pitch_url", sa.Text),
        sa.Column("s3_bgvoice_url", sa.Text),
    )
    op.create_index("scripts_token_id", "scripts", ["token_id"])
    op.alter_column("takes", "script_id", nullable=True)
    op.alter_column("jobs", "script_id", nullable=True)
    op.add_column("jobs", sa.Column("kind", sa.Text, nullable=False, server_default="line"))
    op.add_column("jobs", sa.Column("retry_of", sa.Text, sa.ForeignKey("jobs.id")))
    op.add_column("jobs", sa.Column("owner_key", sa.Text, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("turn", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("worker", sa.Text))
    # The defaults are for the rows that there are; whoever adds one says what it is.
    for column in ("kind", "owner_key", "turn"):
        op.alter_column("jobs", column, server_default=None)
    queued = sa.text("state = 'queued'")
    op.create_index("jobs_waiting", "jobs", ["priority", "turn", "created_at"], postgresql_where=queued)
    retried = sa.text("retry_of IS NOT NULL")
    op.create_index("jobs_retry_of", "jobs", ["retry_of"], unique=True, postgresql_where=retried)
    op.alter_column(
        "upload_keys", "script_id", new_column_name="target", type_=sa.Text, postgresql_using="'script:' || script_id"
    )
    op.create_table(
        "job_log",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.SmallInteger, nullable=False),
        sa.Column("lease", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("reason", sa.Text),
    )
