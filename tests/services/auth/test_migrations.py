"""The tables that migrations make are those that the code expects."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from services.auth.models import METADATA

SHARED = {"outbox", "inbox", "deleted_users", "alembic_version"}


async def test_migrations_make_the_tables_of_the_models(database_url: str) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)
        return [each for each in found if getattr(each[1], "table", each[1]).name not in SHARED]

    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
