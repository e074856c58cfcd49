"""An inbox: what of the facts was handled can be reconciled with what was sent."""

from alembic import op

from libs.common.migrations import create_inbox_v2

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_inbox_v2(op)
