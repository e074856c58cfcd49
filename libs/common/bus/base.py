"""The port to the message broker: what a message is, and what every bus must do.

Promises, the same for every implementation (`tests/libs/common/bus/conformance.py` holds them to it):

- `publish` returns when the bus has taken responsibility for the message (a broker's confirm; the memory bus: every
  queue has finished with it) and raises `BusUnavailable` otherwise. A message that must be routed and reaches no queue
  raises `Unroutable`. Nothing is replayed by the bus itself: the outbox owns retries.
- A queue hands each message to one of its consumers, at least once. The handler returns: acknowledged. It raises
  something temporary: it comes again after the next rung of the retry ladder, with `attempt` one higher. It raises
  something permanent, or the ladder has no more rungs: it goes to the dead-letter queue of the queue's service, with
  the reason.
- Messages of one queue with the same `subject` are handled in the order in which they were published as long as none of
  them has to be retried and one consumer reads the queue.
- `drain` stops taking new messages and returns when the handlers that run have finished and were acknowledged.
- Frames are ephemeral: a listener gets those of the partitions it is bound to, at most once, and may miss some.
- A listener of messages gets a copy of each whose routing key it listens for, whatever queues do with theirs; at most once,
  too. What it misses while it is away it must find elsewhere: nothing waits for it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, Self

from libs.common.bus.topology import Queue
from libs.common.contracts.base import Event
from libs.common.errors import Kind, YouSyncError
from libs.common.ids import new_id

# Of what people are told: enough to spread channels, few enough for a gateway to bind them all. As many again, from here on,
# are of what the holders of leases are told: whoever works hears nothing of what people see.
PARTITIONS = 256


class BusUnavailable(YouSyncError):
    """The broker cannot take or give messages at the moment."""

    kind = Kind.UNAVAILABLE
    code = "bus_unavailable"


class Unroutable(YouSyncError):
    """No queue is bound for this message: the topology of the broker lacks something."""

    kind = Kind.UNAVAILABLE
    code = "unroutable"


class Reject(YouSyncError):
    """Raised by a handler: this message can never be handled, put it to the dead letters."""

    kind = Kind.INVALID
    code = "rejected"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: CloudEvents 1.0 attributes, W3C trace context, and the event as JSON in UTF-8.

    `subject` is the ordering key (CloudEvents `subject`), such as a job's id; an empty one asks for no order. `attempt`
    counts deliveries that a handler was asked to handle, from 1; it is our own header: brokers count differently.
    """

    type: str
    body: bytes
    source: str
    subject: str
    routing_key: str
    id: str = field(default_factory=new_id)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    traceparent: str | None = None
    must_route: bool = True
    attempt: int = 1

    @classmethod
    def of(
        cls, event: Event, *, source: str, subject: str, routing_key: str | None = None, traceparent: str | None = None
    ) -> Self:
        """The message that carries `event`; its name is the routing key unless another is given."""
        return cls(
            type=event.name,
            body=event.model_dump_json().encode(),
            source=source,
            subject=subject,
            routing_key=routing_key or event.name,
            traceparent=traceparent,
            must_route=event.must_route,
        )

    def again(self) -> "Message":
        """The same message, one attempt later."""
        return replace(self, attempt=self.attempt + 1)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message nobody will retry by itself, and why."""

    message: Message
    queue: str  # where it was consumed
    reason: str  # rejected | exhausted | unreadable
    error: str  # class and text of the last exception
    first_failed: datetime
    died: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def attempts(self) -> int:
        """How often a handler was asked to handle it; never, when it could not even be read."""
        return 0 if self.reason == "unreadable" else self.message.attempt

    @property
    def group(self) -> str:
        """What it has in common with others that one cause killed: `reason:exception:event type`."""
        exception, colon, _ = self.error.partition(": ")
        return f"{self.reason}:{exception if colon and exception.isidentifier() else '-'}:{self.message.type or '-'}"


class HeldLetter(Protocol):
    """A dead letter in somebody's hand. It goes back to where it lay unless one of these is called, once."""

    @property
    def letter(self) -> DeadLetter:
        """What it is."""

    async def redrive(self) -> None:
        """Send it back to the queue in which it died, and only there, as a first attempt.

        It leaves the dead letters when that queue has it: a crash in between leaves it in both, which inboxes catch, never
        in none. Raises `Unroutable` when there is no such queue, `BusUnavailable` when the broker does not take it; then it
        stays.
        """

    async def drop(self) -> None:
        """Take it out for good."""


Handler = Callable[[Message], Awaitable[None]]
FrameHandler = Callable[[int, bytes], Awaitable[None]]


class Subscription(Protocol):
    """A running consumer."""

    async def drain(self, timeout: float = 20.0) -> None:
        """Stop taking messages, wait for running handlers, give back what was not begun.

        A handler that still runs after `timeout` seconds is cancelled, and its message given back.
        """


class Listener(Protocol):
    """An ear of this process alone."""

    async def close(self) -> None:
        """Stop hearing anything."""


class FrameListener(Listener, Protocol):
    """A gateway's ear on the frames of some partitions."""

    async def bind(self, partition: int) -> None:
        """From now on also hear `partition` (0..2*PARTITIONS-1), including every frame published after this returns.

        While disconnected it returns at once, and `on_reconnect` tells when the binding is there.
        """

    async def unbind(self, partition: int) -> None:
        """Stop hearing `partition`."""


class Bus(Protocol):
    """A connection to the broker, or to its stand-in inside this process."""

    async def start(self) -> None:
        """Connect, declare the topology, and from then on stay connected. Returns when usable for the first time."""

    async def close(self) -> None:
        """Drain all subscriptions and disconnect."""

    @property
    def connected(self) -> bool:
        """Whether messages can be published and consumed at this moment."""

    async def publish(self, message: Message) -> None:
        """Hand over one message; see the promises above."""

    async def consume(self, queue: Queue, handler: Handler, *, concurrency: int = 16) -> Subscription:
        """Handle the messages of `queue`, at most `concurrency` at a time; survives every kind of disconnection."""

    async def listen(
        self, patterns: Sequence[str], handler: Handler, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
    ) -> Listener:
        """Hear every message whose routing key matches one of the topic `patterns`, one at a time, in the order of publishing.

        For what each replica must know, where a queue would tell one of them. What the handler raises is logged, nothing is
        retried. After a broken connection the ear is there again, then `on_reconnect` runs: some were missed.
        """

    async def dead_letters(self, service: str, limit: int = 100) -> list[DeadLetter]:
        """Look at (not take) the oldest dead letters of `service`."""

    def take_dead_letters(self, service: str) -> AbstractAsyncContextManager[AsyncIterator[HeldLetter]]:
        """Go through the dead letters of `service` that are there now, each once and in no certain order.

        What has died since, among it what died again, is not met. Whoever else looks meanwhile does not see what is held.
        The walk may end early (RabbitMQ lets nobody hold messages for ever): begin another one until nothing is left to do.
        """

    async def publish_frame(self, partition: int, body: bytes) -> None:
        """Tell all listeners of `partition`; raises `BusUnavailable` when it certainly reached nobody."""

    async def listen_frames(
        self, handler: FrameHandler, *, on_reconnect: Callable[[], Awaitable[None]] | None = None
    ) -> FrameListener:
        """Hear frames. After a broken connection bindings are restored, then `on_reconnect` runs: some were missed."""

    async def depths(self, queues: Collection[str] | None = None) -> dict[str, int]:
        """Messages waiting, by queue name, for metrics: in `queues` (all that there are) and on the rungs of the ladder.

        Queues that cannot be looked at are left out.
        """
