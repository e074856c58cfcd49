"""Counting views."""

import asyncio

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.db import Database, DatabaseUnavailable
from services.catalog import repository
from services.catalog.errors import TokenNotFound
from services.catalog.viewing import Views


async def stored(database: AsyncEngine, token_id: int) -> int:
    async with database.connect() as connection:
        counted = await connection.execute(sa.text("SELECT view_count FROM tokens WHERE id = :id"), {"id": token_id})
        return int(counted.scalar_one())


@pytest.mark.usefixtures("catalogue")
async def test_several_processes_count_beside_each_other_and_no_number_is_told_twice(
    database: AsyncEngine, migrated_database: str
) -> None:
    processes = [Database(migrated_database, source="catalog") for _ in range(3)]
    counters = [Views(process) for process in processes]
    numbers = await asyncio.gather(*(counters[turn % 3].count(1) for turn in range(300)))
    assert sorted(numbers) == list(range(4, 304))
    assert await stored(database, 1) == 303
    for process in processes:
        await process.close()


@pytest.mark.usefixtures("catalogue")
async def test_views_that_come_together_are_written_together(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    add_views = repository.add_views

    async def noted(connection: object, token_id: int, how_many: int) -> int | None:
        written.append(how_many)
        return await add_views(connection, token_id, how_many)  # type: ignore[arg-type]

    monkeypatch.setattr(repository, "add_views", noted)
    await asyncio.gather(*(client.post("/api/tokens/1/view") for _ in range(40)))
    assert sum(written) == 40
    assert len(written) < 10


@pytest.mark.usefixtures("catalogue")
async def test_a_view_of_somebody_who_left_counts(database: AsyncEngine, migrated_database: str) -> None:
    process = Database(migrated_database, source="catalog")
    views = Views(process)
    tasks = [asyncio.create_task(views.count(1)) for _ in range(3)]
    await asyncio.sleep(0)  # each has begun
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert tasks[2].result() == await stored(database, 1) == 6
    await process.close()


async def test_when_the_database_is_away_everybody_who_waits_is_told() -> None:
    views = Views(Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", source="catalog"))
    outcomes = await asyncio.gather(*(views.count(1) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 5


@pytest.mark.usefixtures("database")
async def test_a_scene_that_is_not_there_is_not_counted(migrated_database: str) -> None:
    process = Database(migrated_database, source="catalog")
    views = Views(process)
    for token_id in (0, -1, 4711, 2**31, 2**70):
        with pytest.raises(TokenNotFound):
            await views.count(token_id)
    await process.close()
