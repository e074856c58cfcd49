"""Run handlers in parallel, but those of one subject one after the other: what ordering per subject rests on."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Items with the same key run in the order in which they were put, items with different keys side by side.

    At most `concurrency` items run at a time, each in a task of its own with the context variables that were set where
    the lanes were made: nothing leaks in from whoever happened to publish. An empty key means that no order is asked
    for. `run` must not raise.
    """

    def __init__(self, run: Callable[[T], Awaitable[None]], *, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self._run = run
        self._concurrency = concurrency
        self._context = copy_context()
        self._lanes: dict[object, deque[T]] = {}
        self._ready: deque[object] = deque()  # keys with something to run and nothing running
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, key: str, item: T) -> None:
        """Run `item` as soon as its lane and a slot are free."""
        lane_key: object = key or object()
        lane = self._lanes.get(lane_key)
        if lane is None:
            self._lanes[lane_key] = deque((item,))
            self._ready.append(lane_key)
            self._fill()
        else:
            lane.append(item)

    def abandon(self) -> list[T]:
        """Forget the items that have not begun to run, and return them (in order within each key)."""
        waiting = [item for lane in self._lanes.values() for item in lane]
        for lane in self._lanes.values():
            lane.clear()
        for key in self._ready:
            del self._lanes[key]
        self._ready.clear()
        return waiting

    async def settle(self, timeout: float) -> None:
        """Wait until nothing runs. What still runs after `timeout` seconds is cancelled."""
        running = self._tasks - {asyncio.current_task()}
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _fill(self) -> None:
        while self._ready and len(self._tasks) < self._concurrency:
            key = self._ready.popleft()
            item = self._lanes[key].popleft()
            # The lane stays, even empty, while its item runs: that is what makes the next one wait.
            task = asyncio.create_task(self._run_one(item), context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(partial(self._finished, key))

    async def _run_one(self, item: T) -> None:
        await self._run(item)

    def _finished(self, key: object, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._lanes[key]:
            self._ready.append(key)
        else:
            del self._lanes[key]
        self._fill()
