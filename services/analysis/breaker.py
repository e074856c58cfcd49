"""When a server that others depend on is asked, and when it is left alone until it has recovered.

A circuit breaker (Nygard, Release It!, 2nd ed. 2018, section 5.2) that keeps work waiting instead of failing it:

    closed ──failures in a row, or no connection──> open ──pause over, and it takes connections──> half-open
       ^                                              ^                                               │
       └──────────────────── success ─────────────────┼───────────────────────────────────────────────┤
                                                      └──────────── failure: twice the pause ─────────┘
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

log = logging.getLogger(__name__)


class State(IntEnum):
    """In the numbers that the metric shows."""

    CLOSED = 0  # asked
    HALF_OPEN = 1  # asked for one thing, to see how it goes
    OPEN = 2  # left alone


class Call:
    """One thing that was asked for; whoever asked says how it went, and nothing if that says nothing about the server."""

    def __init__(self, breaker: "Breaker") -> None:
        self._breaker = breaker

    def succeeded(self) -> None:
        """The server does its work."""
        self._breaker.succeeded()

    def failed(self, *, certainly: bool = False) -> None:
        """It did not. `certainly`: no second failure is needed to know that it is down."""
        self._breaker.failed(certainly=certainly)


class Breaker:
    """Of one server. Pauses are in seconds, they double from `first_pause` to `longest_pause` while it does not recover.

    `reachable` says without work whether the server takes connections: nobody's job is spent on finding that out.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int,
        first_pause: float,
        longest_pause: float,
        reachable: Callable[[], Awaitable[bool]],
        on_change: Callable[[State], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._failures = failures
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._reachable = reachable
        self._on_change = on_change
        self._state = State.CLOSED
        self._in_a_row = 0
        self._pause = first_pause
        self._probes = 0
        self._passable = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None
        self._become(State.CLOSED)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def passable(self) -> bool:
        """Whether something may be asked for now."""
        return self._passable.is_set()

    async def gone(self) -> None:
        """Returns when something may be asked for."""
        await self._passable.wait()

    @contextmanager
    def call(self) -> Iterator[Call]:
        """While something is asked for."""
        probes = self._state is not State.CLOSED
        self._count(probes)
        try:
            yield Call(self)
        finally:
            self._count(-probes)

    def succeeded(self) -> None:
        """What `Call.succeeded` says."""
        self._in_a_row = 0
        self._pause = self._first_pause
        if self._state is not State.CLOSED:
            log.info("the %s does its work again", self._name)
            self._end_recovery()
            self._become(State.CLOSED)

    def failed(self, *, certainly: bool = False) -> None:
        """What `Call.failed` says."""
        self._in_a_row += 1
        if self._state is State.OPEN or not (certainly or self._state is State.HALF_OPEN or self._in_a_row >= self._failures):
            return
        if self._state is State.HALF_OPEN:
            self._pause = min(2 * self._pause, self._longest_pause)
        log.warning("the %s is down, work for it stays in the queues", self._name)
        self._become(State.OPEN)
        self._recovery = asyncio.create_task(self._recover())

    async def close(self) -> None:
        """Stop looking whether the server has recovered."""
        recovery = self._recovery
        self._end_recovery()
        if recovery is not None:
            await asyncio.gather(recovery, return_exceptions=True)

    async def _recover(self) -> None:
        await asyncio.sleep(self._pause)
        while not await self._reachable():
            self._pause = min(2 * self._pause, self._longest_pause)
            await asyncio.sleep(self._pause)
        self._become(State.HALF_OPEN)

    def _end_recovery(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None

    def _count(self, change: int) -> None:
        self._probes += change
        self._tell()

    def _become(self, state: State) -> None:
        self._state = state
        self._on_change(state)
        self._tell()

    def _tell(self) -> None:
        if self._state is State.CLOSED or (self._state is State.HALF_OPEN and not self._probes):
            self._passable.set()
        else:
            self._passable.clear()
