"""Versions of scenes, for the copies that other services keep."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("token_versions")))
    op.add_column("tokens", sa.Column("version", sa.BigInteger))
    op.execute("UPDATE tokens SET version = nextval('token_versions')")
    op.alter_column("tokens", "version", nullable=False)
