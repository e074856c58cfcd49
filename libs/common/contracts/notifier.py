"""What `notifier` sends to gateways: frames, in the numbers of the facts that they tell, and when they can be read."""

from typing import Annotated, Any
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Frame(BaseModel):
    """One message for everybody who listens to `channel` (`job:<id>`): the whole state of the job, not a difference.

    A frame follows from its fact alone, so that of the same fact there is the same frame, whoever makes it and however
    often. `sequence` is the fact's (1, 2, 3.. without gaps). Frames may be lost on the bus or come late; a gateway sees a
    gap by the sequence and reads what it missed from the notifier. `final` says that nothing follows on this channel.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    channel: str
    sequence: int
    final: bool
    data: dict[str, Any]


class Stored(BaseModel):
    """From now on frame `sequence` of `channel` is in the notifier's history.

    A frame is sent before it is stored, because somebody waits for it. This is sent when it is stored, for the gateways that
    began to listen after the one and read the history before the other.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    channel: str
    sequence: int


# What gateways hear on the bus.
HEARD: TypeAdapter[Frame | Stored] = TypeAdapter(Annotated[Frame | Stored, Field(union_mode="left_to_right")])


class ChannelHistory(BaseModel):
    """What the notifier has of a channel after a given sequence, oldest first, and where the channel stands.

    A fact that is still to be handled leaves a hole, which does no harm: the next frame is the whole state again.
    """

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
