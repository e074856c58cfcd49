"""The routes on which analysis servers post results, as existing ones know them; that of preprocessors: `film_endpoints`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from libs.common.contracts.audio import JobKind
from libs.common.web.openapi import Responses, answers
from services.audio.deps import Webhooks
from services.audio.errors import (
    JobIdMissing,
    ResultTooLarge,
    ResultUnreadable,
    WebhookExpired,
    WebhookForged,
    WebhookUnsigned,
)
from services.audio.forms import body_of
from services.audio.jobs import Why

router = APIRouter(prefix="/api", tags=["webhooks"])

_FROM_LINK = "As in the link that came with the work"
# By hand: a missing job_id is answered as it always was, not as the framework would.
DOCUMENTED: dict[str, Any] = {
    "parameters": [
        {
            "name": "job_id",
            "in": "query",
            "required": True,
            "description": _FROM_LINK,
            "schema": {"type": "string", "minLength": 1},
        }
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
}
PROBLEMS = answers(
    JobIdMissing(),
    ResultUnreadable("the body is not a JSON document"),
    WebhookUnsigned(),
    WebhookForged(),
    WebhookExpired(),
    ResultTooLarge(1024 * 1024),
)
_MISSING = {"error": "job_id is required"}
_SCENE_ANSWERS: Responses = {
    **PROBLEMS,
    200: {"content": {"application/json": {"example": {"received": True, "job_id": "eec82f29-392f", "task_id": None}}}},
    400: {
        **PROBLEMS[400],
        "content": {**PROBLEMS[400]["content"], "application/json": {"schema": {"type": "object"}, "example": _MISSING}},
    },
}


class Received(BaseModel):
    """The result is stored, or comes too late."""

    received: bool = True
    job_id: str


async def _job_id(request: Request) -> str:
    return request.query_params.get("job_id", "")


JobId = Annotated[str, Depends(_job_id)]
Ticket = Annotated[str, Query(description=_FROM_LINK)]


@router.post(
    "/scripts/webhook/analysis-complete",
    summary="Post the result of a line",
    openapi_extra=DOCUMENTED,
    responses=PROBLEMS,
)
async def line_completed(request: Request, webhooks: Webhooks, job_id: JobId, ticket: Ticket = "") -> Received:
    """The whole body is the result. Stored when this answers; a result that comes too late changes nothing."""
    if not job_id:
        raise JobIdMissing
    await webhooks.receive(job_id, JobKind.LINE, ticket, body_of(request))
    return Received(job_id=job_id)


@router.post(
    "/tokens/webhook/analysis-complete",
    summary="Post the result of a scene",
    openapi_extra=DOCUMENTED,
    responses=_SCENE_ANSWERS,
    response_model=None,
)
async def scene_completed(
    request: Request, webhooks: Webhooks, job_id: JobId, ticket: Ticket = "", task_id: str | None = None
) -> dict[str, Any] | JSONResponse:
    """The body's `analysis_results` is the result, or else the whole body. Stored when this answers."""
    if not job_id:
        return JSONResponse(_MISSING, status_code=400)
    outcome = await webhooks.receive(job_id, JobKind.TOKEN, ticket, body_of(request))
    if outcome == Why.FINISHED:
        return {"received": True, "job_id": job_id, "message": "이미 완료된 작업"}
    return {"received": True, "job_id": job_id, "task_id": task_id}
