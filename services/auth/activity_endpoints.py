"""Routes of the audit log, as far as it is about whoever asks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from libs.common.web.auth import User as Caller
from libs.common.web.openapi import Responses, answers
from services.auth.acts import ActLog
from services.auth.administration_schemas import Activity, Limit
from services.auth.deps import AccountsDep
from services.auth.errors import Deactivated, SessionEnded, UnknownUser

MAX_ACT = 2**63 - 1

router = APIRouter(prefix="/api/auth", tags=["auth"])

_LIST: Responses = {
    200: {"headers": {"Link": {"description": 'The next page, `rel="next"`; none at the end', "schema": {"type": "string"}}}},
    **answers(UnknownUser(), Deactivated(), SessionEnded()),
}


async def _act_log(request: Request) -> ActLog:
    log: ActLog = request.app.state.act_log
    return log


@router.get("/me/activity", summary="What was done with the caller's account", responses=_LIST)
async def my_activity(
    request: Request,
    response: Response,
    caller: Caller,
    accounts: AccountsDep,
    log: Annotated[ActLog, Depends(_act_log)],
    limit: Limit = 50,
    after: Annotated[int, Query(ge=1, le=MAX_ACT, description="Where the page before has ended, out of its `Link`")] = MAX_ACT,
) -> list[Activity]:
    """The newest first: sign-ins, refused ones of proven owners, ends of sessions, what administrators did to it."""
    account = await accounts.account(caller)
    found = await log.about(account.id, limit=limit + 1, before=after)
    if len(found) > limit:
        response.headers["Link"] = f'<{request.scope["path"]}?after={found[limit - 1].id}&limit={limit}>; rel="next"'
    response.headers["Cache-Control"] = "no-store"
    return [Activity.of(act, account.id) for act in found[:limit]]
