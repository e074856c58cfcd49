"""Tells whoever waits for a dubbing that it has ended, whichever replica mixed it. What is told may get lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from uuid import UUID

from libs.common.bus.base import PARTITIONS, Bus, BusUnavailable, FrameListener
from libs.common.contracts.notifier import Frame, partition_of
from libs.common.frames import send

BUS_SECONDS: Final = 1.0
"""Whoever waits looks by themselves after a while; a broker that takes longer than this has other worries."""
_MARK: Final = b'"dubbing:'
_MARK_WITHIN: Final = 64  # bytes; the channel is a frame's first field


class DubbingNews:
    """Of all replicas, over the frames of the bus; each hears only the partitions that somebody here waits for."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[str, set[asyncio.Event]] = {}  # by channel
        self._bound: Counter[int] = Counter()  # who waits, by partition
        self._ear: FrameListener | None = None

    async def start(self) -> None:
        """Begin to hear."""
        self._ear = await self._bus.listen_frames(self._hear)

    async def close(self) -> None:
        """Hear nothing more."""
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.close()

    async def tell(self, dubbing_id: UUID) -> None:
        """The dubbing has ended, and that is committed."""
        await _briefly(send(self._bus, Frame(channel=_channel(dubbing_id), sequence=1, final=True, data={})))

    @asynccontextmanager
    async def expected(self, dubbing_id: UUID) -> AsyncIterator[asyncio.Event]:
        """What is set when the dubbing ends within the block."""
        channel, ended = _channel(dubbing_id), asyncio.Event()
        self._waiting.setdefault(channel, set()).add(ended)
        partition = partition_of(channel, PARTITIONS)
        self._bound[partition] += 1
        try:
            if self._bound[partition] == 1 and self._ear is not None:
                await _briefly(self._ear.bind(partition))
            yield ended
        finally:
            self._waiting[channel].discard(ended)
            if not self._waiting[channel]:
                del self._waiting[channel]
            self._bound[partition] -= 1
            if not self._bound[partition] and self._ear is not None:
                await _briefly(self._ear.unbind(partition))

    async def _hear(self, _: int, body: bytes) -> None:
        # Learners' frames travel in the same partitions, with whole results in them: those are not even parsed.
        if _MARK in body[:_MARK_WITHIN]:
            for ended in self._waiting.get(Frame.model_validate_json(body).channel, ()):
                ended.set()


async def _briefly(work: Coroutine[Any, Any, None]) -> None:
    with suppress(BusUnavailable, TimeoutError):
        async with asyncio.timeout(BUS_SECONDS):
            await work


def _channel(dubbing_id: UUID) -> str:
    return f"dubbing:{dubbing_id}"
