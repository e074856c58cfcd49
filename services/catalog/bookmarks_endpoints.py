"""Routes of bookmarks: everybody sees and changes their own."""

from http import HTTPStatus

from fastapi import APIRouter

from libs.common.web.auth import User
from libs.common.web.openapi import answers
from services.catalog.bookmarks_schemas import Bookmark, Bookmarked, BookmarkNew, BookmarkOverview, Limit, Offset
from services.catalog.deps import BookmarksDep
from services.catalog.errors import AlreadyBookmarked, TokenNotFound
from services.catalog.paging import Page

router = APIRouter(prefix="/api/mypage/bookmarks", tags=["my page"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)


@router.post(
    "",
    summary="Bookmark a scene",
    status_code=HTTPStatus.CREATED,
    responses=answers(TokenNotFound(), AlreadyBookmarked()),
)
async def add_bookmark(caller: User, bookmarks: BookmarksDep, new: BookmarkNew) -> Bookmarked:
    """Once: 409 when there is one already. It goes with the scene."""
    await bookmarks.add(caller.user_id, new.token_id)
    return Bookmarked(token_id=new.token_id)


@router.get("", summary="The caller's bookmarks", response_model=list[Bookmark])
async def list_bookmarks(caller: User, bookmarks: BookmarksDep, limit: Limit = 20, offset: Offset = 0) -> object:
    """The newest first."""
    return await bookmarks.of_user(caller.user_id, Page(offset, limit))


@router.delete("/{token_id}", summary="Remove a bookmark", status_code=HTTPStatus.NO_CONTENT)
async def remove_bookmark(caller: User, bookmarks: BookmarksDep, token_id: int) -> None:
    """Of a scene that is not marked, or not there, the same answer."""
    await bookmarks.remove(caller.user_id, token_id)


@internal_router.get("/users/{user_id}/bookmarks", response_model=BookmarkOverview)
async def bookmarks_of_user(bookmarks: BookmarksDep, user_id: int) -> object:
    """For the gateway, which composes my page."""
    return await bookmarks.overview(user_id)
