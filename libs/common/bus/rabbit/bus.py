"""The bus over RabbitMQ. One connection publishes and one consumes, so that a broker that stops publishers still delivers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache, partial

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError
from yarl import URL

from libs.common.bus.base import (
    BusUnavailable,
    DeadLetter,
    FrameHandler,
    FrameListener,
    Handler,
    HeldLetter,
    Listener,
    Message,
    Subscription,
    Unroutable,
)
from libs.common.bus.frames import check_partition
from libs.common.bus.metrics import CONNECTED, PUBLISHED
from libs.common.bus.rabbit import codec, graveyard, layout
from libs.common.bus.rabbit.consumer import Consumer
from libs.common.bus.rabbit.declare import declare_topology
from libs.common.bus.rabbit.ear import Ear, FrameEar, MessageEar
from libs.common.bus.rabbit.graveyard import LOOK_TIMEOUT
from libs.common.bus.rabbit.link import SET_UP_TIMEOUT, Link, broker_errors, close_channel
from libs.common.bus.topology import (
    DEAD_EXCHANGE,
    EVENTS_EXCHANGE,
    QUEUES,
    RETRY_LADDER,
    Queue,
    dead_letter_queue,
    retry_queue,
)
from libs.common.telemetry import current

ROUTING_KEY_LENGTH = 255  # bytes, AMQP 0-9-1


class RabbitBus:
    """A service's connection to RabbitMQ at `url` (amqp:// or amqps://).

    `name` is the service: it labels connections and metrics. `retry_ladder` and `publish_timeout` are in seconds; the latter
    bounds a publish when the broker is blocked by a memory or disk alarm, or hangs. Unless it `declares`, the topology is
    there: its user may not make it, and is not let in before it is.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        retry_ladder: tuple[float, ...] = RETRY_LADDER,
        publish_timeout: float = 10.0,
        declares: bool = True,
    ) -> None:
        self.name = name
        self.retry_ladder = retry_ladder
        self._publish_timeout = publish_timeout
        self._declares = declares
        self._user = URL(url).user or name
        # Where messages go, by name and with confirms, and where frames go, without. Empty while not connected.
        self._exchanges: dict[str, AbstractExchange] = {}
        self._frames: dict[str, AbstractExchange] = {}
        self._looks: AbstractChannel | None = None
        self._attached: list[Consumer | Ear] = []
        self._published = cache(partial(PUBLISHED.labels, name))
        self._known = set(QUEUES)
        self._looking = asyncio.Lock()  # two looks at once would each see a part of the dead letters
        self._publishing = Link(
            url, name=f"{name} publisher", set_up=self._set_up_publishing, tear_down=self._tear_down_publishing
        )
        self._consuming = Link(url, name=f"{name} consumer", set_up=self._set_up_consuming, tear_down=self._tear_down_consuming)

    async def start(self) -> None:
        # One after the other, so that what consumers need has been declared.
        self._publishing.start()
        await self._publishing.up.wait()
        self._consuming.start()
        await self._consuming.up.wait()

    async def close(self) -> None:
        consumers = [each for each in self._attached if isinstance(each, Consumer)]
        await asyncio.gather(*(consumer.drain() for consumer in consumers))
        for listener in [each for each in self._attached if isinstance(each, Ear)]:
            await listener.close()
        await self._consuming.close()
        await self._publishing.close()

    @property
    def connected(self) -> bool:
        return self._publishing.up.is_set() and self._consuming.up.is_set()

    async def publish(self, message: Message) -> None:
        if len(message.routing_key.encode()) > ROUTING_KEY_LENGTH:
            raise ValueError(f"a routing key has at most {ROUTING_KEY_LENGTH} bytes: {message.routing_key!r}")
        outcome = "unavailable"
        try:
            await self._publish(EVENTS_EXCHANGE, message.routing_key, codec.encode(message), mandatory=message.must_route)
            outcome = "confirmed"
        except Unroutable:
            outcome = "unroutable"
            raise
        finally:
            self._published(message.type, outcome).inc()

    async def consume(self, queue: Queue, handler: Handler, *, concurrency: int = 16) -> Subscription:
        self._known.add(queue)
        consumer = Consumer(
            self._consuming,
            queue,
            handler,
            concurrency=concurrency,
            service=self.name,
            ladder=self.retry_ladder,
            declares=self._declares,
            put_aside=self._put_aside,
            forget=self._forget,
        )
        await self._attach(consumer)
        return consumer

    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]:
        queue = dead_letter_queue(service)
        try:
            async with self._look(queue) as channel:
                return await graveyard.look(await channel.get_underlay_channel(), queue, limit)
        except BusUnavailable as error:
            if not isinstance(error.__cause__, ChannelNotFoundEntity):
                raise
            return []

    @asynccontextmanager
    async def take_dead_letters(self, service: str) -> AsyncIterator[AsyncIterator[HeldLetter]]:
        async def send(queue: str, message: aio_pika.Message) -> None:
            await self._publish("", queue, message, mandatory=True)

        connection = self._publishing.connection
        if connection is None:
            raise BusUnavailable("not connected to RabbitMQ")
        async with graveyard.taken(connection, dead_letter_queue(service), send) as letters:
            yield letters

    async def publish_frame(self, partition: int, body: bytes) -> None:
        check_partition(partition)
        exchange = self._frames.get(layout.frames_exchange(partition))
        if exchange is None:
            raise BusUnavailable("not connected to RabbitMQ")
        frame = codec.encode_frame(body, current("traceparent"))
        with broker_errors("publishing a frame"):
            await exchange.publish(frame, str(partition), mandatory=False, timeout=self._publish_timeout)

    async def listen_frames(
        self, handler: FrameHandler, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
    ) -> FrameListener:
        ear = FrameEar(
            self._consuming,
            handler,
            user=self._user,
            declares=self._declares,
            on_reconnect=on_reconnect,
            forget=self._forget,
        )
        await self._attach(ear)
        return ear

    async def listen(
        self, patterns: Sequence[str], handler: Handler, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
    ) -> Listener:
        ear = MessageEar(
            self._consuming,
            patterns,
            handler,
            user=self._user,
            declares=self._declares,
            on_reconnect=on_reconnect,
            forget=self._forget,
        )
        await self._attach(ear)
        return ear

    async def depths(self, queues: Collection[str] | None = None) -> dict[str, int]:
        if queues is None:
            queues = {name for queue in self._known for name in (queue.name, queue.dead_letter_queue)}
        names = {*queues, *map(retry_queue, self.retry_ladder)}
        depths: dict[str, int] = {}
        for name in sorted(names):
            with suppress(BusUnavailable):  # one that is not there, among others
                async with self._look(name) as channel:
                    declared = await channel.declare_queue(name, passive=True, timeout=LOOK_TIMEOUT)
                    depths[name] = declared.declaration_result.message_count or 0
        return depths

    async def _publish(self, name: str, routing_key: str, message: aio_pika.Message, *, mandatory: bool) -> None:
        exchange = self._exchanges.get(name)
        if exchange is None:
            raise BusUnavailable("not connected to RabbitMQ")
        try:
            with broker_errors(f"publishing to {name or 'the default exchange'}"):
                await exchange.publish(message, routing_key, mandatory=mandatory, timeout=self._publish_timeout)
        except BusUnavailable as error:
            if isinstance(error.__cause__, PublishError):
                raise Unroutable(f"no queue is bound for {routing_key!r}") from error
            raise

    async def _put_aside(self, exchange: str, routing_key: str, message: aio_pika.Message) -> None:
        try:
            await self._publish(exchange, routing_key, message, mandatory=True)
        except Unroutable:
            self._publishing.drop(f"no queue for {routing_key!r} in {exchange!r}: the topology must be declared again")
            raise

    @asynccontextmanager
    async def _look(self, name: str) -> AsyncIterator[AbstractChannel]:
        """A channel to look at the queue `name`, for one caller at a time; raises `BusUnavailable`.

        It is kept, because aio-pika 10.2.1 leaves a little of every channel with the connection for as long as that lives.
        After a failure there is a new one: closing gives back what was taken, and an answer that comes late finds nobody.
        """
        async with self._looking:
            connection, channel = self._publishing.connection, self._looks
            if connection is None:
                raise BusUnavailable("not connected to RabbitMQ")
            if channel is None or channel.is_closed:
                with broker_errors("opening a channel"):
                    async with asyncio.timeout(LOOK_TIMEOUT):
                        channel = self._looks = await connection.channel(publisher_confirms=False)
            try:
                with broker_errors(f"looking at {name}"):
                    yield channel
            except BaseException:
                await close_channel(channel)
                raise

    async def _attach(self, what: Consumer | Ear) -> None:
        async with self._consuming.lock:
            self._attached.append(what)
            if self._consuming.connection is not None:
                try:
                    with broker_errors("subscribing"):
                        async with asyncio.timeout(SET_UP_TIMEOUT):
                            await what.attach(self._consuming.connection)
                except BusUnavailable as error:
                    # The next connection has it attached.
                    self._consuming.drop(f"{error.detail} ({error.__cause__!r})")

    def _forget(self, what: Consumer | Ear) -> None:
        if what in self._attached:
            self._attached.remove(what)

    async def _set_up_publishing(self, connection: AbstractConnection) -> None:
        confirmed = await connection.channel(publisher_confirms=True, on_return_raises=True)
        self._publishing.watch(confirmed, "confirmed publishing")
        unconfirmed = await connection.channel(publisher_confirms=False)
        self._publishing.watch(unconfirmed, "unconfirmed publishing")
        if self._declares:
            await declare_topology(confirmed, self.retry_ladder)
        names = (EVENTS_EXCHANGE, DEAD_EXCHANGE, *(retry_queue(delay) for delay in self.retry_ladder))
        self._exchanges = {name: await confirmed.get_exchange(name, ensure=False) for name in names}
        self._exchanges[""] = confirmed.default_exchange
        self._frames = {name: await unconfirmed.get_exchange(name, ensure=False) for name in layout.FRAMES.exchanges}
        CONNECTED.labels(self.name).set(self._consuming.up.is_set())

    def _tear_down_publishing(self) -> None:
        self._exchanges = {}
        self._frames = {}
        self._looks = None
        CONNECTED.labels(self.name).set(0)

    async def _set_up_consuming(self, connection: AbstractConnection) -> None:
        for each in tuple(self._attached):
            await each.attach(connection)
        CONNECTED.labels(self.name).set(self._publishing.up.is_set())

    def _tear_down_consuming(self) -> None:
        for each in self._attached:
            each.detach()
        CONNECTED.labels(self.name).set(0)
