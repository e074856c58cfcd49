"""Listeners: each hears over an exclusive queue of its own, with the bindings that somebody here wants."""

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aiormq.abc import DeliveredMessage
from pamqp.common import Arguments

from libs.common.bus.base import BusUnavailable, FrameHandler, Handler, Message
from libs.common.bus.frames import BACKLOG, Inbox, check_partition
from libs.common.bus.rabbit import codec, layout
from libs.common.bus.rabbit.declare import declare
from libs.common.bus.rabbit.layout import Layout, frames_exchange
from libs.common.bus.rabbit.link import Link, broker_errors, close_channel
from libs.common.bus.topology import EVENTS_EXCHANGE, ear_prefix
from libs.common.telemetry import log_context

log = logging.getLogger(__name__)

BIND_TIMEOUT = 10.0  # seconds
_BOUNDED: Arguments = {"x-max-length": BACKLOG, "x-overflow": "drop-head"}

Told = Callable[[], Awaitable[None]]


class Ear(ABC):
    """A `Listener` that is attached to each new connection of its link, with the bindings it had."""

    layout: Layout  # of the exchanges alone

    def __init__(
        self, link: Link, *, user: str, declares: bool, on_reconnect: Told | None, forget: Callable[["Ear"], None]
    ) -> None:
        self._link = link
        self._prefix = ear_prefix(user)
        self._what = ", ".join(self.layout.exchanges)
        self._declares = declares
        self._on_reconnect = on_reconnect
        self._forget = forget
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._was_attached = False
        self._telling: set[asyncio.Task[None]] = set()

    @abstractmethod
    def _bindings(self) -> Iterable[tuple[str, str]]:
        """Exchanges, and the routing keys or patterns of them that are to be bound there."""

    @abstractmethod
    async def _on_delivery(self, raw: DeliveredMessage) -> None:
        """Something was heard."""

    @abstractmethod
    def _stop(self) -> None:
        """Nothing of what was heard is handled any more."""

    async def attach(self, connection: AbstractConnection) -> None:
        """Hear over `connection`."""
        channel = await connection.channel(publisher_confirms=False)
        self._unwatch = self._link.watch(channel, f"a listener to {self._what}")
        if self._declares:
            await declare(channel, self.layout)
        # Not the broker's own name: a user with few rights may make queues only of its own names.
        name = self._prefix + secrets.token_hex(8)
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, arguments=_BOUNDED)
        # One layer below aio-pika, as in `Consumer`. Besides, a binding need not be waited for there: all of them together
        # cost one round trip instead of one each.
        below = await channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(lambda _: self._link.drop(f"the broker cancelled a listener to {self._what}"))
        self._channel, self._queue = channel, queue  # from here on `bind` binds for itself
        for exchange, key in tuple(self._bindings()):
            await below.queue_bind(queue.name, exchange, routing_key=key, nowait=True)
        await below.basic_consume(queue.name, self._on_delivery, no_ack=True)
        if self._was_attached and self._on_reconnect is not None:
            task = asyncio.create_task(self._tell(self._on_reconnect))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        self._was_attached = True

    def detach(self) -> None:
        """The connection is gone, and with it the queue and what was in it."""
        self._channel = self._queue = None

    async def close(self) -> None:
        self._forget(self)
        self._stop()
        self._unwatch()
        channel, self._channel, self._queue = self._channel, None, None
        if channel is not None:
            await close_channel(channel)

    async def _tell(self, on_reconnect: Told) -> None:
        try:
            await on_reconnect()
        except Exception:
            log.exception("nobody was told that something was missed")


class FrameEar(Ear):
    """A `FrameListener`."""

    layout = layout.FRAMES

    def __init__(
        self,
        link: Link,
        handler: FrameHandler,
        *,
        user: str,
        declares: bool,
        on_reconnect: Told | None,
        forget: Callable[[Ear], None],
    ) -> None:
        super().__init__(link, user=user, declares=declares, on_reconnect=on_reconnect, forget=forget)
        self._inbox = Inbox(handler)
        self._partitions: set[int] = set()

    def _bindings(self) -> Iterable[tuple[str, str]]:
        return ((frames_exchange(partition), str(partition)) for partition in self._partitions)

    async def bind(self, partition: int) -> None:
        check_partition(partition)
        self._partitions.add(partition)
        if (queue := self._queue) is not None:
            # When it fails the connection is failing too, and its successor will be bound.
            with suppress(BusUnavailable), broker_errors("binding"):
                await queue.bind(frames_exchange(partition), str(partition), timeout=BIND_TIMEOUT)

    async def unbind(self, partition: int) -> None:
        self._partitions.discard(partition)
        if (queue := self._queue) is not None:
            with suppress(BusUnavailable), broker_errors("unbinding"):
                await queue.unbind(frames_exchange(partition), str(partition), timeout=BIND_TIMEOUT)

    def _stop(self) -> None:
        self._inbox.close()

    async def _on_delivery(self, raw: DeliveredMessage) -> None:
        partition = int(raw.routing_key or "-1")
        if partition in self._partitions:
            self._inbox.put(partition, raw.body)


class MessageEar(Ear):
    """A `Listener` to messages whose routing keys match one of `patterns`."""

    layout = layout.EVENTS

    def __init__(
        self,
        link: Link,
        patterns: Sequence[str],
        handler: Handler,
        *,
        user: str,
        declares: bool,
        on_reconnect: Told | None,
        forget: Callable[[Ear], None],
    ) -> None:
        super().__init__(link, user=user, declares=declares, on_reconnect=on_reconnect, forget=forget)
        self._handler = handler
        self._inbox = Inbox(self._handle)
        self._patterns = patterns

    def _bindings(self) -> Iterable[tuple[str, str]]:
        return ((EVENTS_EXCHANGE, pattern) for pattern in self._patterns)

    def _stop(self) -> None:
        self._inbox.close()

    async def _on_delivery(self, raw: DeliveredMessage) -> None:
        try:
            message = codec.decode(raw)
        except codec.Unreadable as error:
            log.error("a message heard from %s cannot be read: %s", EVENTS_EXCHANGE, error)
        else:
            self._inbox.put(message)

    async def _handle(self, message: Message) -> None:
        with log_context(traceparent=message.traceparent):
            await self._handler(message)
