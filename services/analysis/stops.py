"""Hears that a lease runs no more: its job was cancelled, has ended by a webhook, or was given to somebody else."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from libs.common.bus.base import PARTITIONS, Bus, FrameListener
from libs.common.contracts.notifier import Frame, lease_channel, partition_of

_MARK: Final = b'"lease:'
_MARK_WITHIN: Final = 64  # bytes; the channel is a frame's first field


class Stops:
    """Calls `on_stop` with a lease that is listened for. A word that gets lost is said again to the next heartbeat."""

    def __init__(self, bus: Bus, on_stop: Callable[[str], None]) -> None:
        self._bus = bus
        self._on_stop = on_stop
        self._leases: dict[str, str] = {}  # by channel
        self._bound: Counter[int] = Counter()  # leases by partition
        self._ear: FrameListener | None = None

    async def start(self) -> None:
        """Begin to hear."""
        self._ear = await self._bus.listen_frames(self._hear)

    async def close(self) -> None:
        """Hear nothing more."""
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.close()

    async def listen(self, lease: str) -> None:
        """From when this returns until `forget`, `on_stop` may be called with `lease`."""
        channel = lease_channel(lease)
        partition = partition_of(channel, PARTITIONS)
        self._leases[channel] = lease
        self._bound[partition] += 1
        if self._bound[partition] == 1 and self._ear is not None:
            await self._ear.bind(partition)

    async def forget(self, lease: str) -> None:
        """The opposite of `listen`."""
        channel = lease_channel(lease)
        if self._leases.pop(channel, None) is None:
            return
        partition = partition_of(channel, PARTITIONS)
        self._bound[partition] -= 1
        if not self._bound[partition]:
            del self._bound[partition]
            if self._ear is not None:
                await self._ear.unbind(partition)

    async def _hear(self, _: int, body: bytes) -> None:
        # Learners' frames travel in the same partitions, with whole results in them: those are not even parsed.
        if _MARK not in body[:_MARK_WITHIN]:
            return
        lease = self._leases.get(Frame.model_validate_json(body).channel)
        if lease is not None:
            self._on_stop(lease)
