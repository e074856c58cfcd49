"""The routes of my page: what the caller dubbed, with which results, and erasing that."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from libs.common.web.auth import User
from libs.common.web.openapi import answers
from services.audio.deps import Erasing, Practising
from services.audio.errors import CatalogUnavailable, JobBusy, NothingToErase, TokenNotFound
from services.audio.mypage_schemas import AnalysisStatus, Dubbed, PracticeOverview
from services.audio.scripts import MAX_ID

router = APIRouter(prefix="/api/mypage", tags=["my page"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)

TokenId = Annotated[int, Path(description="Id of a scene", examples=[1])]


@router.get("/my-dubbed-tokens", summary="Scenes that I recorded")
async def my_dubbed_tokens(
    user: User,
    practice: Practising,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
) -> list[Dubbed]:
    """The one with the newest recording first. Scenes that the catalogue no longer has stay with the names that they had."""
    return [Dubbed.of(token) for token in await practice.dubbed(user.user_id, limit=limit, offset=offset)]


@router.get(
    "/tokens/{token_id}/analysis-status",
    summary="My newest result of each line of a scene",
    responses=answers(TokenNotFound(1), CatalogUnavailable()),
)
async def analysis_status(token_id: TokenId, user: User, practice: Practising) -> AnalysisStatus:
    """One row per line, with the result of the caller's newest recording of that line that has one."""
    return AnalysisStatus.of(token_id, await practice.spoken(user.user_id, token_id))


@router.delete(
    "/tokens/{token_id}/my-results",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    summary="Erase my recordings and results of a scene",
    responses=answers(NothingToErase(), JobBusy()),
)
async def erase_my_results(token_id: TokenId, user: User, eraser: Erasing) -> None:
    """For good, the recordings included; analyses that are under way are cancelled. What others recorded stays."""
    await eraser.erase_results(user, token_id)


@internal_router.get("/users/{user_id}/practice")
async def practice_of_user(user_id: Annotated[int, Path(ge=1, le=MAX_ID)], practice: Practising) -> PracticeOverview:
    """How much the user practised, and what lately."""
    return PracticeOverview.of(await practice.overview(user_id))
