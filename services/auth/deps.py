"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Request

from libs.common.acts import Place
from libs.common.errors import Unauthenticated
from libs.common.web.auth import EXPIRED, Principal, TokenVerifier, bearer_of
from libs.common.web.origin import place_of
from services.auth.browser_sign_in import BrowserSignIn
from services.auth.keys import SigningKeys
from services.auth.revoked import Revoked
from services.auth.service import Accounts
from services.auth.sessions import Sessions
from services.auth.signing_in import GoogleSignIn


async def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


async def _keys(request: Request) -> SigningKeys:
    keys: SigningKeys = request.app.state.keys
    return keys


async def _google_sign_in(request: Request) -> GoogleSignIn:
    sign_in: GoogleSignIn = request.app.state.google_sign_in
    return sign_in


async def _browser_sign_in(request: Request) -> BrowserSignIn:
    sign_in: BrowserSignIn = request.app.state.browser_sign_in
    return sign_in


async def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _revoked(request: Request) -> Revoked:
    revoked: Revoked = request.app.state.revoked
    return revoked


class Refreshing:
    """Who asks for the next token: whose access token has expired, too, within the time that a session may be idle."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def caller(self) -> tuple[Principal, bool]:
        """The caller, and whether the token has expired; raises `Unauthenticated`."""
        token = bearer_of(self._request)
        verifier: TokenVerifier = self._request.app.state.verifier
        try:
            return await verifier.verify(token), False
        except Unauthenticated as refused:
            if refused.detail != EXPIRED:
                raise
            of_sessions: TokenVerifier = self._request.app.state.session_verifier
            return await of_sessions.verify(token), True


async def _previous(request: Request) -> Principal | None:
    try:
        caller, _ = await Refreshing(request).caller()
    except Unauthenticated:
        return None
    return caller


AccountsDep = Annotated[Accounts, Depends(_accounts)]
GoogleSignInDep = Annotated[GoogleSignIn, Depends(_google_sign_in)]
BrowserSignInDep = Annotated[BrowserSignIn, Depends(_browser_sign_in)]
RevokedDep = Annotated[Revoked, Depends(_revoked)]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
PlaceDep = Annotated[Place, Depends(place_of)]
# Of a sign-in: whom the browser's bearer, expired or not, was for until now.
PreviousDep = Annotated[Principal | None, Depends(_previous)]
RefreshingDep = Annotated[Refreshing, Depends()]
KeysDep = Annotated[SigningKeys, Depends(_keys)]
