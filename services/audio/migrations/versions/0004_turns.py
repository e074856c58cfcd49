"""Where the turns of each priority have got to, and the indexes of the dispatcher, the sweeper and the queue's outlook."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    turns = op.create_table(
        "turns",
        sa.Column("priority", sa.Text, primary_key=True),
        sa.Column("turn", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(turns, [{"priority": priority, "turn": 0} for priority in ("high", "normal", "low")])
    op.add_column("jobs", sa.Column("started_at", sa.DateTime(timezone=True)))
    op.drop_index("jobs_open", "jobs")
    op.create_index("jobs_open", "jobs", ["state", "deadline"], postgresql_where=sa.text("finished_at IS NULL"))
    queued = sa.text("state = 'queued'")
    op.create_index("jobs_of_owner", "jobs", ["owner_key", "priority", "turn"], postgresql_where=queued)
    op.create_index("jobs_ageing", "jobs", ["priority", "dispatch_at"], postgresql_where=queued)
    op.create_index("jobs_completed", "jobs", ["finished_at"], postgresql_where=sa.text("state = 'completed'"))
