"""Outbox by buckets, inbox with attempts."""

from alembic import op

from libs.common.migrations import change_messaging_tables_v2

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change_messaging_tables_v2(op)
