"""Effects exactly once: a row per message and handler, inserted in the transaction of the effect."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.ext.asyncio import AsyncConnection

_metadata = sa.MetaData()
INBOX = sa.Table(
    "inbox",
    _metadata,
    sa.Column("message_id", UUID(as_uuid=False), primary_key=True),
    sa.Column("handler", sa.Text, primary_key=True),
    sa.Column("processed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)


async def remember(connection: AsyncConnection, message_id: str, handler: str) -> bool:
    """Note that `handler` handles the message in this transaction. False when it has done so before.

    A second delivery that runs at the same time waits here until the first commits or rolls back.
    """
    inserted = await connection.execute(
        insert(INBOX).values(message_id=message_id, handler=handler).on_conflict_do_nothing().returning(INBOX.c.handler)
    )
    return inserted.first() is not None


async def forget_older_than(connection: AsyncConnection, days: int) -> int:
    """Delete rows older than `days`; a broker that redelivers after that long would repeat an effect. Returns how many."""
    old = sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    return (await connection.execute(sa.delete(INBOX).where(INBOX.c.processed_at < old))).rowcount
