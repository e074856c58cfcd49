"""The routes of dubbings: have one mixed, hear it, hear the recordings that it is made of."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from libs.common.web.auth import User
from libs.common.web.language import Preferred
from libs.common.web.openapi import answers
from services.audio import dubbing_texts
from services.audio.deps import Dubbings
from services.audio.dubbing_errors import (
    DubbingFailed,
    DubbingNotReady,
    NoDubbing,
    NoTakes,
    SceneNotMixable,
    TakeUnusable,
    TooManyDubbings,
)
from services.audio.errors import CatalogUnavailable, TokenNotFound

router = APIRouter(prefix="/api", tags=["dubbings"])

TokenId = Annotated[int, Path(description="Id of a scene", examples=[1])]
_LINK = "GET it within an hour"


class Synthesized(BaseModel):
    """A dubbing that can be heard."""

    status: Literal["success"] = "success"
    message: str = Field(examples=["합성 및 업로드 완료"])
    dubbing_audio_url: str = Field(description=f"M4A; {_LINK}")
    background: bool = Field(description="Whether the scene's background voice is in it; false when the scene has none")


class Link(BaseModel):
    """Where a dubbing can be heard."""

    url: str = Field(description=_LINK)


class Recording(BaseModel):
    """The latest recording of a line."""

    script_id: int
    url: str = Field(description=_LINK)


class Recordings(BaseModel):
    """Of the lines of a scene that have one."""

    audios: list[Recording]


@router.post(
    "/synthesize/{token_id}",
    summary="Mix my recordings of a scene over its background voice",
    responses=answers(
        *(TokenNotFound(1), NoTakes(), SceneNotMixable(), TakeUnusable(7), TooManyDubbings()),
        *(DubbingNotReady(), DubbingFailed(), CatalogUnavailable()),
    ),
)
async def synthesize(token_id: TokenId, user: User, dubbings: Dubbings, language: Preferred, response: Response) -> Synthesized:
    """Answers when it can be heard. The same recordings are mixed once: asked again, the same dubbing.

    Of each line the latest recording counts, or the latest of the whole scene where none of the line came after it. When the
    answer is 503 `dubbing_not_ready`, mixing goes on; ask again.
    """
    with dubbing_texts.errors_in(language):
        ready = await dubbings.synthesize(user.user_id, token_id)
    response.headers["Content-Language"] = language
    response.headers["Vary"] = "Accept-Language"
    return Synthesized(message=dubbing_texts.done(language), dubbing_audio_url=ready.url, background=ready.background)


@router.get("/tokens/{token_id}/latest-dubbing", summary="My newest dubbing of a scene", responses=answers(NoDubbing()))
async def latest_dubbing(token_id: TokenId, user: User, dubbings: Dubbings, language: Preferred) -> Link:
    """As `synthesize` made it."""
    with dubbing_texts.errors_in(language):
        return Link(url=await dubbings.latest(user.user_id, token_id))


@router.get("/tokens/{token_id}/user-audios", summary="My recordings of a scene's lines")
async def user_audios(token_id: TokenId, user: User, dubbings: Dubbings) -> Recordings:
    """The latest one of each line; none of a scene that does not exist."""
    found = await dubbings.recordings(user.user_id, token_id)
    return Recordings(audios=[Recording(script_id=script_id, url=url) for script_id, url in found])
