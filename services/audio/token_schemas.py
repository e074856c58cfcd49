"""What goes over the wire about recordings of whole scenes, as the public contract shows it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import BaseModel, Field

from services.audio.jobs import Job
from services.audio.schemas import Status
from services.audio.token_repository import KnownToken


class TokenInfo(BaseModel):
    """The scene, with the keys of its reference objects."""

    id: int
    s3_textgrid_url: str | None
    s3_pitch_url: str | None


class TokenUploadAccepted(BaseModel):
    """The recording is stored and its job has begun."""

    message: str = "업로드 완료, 백그라운드에서 처리됩니다."
    job_id: str
    status: Status = Status.PROCESSING
    token_info: TokenInfo

    @classmethod
    def of(cls, job_id: str, token: KnownToken) -> Self:
        """The answer to an upload."""
        info = TokenInfo(id=token.token_id, s3_textgrid_url=token.s3_textgrid_url, s3_pitch_url=token.s3_pitch_url)
        return cls(job_id=job_id, token_info=info)


class BatchAccepted(BaseModel):
    """All recordings are stored and their jobs have begun, in this order."""

    message: str
    job_ids: list[str]
    total_files: int

    @classmethod
    def of(cls, job_ids: list[str]) -> Self:
        """The answer to a batch."""
        return cls(message=f"{len(job_ids)}개 파일 배치 처리 시작", job_ids=job_ids, total_files=len(job_ids))


class BatchEntry(BaseModel):
    """One of the jobs that were asked for."""

    job_id: str
    status: Status | Literal["not_found"]
    progress: int
    message: str
    token_id: int | None

    @classmethod
    def of(cls, job_id: str, job: Job | None) -> Self:
        """A job, or that the caller has none of that id."""
        if job is None:
            return cls(job_id=job_id, status="not_found", progress=0, message="작업을 찾을 수 없습니다.", token_id=None)
        return cls(
            job_id=job.id, status=Status.of(job.state), progress=job.progress, message=job.message, token_id=job.token_id
        )


class BatchSummary(BaseModel):
    """How many are how far. Jobs that are not found count as failed."""

    total_jobs: int
    completed: int
    failed: int
    in_progress: int
    overall_progress: float = Field(description="Percent of the jobs that are completed")


class BatchProgress(BaseModel):
    """Several jobs at once."""

    batch_results: list[BatchEntry]
    summary: BatchSummary

    @classmethod
    def of(cls, job_ids: Sequence[str], jobs: Mapping[str, Job]) -> Self:
        """The jobs that were found, of those that were asked for."""
        entries = [BatchEntry.of(job_id, jobs.get(job_id)) for job_id in job_ids]
        completed = sum(entry.status == Status.COMPLETED for entry in entries)
        in_progress = sum(entry.status == Status.PROCESSING for entry in entries)
        summary = BatchSummary(
            total_jobs=len(entries),
            completed=completed,
            failed=len(entries) - completed - in_progress,
            in_progress=in_progress,
            overall_progress=round(100 * completed / len(entries), 1),
        )
        return cls(batch_results=entries, summary=summary)


class QueueInfo(BaseModel):
    """How much there is to do."""

    messages_available: int = Field(description="Jobs that wait for an analysis server")
    messages_in_flight: int = Field(description="Jobs that one works on")
    queue_url: str = Field("analysis.work", description="The common name of the work queues")


class QueueStatus(BaseModel):
    """The work queues, in the words of the service that this one replaces."""

    status: Literal["success"] = "success"
    queue_info: QueueInfo
    sqs_enabled: Literal[False] = False
