"""The topology as RabbitMQ declarations, all of them idempotent and the same on 3.10 and 4.x."""

from collections.abc import Sequence

from aio_pika.abc import AbstractChannel, AbstractExchange
from pamqp.common import FieldTable

from libs.common.bus.topology import EVENTS_EXCHANGE, FRAMES_EXCHANGE, QUEUES, Queue, dead_letter_queue, retry_queue

# Deliveries of one message that ended without an answer (consumers died) until the broker puts it to the dead letters.
DELIVERY_LIMIT = 10
# A look at a dead letter counts as such a delivery. 4.x has a limit of 20 unless told; 3.10 knows no "unlimited".
NO_DELIVERY_LIMIT = 1_000_000_000

_QUORUM: FieldTable = {"x-queue-type": "quorum"}
_CLASSIC: FieldTable = {"x-queue-type": "classic"}  # knows no delivery limit and no at-least-once dead lettering
# Without these two a message that moves between queues while one of them has no leader is lost.
_AT_LEAST_ONCE: FieldTable = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


async def declare_topology(channel: AbstractChannel, ladder: Sequence[float]) -> None:
    """Everything there is: exchanges, queues, dead letters, and a rung for each delay (seconds) of `ladder`."""
    for delay in ladder:
        await _declare_rung(channel, delay)
    await declare_frames(channel)
    for queue in QUEUES:
        await declare_queue(channel, queue)


async def declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    """`queue`, its bindings, and the queue of its dead letters."""
    events = await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
    graveyard = dead_letter_queue(queue.service)
    await channel.declare_queue(graveyard, durable=True, arguments={**_QUORUM, "x-delivery-limit": NO_DELIVERY_LIMIT})
    guarded: FieldTable = {**_QUORUM, **_AT_LEAST_ONCE, "x-delivery-limit": DELIVERY_LIMIT}
    declared = await channel.declare_queue(
        queue.name,
        durable=True,
        arguments={
            **(guarded if queue.quorum else _CLASSIC),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": graveyard,
        },
    )
    for pattern in queue.bindings:
        await declared.bind(events, routing_key=pattern)


async def declare_frames(channel: AbstractChannel) -> AbstractExchange:
    """The exchange of the frames; listeners bring their own queues."""
    return await channel.declare_exchange(FRAMES_EXCHANGE, "direct", durable=True)


async def _declare_rung(channel: AbstractChannel, delay: float) -> None:
    """Messages published here with a queue's name as routing key come to that queue `delay` seconds later.

    The time is the queue's, not the message's: a per-message TTL would let one long wait block the short ones behind it.
    Without a dead-letter routing key the message keeps its own, and the default exchange takes that for a queue's name.
    """
    name = retry_queue(delay)
    exchange = await channel.declare_exchange(name, "topic", durable=True)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            **_QUORUM,
            **_AT_LEAST_ONCE,
            "x-message-ttl": round(delay * 1000),
            "x-dead-letter-exchange": "",
        },
    )
    await queue.bind(exchange, routing_key="#")
