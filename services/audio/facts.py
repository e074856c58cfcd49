"""From a committed change of a job to what the others are told; what servers are asked for is in `orders`."""

from typing import TypedDict

from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
    FilmCancelled,
    FilmCompleted,
    FilmFact,
    FilmFailed,
    FilmProgressed,
    FilmRequested,
    FilmStarted,
    JobFact,
    JobKind,
    TakeKind,
)
from services.audio.film_repository import Film
from services.audio.jobs import Job, State
from services.audio.repository import Take
from services.audio.results import token_ids


class _OfFilm(TypedDict):
    job_id: str
    sequence: int
    progress: int
    message: str


class _OfTake(_OfFilm):
    kind: TakeKind
    token_id: int
    script_id: int | None
    user_id: int | None


def audio_uploaded(take: Take, job: Job) -> AudioUploaded:
    """The first fact of a take's job."""
    assert job.kind is not JobKind.FILM
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


def film_requested(film: Film, job: Job) -> FilmRequested:
    """The first fact of a film's job."""
    return FilmRequested(
        job_id=job.id,
        sequence=job.sequence,
        youtube_url=film.youtube_url,
        movie_name=film.movie_name,
        actor_name=film.actor_name,
    )


def fact_of(before: Job, after: Job) -> JobFact | FilmFact | None:
    """What the change from `before` to `after` is to the others; None when it is none of their business."""
    if after.sequence == before.sequence:
        return None
    return _film_fact(before, after) if after.kind is JobKind.FILM else _take_fact(before, after)


def _take_fact(before: Job, after: Job) -> JobFact:
    assert after.kind is not JobKind.FILM
    assert after.token_id is not None
    common = _OfTake(
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


def _film_fact(before: Job, after: Job) -> FilmFact:
    common = _OfFilm(job_id=after.id, sequence=after.sequence, progress=after.progress, message=after.message)
    match after.state:
        case State.RUNNING if before.state is State.RUNNING:
            return FilmProgressed(**common)
        case State.RUNNING:
            return FilmStarted(**common, attempt=after.attempt)
        case State.COMPLETED:
            return FilmCompleted(**common, token_ids=token_ids(after.result) or (), result=after.result or {})
        case State.FAILED:
            return FilmFailed(**common, reason=after.reason or "")
        case State.CANCELLED:
            return FilmCancelled(**common)
        case State.QUEUED | State.DISPATCHED:
            raise AssertionError(f"a job is told of in state {after.state}")
