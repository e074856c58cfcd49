"""The routes on which analysis servers post results, as existing ones know them; that of preprocessors: `film_endpoints`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from libs.common.contracts.audio import JobKind
from services.audio.deps import Webhooks
from services.audio.errors import JobIdMissing
from services.audio.forms import body_of
from services.audio.jobs import Why

router = APIRouter(prefix="/api", tags=["webhooks"])

DOCUMENTED: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No job_id, or the body is no JSON object"},
    401: {"description": "The link's ticket is missing"},
    403: {"description": "The ticket is for another job, or has expired"},
    413: {"description": "More bytes than a result may have"},
    503: {"description": "Nothing was stored; send it again"},
}

JobId = Annotated[str, Query(description="As in the link that came with the work")]
Ticket = Annotated[str, Query(description="As in the link that came with the work", include_in_schema=True)]


@router.post(
    "/scripts/webhook/analysis-complete",
    summary="Post the result of a line",
    openapi_extra=DOCUMENTED,
    responses=PROBLEMS,
)
async def line_completed(request: Request, webhooks: Webhooks, job_id: JobId = "", ticket: Ticket = "") -> dict[str, Any]:
    """The whole body is the result. Stored when this answers; a result that comes too late changes nothing."""
    if not job_id:
        raise JobIdMissing
    await webhooks.receive(job_id, JobKind.LINE, ticket, body_of(request))
    return {"received": True, "job_id": job_id}


@router.post(
    "/tokens/webhook/analysis-complete",
    summary="Post the result of a scene",
    openapi_extra=DOCUMENTED,
    responses=PROBLEMS,
    response_model=None,
)
async def scene_completed(
    request: Request, webhooks: Webhooks, job_id: JobId = "", ticket: Ticket = "", task_id: str | None = None
) -> dict[str, Any] | JSONResponse:
    """The body's `analysis_results` is the result, or else the whole body. Stored when this answers."""
    if not job_id:
        return JSONResponse({"error": "job_id is required"}, status_code=400)
    outcome = await webhooks.receive(job_id, JobKind.TOKEN, ticket, body_of(request))
    if outcome == Why.FINISHED:
        return {"received": True, "job_id": job_id, "message": "이미 완료된 작업"}
    return {"received": True, "job_id": job_id, "task_id": task_id}
