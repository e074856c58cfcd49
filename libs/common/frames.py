"""Sends frames to who listens to their channels."""

from libs.common.bus.base import PARTITIONS, Bus
from libs.common.contracts.notifier import Frame, Stored, partition_of


async def send(bus: Bus, what: Frame | Stored) -> None:
    """Tell all who listen to the channel; raises `BusUnavailable` when it certainly reached none of them."""
    await bus.publish_frame(partition_of(what.channel, PARTITIONS), what.model_dump_json().encode())
