import sqlalchemy as sa

from libs.common import inbox
from libs.common.db import Database

OLD, NEW = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


async def test_only_rows_older_than_the_retention_are_forgotten(database: Database) -> None:
    async with database.transaction() as tx:
        await inbox.remember(tx.connection, OLD, "a")
        await inbox.remember(tx.connection, NEW, "a")
        await tx.connection.execute(
            sa.update(inbox.INBOX)
            .where(inbox.INBOX.c.message_id == OLD)
            .values(processed_at=sa.text("now() - interval '8 days'"))
        )
    async with database.transaction() as tx:
        assert await inbox.forget_older_than(tx.connection, days=7) == 1
    async with database.transaction() as tx:
        assert await inbox.remember(tx.connection, OLD, "a")
        assert not await inbox.remember(tx.connection, NEW, "a")
