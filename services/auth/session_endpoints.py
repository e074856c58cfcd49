"""Routes of sessions: going on, and the ends of them."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Response

from libs.common.web.auth import User as Caller
from libs.common.web.openapi import answers
from services.auth.deps import AccountsDep, PlaceDep, RefreshingDep, SessionsDep
from services.auth.errors import Deactivated, SessionEnded, SessionNotFound, UnknownUser
from services.auth.schemas import AccessToken, LoggedOut, Refresh, Session, Tokens

ENDED = answers(UnknownUser(), Deactivated(), SessionEnded())

router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post("/refresh", summary="The next access token of a session, for the one before", responses=ENDED)
async def refresh(asking: RefreshingDep, sessions: SessionsDep, place: PlaceDep, response: Response) -> AccessToken:
    """For a bearer, expired or not. An expired one counts once: when it comes again later, the session ends."""
    response.headers["Cache-Control"] = "no-store"
    caller, expired = await asking.caller()
    return AccessToken(access_token=await sessions.refresh(caller, place, expired=expired))


@router.post("/token", summary="The next tokens of a session, for a refresh token", responses=ENDED)
async def rotate(refreshing: Refresh, sessions: SessionsDep, place: PlaceDep, response: Response) -> Tokens:
    """A refresh token counts once: when it comes again, the session ends."""
    response.headers["Cache-Control"] = "no-store"
    grant = await sessions.rotate(refreshing.refresh_token, place)
    return Tokens(access_token=grant.access_token, refresh_token=grant.refresh_token)


@router.post("/logout", summary="End of the session")
async def logout(caller: Caller, sessions: SessionsDep, place: PlaceDep) -> LoggedOut:
    """The session of the bearer ends, and with it whatever could continue it."""
    await sessions.log_out(caller, place)
    return LoggedOut(user_id=caller.user_id)


@router.get("/sessions", summary="Where the caller is signed in", responses=ENDED)
async def list_sessions(caller: Caller, accounts: AccountsDep, sessions: SessionsDep) -> list[Session]:
    """The live sessions, the last used first."""
    account = await accounts.account(caller)
    return [
        Session.model_validate({**asdict(session), "current": session.id == caller.session_id})
        for session in await sessions.of(account.id)
    ]


@router.delete("/sessions", summary="Sign out everywhere", status_code=204, responses=ENDED)
async def end_all_sessions(caller: Caller, accounts: AccountsDep, sessions: SessionsDep, place: PlaceDep) -> None:
    """Ends all sessions of the caller, this one too."""
    await accounts.account(caller)
    await sessions.end_all(caller, place)


@router.delete(
    "/sessions/{session_id}",
    summary="Sign out somewhere else",
    status_code=204,
    responses={**ENDED, **answers(SessionNotFound())},
)
async def end_session(
    session_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
    caller: Caller,
    accounts: AccountsDep,
    sessions: SessionsDep,
    place: PlaceDep,
) -> None:
    """Ends one session of the caller."""
    await accounts.account(caller)
    await sessions.end(caller, session_id, place)
