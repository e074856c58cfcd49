"""The route of the archive of somebody's data."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from libs.common.web.auth import User
from libs.common.web.language import Preferred
from libs.common.web.openapi import Responses, answers
from libs.common.web.origin import RequestPlace
from services.audio import export_texts
from services.audio.deps import Exports
from services.audio.export_errors import ExportFailed
from services.audio.exports import LINK_LIFETIME

router = APIRouter(prefix="/api/auth", tags=["auth"])

LOOK_AGAIN_SECONDS = 5


class ExportPreparing(BaseModel):
    """The archive is being made."""

    state: Literal["preparing"] = "preparing"
    message: str = Field(examples=["데이터를 모으고 있습니다. 잠시 후 다시 확인해 주세요."])


class ExportReady(BaseModel):
    """The archive can be downloaded."""

    state: Literal["ready"] = "ready"
    message: str = Field(examples=["데이터를 내려받을 수 있습니다."])
    url: str = Field(description=f"A ZIP; GET it within {LINK_LIFETIME.total_seconds() / 60:g} minutes, or ask for a new link")
    size: int = Field(description="Bytes")
    made_at: datetime = Field(description="What is newer than this is not in it")
    expires_at: datetime = Field(description="When it is erased")


_RESPONSES: Responses = {
    200: {"description": "It can be downloaded", "model": ExportReady},
    202: {"description": "It is being made; ask again after `Retry-After` seconds", "model": ExportPreparing},
    **answers(ExportFailed()),
}


@router.get("/me/export", summary="All my data as one archive", response_model=None, responses=_RESPONSES)
async def export(
    user: User,
    exports: Exports,
    language: Preferred,
    place: RequestPlace,
    response: Response,
    fresh: Annotated[bool, Query(description="A new one in place of one that is an hour old")] = False,
) -> ExportReady | ExportPreparing:
    """Account, sessions, bookmarks, requests, recordings, their analyses, dubbings: a ZIP, made when it is asked for.

    Ask until it is ready. It is erased a day later, with the account, and when recordings of a scene are erased. 503
    `export_failed` when it could not be made: asked again, it is tried again.
    """
    response.headers.update({"Content-Language": language, "Vary": "Accept-Language", "Cache-Control": "no-store"})
    with export_texts.errors_in(language):
        ready = await exports.ask(user, place, fresh=fresh)
    if ready is None:
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Retry-After"] = str(LOOK_AGAIN_SECONDS)
        return ExportPreparing(message=export_texts.preparing(language))
    return ExportReady(
        message=export_texts.ready(language),
        url=ready.url,
        size=ready.size,
        made_at=ready.made_at,
        expires_at=ready.expires_at,
    )
