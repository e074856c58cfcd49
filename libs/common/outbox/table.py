"""The outbox table: one row per message, in the database of the service that publishes it."""

from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

_metadata = sa.MetaData()
OUTBOX = sa.Table(
    "outbox",
    _metadata,
    # The order of publishing. Its only index is that of the unsent rows: a plan that walks past the sent ones cannot be made.
    sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("message_id", UUID(as_uuid=False), primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("bucket", sa.SmallInteger, nullable=False, server_default="0"),  # of the subject, see `bucket_of`
    sa.Column("routing_key", sa.Text, nullable=False),
    sa.Column("must_route", sa.Boolean, nullable=False),
    sa.Column("traceparent", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("sent_at", sa.DateTime(timezone=True)),
)
# The relay looks only at what is not sent: its cost must not grow with what was.
UNSENT = sa.Index("outbox_unsent", OUTBOX.c.id, postgresql_where=OUTBOX.c.sent_at.is_(None))
SENT_AT = sa.Index("outbox_sent_at", OUTBOX.c.sent_at, postgresql_where=OUTBOX.c.sent_at.is_not(None))

NOTIFY_CHANNEL = "outbox"

BUCKETS = 256


def bucket_of(subject: str) -> int:
    """The bucket, 0..`BUCKETS`-1, of a subject: the same in every process, whatever the number of shards is."""
    return crc32(subject.encode()) % BUCKETS


def shard_of(subject: str, shards: int) -> int:
    """Which of `shards` relays publishes the messages of a subject."""
    return bucket_of(subject) % shards
