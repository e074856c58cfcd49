"""A service's database, with its roles as they are deployed: what the service may do, and all that it may not."""

import itertools
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.table_rights import ADDED_TO, grant
from yousync.local.postgres import OPERATOR, PrivatePostgres, ServiceDatabase

METADATA = sa.MetaData()
THINGS = sa.Table(
    "things",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
)
PARTS = sa.Table("parts", METADATA, sa.Column("thing_id", sa.Integer, sa.ForeignKey("things.id", ondelete="CASCADE")))
ACTS = sa.Table(
    "acts",
    METADATA,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("act", sa.Text, nullable=False),
    info=ADDED_TO,
)
VERSIONS = sa.Sequence("versions", metadata=METADATA)
numbers = itertools.count(1)


@pytest.fixture
def database(postgres: PrivatePostgres) -> ServiceDatabase:
    """Made, and run again as at every start."""
    name = f"rights_{next(numbers)}"
    postgres.create_service_database(name)
    return postgres.create_service_database(name)


async def connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url.replace("+asyncpg", ""))


async def migrate(database: ServiceDatabase) -> None:
    engine = create_async_engine(database.owner_url)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(sa.text("CREATE TABLE IF NOT EXISTS alembic_version (version_num text)"))
        await connection.execute(
            sa.text("CREATE OR REPLACE FUNCTION forget() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM acts'")
        )
        await connection.execute(sa.text("REVOKE ALL ON FUNCTION forget() FROM PUBLIC"))
        await connection.run_sync(grant, METADATA)
    await engine.dispose()


@pytest_asyncio.fixture
async def service(database: ServiceDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the service has it."""
    await migrate(database)
    await migrate(database)
    connection = await connect(database.url)
    yield connection
    await connection.close()


async def test_a_service_does_with_rows_what_it_likes(service: asyncpg.Connection) -> None:
    await service.execute("INSERT INTO things (name) VALUES ('one'), ('two')")
    await service.execute("INSERT INTO parts SELECT id FROM things")
    await service.execute("SELECT * FROM things FOR UPDATE")
    await service.execute("UPDATE things SET name = 'three' WHERE id = 2")
    await service.execute("DELETE FROM things WHERE id = 1")
    assert await service.fetchval("SELECT count(*) FROM parts") == 1
    await service.fetchval("SELECT setval(pg_get_serial_sequence('things', 'id'), 7)")
    assert await service.fetchval("INSERT INTO things (name) VALUES ('four') RETURNING id") == 8
    assert await service.fetchval("SELECT nextval('versions')") == 1
    await service.copy_records_to_table("things", records=[("five",)], columns=["name"])


async def test_locks_and_notifications_need_no_right(service: asyncpg.Connection, database: ServiceDatabase) -> None:
    heard: list[str] = []
    await service.add_listener("outbox", lambda *told: heard.append(told[3]))
    await service.execute("SELECT pg_advisory_lock(1), pg_advisory_xact_lock(2, 3)")
    await service.execute("SELECT pg_notify('outbox', 'hello')")
    await service.execute("SELECT 1")
    assert heard == ["hello"]


FORBIDDEN = (
    "CREATE TABLE mine (id int)",
    "CREATE TEMP TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION pg_trgm",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "ALTER TABLE things ADD COLUMN mine int",
    "ALTER TABLE things DISABLE TRIGGER ALL",
    "CREATE INDEX mine ON things (name)",
    "CREATE TRIGGER mine BEFORE INSERT ON things EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "DROP TABLE things",
    "TRUNCATE things",
    "SELECT * FROM alembic_version",
    "SET ROLE {owner}",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY things TO PROGRAM 'cat'",
    "SELECT rolpassword FROM pg_authid",
)


async def test_a_service_makes_and_changes_nothing_but_rows(service: asyncpg.Connection, database: ServiceDatabase) -> None:
    owner = sa.make_url(database.owner_url).username
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement.format(owner=owner))


async def test_what_is_only_added_to_cannot_be_changed_nor_taken_away(service: asyncpg.Connection) -> None:
    await service.execute("INSERT INTO acts (act) VALUES ('signed in')")
    assert await service.fetchval("SELECT count(*) FROM acts") == 1
    for statement in (
        "UPDATE acts SET act = 'nothing'",
        "DELETE FROM acts",
        "SELECT * FROM acts FOR UPDATE",
        "SELECT setval(pg_get_serial_sequence('acts', 'id'), 1)",
        "SELECT setval('versions', 1)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)
    await service.execute("SELECT forget()")
    assert await service.fetchval("SELECT count(*) FROM acts") == 0


async def test_a_service_reaches_no_other_database(database: ServiceDatabase, postgres: PrivatePostgres) -> None:
    other = postgres.create_service_database(f"rights_{next(numbers)}")
    mine = sa.make_url(database.url)
    for name in (sa.make_url(other.url).database, "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connect(mine.set(database=name).render_as_string(hide_password=False))


async def test_who_looks_reads_everything_and_changes_nothing(
    service: asyncpg.Connection, database: ServiceDatabase, postgres: PrivatePostgres
) -> None:
    operator = await connect(postgres.url(sa.make_url(database.owner_url).database or "", OPERATOR))
    await operator.execute("SELECT * FROM things, acts")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await operator.execute("DELETE FROM things")
    await operator.execute("SET default_transaction_read_only = off")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await operator.execute("DELETE FROM things")
    await operator.close()


async def test_a_service_that_hangs_in_a_transaction_loses_it(service: asyncpg.Connection) -> None:
    assert await service.fetchval("SHOW idle_in_transaction_session_timeout") == "1min"


async def test_where_a_service_has_no_role_of_its_own_the_owner_runs_it(postgres: PrivatePostgres) -> None:
    url = postgres.create_database(f"rights_{next(numbers)}")
    await migrate(ServiceDatabase(owner_url=url, url=url))
    connection = await connect(url)
    await connection.execute("DELETE FROM acts")
    await connection.close()
