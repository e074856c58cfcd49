"""Whose accounts are gone."""

from alembic import op

from libs.common.migrations import create_deleted_users_v1

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_deleted_users_v1(op)
