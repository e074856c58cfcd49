"""What a listener has heard and not yet handled; the same on every bus."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Generic, TypeVarTuple, Unpack

from libs.common.bus.base import PARTITIONS

log = logging.getLogger(__name__)

# A listener that falls this far behind loses the oldest of what it has not handled, and finds out elsewhere.
BACKLOG = 10_000

Heard = TypeVarTuple("Heard")


def check_partition(partition: int) -> None:
    """Raise `ValueError` unless `partition` exists."""
    if not 0 <= partition < 2 * PARTITIONS:
        raise ValueError(f"partition must be in 0..{2 * PARTITIONS - 1}, not {partition}")


class Inbox(Generic[*Heard]):
    """Calls the handler with one thing after the other, in the order of `put`; has a task only while there is work."""

    def __init__(self, handler: Callable[[Unpack[Heard]], Awaitable[None]]) -> None:
        self._handler = handler
        self._waiting: deque[tuple[*Heard]] = deque(maxlen=BACKLOG)
        self._task: asyncio.Task[None] | None = None
        self._context = copy_context()
        self._closed = False

    def put(self, *heard: *Heard) -> None:
        """Hand over one without waiting for the handler."""
        if self._closed:
            return
        self._waiting.append(heard)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), context=self._context.copy())

    def close(self) -> None:
        """Forget what was not handled; a handler that runs may finish."""
        self._closed = True
        self._waiting.clear()

    async def _work(self) -> None:
        try:
            while self._waiting:
                heard = self._waiting.popleft()
                try:
                    await self._handler(*heard)
                except Exception:
                    log.exception("the handler failed on something heard, which is dropped")
        finally:
            self._task = None
