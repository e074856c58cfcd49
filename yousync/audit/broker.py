"""What can be seen of a broker without taking anything: who rests, who is dead, how many wait.

Retry rungs and dead-letter queues have no consumers, so looking at their messages and giving them back disturbs nobody. The
main queues are only counted: each look would bring their messages nearer to the delivery limit, and change their order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from yarl import URL

from libs.common.bus.base import BusUnavailable
from libs.common.bus.rabbit.codec import headers_of
from libs.common.bus.rabbit.link import broker_errors, connect
from libs.common.bus.topology import dead_letter_queue, retry_queue
from yousync.local.process import LocalServerError

ANSWER_SECONDS = 10.0
# Messages of one queue that are looked at. Each is one question (0.3 ms); until the last is asked for, all are held.
MOST = 50_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at one moment."""

    resting: frozenset[str]  # ids of messages on the retry ladder
    dead: frozenset[str]  # ids of dead letters
    ready: dict[str, int]  # messages that wait, by queue


async def look(url: str, *, queues: Iterable[str], services: Iterable[str], ladder: Iterable[float]) -> Seen:
    """Look at a broker once. Raises LocalServerError when it does not answer."""
    try:
        async with await connect(URL(url), "yousync audit") as connection:
            with broker_errors("looking"):
                resting = [await _ids(connection, retry_queue(delay)) for delay in ladder]
                dead = [await _ids(connection, dead_letter_queue(service)) for service in services]
                ready = {queue: await _count(connection, queue) for queue in queues}
    except BusUnavailable as error:
        raise LocalServerError(f"the broker does not answer: {error.detail} ({error.__cause__!r})") from error
    return Seen(frozenset().union(*resting), frozenset().union(*dead), ready)


async def _count(connection: AbstractConnection, queue: str) -> int:
    try:
        channel = await connection.channel(publisher_confirms=False)
        declared = await channel.declare_queue(queue, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return 0
    await channel.close()
    return declared.declaration_result.message_count or 0


async def _ids(connection: AbstractConnection, queue: str) -> frozenset[str]:
    """The ids of the messages in `queue`, all of which are given back."""
    found: set[str] = set()
    channel = await connection.channel(publisher_confirms=False)
    below = await channel.get_underlay_channel()
    try:
        for _ in range(MOST):
            message = await below.basic_get(queue, timeout=ANSWER_SECONDS)
            if message.delivery_tag is None:
                break
            found.add(str(headers_of(message).get("ce-id", "")))
    except ChannelNotFoundEntity:
        return frozenset()
    # Closing gives all back at once.
    await channel.close()
    return frozenset(found)
