"""The routes of recordings of whole scenes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from libs.common.contracts.audio import Priority
from libs.common.web.auth import OptionalUser, User
from libs.common.web.openapi import answers
from services.audio import forms
from services.audio.deps import Batches, Client, Jobs, Limits, Tokens, Uploads
from services.audio.errors import NoJobIds, TokenNotFound
from services.audio.token_schemas import BatchAccepted, BatchProgress, QueueInfo, QueueStatus, TokenUploadAccepted
from services.audio.uploads import Target, Uploader

router = APIRouter(prefix="/api/tokens", tags=["audio"])


@router.post(
    "/{token_id}/upload-audio",
    summary="Upload a recording of a whole scene and begin its analysis",
    openapi_extra=forms.documented(file=forms.FILE),
    responses={**forms.PROBLEMS, **answers(TokenNotFound(1))},
)
async def upload_audio(
    token_id: int,
    request: Request,
    user: User,
    client: Client,
    tokens: Tokens,
    uploads: Uploads,
    limits: Limits,
    idempotency_key: forms.IdempotencyKey = None,
) -> TokenUploadAccepted:
    """WAV, FLAC, OGG, MP3, WebM or M4A in the field `file`. The bytes are stored when this answers."""
    token = await tokens.token(token_id)
    target, uploader = Target.of_scene(token_id, Priority.NORMAL), Uploader(user.user_id, client)
    job_id = await forms.accept_file(request, uploads, target, uploader, idempotency_key, max_bytes=limits.max_upload_bytes)
    return TokenUploadAccepted.of(job_id, token)


@router.post(
    "/batch-upload",
    summary="Upload recordings of several scenes",
    openapi_extra=forms.documented(
        files={"type": "array", "items": forms.FILE}, token_ids={"type": "string", "example": "1,2"}
    ),
    responses={**forms.PROBLEMS, **answers(TokenNotFound(1))},
)
async def batch_upload(request: Request, user: User, client: Client, batches: Batches, limits: Limits) -> BatchAccepted:
    """The n-th of `files` is a recording of the n-th of `token_ids`. All of them are taken, or none.

    They are analysed when nobody waits live for something else.
    """
    with forms.field_errors():
        form = forms.form_of(request, max_bytes=limits.max_batch_bytes, field="files")
        return BatchAccepted.of(await batches.accept(form, Uploader(user.user_id, client)))


@router.get("/batch-progress", summary="State of several analyses", responses=answers(NoJobIds()))
async def batch_progress(
    viewer: OptionalUser,
    jobs: Jobs,
    job_ids: Annotated[
        str, Query(max_length=4000, description="Ids with commas between them", json_schema_extra={"pattern": r"[^\s,]"})
    ],
) -> BatchProgress:
    """A job that is somebody else's is shown as one that is not there."""
    wanted = [job_id for part in job_ids.split(",") if (job_id := part.strip())]
    if not wanted:
        raise NoJobIds
    return BatchProgress.of(wanted, await jobs.visible_among(wanted, viewer))


@router.get("/queue/status", summary="How much waits to be analysed")
async def queue_status(jobs: Jobs) -> QueueStatus:
    """Of all users together."""
    waiting, running = await jobs.waiting_and_running()
    return QueueStatus(queue_info=QueueInfo(messages_available=waiting, messages_in_flight=running))
