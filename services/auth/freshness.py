"""A value from elsewhere that is kept: fetched by one caller for all, and still given out while it cannot be fetched anew."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What `fetch` gave last.

    Up to `fresh` seconds it is simply given out. Then the next caller gets it too and a fetch begins beside it; only when
    `stale` seconds have passed without one that succeeded do callers wait and get its error. Whatever happens, a fetch
    begins no sooner than `pause` seconds after the one before it, and all who need it wait for the same one.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, fresh: float, stale: float, pause: float) -> None:
        self._fetch = fetch
        self._fresh = fresh
        self._stale = stale
        self._pause = pause
        self._value: T | None = None
        self._fetched_at = float("-inf")
        self._begun_at = float("-inf")
        self._running: asyncio.Task[T] | None = None
        self._failure: BaseException | None = None

    async def get(self) -> T:
        """The value; raises what `fetch` raised when there is none that may be used."""
        age = time.monotonic() - self._fetched_at
        if self._value is not None and age < self._stale:
            if age >= self._fresh:
                self._begin()
            return self._value
        return await self._newly_fetched()

    async def refreshed(self) -> T:
        """The value, fetched again if that has not just happened; the old one when that fails."""
        try:
            return await self._newly_fetched()
        except Exception:
            if self._value is None or time.monotonic() - self._fetched_at >= self._stale:
                raise
            return self._value

    async def _newly_fetched(self) -> T:
        if (task := self._begin()) is not None:
            return await asyncio.shield(task)  # one caller that leaves takes nobody else's fetch along
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        assert self._value is not None
        return self._value

    def _begin(self) -> asyncio.Task[T] | None:
        """The fetch that runs, or a new one; None when the last one ended too short a time ago."""
        if self._running is None and time.monotonic() - self._begun_at >= self._pause:
            self._begun_at = time.monotonic()
            self._running = asyncio.create_task(self._keep())
            self._running.add_done_callback(self._ended)
        return self._running

    async def _keep(self) -> T:
        self._value = await self._fetch()
        self._fetched_at = time.monotonic()
        return self._value

    def _ended(self, task: "asyncio.Task[T]") -> None:
        self._running = None
        self._failure = None if task.cancelled() else task.exception()
