"""Who is served next when there is more work than slots."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from libs.common.contracts.audio import Priority

WEIGHTS: Final = {Priority.HIGH: 8, Priority.NORMAL: 3, Priority.LOW: 1, Priority.FILM: 1}
"""Share of the freed slots while all wait: somebody watches the first, nobody the last, and none waits for ever. Films come
to workers that have nothing else."""


class Slot:
    """One piece of work's, until it is freed or handed over."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def free(self) -> None:
        """Let the next one have it. Once; later calls do nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def hand_over(self) -> "Slot":
        """The same slot for somebody else, who frees it then."""
        release, self._release = self._release, None
        assert release is not None
        return Slot(release)


class Slots:
    """`count` pieces of work at a time, waiting ones by weight.

    No slot is kept empty for a class that has no work. Among the waiting classes the choice is smooth weighted round robin:
    each gains its weight as credit, the richest is served and pays what all gained.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: dict[Priority, deque[asyncio.Future[None]]] = {priority: deque() for priority in WEIGHTS}
        self._credit = dict.fromkeys(WEIGHTS, 0)

    async def take(self, priority: Priority) -> Slot:
        """Wait for a slot; whoever has it frees it."""
        if self._free:  # then nobody waits
            self._free -= 1
            return Slot(self._release)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[priority].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # it was handed over in the same moment
            else:
                self._waiting[priority].remove(turn)
            raise
        return Slot(self._release)

    def _release(self) -> None:
        """Give a slot to whoever is next."""
        waiting = [priority for priority, queue in self._waiting.items() if queue]
        if not waiting:
            self._free += 1
            return
        for priority in waiting:
            self._credit[priority] += WEIGHTS[priority]
        chosen = max(waiting, key=lambda priority: self._credit[priority])
        self._credit[chosen] -= sum(WEIGHTS[priority] for priority in waiting)
        self._waiting[chosen].popleft().set_result(None)
