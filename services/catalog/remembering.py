"""Keeps what was read lately, in a bounded number of bytes, and reads each thing once however many ask for it together."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable


class Remembered:
    """Bytes by key for `seconds`; beyond `max_bytes` in all, what was asked for longest ago goes. What is not there is None
    and not kept: whoever stores it is to be seen at once."""

    def __init__(self, *, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._reading: dict[str, asyncio.Task[bytes | None]] = {}

    async def get(self, key: str, read: Callable[[str], Awaitable[bytes | None]]) -> bytes | None:
        """What is kept under `key`, else what `read` finds. What `read` raises, all who wait for it get."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            self._kept.move_to_end(key)
            return kept[1]
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key, read))
        return await asyncio.shield(task)  # it is not for one of them alone to stop it

    def forget(self, key: str) -> None:
        """Read it anew the next time, also if it is being read right now."""
        self._reading.pop(key, None)
        if (kept := self._kept.pop(key, None)) is not None:
            self._bytes -= len(kept[1])

    async def _read(self, key: str, read: Callable[[str], Awaitable[bytes | None]]) -> bytes | None:
        task = asyncio.current_task()
        try:
            content = await read(key)
            if self._reading.get(key) is task and content is not None:
                self._keep(key, content)
            return content
        finally:
            if self._reading.get(key) is task:
                del self._reading[key]

    def _keep(self, key: str, content: bytes) -> None:
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= len(old[1])
        self._kept[key] = (time.monotonic() + self._seconds, content)
        self._bytes += len(content)
        while self._bytes > self._max_bytes:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= len(gone)
