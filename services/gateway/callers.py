"""Who is calling, looked at once per request, for what the gateway decides itself: limits, streams, sessions that ended.

Services believe none of it and check for themselves; whatever is not proven here goes on to them and is answered as they do.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.errors import Unauthenticated
from libs.common.web.auth import Principal, SignInUnavailable, TokenVerifier, bearer_in

CALLER = "caller"  # in the scope's state


def caller_of(scope: Scope) -> Principal | None:
    """Who proved to be calling; None when nobody did."""
    caller: Principal | None = scope["state"][CALLER]
    return caller


class Callers:
    """ASGI middleware that notes the caller. A bearer that proves nothing (garbage, expired) counts as none."""

    def __init__(self, app: ASGIApp, *, verifier: TokenVerifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on in any case."""
        if scope["type"] == "http":
            scope.setdefault("state", {})[CALLER] = await self._proven(scope)
        await self._app(scope, receive, send)

    async def _proven(self, scope: Scope) -> Principal | None:
        # The first of several, as the services take it.
        given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        if given is None:
            return None
        try:
            return await self._verifier.verify(bearer_in(given.decode("latin-1")))
        except (Unauthenticated, SignInUnavailable):
            return None
