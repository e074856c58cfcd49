"""Somebody writes while they are erased: whichever comes first, nothing of theirs is left."""

import asyncio
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from libs.common.contracts.auth import UserDeleted
from libs.common.db import Database
from libs.common.deleted_users import DELETED_USERS, DeletedUser, bury, hold

USER = 7
GONE = UserDeleted(user_id=USER, deleted_at=datetime(2026, 11, 23, tzinfo=UTC))
NUMBERS = sa.text("SELECT value FROM numbers")


@pytest.fixture(autouse=True)
async def tables(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(DELETED_USERS.metadata.create_all)


async def write(database: Database, user_id: int = USER) -> None:
    async with database.transaction() as tx:
        await hold(tx, user_id)
        await tx.connection.execute(sa.text("INSERT INTO numbers VALUES (:value)"), {"value": user_id})


async def erase(database: Database) -> None:
    async with database.transaction() as tx:
        await bury(tx.connection, GONE)
        await tx.connection.execute(sa.text("DELETE FROM numbers WHERE value = :value"), {"value": USER})


async def waits(database: Database) -> None:
    """Until somebody waits for a lock."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with asyncio.timeout(10), database.autocommit() as connection:
        while (await connection.execute(waiting)).scalar_one() == 0:
            await asyncio.sleep(0.01)


async def numbers(database: Database) -> list[int]:
    async with database.reading() as connection:
        return list((await connection.execute(NUMBERS)).scalars())


async def test_who_is_deleted_writes_nothing_and_others_go_on(database: Database) -> None:
    await write(database)
    await erase(database)
    await erase(database)
    with pytest.raises(DeletedUser):
        await write(database)
    await write(database, 8)
    assert await numbers(database) == [8]


async def test_a_write_under_way_is_waited_for_and_erased(database: Database) -> None:
    async with asyncio.TaskGroup() as group:
        async with database.transaction() as tx:
            await hold(tx, USER)
            erasing = group.create_task(erase(database))
            await waits(database)
            await tx.connection.execute(sa.text("INSERT INTO numbers VALUES (7)"))
        await erasing
    assert await numbers(database) == []


async def test_a_write_that_comes_while_somebody_is_erased_waits_and_is_refused(database: Database) -> None:
    async with database.transaction() as tx:
        await bury(tx.connection, GONE)
        writing = asyncio.create_task(write(database))
        await waits(database)
    with pytest.raises(DeletedUser):
        await writing
    assert await numbers(database) == []
