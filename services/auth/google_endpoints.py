"""Routes of signing in with Google."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from libs.common.web.openapi import answers
from services.auth.attempts import ATTEMPT_SECONDS
from services.auth.deps import BrowserSignInDep, GoogleSignInDep, PlaceDep, PreviousDep
from services.auth.errors import (
    Deactivated,
    IdentityConflict,
    InvalidIdToken,
    InvalidSignInCode,
    ProviderUnreachable,
    SignInInterrupted,
    SignInNotConfigured,
    UnknownReturnUrl,
    UnknownUser,
)
from services.auth.schemas import AccessToken, GoogleLogin, SignInCode, Tokens

CALLBACK = "/api/auth/google/callback"
# Addresses on the way hold codes: nobody keeps them, no page is told of them.
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post(
    "/google-login",
    summary="Sign in with an id_token of Google",
    responses=answers(
        InvalidIdToken("만료되었습니다"), Deactivated(), IdentityConflict(), ProviderUnreachable(), SignInNotConfigured()
    ),
)
async def google_login(
    login: GoogleLogin, sign_in: GoogleSignInDep, place: PlaceDep, previous: PreviousDep, response: Response
) -> AccessToken:
    """Finds the account by Google's id of the person, else by the verified e-mail address, else makes it.

    The session of a bearer that comes along ends: this browser goes on with the new one.
    """
    response.headers["Cache-Control"] = "no-store"
    return AccessToken(access_token=await sign_in.with_id_token(login.id_token, place, previous=previous))


@router.get(
    "/google/start",
    summary="Sign in at Google: where a browser begins",
    status_code=303,
    response_class=RedirectResponse,
    responses=answers(UnknownReturnUrl(), ProviderUnreachable(), SignInNotConfigured()),
)
async def google_start(
    request: Request,
    sign_in: BrowserSignInDep,
    code_challenge: Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{43}$", description="S256 of the page's verifier, RFC 7636")],
    return_url: Annotated[str | None, Query(max_length=2048, description="One of AUTH_RETURN_URLS; else the first")] = None,
) -> RedirectResponse:
    """Leads to Google, and from there by `/callback` back to `return_url` with `#code=` or `#error=`."""
    where, kept = await sign_in.begin(challenge=code_challenge, return_url=return_url)
    answer = RedirectResponse(where, status_code=303, headers=PRIVATE)
    name, secure = _cookie(request)
    answer.set_cookie(name, kept, max_age=ATTEMPT_SECONDS, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


@router.get(
    "/google/callback",
    summary="Sign in at Google: where a browser comes back",
    status_code=303,
    response_class=RedirectResponse,
    responses=answers(SignInInterrupted()),
)
async def google_callback(
    request: Request,
    sign_in: BrowserSignInDep,
    place: PlaceDep,
    state: Annotated[str | None, Query(max_length=512)] = None,
    code: Annotated[str | None, Query(max_length=4096)] = None,
    error: Annotated[str | None, Query(max_length=512)] = None,
    iss: Annotated[str | None, Query(max_length=2048)] = None,
) -> RedirectResponse:
    """Only for the browser that began: what it got at `/start` must fit `state`."""
    name, secure = _cookie(request)
    where = await sign_in.come_back(request.cookies.get(name), place, state=state, code=code, error=error, issuer=iss)
    answer = RedirectResponse(where, status_code=303, headers=PRIVATE)
    answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


@router.post(
    "/google/token",
    summary="Sign in at Google: the tokens for the code",
    responses=answers(InvalidSignInCode(), UnknownUser(), Deactivated()),
)
async def google_token(
    login: SignInCode, sign_in: BrowserSignInDep, place: PlaceDep, previous: PreviousDep, response: Response
) -> Tokens:
    """Once, within a minute, for the page that began; a second time ends what the first began.

    The session of a bearer that comes along ends: this browser goes on with the new one.
    """
    response.headers["Cache-Control"] = "no-store"
    grant = await sign_in.redeem(login.code, login.code_verifier, place, previous=previous)
    return Tokens(access_token=grant.access_token, refresh_token=grant.refresh_token)


def _cookie(request: Request) -> tuple[str, bool]:
    """Its name, and whether it is for TLS only. `__Host-`: no other host and no plain page can have set it (RFC 6265bis)."""
    secure = request.app.state.settings.public_url.startswith("https://")
    return ("__Host-yousync-sign-in" if secure else "yousync-sign-in"), secure
