"""The routes that are about jobs: see one, cancel it, do it over."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from libs.common.errors import YouSyncError
from libs.common.web.auth import OptionalUser
from libs.common.web.language import Language, Preferred
from libs.common.web.origin import RequestPlace
from services.audio import texts
from services.audio.deps import Client, Jobs
from services.audio.job_schemas import JobView
from services.audio.service import Outlook

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

JobId = Annotated[str, Path(description="As the upload answered", examples=["36f6a40f6d8547f7a9463ea6d82e58ce"])]

_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such job, or somebody else's"}}
_CANCEL: dict[int | str, dict[str, Any]] = {**_NOT_FOUND, 409: {"description": "It has ended otherwise; `state` says how"}}
_RETRY: dict[int | str, dict[str, Any]] = {
    201: {"description": "A new job begins; Location leads to it", "model": JobView},
    404: {"description": "No such job, somebody else's, or its recording is no longer stored (`recording_gone`)"},
    409: {"description": "It is still open, or has its result; `state` says which"},
    503: {"description": "The store of recordings does not answer; ask again later"},
}


@router.get("/{job_id}", summary="State of an analysis and its place in the queue", responses=_NOT_FOUND)
async def job(job_id: JobId, viewer: OptionalUser, jobs: Jobs, language: Preferred, response: Response) -> JobView:
    """Of a job with an owner only to its owner; of one that was uploaded without sign-in to whoever knows the id."""
    with _in(language):
        return _view(await jobs.outlook(job_id, viewer), language, response)


@router.post("/{job_id}/cancel", summary="Stop an analysis", responses=_CANCEL)
async def cancel(
    job_id: JobId, viewer: OptionalUser, jobs: Jobs, language: Preferred, place: RequestPlace, response: Response
) -> JobView:
    """Whether it waits or is being worked on. Of one that is cancelled already, the same answer again."""
    with _in(language):
        return _view(await jobs.cancel(job_id, viewer, place), language, response)


@router.post("/{job_id}/retry", summary="Analyse the recording of a failed or cancelled analysis again", responses=_RETRY)
async def retry(
    job_id: JobId,
    viewer: OptionalUser,
    client: Client,
    jobs: Jobs,
    language: Preferred,
    place: RequestPlace,
    response: Response,
) -> JobView:
    """Answers the new job, and asked again the same one (200). The old job stays as it ended."""
    with _in(language):
        again, is_new = await jobs.retry(job_id, viewer, client=client, place=place)
        if is_new:
            response.status_code = HTTPStatus.CREATED
        response.headers["Location"] = f"{router.prefix}/{again.job.id}"
        return _view(again, language, response)


def _view(outlook: Outlook, language: Language, response: Response) -> JobView:
    response.headers["Content-Language"] = language
    response.headers["Vary"] = "Accept-Language"
    return JobView.of(outlook, language)


@contextmanager
def _in(language: Language) -> Iterator[None]:
    """Errors whose code has a text say it in this language."""
    try:
        yield
    except YouSyncError as error:
        error.detail = texts.spoken(error.code, language) or error.detail
        raise
