"""What goes over the wire, as the public contract shows it."""

from datetime import UTC
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel

from services.audio import texts
from services.audio.jobs import Job, State


class Status(StrEnum):
    """A job's state as clients know it."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def of(cls, state: State) -> Self:
        """Clients know of no queue and of no cancelling."""
        if state.is_open:
            return cls("processing")
        return cls("completed" if state is State.COMPLETED else "failed")


class UploadAccepted(BaseModel):
    """The recording is stored and its job has begun."""

    message: str = texts.UPLOADED
    job_id: str
    status: Status = Status.PROCESSING


class CleanedUp(BaseModel):
    """Nothing is kept too long; said as well when nothing was."""

    message: str = texts.CLEANED_UP


class JobState(BaseModel):
    """A job and, when it is completed, its result."""

    job_id: str
    token_id: int
    status: Status
    progress: int
    result: dict[str, Any] | None
    message: str
    created_at: str  # ISO 8601 in UTC

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job of a recording as its owner sees it."""
        assert job.token_id is not None
        return cls(
            job_id=job.id,
            token_id=job.token_id,
            status=Status.of(job.state),
            progress=job.progress,
            result=job.result,
            message=job.message,
            created_at=job.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        )


class JobSummary(BaseModel):
    """A job as a gateway tells it to a stream that has no frames yet. `sequence` is that of its newest fact.

    Whose it is (`user_id`), the gateway tells nobody: it shows the stream to no other caller.
    """

    job_id: str
    user_id: int | None
    sequence: int
    status: Status
    progress: int
    message: str
    result: dict[str, Any] | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job in the keys of a frame."""
        return cls(
            job_id=job.id,
            user_id=job.user_id,
            sequence=job.sequence,
            status=Status.of(job.state),
            progress=job.progress,
            message=job.message,
            result=job.result,
        )
