"""The routes of films that scenes are to be made of."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from libs.common.contracts.audio import JobKind
from libs.common.web.auth import Admin, OptionalUser
from libs.common.web.openapi import answers
from libs.common.web.origin import RequestPlace
from services.audio.deps import Films, Jobs, Webhooks
from services.audio.errors import JobIdMissing, JobNotFound, PreprocessingUnavailable
from services.audio.film_schemas import FilmAccepted, FilmAsked, FilmState
from services.audio.forms import body_of
from services.audio.webhook_endpoints import DOCUMENTED, PROBLEMS, JobId, Received, Ticket

router = APIRouter(prefix="/api/youtube", tags=["films"])

MISSING = "영상 처리 작업을 찾을 수 없습니다."

_PROCESS = answers(PreprocessingUnavailable())


@router.post("/process", summary="Have scenes made of a film on YouTube", responses=_PROCESS)
async def process(asked: FilmAsked, admin: Admin, films: Films, place: RequestPlace) -> FilmAccepted:
    """A film that is being prepared already for this actor is not prepared twice: the answer is its job."""
    return FilmAccepted.of(await films.process(asked.film, admin, place))


@router.get(
    "/process-status/{job_id}",
    summary="State of a film's job, and the scenes that were made",
    responses=answers(JobNotFound(MISSING)),
)
async def process_status(
    job_id: Annotated[str, Path(description="As the request was answered")], viewer: OptionalUser, jobs: Jobs
) -> FilmState:
    """For administrators."""
    job = await jobs.visible(job_id, viewer, missing=MISSING)
    if job.kind is not JobKind.FILM:
        raise JobNotFound(MISSING)
    return FilmState.of(job)


@router.post(
    "/webhook/process-complete",
    summary="Post the scenes that were made of a film",
    openapi_extra=DOCUMENTED,
    responses=PROBLEMS,
)
async def process_complete(request: Request, webhooks: Webhooks, job_id: JobId, ticket: Ticket = "") -> Received:
    """`{"token_ids": [1], "status", "message"}`; a `status` of `failed` or `error` ends the job without scenes.

    Stored when this answers; what comes too late changes nothing.
    """
    if not job_id:
        raise JobIdMissing
    await webhooks.receive(job_id, JobKind.FILM, ticket, body_of(request))
    return Received(job_id=job_id)
