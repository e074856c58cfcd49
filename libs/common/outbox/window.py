"""The messages that a relay is publishing: many at a time, those of one subject one after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection

from prometheus_client import Counter

from libs.common.bus.base import Bus, Message

log = logging.getLogger(__name__)

OUTBOX_SENT = Counter("yousync_outbox_sent_total", "Messages that the bus confirmed", ["service"])
OUTBOX_FAILED = Counter("yousync_outbox_failed_total", "Attempts at publishing that the bus did not confirm", ["service"])

WINDOW = 400  # messages in flight; 100-1000 reach the broker's best rate, more only costs memory
MOST_UNMARKED = 2_000  # messages in memory in all, when marking what was sent is slow
RETRY_SECONDS = 1.0
COMPLAIN_SECONDS = 30.0


class Window:
    """Publishes what is put into it, for as long as it takes: what the bus does not confirm is tried again.

    `confirmed` is called after each message.
    """

    def __init__(self, bus: Bus, *, service: str, confirmed: Callable[[], None]) -> None:
        self._bus = bus
        self._tell_confirmed = confirmed
        self._sent = OUTBOX_SENT.labels(service)
        self._failed = OUTBOX_FAILED.labels(service)
        self._lanes: dict[str, deque[Message]] = {}  # by subject; the first message of each is being published, or soon will
        self._ready: deque[str] = deque()  # subjects that no worker has taken up yet
        # Workers stay: a task for each message would cost a tenth of the way to the broker.
        self._workers: list[asyncio.Task[None]] = []
        self._idle: list[asyncio.Future[None]] = []
        self._open = 0  # messages that are not confirmed
        self._complain_after = 0.0
        self.in_flight: dict[str, str] = {}  # the subjects of messages by their ids, from when they are put until marked
        self.confirmed: list[str] = []  # ids of messages that wait to be marked

    @property
    def room(self) -> int:
        """How many more messages may be put."""
        return min(WINDOW - self._open, MOST_UNMARKED - len(self.in_flight))

    def put(self, message: Message) -> None:
        """Publish it after those of its subject that are here."""
        self._open += 1
        self.in_flight[message.id] = message.subject
        key = message.subject or message.id
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(message)
            return
        self._lanes[key] = deque((message,))
        self._ready.append(key)
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            self._workers.append(asyncio.create_task(self._work()))

    def marked(self, ids: Collection[str]) -> None:
        """These confirmed messages will not be found in the table again."""
        self._sent.inc(len(ids))
        for message_id in ids:
            del self.in_flight[message_id]

    async def stop(self) -> None:
        """Give up everything: what the bus takes meanwhile is published twice, and deduplicated."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._lanes.clear()
        self._ready.clear()
        self._idle.clear()
        self.in_flight.clear()
        self.confirmed.clear()
        self._open = 0

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._ready:
                await self._publish(self._ready.popleft())
            woken = loop.create_future()
            self._idle.append(woken)
            await woken

    async def _publish(self, key: str) -> None:
        lane = self._lanes[key]
        while lane:
            try:
                await self._bus.publish(lane[0])
            except Exception as error:
                self._failed.inc()
                self._complain(lane[0], error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._open -= 1
            self.confirmed.append(lane.popleft().id)
            self._tell_confirmed()
        del self._lanes[key]

    def _complain(self, message: Message, error: Exception) -> None:
        """Once in a while: with the broker down every subject that waits fails every second."""
        now = asyncio.get_running_loop().time()
        if now >= self._complain_after:
            self._complain_after = now + COMPLAIN_SECONDS
            what = {"subject": message.subject, "message_id": message.id, "error": repr(error)}
            log.warning("messages wait to be published, this one among them", extra=what)
