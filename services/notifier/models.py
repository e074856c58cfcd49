"""Tables of notifier."""

import sqlalchemy as sa

METADATA = sa.MetaData()

FRAMES = sa.Table(
    "frames",
    METADATA,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),  # json, not jsonb: clients see the keys in the order of the contract
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
sa.Index("frames_created_at", FRAMES.c.created_at)
