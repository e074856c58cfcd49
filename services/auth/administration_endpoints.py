"""Routes of administrators: people, and what they may."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from libs.common.web.language import Preferred
from libs.common.web.openapi import Responses, answers
from libs.common.web.origin import AdminOrigin
from services.auth.administration import Administration
from services.auth.administration_schemas import After, Limit, Managed, Search, Skip, Why
from services.auth.errors import AccountNotFound, AdminBySettings, LastAdministrator, NotOneself
from services.auth.texts import speaking

router = APIRouter(prefix="/api/auth/users", tags=["accounts"])

_LIST: Responses = {
    200: {
        "headers": {
            "Link": {"description": 'The next page, `rel="next"`; none at the end', "schema": {"type": "string"}},
            "X-Total-Count": {"description": "How many there are, where the list ends here", "schema": {"type": "integer"}},
        }
    }
}


async def _administration(request: Request) -> Administration:
    administration: Administration = request.app.state.administration
    return administration


AdministrationDep = Annotated[Administration, Depends(_administration)]


@router.get("", summary="Accounts, by part of an address or a name", responses=_LIST)
async def search_accounts(
    request: Request,
    response: Response,
    administration: AdministrationDep,
    by: AdminOrigin,
    query: Search = "",
    skip: Skip = 0,
    limit: Limit = 50,
    after: After = 0,
) -> list[Managed]:
    """By id. That somebody looked is in the audit log; what for is not."""
    found = await administration.search(query, by, skip=skip, limit=limit + 1, after=after)
    page = found[:limit]
    if len(found) > limit:
        target = f"{request.scope['path']}?after={page[-1].account.id}&limit={limit}&query={quote(query, safe='')}"
        response.headers["Link"] = f'<{target}>; rel="next"'
    elif not after and (page or not skip):
        response.headers["X-Total-Count"] = str(skip + len(page))
    response.headers["Cache-Control"] = "no-store"
    return [Managed.of(each) for each in page]


@router.post(
    "/{user_id}/deactivate",
    summary="Switch an account off",
    responses=answers(AccountNotFound(), NotOneself(), LastAdministrator()),
)
async def deactivate(
    user_id: int, why: Why, administration: AdministrationDep, by: AdminOrigin, language: Preferred
) -> Managed:
    """Its sessions end at once, and nobody signs in to it. Nobody does it to themselves, or to the last administrator."""
    with speaking(language):
        return Managed.of(await administration.deactivate(user_id, why.reason, by))


@router.post("/{user_id}/activate", summary="Switch an account on again", responses=answers(AccountNotFound()))
async def activate(user_id: int, why: Why, administration: AdministrationDep, by: AdminOrigin, language: Preferred) -> Managed:
    """Its owner has to sign in anew."""
    with speaking(language):
        return Managed.of(await administration.activate(user_id, why.reason, by))


@router.put("/{user_id}/admin", summary="Make somebody an administrator", responses=answers(AccountNotFound()))
async def grant_admin(user_id: int, administration: AdministrationDep, by: AdminOrigin, language: Preferred) -> Managed:
    """From their next access token on."""
    with speaking(language):
        return Managed.of(await administration.grant(user_id, by))


@router.delete(
    "/{user_id}/admin",
    summary="Make somebody an administrator no more",
    responses=answers(AccountNotFound(), NotOneself(), LastAdministrator(), AdminBySettings()),
)
async def revoke_admin(user_id: int, administration: AdministrationDep, by: AdminOrigin, language: Preferred) -> Managed:
    """Their sessions end, because tokens of them say otherwise."""
    with speaking(language):
        return Managed.of(await administration.revoke(user_id, by))
