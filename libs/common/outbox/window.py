"""The messages that a relay is publishing: many at a time, those of one subject one after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import Counter

from libs.common.bus.base import Bus, Message
from libs.common.errors import YouSyncError

log = logging.getLogger(__name__)

OUTBOX_SENT = Counter("yousync_outbox_sent_total", "Messages that the bus confirmed", ["service"])
OUTBOX_FAILED = Counter("yousync_outbox_failed_total", "Attempts at publishing that the bus did not confirm", ["service"])

WINDOW = 200  # messages in flight; 100-1000 reach the broker's best rate, more only costs memory
RETRY_SECONDS = 1.0
COMPLAIN_SECONDS = 30.0


@dataclass(slots=True)
class _Lane:
    """One subject's messages, the first of which is being published."""

    waiting: deque[Message]
    read_at: int


class Window:
    """Publishes what is put into it. What the bus does not confirm is given up, to be found in the table again.

    `read_at` tells how far the table was known when messages were put: `left` is called with it when the last message of a
    subject is done, and with whether all were confirmed. `confirmed` is called after each message.
    """

    def __init__(self, bus: Bus, *, service: str, confirmed: Callable[[], None], left: Callable[[int, bool], None]) -> None:
        self._bus = bus
        self._service = service
        self._tell_confirmed = confirmed
        self._tell_left = left
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._complain_after = 0.0
        self.in_flight: set[str] = set()  # ids of messages, from when they are put until they are marked
        self.confirmed: list[str] = []  # ids of messages that wait to be marked

    @property
    def room(self) -> int:
        """How many more messages may be put."""
        return WINDOW - len(self.in_flight)

    @property
    def subjects(self) -> list[str]:
        """Those that have a message which is not confirmed."""
        return list(self._lanes)

    def takes(self, messages: Iterable[Message], read_at: int) -> bool:
        """Whether none of them belongs behind messages of its subject that were not put yet."""
        lanes = (self._lanes.get(message.subject) for message in messages)
        return all(lane is None or lane.read_at == read_at for lane in lanes)

    def put(self, message: Message, read_at: int) -> None:
        """Publish it after those of its subject that are here."""
        self.in_flight.add(message.id)
        lane = self._lanes.get(message.subject)
        if lane is not None:
            lane.waiting.append(message)
            return
        lane = self._lanes[message.subject] = _Lane(deque([message]), read_at)
        task = asyncio.create_task(self._publish(message.subject, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def marked(self, ids: Iterable[str]) -> None:
        """These confirmed messages will not be found in the table again."""
        self.in_flight.difference_update(ids)

    async def stop(self) -> None:
        """Give up everything: what the bus takes meanwhile is published twice, and deduplicated."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("publishing failed unexpectedly", exc_info=outcome)
        self._lanes.clear()
        self.in_flight.clear()
        self.confirmed.clear()

    async def _publish(self, subject: str, lane: _Lane) -> None:
        try:
            while lane.waiting:
                await self._bus.publish(lane.waiting[0])
                OUTBOX_SENT.labels(self._service).inc()
                self.confirmed.append(lane.waiting.popleft().id)
                self._tell_confirmed()
        except YouSyncError as error:
            OUTBOX_FAILED.labels(self._service).inc()
            self._complain(subject, error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            del self._lanes[subject]
            self.in_flight.difference_update(message.id for message in lane.waiting)
            self._tell_left(lane.read_at, not lane.waiting)

    def _complain(self, subject: str, error: YouSyncError) -> None:
        """Once in a while: with the broker down every subject that waits fails every second."""
        now = asyncio.get_running_loop().time()
        if now >= self._complain_after:
            self._complain_after = now + COMPLAIN_SECONDS
            log.warning("messages wait to be published, this one among them", extra={"subject": subject, "error": error.detail})
