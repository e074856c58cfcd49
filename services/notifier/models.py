"""Tables of notifier."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

METADATA = sa.MetaData()

CHANNELS = sa.Table(
    "channels",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("last_version", sa.BigInteger, nullable=False),  # of the job, as of the newest frame
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
sa.Index("channels_updated_at", CHANNELS.c.updated_at)

FRAMES = sa.Table(
    "frames",
    METADATA,
    sa.Column("channel", sa.Text, sa.ForeignKey(CHANNELS.c.name, ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),  # json, not jsonb: clients see the keys in the order of the contract
    # The message that the frame tells of: the dedup row of a fact and its effect are one.
    sa.Column("message_id", UUID(as_uuid=False), nullable=False, unique=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
