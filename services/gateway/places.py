"""How many event streams one address, and one user, may hold at a time."""

from collections import Counter as Multiset

from prometheus_client import Counter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.web import problems
from libs.common.web.language import preferred
from services.gateway.addresses import network_of
from services.gateway.callers import caller_of
from services.gateway.errors import TooManyOwnStreams
from services.gateway.streams import PATH

REFUSED = Counter("yousync_refused_streams_total", "Streams refused to an address or user that has many", ["by"])

RETRY_AFTER_SECONDS = "10"  # an analysis takes about so long, and its stream ends with it


class Places:
    """ASGI middleware around `Streams`, per process: which replica a stream is on is up to the balancer."""

    def __init__(self, app: ASGIApp, *, per_address: int, per_user: int) -> None:
        self._app = app
        self._most = {"address": per_address, "user": per_user}
        self._held: Multiset[tuple[str, str]] = Multiset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream takes its places until it ends."""
        if scope["type"] != "http" or PATH.fullmatch(scope["path"]) is None:
            return await self._app(scope, receive, send)
        caller, client = caller_of(scope), scope.get("client")
        places = [("address", network_of(client[0] if client else None))]
        if caller is not None:
            places.append(("user", str(caller.user_id)))
        full = next((by for by, whose in places if self._held[by, whose] >= self._most[by]), None)
        if full is not None:
            REFUSED.labels(full).inc()
            error = TooManyOwnStreams(preferred(Headers(scope=scope).get("accept-language", "")))
            said = {"Retry-After": RETRY_AFTER_SECONDS, "Vary": "Accept-Language"}
            answer = problems.problem(problems.STATUS[error.kind], error.detail, code=error.code, headers=said)
            return await answer(scope, receive, send)
        self._held.update(places)
        try:
            return await self._app(scope, receive, send)
        finally:
            self._held.subtract(places)
            for place in places:
                if not self._held[place]:
                    del self._held[place]
