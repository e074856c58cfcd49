import sqlalchemy as sa

from libs.common import inbox
from libs.common.bus.base import Message
from libs.common.db import Database
from tests.libs.common.events import NumberSeen


def message(attempt: int = 1) -> Message:
    event = Message.of(NumberSeen(value=1), source="test", subject="number:1")
    for _ in range(attempt - 1):
        event = event.again()
    return event


async def test_only_rows_older_than_the_retention_are_forgotten(database: Database) -> None:
    old, new = message(), message()
    async with database.transaction() as tx:
        await inbox.remember(tx, old, "a")
        await inbox.remember(tx, new, "a")
        await tx.connection.execute(
            sa.update(inbox.INBOX)
            .where(inbox.INBOX.c.message_id == old.id)
            .values(processed_at=sa.text("now() - interval '8 days'"))
        )
    async with database.transaction() as tx:
        assert await inbox.forget_older_than(tx.connection, days=7) == 1
    async with database.transaction() as tx:
        assert await inbox.remember(tx, old, "a")
        assert not await inbox.remember(tx, new, "a")


async def test_the_row_tells_at_which_attempt_the_effect_was_made(database: Database) -> None:
    async with database.transaction() as tx:
        await inbox.remember(tx, message(attempt=3), "a")
        assert (await tx.connection.execute(sa.select(inbox.INBOX.c.attempt))).scalar_one() == 3
