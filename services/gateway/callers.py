"""Who is calling, looked at once per request, for what the gateway decides itself: limits, streams, sessions that ended.

Services believe none of it and check for themselves; whatever is not proven here goes on to them and is answered as they do.
"""

from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.errors import Unauthenticated
from libs.common.telemetry import log_context
from libs.common.web import problems, refusals
from libs.common.web.auth import Principal, SessionEnded, SignInUnavailable, TokenVerifier, bearer_in
from services.gateway.refusals import refuse
from services.gateway.revocations import Revocations

CALLER = "caller"  # in the scope's state

# What begins, continues or ends a session: `auth` asks for another proof than the token, or looks at the session itself.
OF_AUTH: Final = frozenset(
    {
        "/.well-known/jwks.json",
        "/api/auth/dev-login",
        "/api/auth/google-login",
        "/api/auth/google/callback",
        "/api/auth/google/start",
        "/api/auth/google/token",
        "/api/auth/logout",
        "/api/auth/refresh",
        "/api/auth/token",
    }
)


def caller_of(scope: Scope) -> Principal | None:
    """Who proved to be calling; None when nobody did."""
    caller: Principal | None = scope["state"][CALLER]
    return caller


class Callers:
    """ASGI middleware that notes the caller. A bearer that proves nothing (garbage, expired) counts as none.

    One of a session that ended is refused, wherever it is shown: whoever shows it must not go on, not even as nobody.
    """

    def __init__(self, app: ASGIApp, *, verifier: TokenVerifier, revocations: Revocations) -> None:
        self._app = app
        self._verifier = verifier
        self._revocations = revocations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, unless the session has ended."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        caller = scope.setdefault("state", {})[CALLER] = await self._proven(scope)
        if caller is not None:
            await self._revocations.settled()
            if caller.session_id in self._revocations and scope["path"].rstrip("/") not in OF_AUTH:
                return await refuse(_refusal(scope), scope, receive, send)
        return await self._app(scope, receive, send)

    async def _proven(self, scope: Scope) -> Principal | None:
        # The first of several, as the services take it.
        given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        if given is None:
            return None
        try:
            return await self._verifier.verify(bearer_in(given.decode("latin-1")))
        except (Unauthenticated, SignInUnavailable):
            return None


def _refusal(scope: Scope) -> Response:
    error, headers = SessionEnded(), {"WWW-Authenticate": "Bearer"}
    with log_context(service="gateway"):
        refusals.note(scope, error)
    return problems.problem(HTTPStatus.UNAUTHORIZED, error.detail, code=error.code, headers=headers)
