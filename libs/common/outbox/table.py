"""The outbox table: one row per message, in the database of the service that publishes it."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

_metadata = sa.MetaData()
OUTBOX = sa.Table(
    "outbox",
    _metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("message_id", UUID(as_uuid=False), nullable=False, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("routing_key", sa.Text, nullable=False),
    sa.Column("must_route", sa.Boolean, nullable=False),
    sa.Column("traceparent", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("sent_at", sa.DateTime(timezone=True)),
)
# The relay looks only at what is not sent: its cost must not grow with what was.
UNSENT = sa.Index("outbox_unsent", OUTBOX.c.id, postgresql_where=OUTBOX.c.sent_at.is_(None))

NOTIFY_CHANNEL = "outbox"
