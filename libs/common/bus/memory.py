"""The bus of a platform that lives in one process: same promises as RabbitMQ, nothing to install, nothing on disk.

What a broker keeps on disk is kept by the outbox here: `publish` returns only when every bound queue has finished with
the message, so its outbox row stays unsent until then. After a kill -9 the relay publishes it again and inboxes
deduplicate.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

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
from libs.common.bus.frames import Inbox, check_partition
from libs.common.bus.metrics import CONNECTED, PUBLISHED
from libs.common.bus.serial import Lanes
from libs.common.bus.topology import QUEUES, RETRY_LADDER, Queue, dead_letter_queue, matches, retry_queue
from libs.common.bus.verdict import Outcome, run_handler

# Per service. A laptop's dead letters are for looking at; the oldest go when nobody looks.
DEAD_LETTERS_KEPT = 10_000

L = TypeVar("L")


@dataclass(slots=True)
class _Receipt:
    """What a publisher waits for: `open` queues still have to finish with its message."""

    done: asyncio.Future[None]
    open: int

    def finish_one(self) -> None:
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)

    def fail(self) -> None:
        if not self.done.done():
            self.done.set_exception(BusUnavailable("the bus was closed before the message was handled"))


@dataclass(slots=True)
class _Delivery:
    """A message in one queue."""

    message: Message
    receipt: _Receipt
    place: int  # in the order of publishing: where it belongs when it is given back
    first_failed: datetime | None = None


@dataclass(slots=True)
class _Resting:
    """A failed message on its rung of the retry ladder."""

    delivery: _Delivery
    delay: float  # seconds
    timer: asyncio.TimerHandle


class _MemorySubscription:
    def __init__(self, bus: "MemoryBus", state: "_QueueState", handler: Handler, concurrency: int) -> None:
        self._bus = bus
        self._state = state
        self._handler = handler
        self._concurrency = concurrency
        self._taken = 0
        self.lanes: Lanes[_Delivery] = Lanes(self._handle, concurrency=concurrency)

    @property
    def has_room(self) -> bool:
        return self._taken < self._concurrency

    def take(self, delivery: _Delivery) -> None:
        self._taken += 1
        self.lanes.put(delivery.message.subject, delivery)

    async def drain(self, timeout: float = 20.0) -> None:
        if self in self._state.consumers:
            self._state.consumers.remove(self)
        self._state.give_back(self.lanes.abandon())
        await self.lanes.settle(timeout)

    async def _handle(self, delivery: _Delivery) -> None:
        state, message = self._state, delivery.message
        try:
            verdict = await run_handler(
                self._handler, message, service=self._bus.name, queue=state.queue.name, ladder=self._bus.retry_ladder
            )
        except asyncio.CancelledError:
            state.give_back([delivery])
            raise
        finally:
            self._taken -= 1
        delivery.first_failed = delivery.first_failed or datetime.now(UTC)
        match verdict.outcome:
            case Outcome.HANDLED:
                delivery.receipt.finish_one()
            case Outcome.RETRIED:
                state.retry_later(delivery, verdict.delay)
            case Outcome.DEAD:
                self._bus.bury(
                    DeadLetter(message, state.queue.name, verdict.reason, verdict.error, delivery.first_failed),
                    state.queue.service,
                )
                delivery.receipt.finish_one()
        state.hand_out()


@dataclass(slots=True)
class _QueueState:
    """One queue: what waits, who reads, and what will come again."""

    queue: Queue
    waiting: deque[_Delivery] = field(default_factory=deque)
    consumers: deque[_MemorySubscription] = field(default_factory=deque)
    resting: dict[int, _Resting] = field(default_factory=dict)  # by place

    def put(self, delivery: _Delivery) -> None:
        self.waiting.append(delivery)
        self.hand_out()

    def hand_out(self) -> None:
        """Give waiting messages to the consumers that have room, in turn."""
        while self.waiting:
            for _ in range(len(self.consumers)):
                consumer = self.consumers[0]
                self.consumers.rotate(-1)
                if consumer.has_room:
                    consumer.take(self.waiting.popleft())
                    break
            else:
                return

    def give_back(self, deliveries: list[_Delivery]) -> None:
        """Put messages that were taken and not handled back to the head of the queue."""
        self.waiting.extendleft(sorted(deliveries, key=lambda delivery: delivery.place, reverse=True))
        self.hand_out()

    def retry_later(self, delivery: _Delivery, delay: float) -> None:
        delivery.message = delivery.message.again()

        timer = asyncio.get_running_loop().call_later(delay, self._wake, delivery)
        self.resting[delivery.place] = _Resting(delivery, delay, timer)

    def _wake(self, delivery: _Delivery) -> None:
        del self.resting[delivery.place]
        self.put(delivery)

    def unfinished(self) -> Iterator[_Delivery]:
        """Everything no handler is running for."""
        yield from self.waiting
        yield from (resting.delivery for resting in self.resting.values())


@dataclass(slots=True)
class _HeldInMemory:
    """A dead letter in somebody's hand; it lies where it lies until something is done with it."""

    letter: DeadLetter
    _bus: "MemoryBus"
    _lies_in: deque[DeadLetter]

    async def redrive(self) -> None:
        self._bus.revive(self.letter)
        await self.drop()

    async def drop(self) -> None:
        with suppress(ValueError):  # the oldest go by themselves when there are too many
            self._lies_in.remove(self.letter)


class _MemoryListener:
    def __init__(self, patterns: Sequence[str], handler: Handler, forget: Callable[["_MemoryListener"], None]) -> None:
        self.inbox = Inbox(handler)
        self._patterns = patterns
        self._forget = forget

    def wants(self, message: Message) -> bool:
        return any(matches(pattern, message.routing_key) for pattern in self._patterns)

    async def close(self) -> None:
        self._forget(self)
        self.inbox.close()


class _MemoryFrameListener:
    def __init__(self, handler: FrameHandler, forget: Callable[["_MemoryFrameListener"], None]) -> None:
        self.inbox = Inbox(handler)
        self.partitions: set[int] = set()
        self._forget = forget

    async def bind(self, partition: int) -> None:
        check_partition(partition)
        self.partitions.add(partition)

    async def unbind(self, partition: int) -> None:
        self.partitions.discard(partition)

    async def close(self) -> None:
        self._forget(self)
        self.inbox.close()


class MemoryBus:
    """One per process, shared by all services in it. `name` labels its metrics; `retry_ladder` is in seconds.

    Tied to the event loop that publishes and consumes. A publish to a queue that nobody consumes waits until somebody
    does.
    """

    def __init__(self, *, name: str = "memory", retry_ladder: tuple[float, ...] = RETRY_LADDER) -> None:
        self.name = name
        self.retry_ladder = retry_ladder
        self._open = False
        self._published = 0
        self._queues = {queue.name: _QueueState(queue) for queue in QUEUES}
        self._dead: dict[str, deque[DeadLetter]] = {}
        self._listeners: list[_MemoryListener] = []
        self._frame_listeners: list[_MemoryFrameListener] = []

    async def start(self) -> None:
        self._open = True
        CONNECTED.labels(self.name).set(1)

    async def close(self) -> None:
        self._open = False
        CONNECTED.labels(self.name).set(0)
        # Before the drain, so that nobody waits for messages that nobody will take any more ...
        self._fail_unfinished()
        subscriptions = [consumer for state in self._queues.values() for consumer in state.consumers]
        await asyncio.gather(*(subscription.drain() for subscription in subscriptions))
        # ... and after it, for those that their handlers gave back.
        self._fail_unfinished()
        listeners: list[Listener] = [*self._listeners, *self._frame_listeners]
        for listener in listeners:
            await listener.close()

    @property
    def connected(self) -> bool:
        return self._open

    async def publish(self, message: Message) -> None:
        if not self._open:
            PUBLISHED.labels(self.name, message.type, "unavailable").inc()
            raise BusUnavailable("the bus is closed")
        bound = [
            state
            for state in self._queues.values()
            if any(matches(pattern, message.routing_key) for pattern in state.queue.bindings)
        ]
        listening = [listener for listener in self._listeners if listener.wants(message)]
        for listener in listening:
            listener.inbox.put(message)
        if listening and not bound:
            PUBLISHED.labels(self.name, message.type, "confirmed").inc()
            return
        if not bound:
            PUBLISHED.labels(self.name, message.type, "unroutable").inc()
            if message.must_route:
                raise Unroutable(f"no queue is bound for {message.routing_key!r}")
            return
        receipt = self._put(message, bound)
        try:
            await receipt.done
        except BusUnavailable:
            PUBLISHED.labels(self.name, message.type, "unavailable").inc()
            raise
        PUBLISHED.labels(self.name, message.type, "confirmed").inc()

    async def consume(self, queue: Queue, handler: Handler, *, concurrency: int = 16) -> Subscription:
        state = self._queues.setdefault(queue.name, _QueueState(queue))
        subscription = _MemorySubscription(self, state, handler, concurrency)
        state.consumers.append(subscription)
        state.hand_out()
        return subscription

    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]:
        return list(self._dead.get(service, ()))[:limit]

    @asynccontextmanager
    async def take_dead_letters(self, service: str) -> AsyncIterator[AsyncIterator[HeldLetter]]:
        async def walk() -> AsyncIterator[HeldLetter]:
            lies_in = self._dead.get(service, deque())
            for letter in tuple(lies_in):
                yield _HeldInMemory(letter, self, lies_in)

        yield walk()

    def bury(self, letter: DeadLetter, service: str) -> None:
        """Keep a message that nobody will retry by itself."""
        self._dead.setdefault(service, deque(maxlen=DEAD_LETTERS_KEPT)).append(letter)

    def revive(self, letter: DeadLetter) -> None:
        """Put a dead letter back to the queue it died in, as a first attempt."""
        state = self._queues.get(letter.queue)
        if state is None:
            raise Unroutable(f"no queue is called {letter.queue!r}")
        receipt = self._put(replace(letter.message, attempt=1), [state])
        # Its publisher has heard long ago that it was dealt with; nobody waits for it, not even for its failure.
        receipt.done.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _put(self, message: Message, queues: list[_QueueState]) -> _Receipt:
        receipt = _Receipt(asyncio.get_running_loop().create_future(), open=len(queues))
        self._published += 1
        for state in queues:
            state.put(_Delivery(message, receipt, self._published))
        return receipt

    async def publish_frame(self, partition: int, body: bytes) -> None:
        check_partition(partition)
        if not self._open:
            raise BusUnavailable("the bus is closed")
        for listener in self._frame_listeners:
            if partition in listener.partitions:
                listener.inbox.put(partition, body)

    async def listen_frames(
        self, handler: FrameHandler, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
    ) -> FrameListener:
        listener = _MemoryFrameListener(handler, partial(_discard, self._frame_listeners))
        self._frame_listeners.append(listener)
        return listener

    async def listen(
        self, patterns: Sequence[str], handler: Handler, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
    ) -> Listener:
        listener = _MemoryListener(patterns, handler, partial(_discard, self._listeners))
        self._listeners.append(listener)
        return listener

    async def depths(self, queues: Collection[str] | None = None) -> dict[str, int]:
        depths = {retry_queue(delay): 0 for delay in self.retry_ladder}
        for state in self._queues.values():
            depths[state.queue.name] = len(state.waiting)
            depths[dead_letter_queue(state.queue.service)] = len(self._dead.get(state.queue.service, ()))
            for resting in state.resting.values():
                depths[retry_queue(resting.delay)] += 1
        rungs = {retry_queue(delay) for delay in self.retry_ladder}
        return {name: depth for name, depth in depths.items() if queues is None or name in queues or name in rungs}

    def _fail_unfinished(self) -> None:
        for state in self._queues.values():
            for delivery in state.unfinished():
                delivery.receipt.fail()
            for resting in state.resting.values():
                resting.timer.cancel()
            state.waiting.clear()
            state.resting.clear()


def _discard(listeners: list[L], listener: L) -> None:
    if listener in listeners:
        listeners.remove(listener)
