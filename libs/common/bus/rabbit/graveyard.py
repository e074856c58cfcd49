"""The dead letters in RabbitMQ: looked at, or taken in hand one by one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError
from aiormq.abc import AbstractChannel, DeliveredMessage
from yarl import URL

from libs.common.bus.base import BusUnavailable, DeadLetter, HeldLetter, Unroutable
from libs.common.bus.rabbit import codec
from libs.common.bus.rabbit.link import broker_errors, close_channel, connect, say_goodbye
from libs.common.bus.topology import dead_letter_queue

LOOK_TIMEOUT = 10.0  # seconds for one question to the broker
# RabbitMQ puts letters that were looked at behind those that were not, so the oldest are found only by looking at all; beyond
# this many it is some of them.
LOOKED_AT = 1_000
# Seconds. The broker closes a channel that has held a message for 30 minutes (`consumer_timeout`).
HELD_AT_MOST = 900.0

# To the queue of this name, confirmed; raises `Unroutable` or `BusUnavailable`.
Send = Callable[[str, aio_pika.Message], Awaitable[None]]


async def look(channel: AbstractChannel, queue: str, limit: int) -> list[DeadLetter]:
    """The oldest letters of the dead-letter queue `queue`, which all stay. Raises what the client raises."""
    letters: list[DeadLetter] = []
    last = 0
    # One layer below aio-pika, as in `Consumer`: a letter is shown whatever its properties are.
    while len(letters) < max(limit, LOOKED_AT):
        found = await channel.basic_get(queue, timeout=LOOK_TIMEOUT)
        if found.delivery_tag is None:
            break
        last = found.delivery_tag
        letters.append(codec.decode_dead(found, queue))
    if last:
        await channel.basic_nack(last, multiple=True, requeue=True)
    return sorted(letters, key=lambda letter: letter.first_failed)[:limit]


class Graveyard:
    """All dead letters of a broker, for a tool that is no service: `open_graveyard` makes it."""

    def __init__(self, connection: AbstractConnection, send: Send) -> None:
        self._connection = connection
        self._send = send

    def take(self, service: str) -> AbstractAsyncContextManager[AsyncIterator[HeldLetter]]:
        """As `Bus.take_dead_letters`."""
        return taken(self._connection, dead_letter_queue(service), self._send)


@asynccontextmanager
async def open_graveyard(url: str, *, name: str) -> AsyncIterator[Graveyard]:
    """The dead letters of the broker at `url`. It declares nothing and does not come back when the connection breaks.

    Raises `BusUnavailable`.
    """
    connection = await connect(URL(url), name)
    try:
        with broker_errors("opening a channel"):
            async with asyncio.timeout(LOOK_TIMEOUT):
                confirmed = await connection.channel(publisher_confirms=True, on_return_raises=True)

        async def send(queue: str, message: aio_pika.Message) -> None:
            try:
                with broker_errors(f"sending to {queue}"):
                    await confirmed.default_exchange.publish(message, queue, mandatory=True, timeout=LOOK_TIMEOUT)
            except BusUnavailable as error:
                if isinstance(error.__cause__, PublishError):
                    raise Unroutable(f"no queue is called {queue!r}") from error
                raise

        yield Graveyard(connection, send)
    finally:
        await say_goodbye(connection)


@asynccontextmanager
async def taken(connection: AbstractConnection, queue: str, send: Send) -> AsyncIterator[AsyncIterator[HeldLetter]]:
    """Each letter that lies in `queue` now; what is not settled goes back with the end of the block.

    Raises `BusUnavailable`. There are no letters in a queue that does not exist.
    """
    with broker_errors("opening a channel"):
        async with asyncio.timeout(LOOK_TIMEOUT):
            channel = await connection.channel(publisher_confirms=False)
    try:
        yield _letters(await channel.get_underlay_channel(), queue, send)
    finally:
        await close_channel(channel)


async def _letters(channel: AbstractChannel, queue: str, send: Send) -> AsyncIterator[HeldLetter]:
    clock = asyncio.get_running_loop().time
    until = clock() + HELD_AT_MOST
    behind: int | None = None  # that were there when the first was taken; those that come later lie behind them
    while behind != 0 and clock() < until:
        try:
            with broker_errors(f"taking from {queue}"):
                found = await channel.basic_get(queue, timeout=LOOK_TIMEOUT)
        except BusUnavailable as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                return
            raise
        if found.delivery_tag is None:
            return
        behind = (found.message_count or 0) if behind is None else behind - 1
        yield Held(codec.decode_dead(found, queue), found, channel, send, queue)


@dataclass(slots=True, eq=False)
class Held:
    """A `HeldLetter`; the broker gives it back when its channel closes."""

    letter: DeadLetter
    _raw: DeliveredMessage
    _channel: AbstractChannel
    _send: Send
    _lies_in: str

    async def redrive(self) -> None:
        if self.letter.queue == self._lies_in:
            raise Unroutable("nobody knows which queue it died in")
        await self._send(self.letter.queue, codec.redriven(self._raw))
        await self.drop()

    async def drop(self) -> None:
        with broker_errors("taking out a dead letter"):
            await self._channel.basic_ack(self._raw.delivery_tag or 0)
