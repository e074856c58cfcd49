"""A job as its owner sees it on the endpoints that are about jobs."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from libs.common.contracts.audio import JobKind
from libs.common.web.language import Language
from services.audio import texts
from services.audio.jobs import State
from services.audio.service import Outlook


class JobView(BaseModel):
    """A job, its place in the queue, and what became of it. Times are ISO 8601 in UTC."""

    job_id: str
    kind: JobKind
    token_id: int | None = Field(description="None of a film")
    script_id: int | None = Field(description="None of a recording of a whole scene, and of a film")
    state: Literal["queued", "processing", "completed", "failed", "cancelled"]
    progress: int = Field(description="0..100")
    message: str = Field(description="For the learner, in the language of Accept-Language: ko or en")
    reason: str | None = Field(description="Why it failed, for programs")
    attempt: int = Field(description="How many servers it was given to")
    max_attempts: int
    queue_position: int | None = Field(description="1 is the next; null when it does not wait; counted up to 10,000")
    estimated_wait_seconds: float | None = Field(
        description="Until a server takes it, if work goes on as lately; null when it does not wait or nobody can tell"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime = Field(description="If it has not ended by then it will have failed")
    retry_of: str | None = Field(description="The job that this one does over")
    retried_as: str | None = Field(description="The job that does this one over")

    @classmethod
    def of(cls, outlook: Outlook, language: Language) -> Self:
        """In this language."""
        job = outlook.job
        reason = texts.known(job.kind, job.reason or "") if job.state is State.FAILED else None
        return cls(
            job_id=job.id,
            kind=job.kind,
            token_id=job.token_id,
            script_id=job.script_id,
            state=job.state.public,
            progress=job.progress,
            message=texts.spoken_of(job.kind, reason or job.state.public, language),
            reason=reason,
            attempt=job.attempt,
            max_attempts=outlook.max_attempts,
            queue_position=outlook.position,
            estimated_wait_seconds=outlook.wait_seconds,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            deadline=job.deadline,
            retry_of=job.retry_of,
            retried_as=outlook.retried_as,
        )
