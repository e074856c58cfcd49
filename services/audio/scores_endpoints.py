"""The routes of scores and ranks."""

from fastapi import APIRouter

from libs.common.web.auth import User
from libs.common.web.openapi import answers
from services.audio.deps import Scores
from services.audio.errors import CatalogUnavailable, NoResults, TokenNotFound
from services.audio.mypage_endpoints import TokenId
from services.audio.mypage_schemas import DIGITS
from services.audio.scores_schemas import AverageScore, Leaderboard, SceneScoreView

router = APIRouter(prefix="/api/score", tags=["scores"])


@router.get(
    "/{token_id}/score", summary="My score of a scene", responses=answers(TokenNotFound(1), NoResults(), CatalogUnavailable())
)
async def scene_score(token_id: TokenId, user: User, scores: Scores) -> SceneScoreView:
    """The mean of my newest results of its lines and, if I recorded it in one, of the whole scene."""
    return SceneScoreView.of(user.user_id, token_id, await scores.of_scene(user.user_id, token_id))


@router.get("/me/average", summary="My average score", responses=answers(NoResults()))
async def my_average(user: User, scores: Scores) -> AverageScore:
    """Over all my results that have a score."""
    return AverageScore(user_id=user.user_id, average_score=round(await scores.average(user.user_id), DIGITS))


@router.get("/leaderboard/top-recorders", summary="Who recorded most")
async def top_recorders(scores: Scores) -> Leaderboard:
    """The first three, as it was half a minute ago at most. Names are null while they cannot be asked for."""
    return Leaderboard.of(await scores.top_recorders())
