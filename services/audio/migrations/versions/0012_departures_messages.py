"""Whether the messages about somebody's recordings are erased already, who is erased in steps."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("departures", sa.Column("messages_erased", sa.Boolean, nullable=False, server_default=sa.false()))
