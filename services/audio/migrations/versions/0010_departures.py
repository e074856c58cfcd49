"""Whose account is gone, and of whom something may be left."""

import sqlalchemy as sa
from alembic import op

from libs.common.migrations import create_deleted_users_v1

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_deleted_users_v1(op)
    op.create_table(
        "departures",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("jobs_of_films_by_owner", "jobs", ["owner_key"], postgresql_where=sa.text("film_id IS NOT NULL"))
