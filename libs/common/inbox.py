"""Effects exactly once: a row per message and handler, inserted in the transaction of the effect.

Whoever consumes events of an outbox writes one, also where the effect is the same however often it happens: `yousync audit`
finds what was sent and never handled by the rows that are not there. Reports of analysis servers have neither outbox nor
inbox: their lease makes them harmless twice, and what is lost of them is done again when it runs out.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.bus.base import Message
from libs.common.statement import Rows, Statement

SWEEP_BATCH = 10_000  # rows at a time, so that no sweep takes long

_metadata = sa.MetaData()
INBOX = sa.Table(
    "inbox",
    _metadata,
    sa.Column("message_id", UUID(as_uuid=False), primary_key=True),
    sa.Column("handler", sa.Text, primary_key=True),  # `<service>.<what it does>`
    sa.Column("attempt", sa.SmallInteger, nullable=False, server_default="1"),  # the one that succeeded, from 1
    sa.Column("processed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
PROCESSED_AT = sa.Index("inbox_processed_at", INBOX.c.processed_at)

_GIVEN = {c.name: sa.bindparam(c.name, type_=c.type) for c in INBOX.c if c.name != "processed_at"}
NOTED = insert(INBOX).values(_GIVEN).on_conflict_do_nothing()  # to be given `values_of` a message, beside something else or not
_NOTE = Statement(NOTED.returning(INBOX.c.handler))


async def remember(where: Rows, message: Message, handler: str) -> bool:
    """Note that `handler` handles `message`. False when it has done so before.

    In a transaction a second delivery that runs at the same time waits here until the first commits or rolls back.
    """
    return bool(await where.rows(_NOTE, values_of(message, handler)))


def values_of(message: Message, handler: str) -> dict[str, object]:
    """The columns that an inbox row of `message` is given."""
    return {"message_id": message.id, "handler": handler, "attempt": message.attempt}


async def forget_older_than(connection: AsyncConnection, days: int) -> int:
    """Delete up to `SWEEP_BATCH` rows older than `days`; a message that comes again after that repeats its effect.

    Returns how many.
    """
    old = INBOX.c.processed_at < sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    key = sa.tuple_(INBOX.c.message_id, INBOX.c.handler)
    batch = sa.select(INBOX.c.message_id, INBOX.c.handler).where(old).limit(SWEEP_BATCH)
    return (await connection.execute(sa.delete(INBOX).where(key.in_(batch)))).rowcount
