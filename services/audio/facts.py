"""From a committed change of a job to what the others are told; what analysis servers are asked for is in `orders`."""

from typing import TypedDict

from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
    JobFact,
    JobKind,
)
from services.audio.jobs import Job, State
from services.audio.repository import Take


class _Common(TypedDict):
    job_id: str
    kind: JobKind
    token_id: int
    script_id: int | None
    user_id: int | None
    sequence: int
    progress: int
    message: str


def audio_uploaded(take: Take, job: Job) -> AudioUploaded:
    """The first fact of a job."""
    return AudioUploaded(
        job_id=job.id,
        sequence=job.sequence,
        kind=job.kind,
        take_id=str(take.id),
        token_id=take.token_id,
        script_id=take.script_id,
        user_id=take.user_id,
        size=take.size,
        media_type=take.media_type,
    )


def fact_of(before: Job, after: Job) -> JobFact | None:
    """What the change from `before` to `after` is to the others; None when it is none of their business."""
    if after.sequence == before.sequence:
        return None
    common = _Common(
        job_id=after.id,
        kind=after.kind,
        token_id=after.token_id,
        script_id=after.script_id,
        user_id=after.user_id,
        sequence=after.sequence,
        progress=after.progress,
        message=after.message,
    )
    match after.state:
        case State.RUNNING if before.state is State.RUNNING:
            return AnalysisProgressed(**common)
        case State.RUNNING:
            return AnalysisStarted(**common, attempt=after.attempt)
        case State.COMPLETED:
            return AnalysisCompleted(**common, result=after.result or {})
        case State.FAILED:
            return AnalysisFailed(**common, reason=after.reason or "")
        case State.CANCELLED:
            return AnalysisCancelled(**common)
        case State.QUEUED | State.DISPATCHED:
            raise AssertionError(f"a job is told of in state {after.state}")
