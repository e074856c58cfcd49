"""Who goes next is drawn, not raced for: the tasks of a schedule run one at a time, in an order that a seed decides.

A task asks for a turn before each transaction, delivery or publication, and has it to itself until it is done. Between turns
only what needs no input or output runs, and that asyncio does in a fixed order. So a seed is a way through the program:
the same seed takes it again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any


class Fault(StrEnum):
    """What goes wrong in a task."""

    CANCELLED = "cancelled"  # a lost connection or a stop cancels it
    CRASHED = "crashed"  # it did everything, and nobody was told: the acknowledgement is lost
    DATABASE_AWAY = "database away"  # a transaction does not begin
    DATABASE_IN_DOUBT = "database in doubt"  # a transaction commits, its answer is lost
    FRAME_REFUSED = "frame refused"  # the bus takes no frames from it


@dataclass(slots=True)
class Fate:
    """The one fault of a task, at its `at`th turn from 1; `turns` counts them."""

    fault: Fault | None = None
    at: int = 0
    turns: int = 0

    def strikes(self, fault: Fault) -> bool:
        """Whether `fault` happens in this turn."""
        return self.fault is fault and self.turns == self.at


FATE: ContextVar[Fate | None] = ContextVar("fate", default=None)


async def die() -> None:
    """Cancel the current task as whoever stops it from outside would."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@dataclass(slots=True, eq=False)
class _Waiting:
    what: str
    granted: asyncio.Future[None]


@dataclass(slots=True)
class Turns:
    """Hands out turns by `random`; `log` says what was decided, in order."""

    random: Random
    log: list[str] = field(default_factory=list)
    _waiting: list[_Waiting] = field(default_factory=list)
    _holder: "asyncio.Task[object] | None" = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: bool = False

    @asynccontextmanager
    async def turn(self, what: str) -> AsyncIterator[None]:
        """Nothing else runs inside the block. A turn within a turn of the same task is part of it."""
        if self.held or self._ended:
            yield
            return
        waiting = self._wait(what)
        try:
            await waiting.granted
        except asyncio.CancelledError:
            self._give_up(waiting)
            raise
        self._holder = asyncio.current_task()
        try:
            if (fate := FATE.get()) is not None:
                fate.turns += 1
                if fate.strikes(Fault.CANCELLED):
                    self.note("  it is cancelled")
                    await die()
            yield
        finally:
            self._pass_on()

    async def pause(self, what: str) -> None:
        """In the middle of a turn, let others have theirs. Who is cancelled meanwhile has a turn for what it must undo."""
        cancelled = False
        self._pass_on()
        waiting = self._wait(what)
        while not waiting.granted.done() and not self._ended:
            try:
                await asyncio.shield(waiting.granted)
            except asyncio.CancelledError:
                cancelled = True
        self._holder = asyncio.current_task()
        if cancelled:
            raise asyncio.CancelledError

    def end(self) -> None:
        """From now on all run as they like: there is nobody any more who says whose turn it is."""
        self._ended = True
        for waiting in self._waiting:
            if not waiting.granted.done():
                waiting.granted.set_result(None)
        self._waiting.clear()

    @property
    def held(self) -> bool:
        """Whether it is the current task's turn."""
        return self._holder is not None and self._holder is asyncio.current_task()

    async def next(self) -> bool:
        """When all wait for something, let one of those who wait for a turn have it; False when there is none."""
        await _settled()
        if not self._waiting:
            return False
        chosen = self._waiting.pop(self.random.randrange(len(self._waiting)))
        self.note(chosen.what)
        self._over.clear()
        chosen.granted.set_result(None)
        await self._over.wait()
        return True

    def _wait(self, what: str) -> _Waiting:
        waiting = _Waiting(what, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        return waiting

    def _give_up(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        else:  # it was its turn already
            self._over.set()

    def _pass_on(self) -> None:
        if self.held:
            self._holder = None
            self._over.set()

    def chance(self, probability: float) -> bool:
        """Draw; `probability` 0..1."""
        return self.random.random() < probability

    def note(self, what: str) -> None:
        """Write into the log."""
        self.log.append(what)


async def _settled() -> None:
    """Return when every task waits for a turn, for another task, or for the clock of the schedule."""
    loop: Any = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0)
        # There is no public way to ask a loop whether anything can run. Messages that are retried come by a timer of 0 seconds.
        if not loop._ready and not (loop._scheduled and loop._scheduled[0].when() <= loop.time()):
            return
