"""Hears that a lease runs no more: its job was cancelled, has ended by a webhook, or was given to somebody else."""

from collections.abc import Callable

from libs.common.bus.base import PARTITIONS, Bus, FrameListener
from libs.common.contracts.notifier import Frame, lease_channel, partition_of


class Stops:
    """Calls `on_stop` with a lease that is listened for. A word that gets lost is said again to the next heartbeat.

    A partition that was needed once stays bound: there is little to hear in all of them together, and a binding for each job,
    made and taken back, would cost the broker more than its messages do.
    """

    def __init__(self, bus: Bus, on_stop: Callable[[str], None]) -> None:
        self._bus = bus
        self._on_stop = on_stop
        self._leases: dict[str, str] = {}  # by channel
        self._bound: set[int] = set()
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
        self._leases[channel] = lease
        partition = partition_of(channel, PARTITIONS)
        if partition not in self._bound and self._ear is not None:
            await self._ear.bind(partition)
            self._bound.add(partition)

    def forget(self, lease: str) -> None:
        """The opposite of `listen`."""
        self._leases.pop(lease_channel(lease), None)

    async def _hear(self, _: int, body: bytes) -> None:
        lease = self._leases.get(Frame.model_validate_json(body).channel)
        if lease is not None:
            self._on_stop(lease)
