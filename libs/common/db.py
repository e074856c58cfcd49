"""PostgreSQL: one engine per service, and the transaction in which state, outbox and inbox change together.

SQLAlchemy Core on asyncpg: statements are built from tables, rows become the repository's own values. The unit-of-work of
an ORM is not used, because every use case here is a handful of explicit statements and each costs a learner milliseconds.
Where many learners wait for a statement it is a `Statement`, which the driver is given as it is.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from libs.common import inbox
from libs.common.bus.base import Message
from libs.common.contracts.base import Event
from libs.common.errors import Unavailable
from libs.common.outbox import writer
from libs.common.outbox.handover import Handover, Offer
from libs.common.statement import Statement
from libs.common.telemetry import child_traceparent, going_on

CONNECT_SECONDS = 5.0
# What PostgreSQL says when it ends a connection: the end itself may be heard of later.
_GONE = (
    *(asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError),
    *(asyncpg.CannotConnectNowError, asyncpg.IdleInTransactionSessionTimeoutError),
)


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer."""

    code = "database_unavailable"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to publish. Those of one `subject` keep their order; its name is the routing key unless another is given.

    `traceparent` is of a trace that it belongs to, whoever makes it: by default that of the surrounding `log_context`.
    """

    event: Event
    subject: str
    routing_key: str | None = None
    traceparent: str | None = None

    def message(self, source: str) -> Message:
        """The message of `source` that carries the event."""
        return Message.of(
            self.event,
            source=source,
            subject=self.subject,
            routing_key=self.routing_key,
            traceparent=child_traceparent(going_on(self.traceparent)),
        )


class Transaction:
    """One open transaction. Leaving the block commits, an exception rolls back; no network call belongs inside."""

    def __init__(
        self, connection: AsyncConnection, driver: asyncpg.Connection, *, source: str, handover: Handover, offer: Offer
    ) -> None:
        self.connection = connection
        self._driver = driver
        self._source = source
        self._handover = handover
        self._offer = offer
        self._messages: list[Message] = []

    def publish(self, event: Event, *, subject: str, routing_key: str | None = None, traceparent: str | None = None) -> None:
        """Publish `event`, see `Outgoing`, if and only if this transaction commits."""
        self._messages.append(Outgoing(event, subject, routing_key, traceparent).message(self._source))

    async def flush(self) -> None:
        """Write what was published so far to the outbox: at the end, and meanwhile by whoever publishes very many events.

        Not inside a savepoint: the relay publishes all that was written if the transaction commits.
        """
        if self._messages:
            await self.rows(writer.WRITE, writer.parameters(self._messages, self._offer.hint))
            self._handover.add(self._offer, self._messages)
            self._messages.clear()

    async def rows(self, statement: Statement, values: Mapping[str, object]) -> list[asyncpg.Record]:
        """What the statement finds."""
        found: list[asyncpg.Record] = await self._driver.fetch(statement.sql, *statement.arguments(values))
        return found

    async def first_time(self, message: Message, handler: str) -> bool:
        """True once per message and handler, False for every later delivery: the effect is committed already."""
        return await inbox.remember(self, message, handler)


class Database:
    """A service's database. `source` names the service in the events that it publishes."""

    def __init__(self, url: str, *, source: str, pool_size: int = 20) -> None:
        self._source = source
        self.handover = Handover()
        # At hand for the next use: to take one out of the pool and give it back takes twice the time of a statement.
        self._kept: list[tuple[AsyncConnection, asyncpg.Connection]] = []
        self._most_kept = pool_size // 2
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_SECONDS,
            pool_pre_ping=False,  # a stale connection fails one statement, is retried by its caller, and leaves the pool
            isolation_level="AUTOCOMMIT",  # one statement needs no transaction, and `transaction` begins its own
            connect_args={"timeout": CONNECT_SECONDS, "server_settings": {"application_name": source, "jit": "off"}},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits with its outbox rows when the block ends without an exception."""
        with self.handover.offering() as offer:
            async with self._connected() as (connection, driver):
                await driver.execute("BEGIN")
                try:
                    tx = Transaction(connection, driver, source=self._source, handover=self.handover, offer=offer)
                    yield tx
                    await tx.flush()
                except Exception:
                    if not driver.is_closed():
                        await driver.execute("ROLLBACK")
                    raise
                # PostgreSQL ends a transaction in which a statement failed, and calls that a success of another name.
                if await driver.execute("COMMIT") != "COMMIT":
                    raise RuntimeError("a statement of this transaction failed and was passed over: nothing was committed")

    async def rows(self, statement: Statement, values: Mapping[str, object]) -> list[asyncpg.Record]:
        """What one statement finds that is a transaction of its own: one round trip."""
        async with self._connected() as (_, driver):
            found: list[asyncpg.Record] = await driver.fetch(statement.sql, *statement.arguments(values))
        return found

    async def change(self, change: writer.Change, parameters: Mapping[str, object], *outgoing: Outgoing) -> bool:
        """Commit one statement together with the events that follow from it, in one round trip.

        False when it changed no row, for instance because its WHERE asks for a version that is no longer there: then nothing
        is published. In doubt (`DatabaseUnavailable`) it may have been committed.
        """
        messages = [event.message(self._source) for event in outgoing]
        with self.handover.offering() as offer:
            if messages:
                self.handover.add(offer, messages)
            [found] = await self.rows(change.statement, {**parameters, **writer.parameters(messages, offer.hint)})
            changed = bool(found[0])
            if not changed:
                self.handover.withdraw(offer)
        return changed

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads only."""
        with unavailable_as_ours():
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement is a transaction of its own: one round trip instead of three."""
        with unavailable_as_ours():
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection]]:
        """A connection, and the driver's own, which nobody else gets when nobody knows what a failure left of it."""
        with unavailable_as_ours():
            connection, driver = await self._take()
            try:
                yield connection, driver
            except BaseException as error:
                gone = driver.is_closed() or isinstance(error, _GONE)
                if gone or driver.is_in_transaction() or not isinstance(error, Exception):
                    driver.terminate()
                await self._give_back(connection, driver)
                if gone and isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
                    raise DatabaseUnavailable("the database connection was lost") from error
                raise
            await self._give_back(connection, driver)

    async def _take(self) -> tuple[AsyncConnection, asyncpg.Connection]:
        while self._kept:
            connection, driver = self._kept.pop()
            if not driver.is_closed():
                return connection, driver
            await _close(connection, driver)
        connection = await self.engine.connect()
        return connection, _driver_of(connection)

    async def _give_back(self, connection: AsyncConnection, driver: asyncpg.Connection) -> None:
        if driver.is_closed() or len(self._kept) >= self._most_kept:
            await _close(connection, driver)
            return
        if connection.in_transaction():
            await connection.rollback()  # SQLAlchemy's own idea of one: there is none in the database
        self._kept.append((connection, driver))

    @asynccontextmanager
    async def lasting_connection(self) -> AsyncIterator[AsyncConnection]:
        """An autocommit connection outside the pool, closed at the end, for what lasts: session locks, LISTEN."""
        engine = create_async_engine(
            self.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args={"timeout": CONNECT_SECONDS}
        )
        async with engine.connect() as connection:
            yield connection

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless the database answers now and has been migrated."""
        async with self.reading() as connection:
            migrated = await connection.execute(sa.select(sa.func.to_regclass("alembic_version")))
            if migrated.scalar_one() is None:
                raise DatabaseUnavailable("the database has no tables: its migrations did not run")

    async def close(self) -> None:
        """Close all connections."""
        self._most_kept = 0
        while self._kept:
            await _close(*self._kept.pop())
        await self.engine.dispose()


def _driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    assert connection.sync_connection is not None  # it was just taken from the pool: nothing is waited for
    driver: asyncpg.Connection = connection.sync_connection.connection.driver_connection
    return driver


async def _close(connection: AsyncConnection, driver: asyncpg.Connection) -> None:
    """Give it back to the pool, which opens another one in the place of one that is closed."""
    if driver.is_closed():
        await connection.invalidate()
    await connection.close()


async def move_identity_past(connection: AsyncConnection, table: sa.Table) -> None:
    """Let the next `id` of `table` be higher than all there are, after rows were inserted with ids of their own."""
    sequence = sa.cast(sa.func.pg_get_serial_sequence(table.name, "id"), REGCLASS)
    highest = sa.func.max(table.c.id)
    behind = highest > sa.func.coalesce(sa.func.pg_sequence_last_value(sequence), 0)
    await connection.execute(sa.select(sa.func.setval(sequence, highest)).select_from(table).having(behind))


class unavailable_as_ours:  # noqa: N801  (a context manager, used like a function)
    """Turns a lost or refused connection into `DatabaseUnavailable`; everything else passes."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise DatabaseUnavailable("the database connection was lost") from error
        # A pool that has no free connection in time waits for a server that hangs, or for more callers than it can have.
        if isinstance(error, OSError | TimeoutError | NoFreeConnection) and not isinstance(error, Unavailable):
            raise DatabaseUnavailable("the database does not answer") from error
