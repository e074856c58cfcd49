"""Finding the jobs of nobody that ended long ago."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "jobs_ended_of_nobody",
        "jobs",
        ["finished_at"],
        postgresql_where=sa.text("user_id IS NULL AND finished_at IS NOT NULL"),
    )
