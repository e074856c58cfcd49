"""What a listener of frames has heard and not yet handled; the same on every bus."""

import asyncio
import logging
from collections import deque
from contextvars import copy_context

from libs.common.bus.base import PARTITIONS, FrameHandler

log = logging.getLogger(__name__)

# A listener that falls this far behind loses the oldest frames; clients get what they missed from the notifier's table.
BACKLOG = 10_000


def check_partition(partition: int) -> None:
    """Raise `ValueError` unless `partition` exists."""
    if not 0 <= partition < PARTITIONS:
        raise ValueError(f"partition must be in 0..{PARTITIONS - 1}, not {partition}")


class FrameInbox:
    """Calls the handler with one frame after the other, in the order of `put`; has a task only while there is work."""

    def __init__(self, handler: FrameHandler) -> None:
        self._handler = handler
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=BACKLOG)
        self._task: asyncio.Task[None] | None = None
        self._context = copy_context()
        self._closed = False

    def put(self, partition: int, body: bytes) -> None:
        """Hand over one frame without waiting for the handler."""
        if self._closed:
            return
        self._frames.append((partition, body))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), context=self._context.copy())

    def close(self) -> None:
        """Forget what was not handled; a handler that runs may finish."""
        self._closed = True
        self._frames.clear()

    async def _work(self) -> None:
        try:
            while self._frames:
                partition, body = self._frames.popleft()
                try:
                    await self._handler(partition, body)
                except Exception:
                    log.exception("the frame handler failed on partition %d; the frame is dropped", partition)
        finally:
            self._task = None
