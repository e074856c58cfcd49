"""The topology as RabbitMQ sees it: exchanges, queues with their arguments, bindings; the same on 3.10 and 4.x.

`declare` makes a broker so, `yousync topology` compares one with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from libs.common.bus.base import PARTITIONS
from libs.common.bus.topology import (
    DEAD_EXCHANGE,
    EVENTS_EXCHANGE,
    FRAMES_EXCHANGE,
    LEASES_EXCHANGE,
    QUEUES,
    Queue,
    dead_letter_queue,
    retry_queue,
)

# Deliveries of one message that ended without an answer (consumers died) until the broker puts it to the dead letters.
DELIVERY_LIMIT = 10
# A look at a dead letter counts as such a delivery. 4.x has a limit of 20 unless told; 3.10 knows no "unlimited".
NO_DELIVERY_LIMIT = 1_000_000_000

Arguments = Mapping[str, str | int]

_QUORUM: Arguments = {"x-queue-type": "quorum"}
_CLASSIC: Arguments = {"x-queue-type": "classic"}  # knows no delivery limit and no at-least-once dead lettering
# Without these two a message that moves between queues while one of them has no leader is lost.
_AT_LEAST_ONCE: Arguments = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """Messages of `exchange` whose routing key matches go to `queue`."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything of it is durable and lasts."""

    exchanges: Mapping[str, str]  # name -> type
    queues: Mapping[str, Arguments]  # in the order in which they are to be declared
    bindings: Sequence[Binding]


def whole(ladder: Sequence[float]) -> Layout:
    """Everything there is, with a rung for each delay (seconds) of `ladder`."""
    return _together([*map(rung, ladder), FRAMES, *map(one_queue, QUEUES)])


def one_queue(queue: Queue) -> Layout:
    """`queue`, its bindings, and the queue of its dead letters."""
    graveyard = dead_letter_queue(queue.service)
    guarded: Arguments = {**_QUORUM, **_AT_LEAST_ONCE, "x-delivery-limit": DELIVERY_LIMIT}
    dead: Arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard}
    return Layout(
        {EVENTS_EXCHANGE: "topic", DEAD_EXCHANGE: "topic"},
        {
            graveyard: {**_QUORUM, "x-delivery-limit": NO_DELIVERY_LIMIT},
            queue.name: {**(guarded if queue.quorum else _CLASSIC), **dead},
        },
        [Binding(DEAD_EXCHANGE, graveyard, graveyard)]
        + [Binding(EVENTS_EXCHANGE, queue.name, pattern) for pattern in queue.bindings],
    )


def rung(delay: float) -> Layout:
    """Messages published here with a queue's name as routing key come to that queue `delay` seconds later.

    The time is the queue's, not the message's: a per-message TTL would let one long wait block the short ones behind it.
    Without a dead-letter routing key the message keeps its own, and the default exchange takes that for a queue's name.
    """
    name = retry_queue(delay)
    waiting: Arguments = {**_QUORUM, **_AT_LEAST_ONCE, "x-message-ttl": round(delay * 1000), "x-dead-letter-exchange": ""}
    return Layout({name: "topic"}, {name: waiting}, [Binding(name, name, "#")])


# The exchanges alone; listeners bring their own queues.
FRAMES = Layout({FRAMES_EXCHANGE: "direct", LEASES_EXCHANGE: "direct"}, {}, [])
EVENTS = Layout({EVENTS_EXCHANGE: "topic"}, {}, [])


def frames_exchange(partition: int) -> str:
    """Where frames of `partition` go; its number is their routing key."""
    return FRAMES_EXCHANGE if partition < PARTITIONS else LEASES_EXCHANGE


def _together(parts: Iterable[Layout]) -> Layout:
    exchanges: dict[str, str] = {}
    queues: dict[str, Arguments] = {}
    bindings: list[Binding] = []
    for part in parts:
        exchanges |= part.exchanges
        queues |= part.queues
        bindings += (each for each in part.bindings if each not in bindings)
    return Layout(exchanges, queues, bindings)
