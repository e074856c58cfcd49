"""What `notifier` sends to gateways: frames, numbered per channel."""

from typing import Any
from zlib import crc32

from pydantic import BaseModel, ConfigDict


class Frame(BaseModel):
    """One message for everybody who listens to `channel` (`job:<id>`).

    Frames are ephemeral on the bus and may be lost there; `sequence` (1, 2, 3.. per channel, no gaps) lets a gateway see a
    gap and read what it missed from the notifier. `final` says that nothing will follow on this channel.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    channel: str
    sequence: int
    final: bool
    data: dict[str, Any]


class ChannelHistory(BaseModel):
    """What the notifier has of a channel after a given sequence, oldest first, and where the channel stands."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    channel: str
    last_sequence: int  # 0 when the channel is unknown
    final: bool = False  # nothing will follow on this channel
    frames: tuple[Frame, ...]


def job_channel(job_id: str) -> str:
    """The channel on which everything about one job is told."""
    return f"job:{job_id}"


def partition_of(channel: str, partitions: int) -> int:
    """The partition, 0..`partitions`-1, on which the frames of `channel` travel: the same in every process."""
    return crc32(channel.encode()) % partitions
