"""A listener of frames: an exclusive queue of its own that binds only the partitions somebody here wants to hear."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aiormq.abc import DeliveredMessage
from pamqp.common import Arguments

from libs.common.bus.base import BusUnavailable, FrameHandler
from libs.common.bus.frames import BACKLOG, FrameInbox, check_partition
from libs.common.bus.rabbit.declare import declare_frames
from libs.common.bus.rabbit.link import Link, broker_errors, close_channel
from libs.common.bus.topology import FRAMES_EXCHANGE

log = logging.getLogger(__name__)

BIND_TIMEOUT = 10.0  # seconds
_BOUNDED: Arguments = {"x-max-length": BACKLOG, "x-overflow": "drop-head"}


class Ear:
    """A `FrameListener` that is attached to each new connection of its link, with the bindings it had."""

    def __init__(
        self,
        link: Link,
        handler: FrameHandler,
        *,
        on_reconnect: Callable[[], Awaitable[None]] | None,
        forget: Callable[["Ear"], None],
    ) -> None:
        self._link = link
        self._inbox = FrameInbox(handler)
        self._on_reconnect = on_reconnect
        self._forget = forget
        self._partitions: set[int] = set()
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._was_attached = False
        self._telling: set[asyncio.Task[None]] = set()

    async def attach(self, connection: AbstractConnection) -> None:
        """Hear over `connection`."""
        channel = await connection.channel(publisher_confirms=False)
        self._unwatch = self._link.watch(channel, "frames")
        await declare_frames(channel)
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=_BOUNDED)
        # One layer below aio-pika, as in `Consumer`. Besides, a binding need not be waited for there: all of them together
        # cost one round trip instead of one each.
        below = await channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(lambda _: self._link.drop("the broker cancelled a listener of frames"))
        self._channel, self._queue = channel, queue  # from here on `bind` binds for itself
        for partition in tuple(self._partitions):
            await below.queue_bind(queue.name, FRAMES_EXCHANGE, routing_key=str(partition), nowait=True)
        await below.basic_consume(queue.name, self._on_frame, no_ack=True)
        if self._was_attached and self._on_reconnect is not None:
            task = asyncio.create_task(self._tell(self._on_reconnect))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        self._was_attached = True

    def detach(self) -> None:
        """The connection is gone, and with it the queue and what was in it."""
        self._channel = self._queue = None

    async def bind(self, partition: int) -> None:
        check_partition(partition)
        self._partitions.add(partition)
        if (queue := self._queue) is not None:
            # When it fails the connection is failing too, and its successor will be bound.
            with suppress(BusUnavailable), broker_errors("binding"):
                await queue.bind(FRAMES_EXCHANGE, str(partition), timeout=BIND_TIMEOUT)

    async def unbind(self, partition: int) -> None:
        self._partitions.discard(partition)
        if (queue := self._queue) is not None:
            with suppress(BusUnavailable), broker_errors("unbinding"):
                await queue.unbind(FRAMES_EXCHANGE, str(partition), timeout=BIND_TIMEOUT)

    async def close(self) -> None:
        self._forget(self)
        self._inbox.close()
        self._unwatch()
        channel, self._channel, self._queue = self._channel, None, None
        if channel is not None:
            await close_channel(channel)

    async def _on_frame(self, raw: DeliveredMessage) -> None:
        partition = int(raw.routing_key or "-1")
        if partition in self._partitions:
            self._inbox.put(partition, raw.body)

    async def _tell(self, on_reconnect: Callable[[], Awaitable[None]]) -> None:
        try:
            await on_reconnect()
        except Exception:
            log.exception("nobody was told that frames were missed")
