"""One consumer of one queue: takes messages, runs the handler, and answers for each of them."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import aio_pika
import aiormq.abc
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage

from libs.common.bus.base import BusUnavailable, DeadLetter, Handler, Message, Unroutable
from libs.common.bus.metrics import CONSUMED, DEAD_LETTERS, REDELIVERED
from libs.common.bus.rabbit import codec
from libs.common.bus.rabbit.declare import declare_queue
from libs.common.bus.rabbit.link import Link, broker_errors, close_channel
from libs.common.bus.serial import Lanes
from libs.common.bus.topology import DEAD_EXCHANGE, Queue, retry_queue
from libs.common.bus.verdict import Outcome, run_handler

log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0  # seconds for an acknowledgement to leave this process
PAUSE = 1.0  # seconds before a failed message is put aside again, when the broker did not take it


class PutAside(Protocol):
    """Publish to `exchange`, confirmed; raises `BusUnavailable` or `Unroutable`."""

    async def __call__(self, exchange: str, routing_key: str, message: aio_pika.Message) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Delivery:
    raw: DeliveredMessage
    channel: aiormq.abc.AbstractChannel
    message: Message | None  # None when the headers make no message ...
    error: str = ""  # ... and then why


class Consumer:
    """A `Subscription` that is attached to each new connection of its link.

    Handlers run in tasks of this process, not in the client's: a lost connection cancels those. What runs goes on, its
    acknowledgement goes nowhere, and the message comes again.
    """

    def __init__(
        self,
        link: Link,
        queue: Queue,
        handler: Handler,
        *,
        concurrency: int,
        service: str,
        ladder: tuple[float, ...],
        declares: bool,
        put_aside: PutAside,
        forget: Callable[["Consumer"], None],
    ) -> None:
        self._queue = queue
        self._link = link
        self._handler = handler
        self._concurrency = concurrency
        self._service = service
        self._ladder = ladder
        self._declares = declares
        self._put_aside = put_aside
        self._forget = forget
        self._lanes: Lanes[_Delivery] = Lanes(self._handle, concurrency=concurrency)
        self._channel: AbstractChannel | None = None
        self._below: aiormq.abc.AbstractChannel | None = None  # where deliveries come and are answered for
        self._tag = ""
        self._unwatch: Callable[[], None] = lambda: None
        self._draining = False

    async def attach(self, connection: AbstractConnection) -> None:
        """Consume over `connection`."""
        if self._draining:
            return
        channel = await connection.channel(publisher_confirms=False)
        self._unwatch = self._link.watch(channel, self._queue.name)
        if self._declares:
            await declare_queue(channel, self._queue)
        # No more than can be handled: what waits here could be handled by another consumer.
        await channel.set_qos(prefetch_count=self._concurrency)
        # The layer below aio-pika, because its `IncomingMessage` raises on properties that it cannot decode (RabbitMQ 4.x
        # hands on any delivery mode) before a callback of ours runs: nobody could answer for such a delivery, and it would
        # keep its place in the prefetch window for ever. A cancel by the broker, too, is told only there.
        below = await channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(
            lambda _: self._link.drop(f"the broker cancelled the consumer of {self._queue.name}")
        )
        self._channel, self._below = channel, below
        consuming = await below.basic_consume(self._queue.name, self._on_delivery)
        self._tag = consuming.consumer_tag or ""

    def detach(self) -> None:
        """The connection is gone; the broker will deliver again whatever was not acknowledged."""
        self._channel = self._below = None
        self._lanes.abandon()

    async def drain(self, timeout: float = 20.0) -> None:
        if self._draining:
            return
        self._draining = True
        channel, below = self._channel, self._below
        self._unwatch()
        if below is not None:
            with suppress(BusUnavailable), broker_errors("cancelling"):
                await below.basic_cancel(self._tag, timeout=ANSWER_TIMEOUT)
        for delivery in self._lanes.abandon():
            await self._give_back(delivery)
        await self._lanes.settle(timeout)
        self._forget(self)
        if channel is not None:
            # Also gives back what was cancelled.
            await close_channel(channel)

    async def _on_delivery(self, raw: DeliveredMessage) -> None:
        channel = raw.channel
        if raw.redelivered:
            REDELIVERED.labels(self._service, self._queue.name).inc()
        try:
            delivery = _Delivery(raw, channel, codec.decode(raw))
        except codec.Unreadable as error:
            delivery = _Delivery(raw, channel, None, str(error))
        if self._draining:
            await self._give_back(delivery)
        elif channel is self._below:
            self._lanes.put(delivery.message.subject if delivery.message else "", delivery)

    async def _handle(self, delivery: _Delivery) -> None:
        message, queue = delivery.message, self._queue
        if message is None:
            log.error("a message in %s cannot be read: %s", queue.name, delivery.error)
            CONSUMED.labels(self._service, queue.name, "unreadable", Outcome.DEAD.value).inc()
            DEAD_LETTERS.labels(self._service, queue.name, "unreadable").inc()
            letter = codec.dead_unreadable(delivery.raw, queue.name, delivery.error)
            await self._move(delivery, DEAD_EXCHANGE, queue.dead_letter_queue, letter)
            return
        verdict = await run_handler(self._handler, message, service=self._service, queue=queue.name, ladder=self._ladder)
        since = codec.first_failed(delivery.raw) or datetime.now(UTC)
        match verdict.outcome:
            case Outcome.HANDLED:
                await self._acknowledge(delivery)
            case Outcome.RETRIED:
                again = codec.after_failure(message.again(), since)
                await self._move(delivery, retry_queue(verdict.delay), queue.name, again)
            case Outcome.DEAD:
                dead = DeadLetter(message, queue.name, verdict.reason, verdict.error, since)
                await self._move(delivery, DEAD_EXCHANGE, queue.dead_letter_queue, codec.dead(dead))

    async def _move(self, delivery: _Delivery, exchange: str, routing_key: str, message: aio_pika.Message) -> None:
        """Put it elsewhere as `message`, confirmed, and only then acknowledge it here.

        While the broker does not take it, it stays here: giving it back would have it delivered at once, over and over,
        until the delivery limit makes a dead letter of it. When this connection goes, the broker has it back anyway.
        """
        while not delivery.channel.is_closed:
            try:
                await self._put_aside(exchange, routing_key, message)
            except (BusUnavailable, Unroutable) as error:
                log.warning("a message of %s cannot be put aside yet: %s (%r)", self._queue.name, error.detail, error.__cause__)
                await asyncio.sleep(PAUSE)
            else:
                await self._acknowledge(delivery)
                return

    async def _acknowledge(self, delivery: _Delivery) -> None:
        with suppress(BusUnavailable), broker_errors("acknowledging"):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await delivery.channel.basic_ack(delivery.raw.delivery_tag or 0, wait=False)

    async def _give_back(self, delivery: _Delivery) -> None:
        with suppress(BusUnavailable), broker_errors("giving back"):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                # Not reject: since RabbitMQ 4.3 that says that handling failed, and counts towards the delivery limit.
                await delivery.channel.basic_nack(delivery.raw.delivery_tag or 0, requeue=True, wait=False)
