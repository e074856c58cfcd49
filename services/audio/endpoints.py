"""The routes of this service."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from libs.common.web.auth import OptionalUser
from libs.common.web.internal import require_service
from services.audio.deps import Client, Jobs, Limits, Scripts, Uploads
from services.audio.errors import EmptyUpload, FileMissing, JobNotFound, MalformedUpload, UploadTooLarge
from services.audio.multipart import OVERHEAD_BYTES, FileField
from services.audio.schemas import JobState, JobSummary, UploadAccepted

router = APIRouter(prefix="/api", tags=["audio"])
internal_router = APIRouter(prefix="/internal", dependencies=[Depends(require_service)], include_in_schema=False)

_UPLOAD_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No complete multipart form, or an invalid Idempotency-Key"},
    404: {"description": "No such script"},
    409: {"description": "The Idempotency-Key was used for another recording"},
    413: {"description": "More bytes than a recording may have"},
    415: {"description": "No audio format that can be analysed"},
    503: {"description": "Something that the upload needs does not answer; send it again later"},
}

JobId = Annotated[str, Path(description="32 hex digits, as the upload answered")]


@router.post(
    "/scripts/{script_id}/upload-audio",
    summary="Upload a recording of a line and begin its analysis",
    openapi_extra=_UPLOAD_FORM,
    responses=_PROBLEMS,
)
async def upload_audio(
    script_id: int,
    request: Request,
    user: OptionalUser,
    client: Client,
    scripts: Scripts,
    uploads: Uploads,
    limits: Limits,
    idempotency_key: Annotated[
        str | None, Header(description="The same key with the same recording begins no second analysis")
    ] = None,
) -> UploadAccepted:
    """WAV, FLAC, OGG, MP3, WebM or M4A in the field `file`. The bytes are stored when this answers."""
    line = await scripts.line(script_id)
    if int(request.headers.get("content-length", "0")) > limits.max_upload_bytes + OVERHEAD_BYTES:
        raise UploadTooLarge(limits.max_upload_bytes)
    try:
        field = FileField(request.headers.get("content-type", ""), _body(request), max_bytes=limits.max_upload_bytes)
        async with aclosing(field.chunks()) as recording:
            job_id = await uploads.accept(line, user.user_id if user else None, recording, idempotency_key, client=client)
    except (FileMissing, EmptyUpload) as error:
        kind = "missing" if isinstance(error, FileMissing) else "value_error"
        problem = {"type": kind, "loc": ["body", "file"], "msg": error.detail, "input": None}
        raise RequestValidationError([problem]) from error
    return UploadAccepted(job_id=job_id)


@router.get("/scripts/analysis-result/{job_id}", summary="State and result of an analysis")
async def script_result(job_id: JobId, viewer: OptionalUser, jobs: Jobs) -> JobState:
    """Of a job with an owner only to its owner; of one that was uploaded without sign-in to whoever knows the id."""
    return JobState.of(await jobs.visible(job_id, viewer, missing="결과가 없습니다."))


@router.get("/tokens/analysis-result/{job_id}", summary="State and result of an analysis, as the web client asks")
async def token_result(job_id: JobId, viewer: OptionalUser, jobs: Jobs) -> JobState:
    """The same, under the path that the web client uses."""
    return JobState.of(await jobs.visible(job_id, viewer, missing="분석 결과를 찾을 수 없습니다."))


@internal_router.get("/jobs/{job_id}")
async def job_summary(job_id: str, jobs: Jobs) -> JobSummary:
    """For gateways, whose streams are open to whoever knows a job's id."""
    job = await jobs.find(job_id)
    if job is None:
        raise JobNotFound("no such job")
    return JobSummary.of(job)


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for data in request.stream():
            yield data
    except ClientDisconnect as error:
        raise MalformedUpload("the connection ended before the upload did") from error
