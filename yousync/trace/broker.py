"""What the broker has of one job, without taking anything: queues are counted, retry rungs and dead letters looked through.

Rungs and dead-letter queues have no consumers, so looking at their messages and giving them back disturbs nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.abc import DeliveredMessage
from yarl import URL

from libs.common.bus.base import DeadLetter, Message
from libs.common.bus.rabbit import codec
from libs.common.bus.rabbit.link import broker_errors, connect
from libs.common.bus.topology import QUEUES, dead_letter_queue, retry_queue

ANSWER_SECONDS = 10.0
LOOKED_AT = 10_000  # messages of one queue; all are held until the last has been seen


@dataclass(frozen=True, slots=True)
class Line:
    """Who waits in a queue, and who serves."""

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class Resting:
    """A message that failed and will come again."""

    message: Message
    queue: str  # where it failed and will come again
    delay: float  # seconds that it rests in all


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment. A queue that does not exist is not in `lines`."""

    lines: dict[str, Line] = field(default_factory=dict)
    resting: tuple[Resting, ...] = ()
    dead: tuple[DeadLetter, ...] = ()


async def look(url: str, subjects: frozenset[str], ladder: Iterable[float]) -> Look:
    """Everything there is about `subjects`. Raises BusUnavailable."""
    async with await connect(URL(url), "yousync trace") as connection:
        with broker_errors("looking"):
            lines = {queue.name: line for queue in QUEUES if (line := await _line(connection, queue.name))}
            resting = [
                Resting(message, raw.routing_key or "", delay)
                for delay in ladder
                for raw in await messages_of(connection, retry_queue(delay))
                if (message := _readable(raw)) and message.subject in subjects
            ]
            graves = [dead_letter_queue(service) for service in sorted({queue.service for queue in QUEUES})]
            letters = [codec.decode_dead(raw, grave) for grave in graves for raw in await messages_of(connection, grave)]
    return Look(lines, tuple(resting), tuple(letter for letter in letters if letter.message.subject in subjects))


async def _line(connection: AbstractConnection, queue: str) -> Line | None:
    channel = await connection.channel(publisher_confirms=False)
    try:
        found = await channel.declare_queue(queue, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return None  # the broker has closed the channel
    await channel.close()
    return Line(found.declaration_result.message_count or 0, found.declaration_result.consumer_count or 0)


async def messages_of(connection: AbstractConnection, queue: str) -> list[DeliveredMessage]:
    """The messages in a queue that nobody consumes, `LOOKED_AT` at most; all are given back."""
    channel = await connection.channel(publisher_confirms=False)
    below = await channel.get_underlay_channel()
    found: list[DeliveredMessage] = []
    try:
        while len(found) < LOOKED_AT:
            message = await below.basic_get(queue, timeout=ANSWER_SECONDS)
            if message.delivery_tag is None:
                break
            found.append(message)
    except ChannelNotFoundEntity:
        return []
    await channel.close()  # which gives all of them back
    return found


def _readable(raw: DeliveredMessage) -> Message | None:
    try:
        return codec.decode(raw)
    except codec.Unreadable:
        return None
