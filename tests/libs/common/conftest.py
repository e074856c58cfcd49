"""A database that holds just the messaging tables."""

from collections.abc import AsyncIterator, Callable

import pytest
import sqlalchemy as sa

from libs.common.db import Database
from libs.common.inbox import INBOX
from libs.common.outbox.table import OUTBOX


@pytest.fixture
async def database(make_database: Callable[[str], str]) -> AsyncIterator[Database]:
    """A `Database` of the service "test" with an outbox, an inbox and a table of numbers."""
    database = Database(make_database("common"), source="test")
    async with database.engine.begin() as connection:
        await connection.run_sync(OUTBOX.metadata.create_all)
        await connection.run_sync(INBOX.metadata.create_all)
        await connection.execute(sa.text("CREATE TABLE numbers (value int)"))
    yield database
    await database.close()
