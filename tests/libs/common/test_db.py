import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import asyncpg
import pytest
import sqlalchemy as sa

from libs.common.bus.base import Message
from libs.common.db import Database, DatabaseUnavailable, Outgoing
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX
from libs.common.outbox.writer import Change
from libs.common.statement import Statement
from libs.common.telemetry import log_context
from tests.libs.common.events import NumberSeen

INSERT = sa.text("INSERT INTO numbers VALUES (1)")
NUMBERS = sa.table("numbers", sa.column("value", sa.Integer))
ADD = Change(sa.insert(NUMBERS).values(value=sa.bindparam("value")))
REPLACE = Change(sa.update(NUMBERS).where(NUMBERS.c.value == sa.bindparam("old")).values(value=sa.bindparam("value")))


ONE = Statement(sa.select(sa.literal_column("1")))
SLEEP = Statement(sa.select(sa.func.pg_sleep(60)))
# The other sessions of this database that are asleep.
CUT = Statement(
    sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )
)


def lasting_transaction(database: Database) -> Callable[[Statement, Mapping[str, object]], Awaitable[list[asyncpg.Record]]]:
    """As `database.rows`, in a transaction that has begun before."""

    async def rows(statement: Statement, values: Mapping[str, object]) -> list[asyncpg.Record]:
        async with database.transaction() as tx:
            await tx.connection.execute(sa.text("SELECT 1"))
            return await tx.rows(statement, values)

    return rows


async def unavailable(use: Awaitable[object]) -> bool:
    try:
        await use
    except DatabaseUnavailable:
        return True
    return False


async def count(database: Database, what: str) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(sa.text(f"SELECT count(*) FROM {what}"))).scalar_one())


async def test_state_and_event_commit_together(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.connection.execute(INSERT)
        tx.publish(NumberSeen(value=1), subject="number:1")
    assert (await count(database, "numbers"), await count(database, "outbox")) == (1, 1)


async def test_an_exception_rolls_back_state_and_event(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await tx.connection.execute(INSERT)
            tx.publish(NumberSeen(value=1), subject="number:1")
            raise ZeroDivisionError
    assert (await count(database, "numbers"), await count(database, "outbox")) == (0, 0)


async def test_a_failure_that_is_passed_over_is_not_taken_for_a_commit(database: Database) -> None:
    with pytest.raises(RuntimeError, match="nothing was committed"):
        async with database.transaction() as tx:
            await tx.connection.execute(INSERT)
            with suppress(sa.exc.DBAPIError):
                await tx.connection.execute(sa.text("SELECT 1 / 0"))
    assert await count(database, "numbers") == 0
    async with database.transaction() as tx:
        await tx.connection.execute(INSERT)
    assert await count(database, "numbers") == 1


async def test_the_hint_comes_after_the_commit_and_only_with_events(database: Database) -> None:
    hints: asyncio.Queue[str] = asyncio.Queue()
    async with database.lasting_connection() as connection:
        driver: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
        await driver.add_listener(NOTIFY_CHANNEL, lambda *heard: hints.put_nowait(heard[-1]))
        async with database.transaction() as tx:
            await tx.connection.execute(INSERT)
        await database.change(ADD, {"value": 1})
        async with database.transaction() as tx:
            tx.publish(NumberSeen(value=1), subject="number:1")
            await tx.flush()
            await connection.execute(sa.text("SELECT 1"))
            assert hints.empty()
        await asyncio.wait_for(hints.get(), 10)
        await database.change(ADD, {"value": 1}, Outgoing(NumberSeen(value=1), "number:1"))
        await asyncio.wait_for(hints.get(), 10)
        assert hints.empty()


async def test_a_change_and_its_events_commit_in_one_statement(database: Database) -> None:
    events = [Outgoing(NumberSeen(value=value), "number:1", routing_key="test.elsewhere") for value in (1, 2)]
    assert await database.change(ADD, {"value": 1}, *events)
    assert await count(database, "numbers") == 1
    async with database.reading() as connection:
        rows = (await connection.execute(sa.select(OUTBOX).order_by(OUTBOX.c.id))).all()
    assert [row.body for row in rows] == [b'{"value":1}', b'{"value":2}']
    assert {(row.type, row.source, row.subject, row.routing_key) for row in rows} == {
        ("test.number-seen", "test", "number:1", "test.elsewhere")
    }


async def test_a_change_of_no_row_publishes_nothing(database: Database) -> None:
    assert not await database.change(REPLACE, {"old": 1, "value": 2}, Outgoing(NumberSeen(value=2), "number:1"))
    assert await count(database, "outbox") == 0


async def test_a_change_needs_no_events(database: Database) -> None:
    assert await database.change(ADD, {"value": 1})
    assert await database.change(REPLACE, {"old": 1, "value": 2})
    assert (await count(database, "numbers"), await count(database, "outbox")) == (1, 0)


async def test_a_change_that_fails_publishes_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.connection.execute(sa.text("ALTER TABLE numbers ADD CHECK (value > 0)"))
    with pytest.raises(asyncpg.CheckViolationError):
        await database.change(ADD, {"value": 0}, Outgoing(NumberSeen(value=0), "number:0"))
    assert await count(database, "outbox") == 0


async def test_of_two_changes_of_the_same_version_one_wins(database: Database) -> None:
    await database.change(ADD, {"value": 1})
    outcomes = await asyncio.gather(
        *(database.change(REPLACE, {"old": 1, "value": 2}, Outgoing(NumberSeen(value=2), "number:1")) for _ in range(5))
    )
    assert sorted(outcomes) == [False] * 4 + [True]
    assert await count(database, "outbox") == 1


async def test_changes_with_any_number_of_events_are_one_prepared_statement(database: Database) -> None:
    for events in range(4):
        await database.change(ADD, {"value": events}, *(Outgoing(NumberSeen(value=n), "number:1") for n in range(events)))
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'WITH changed%'"
    [found] = await database.rows(Statement(sa.text(prepared)), {})  # on the same connection: nobody else is at work
    assert found[0] == 1


async def test_an_event_continues_the_trace_of_the_request(database: Database) -> None:
    with log_context(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        async with database.transaction() as tx:
            tx.publish(NumberSeen(value=1), subject="number:1")
    async with database.reading() as connection:
        stored = (await connection.execute(sa.select(OUTBOX.c.traceparent))).scalar_one()
    assert stored.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert "b7ad6b7169203331" not in stored


async def test_a_message_is_new_once_per_handler(database: Database) -> None:
    message = Message.of(NumberSeen(value=1), source="test", subject="number:1")
    async with database.transaction() as tx:
        assert await tx.first_time(message, "a")
    async with database.transaction() as tx:
        assert not await tx.first_time(message, "a")
        assert await tx.first_time(message, "b")


async def test_an_effect_that_was_rolled_back_is_not_remembered(database: Database) -> None:
    message = Message.of(NumberSeen(value=1), source="test", subject="number:1")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            assert await tx.first_time(message, "a")
            raise ZeroDivisionError
    async with database.transaction() as tx:
        assert await tx.first_time(message, "a")


async def test_a_database_that_does_not_answer_is_unavailable() -> None:
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none", source="test")
    with pytest.raises(DatabaseUnavailable):
        await database.check()
    await database.close()


async def test_a_connection_cut_by_the_server_is_unavailable_and_the_next_use_works(
    make_database: Callable[[str], str],
) -> None:
    database = Database(make_database("cut"), source="test", pool_size=2)
    with pytest.raises(DatabaseUnavailable):
        async with database.reading() as connection:
            pid = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
            async with database.reading() as other:
                await other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            await connection.execute(sa.text("SELECT 1"))
    async with database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_a_connection_that_is_cut_under_a_statement_is_unavailable_and_the_next_use_works(
    make_database: Callable[[str], str],
) -> None:
    database = Database(make_database("cut"), source="test", pool_size=2)
    for how in (database.rows, lasting_transaction(database)):
        onlooker = Database(str(database.engine.url.render_as_string(hide_password=False)), source="test")
        async with asyncio.TaskGroup() as group:
            asleep = group.create_task(unavailable(how(SLEEP, {})))
            while not await onlooker.rows(CUT, {}):
                pass
        assert asleep.result()
        await onlooker.close()
        assert await how(ONE, {})
    await database.close()


async def test_a_cancelled_use_leaves_nothing_and_the_next_one_works(make_database: Callable[[str], str]) -> None:
    database = Database(make_database("cut"), source="test", pool_size=1)
    async with database.transaction() as tx:
        await tx.connection.execute(sa.text("CREATE TABLE numbers (value int)"))
    for how in (database.rows, lasting_transaction(database)):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await how(Statement(sa.text("INSERT INTO numbers SELECT 1 FROM pg_sleep(60)")), {})
        assert await count(database, "numbers") == 0
    await database.close()


async def test_a_statement_that_fails_in_a_transaction_costs_no_connection(database: Database) -> None:
    async def session() -> int:
        [row] = await database.rows(Statement(sa.select(sa.func.pg_backend_pid())), {})
        return int(row[0])

    before = await session()
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.transaction() as tx:
            await tx.connection.execute(INSERT)
            await tx.rows(Statement(sa.text("SELECT 1 / 0")), {})
    assert await session() == before
    assert await count(database, "numbers") == 0


async def test_one_use_after_the_other_has_the_same_connection_and_leaves_the_others_to_readers(
    make_database: Callable[[str], str],
) -> None:
    database = Database(make_database("kept"), source="test", pool_size=2)
    session = Statement(sa.select(sa.func.pg_backend_pid()))
    sessions = set()
    for _ in range(3):
        sessions.add((await database.rows(session, {}))[0][0])
        async with database.transaction() as tx:
            sessions.add((await tx.connection.execute(sa.select(sa.func.pg_backend_pid()))).scalar_one())
    assert len(sessions) == 1
    async with database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT 1"))).scalar_one() == 1
    await asyncio.gather(*(database.rows(session, {}) for _ in range(20)))
    await database.close()


async def test_a_database_is_not_ready_before_its_migrations_ran(make_database: Callable[[str], str]) -> None:
    database = Database(make_database("bare"), source="test")
    with pytest.raises(DatabaseUnavailable, match="migrations"):
        await database.check()
    async with database.transaction() as tx:
        await tx.connection.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
    await database.check()
    await database.close()


async def test_a_pool_without_a_free_connection_is_told_by_name(
    make_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.common.db.CONNECT_SECONDS", 0.5)
    database = Database(make_database("full"), source="test", pool_size=1)
    async with database.reading() as connection:
        await connection.execute(sa.text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as tx:
                await tx.connection.execute(sa.text("SELECT 1"))
    await database.close()
