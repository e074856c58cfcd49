"""Writes messages to the outbox, inside the caller's transaction."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.bus.base import Message
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX


async def write(connection: AsyncConnection, messages: Sequence[Message], *, sender: str) -> None:
    """Insert one row per message and hint at the commit to whichever process holds the relay's lease.

    The hint says which `sender` wrote, because that one's own relay is woken without it. It rides on the insert, which saves
    a round trip; PostgreSQL sends it once per transaction.
    """
    await connection.execute(
        sa.insert(OUTBOX).returning(sa.func.pg_notify(NOTIFY_CHANNEL, sender)),
        [
            {
                "message_id": message.id,
                "type": message.type,
                "source": message.source,
                "subject": message.subject,
                "routing_key": message.routing_key,
                "must_route": message.must_route,
                "traceparent": message.traceparent,
                "body": message.body,
                "created_at": message.time,
            }
            for message in messages
        ],
    )
