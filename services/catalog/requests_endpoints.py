"""Routes of video requests."""

from fastapi import APIRouter

from libs.common.web.auth import User
from libs.common.web.openapi import answers
from libs.common.web.origin import AdminOrigin
from services.catalog.bookmarks_schemas import Limit, Offset
from services.catalog.deps import VideoRequestsDep
from services.catalog.errors import AlreadyUnderReview, NotRejected, RequestNotFound, UnknownStatus
from services.catalog.paging import Page
from services.catalog.requests_schemas import Decision, Done, VideoRequest, VideoRequestNew

router = APIRouter(prefix="/api/request", tags=["video requests"])


@router.post("", summary="Ask for a film", responses=answers(AlreadyUnderReview()))
async def create_request(caller: User, requests: VideoRequestsDep, new: VideoRequestNew) -> VideoRequest:
    """An administrator reviews it. While one is under review the same person cannot ask for another."""
    return VideoRequest.of(await requests.submit(caller, actor=new.actor, content=new.content, url=new.url))


@router.get("/mine", summary="The caller's requests")
async def list_own_requests(
    caller: User, requests: VideoRequestsDep, limit: Limit = 100, offset: Offset = 0
) -> list[VideoRequest]:
    """The newest first."""
    return [VideoRequest.of(each) for each in await requests.mine(caller, Page(offset, limit))]


@router.get("/all", summary="Everybody's requests")
async def list_all_requests(
    caller: User, requests: VideoRequestsDep, limit: Limit = 100, offset: Offset = 0
) -> list[VideoRequest]:
    """The newest first. `requester` is null for requests of others, unless an administrator asks."""
    return [VideoRequest.of(each) for each in await requests.everybodys(caller, Page(offset, limit))]


@router.patch(
    "/{request_id}/status",
    summary="Review a request (administrators)",
    responses=answers(RequestNotFound(), UnknownStatus(), AlreadyUnderReview()),
)
async def decide_request(requests: VideoRequestsDep, by: AdminOrigin, request_id: int, decision: Decision) -> Done:
    """Any of the three, from any of them."""
    await requests.decide(request_id, decision.status, by)
    return Done(detail="상태가 변경되었습니다.")


@router.delete("/{request_id}", summary="Delete a rejected request", responses=answers(RequestNotFound(), NotRejected()))
async def delete_request(caller: User, requests: VideoRequestsDep, request_id: int) -> Done:
    """The caller's own. One of somebody else is as if it were not there."""
    await requests.withdraw(caller.user_id, request_id)
    return Done(detail="요청이 삭제되었습니다.")
