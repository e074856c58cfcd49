"""A connection to RabbitMQ that comes back: one loop, one way to recover from whatever broke."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from libs.common.bus.base import BusUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts to connect, doubling; a broker's restart takes 5-15 s
CONNECT_TIMEOUT = 10.0  # seconds
SET_UP_TIMEOUT = 30.0  # seconds; declaring quorum queues for the first time is slow, more so when several services do
CLOSE_TIMEOUT = 5.0  # seconds for a polite goodbye
HEARTBEAT = 10  # seconds; a broker that hangs is noticed after about three of them (RabbitMQ recommends 5-20)


class broker_errors:  # noqa: N801  (a context manager, used like a function)
    """Turn whatever the client raises when the broker fails it into `BusUnavailable`.

    Closing a connection makes the client raise `CancelledError` in calls that wait on it, although nobody cancelled the
    caller; a real cancellation passes. The client's own words are the error's cause, for the log and not for users.
    """

    __slots__ = ("_doing",)  # a class, because a generator would cost more on the way of each message

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise BusUnavailable(f"{self._doing} failed: the connection to the broker was closed") from error
        elif isinstance(error, Exception):
            raise BusUnavailable(f"{self._doing} failed: the broker does not do it at the moment") from error


async def connect(url: URL, name: str) -> AbstractConnection:
    """A connection that the broker knows as `name`; raises `BusUnavailable`."""
    with broker_errors("connecting"):
        connection = aio_pika.Connection(url, client_properties={"connection_name": name})
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.connect()
        except BaseException:
            # aio-pika's own `connect` leaves this to the garbage collector, which may run where there is no loop.
            await connection.close()
            raise
        return connection


class Link:
    """Keeps one connection. `set_up(connection)` runs on each new one before it counts as up, `tear_down()` after its loss.

    Every unexpected event (a channel closed, a consumer cancelled, a missing queue) is answered in the same way: `drop` the
    connection and set up a new one. That costs redeliveries, which handlers must stand anyway, and leaves one path to test.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        set_up: Callable[[AbstractConnection], Awaitable[None]],
        tear_down: Callable[[], None],
    ) -> None:
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=HEARTBEAT)
        self._name = name
        self._set_up = set_up
        self._tear_down = tear_down
        self._task: asyncio.Task[None] | None = None
        self._broken: asyncio.Future[str] | None = None  # done, with the cause, when the connection must go
        self.connection: AbstractConnection | None = None
        self.up = asyncio.Event()
        self.lock = asyncio.Lock()  # held while the connection is being set up, and by whoever adds to what is set up

    def start(self) -> None:
        """Begin to connect, for ever."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"{self._name} link")

    async def close(self) -> None:
        """Disconnect and stay so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None

    def drop(self, why: str) -> None:
        """Give up the present connection, if any, for a new one."""
        if self._broken is not None:
            _settle(self._broken, why)

    def watch(self, channel: AbstractChannel, what: str) -> Callable[[], None]:
        """Drop the connection when `channel` closes, for the reason that the broker gave. Call the result to stop that.

        To be called as soon as the channel is open: aio-pika does not tell of what happened before.
        """

        broken = self._broken  # of this connection, not of a later one

        def closed(_: AbstractChannel | None, error: BaseException | None) -> None:
            if broken is not None:
                _settle(broken, f"the channel of {what} was closed: {error!r}")

        channel.close_callbacks.add(closed)

        def stop() -> None:
            channel.close_callbacks.discard(closed)

        return stop

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                await self._connect_and_hold()
            except BusUnavailable as error:
                log.warning("%s is not connected to RabbitMQ: %s (%r)", self._name, error.detail, error.__cause__)
            except Exception:
                log.exception("%s met a bug; it connects again", self._name)
            if clock() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE  # it held; one that breaks again and again is to wait longer and longer
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads load, keeps no secret
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _connect_and_hold(self) -> None:
        """Return when a connection that was up is gone; raise `BusUnavailable` when none could be set up."""
        connection = await connect(self._url, self._name)
        self._broken = broken = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(lambda _, error: _settle(broken, f"the connection was lost: {error!r}"))
        try:
            with broker_errors("setting up"):
                async with self.lock, asyncio.timeout(SET_UP_TIMEOUT):
                    await self._set_up(connection)
                    self.connection = connection
            self.up.set()
            log.info("%s is connected to RabbitMQ", self._name)
            why = await broken
            log.warning("%s drops its connection to RabbitMQ: %s", self._name, why)
        finally:
            self.up.clear()
            self.connection = None
            self._broken = None
            self._tear_down()
            await say_goodbye(connection)


def _settle(broken: "asyncio.Future[str]", why: str) -> None:
    if not broken.done():
        broken.set_result(why)


async def close_channel(channel: AbstractChannel) -> None:
    """Close `channel`; when that fails the connection is failing, and it goes with it."""
    with suppress(BusUnavailable), broker_errors("closing a channel"):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await channel.close()


async def say_goodbye(connection: AbstractConnection) -> None:
    """Close `connection`, or leave it when that fails."""
    with suppress(BusUnavailable), broker_errors("closing"):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await connection.close()
