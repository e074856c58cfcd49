"""Codes of a sign-in that were used, until their time is over: a second use ends what began with the first."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sign_in_codes", sa.Column("used_at", sa.DateTime(timezone=True)))
    op.add_column("sign_in_codes", sa.Column("session_id", sa.Text))
