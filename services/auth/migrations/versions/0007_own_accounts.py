"""What people do to their own account: a name and a picture that the provider overwrites no more; the end of it."""

import sqlalchemy as sa
from alembic import op

from libs.common.migrations import create_deleted_users_v1

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("own_name", "own_picture"):
        op.add_column("users", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    create_deleted_users_v1(op)
