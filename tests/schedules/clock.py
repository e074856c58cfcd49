"""The time of a schedule: it passes when the schedule says so, and then those who slept wake up."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

TICK = timedelta(microseconds=1)


class Clock:
    """Call it for the time of now: a tick later at each call, or what happens at one moment would have no order."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []
        self._calls: list[tuple[datetime, Callable[[], None]]] = []

    def __call__(self) -> datetime:
        self._now += TICK
        return self._now

    @property
    def sleepers(self) -> bool:
        """Whether somebody waits for time to pass."""
        return bool(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until so much time has passed."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        await woken

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` when so much time has passed; nobody waits for that."""
        self._calls.append((self._now + timedelta(seconds=seconds), callback))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        for sleeper in [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]:
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)
        for call in [call for call in self._calls if call[0] <= self._now]:
            self._calls.remove(call)
            call[1]()
