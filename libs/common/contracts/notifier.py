"""What gateways hear: frames, in the numbers of the facts that they tell, and when `notifier` has them to be read."""

from typing import Annotated, Any, TypeAlias
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisErased,
    AnalysisFailed,
    AudioUploaded,
    FilmCancelled,
    FilmCompleted,
    FilmFact,
    FilmFailed,
    FilmRequested,
    JobFact,
    JobKind,
)

Told: TypeAlias = AudioUploaded | JobFact | FilmRequested | FilmFact
"""The facts that frames tell."""


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

    A frame is sent by the owner of its job before it is stored, because somebody waits for it, and it may get lost. This is
    sent when it is stored, for the gateways that have not heard the one: they read the history.
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


_LEASE = "lease:"


def job_channel(job_id: str) -> str:
    """The channel on which everything about one job is told."""
    return f"job:{job_id}"


def lease_channel(lease: str) -> str:
    """The channel on which the analysis server that holds a lease hears that it may stop."""
    return f"{_LEASE}{lease}"


def stop_frame(lease: str) -> Frame:
    """Tells the holder of `lease` that it runs no more: whatever it reports changes nothing.

    A hint that may be lost: who does not hear it works in vain until its job is done.
    """
    return Frame(channel=lease_channel(lease), sequence=1, final=True, data={})


def frame_of(fact: Told) -> Frame:
    """What clients are told of `fact`: the whole state of the job, in the words and the order of keys that they know.

    They know no cancelled jobs, and stop listening at a failed one. Pure: the same fact makes the same frame for ever.
    """
    match fact:
        case AudioUploaded():
            return _frame(fact, "processing", 40, "S3 업로드" if fact.kind is JobKind.LINE else "S3 업로드 중...")
        case AnalysisCompleted():
            return _frame(fact, "completed", 100, "분석 완료", fact.result)
        case AnalysisFailed() | AnalysisCancelled():
            return _frame(fact, "failed", 0, fact.message)
        case FilmRequested():
            return _film_frame(fact, "processing", 0, FILM_REQUESTED)
        case FilmCompleted():
            return _film_frame(fact, "completed", 100, fact.message, fact.token_ids, fact.result)
        case FilmFailed() | FilmCancelled():
            return _film_frame(fact, "failed", 0, fact.message)
        case FilmFact():
            return _film_frame(fact, "processing", fact.progress, fact.message)
        case _:
            return _frame(fact, "processing", fact.progress, fact.message)


FILM_REQUESTED = "영상 처리를 기다리고 있습니다."
"""What the first frame of a film's job says."""


def _frame(
    fact: AudioUploaded | JobFact, status: str, progress: int, message: str, result: dict[str, Any] | None = None
) -> Frame:
    return Frame(
        channel=job_channel(fact.job_id),
        sequence=fact.sequence,
        final=status != "processing",
        data={"job_id": fact.job_id, "status": status, "progress": progress, "message": message, "result": result},
    )


def _film_frame(
    fact: FilmRequested | FilmFact,
    status: str,
    progress: int,
    message: str,
    token_ids: tuple[int, ...] | None = None,
    result: dict[str, Any] | None = None,
) -> Frame:
    data = {
        "job_id": fact.job_id,
        "status": status,
        "progress": progress,
        "message": message,
        "token_id": token_ids[0] if token_ids else None,
        "token_ids": None if token_ids is None else list(token_ids),
        "result": result,
    }
    return Frame(channel=job_channel(fact.job_id), sequence=fact.sequence, final=status != "processing", data=data)


ERASED = "삭제된 분석입니다."
"""What a channel says whose job was erased."""


def erased_frame(fact: AnalysisErased) -> Frame:
    """What takes the place of all frames of an erased job: it has ended, and there is no more to say of it."""
    data = {"job_id": fact.job_id, "status": "failed", "progress": 0, "message": ERASED, "result": None}
    return Frame(channel=job_channel(fact.job_id), sequence=fact.sequence, final=True, data=data)


def partition_of(channel: str, partitions: int) -> int:
    """The partition on which the frames of `channel` travel: the same in every process.

    0..`partitions`-1; from `partitions` on, as many again, for the channels of leases.
    """
    return crc32(channel.encode()) % partitions + (partitions if channel.startswith(_LEASE) else 0)
