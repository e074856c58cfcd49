"""The layout as RabbitMQ declarations, all of them idempotent."""

from collections.abc import Sequence

from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

from libs.common.bus.rabbit import layout
from libs.common.bus.rabbit.layout import Layout
from libs.common.bus.topology import Queue


async def declare_topology(channel: AbstractChannel, ladder: Sequence[float]) -> None:
    """Everything there is, with a rung for each delay (seconds) of `ladder`."""
    await declare(channel, layout.whole(ladder))


async def declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    """`queue`, its bindings, and the queue of its dead letters."""
    await declare(channel, layout.one_queue(queue))


async def declare(channel: AbstractChannel, wanted: Layout) -> dict[str, AbstractExchange]:
    """Make sure that all of `wanted` is there; its exchanges.

    Raises `ChannelPreconditionFailed` when something of that name is there and is otherwise, which also closes the channel.
    """
    exchanges = {name: await channel.declare_exchange(name, kind, durable=True) for name, kind in wanted.exchanges.items()}
    queues: dict[str, AbstractQueue] = {}
    for name, arguments in wanted.queues.items():
        queues[name] = await channel.declare_queue(name, durable=True, arguments=dict(arguments))
    for each in wanted.bindings:
        await queues[each.queue].bind(exchanges[each.exchange], routing_key=each.routing_key)
    return exchanges
