"""The tables that migrations make are those that the code expects."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from libs.common.migrations import upgrade
from services.catalog.models import METADATA

SHARED = {"outbox", "inbox", "deleted_users", "alembic_version"}


async def test_migrations_make_the_tables_of_the_models(database: AsyncEngine) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)
        return [each for each in found if getattr(each[1], "table", each[1]).name not in SHARED]

    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_that_refuses_the_extension_says_what_to_do(make_database: Callable[[str], str]) -> None:
    url = make_database("catalog")
    owner = create_async_engine(url)
    async with owner.begin() as connection:
        name, role = (await connection.execute(sa.text("SELECT current_database(), current_user"))).one()
        await connection.execute(sa.text(f'REVOKE CREATE ON DATABASE "{name}" FROM "{role}"'))
    await owner.dispose()
    with pytest.raises(RuntimeError, match=r"run CREATE EXTENSION pg_trgm in it .*permission denied"):
        await upgrade("services.catalog", url)
