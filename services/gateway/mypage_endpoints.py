"""What the gateway composes for one caller."""

from fastapi import APIRouter, Request, Response

from libs.common.web.auth import SignInUnavailable, User
from libs.common.web.language import Language
from libs.common.web.openapi import answers
from services.gateway.deps import Page
from services.gateway.errors import TooManyRequests
from services.gateway.mypage_schemas import Overview

REFUSED = answers(SignInUnavailable(), TooManyRequests(15, Language.KOREAN))

router = APIRouter(prefix="/api/mypage", tags=["my page"])


@router.get("/overview", summary="My page at a glance", responses=REFUSED)
async def overview(caller: User, page: Page, request: Request, response: Response) -> Overview:
    """Account, bookmarks and practice. What does not come in time is empty, and `unavailable` names whose part it is."""
    response.headers["Cache-Control"] = "private, no-store"
    return await page.overview(caller, request.headers["authorization"])
