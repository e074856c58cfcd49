"""The routes of this service."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from libs.common.web.auth import OptionalUser
from libs.common.web.openapi import answers
from libs.common.web.origin import AdminOrigin
from services.audio import forms
from services.audio.deps import Anonymous, Client, Jobs, Limits, Scripts, Uploads
from services.audio.errors import JobNotFound, ScriptNotFound
from services.audio.film_schemas import FilmSummary
from services.audio.schemas import CleanedUp, JobState, JobSummary, UploadAccepted
from services.audio.uploads import Target, Uploader

router = APIRouter(prefix="/api", tags=["audio"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)

NO_RESULT, NO_ANALYSIS = "결과가 없습니다.", "분석 결과를 찾을 수 없습니다."

JobId = Annotated[str, Path(description="As the upload answered it")]


@router.post(
    "/scripts/{script_id}/upload-audio",
    summary="Upload a recording of a line and begin its analysis",
    openapi_extra=forms.documented(file=forms.FILE),
    responses={**forms.PROBLEMS, **answers(ScriptNotFound())},
)
async def upload_audio(
    script_id: int,
    request: Request,
    user: OptionalUser,
    client: Client,
    scripts: Scripts,
    uploads: Uploads,
    limits: Limits,
    idempotency_key: forms.IdempotencyKey = None,
) -> UploadAccepted:
    """WAV, FLAC, OGG, MP3, WebM or M4A in the field `file`. The bytes are stored when this answers."""
    line = await scripts.line(script_id)
    target, uploader = Target.of_line(line), Uploader(user.user_id if user else None, client)
    job_id = await forms.accept_file(request, uploads, target, uploader, idempotency_key, max_bytes=limits.max_upload_bytes)
    return UploadAccepted(job_id=job_id)


@router.get(
    "/scripts/analysis-result/{job_id}",
    summary="State and result of an analysis",
    responses=answers(JobNotFound(NO_RESULT)),
)
async def script_result(job_id: JobId, viewer: OptionalUser, jobs: Jobs) -> JobState:
    """Of a job with an owner only to its owner; of one that was uploaded without sign-in to whoever knows the id."""
    return JobState.of(await jobs.visible_take(job_id, viewer, missing=NO_RESULT))


@router.get(
    "/tokens/analysis-result/{job_id}",
    summary="State and result of an analysis, as the web client asks",
    responses=answers(JobNotFound(NO_ANALYSIS)),
)
async def token_result(job_id: JobId, viewer: OptionalUser, jobs: Jobs) -> JobState:
    """The same, under the path that the web client uses."""
    return JobState.of(await jobs.visible_take(job_id, viewer, missing=NO_ANALYSIS))


@router.post("/scripts/cleanup/anonymous-results", summary="Erase recordings without an owner whose time has come")
async def clean_up_anonymous(by: AdminOrigin, anonymous: Anonymous) -> CleanedUp:
    """The oldest thousand with their results, at once; all others go within the hour without being asked for.

    A recording's time has come when its analysis ended `AUDIO_ANONYMOUS_RETENTION_HOURS` ago, a day unless that is set.
    """
    await anonymous.erase_for(by)
    return CleanedUp()


@internal_router.get("/jobs/{job_id}")
async def job_summary(job_id: str, jobs: Jobs) -> FilmSummary | JobSummary:
    """For gateways, whose streams are open to whoever knows a job's id."""
    job = await jobs.find(job_id)
    if job is None:
        raise JobNotFound("no such job")
    return FilmSummary.of(job) if job.film_id is not None else JobSummary.of(job)
