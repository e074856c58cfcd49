"""Which pages may call from a browser. Every answer carries the headers, errors too: without them a page sees no status."""

import logging
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.web import problems

log = logging.getLogger(__name__)

# What a page's own code may read of an answer beside the few that the standard allows: versions, pages, when to try again.
EXPOSED = (
    "ETag",
    "Link",
    "X-Total-Count",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "X-Request-ID",
)


# What a page may send beside what the standard always allows. A page of ours that wants to send more is told so while it is
# being made, by the preflight's 400.
SENT = (
    "Authorization",
    "Cache-Control",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Pragma",
    "Range",
    "X-Request-ID",
    "X-Requested-With",
    "traceparent",
    "tracestate",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PREFLIGHT_SECONDS = 3600  # that a browser keeps a preflight's answer; more than two hours none does


class Cors(CORSMiddleware):
    """The given origins with credentials. Around everything that answers."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        super().__init__(
            _Mishaps(app),
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=METHODS,
            allow_headers=SENT,
            max_age=PREFLIGHT_SECONDS,
            expose_headers=EXPOSED,
        )


class _Mishaps:
    """Answers unexpected errors in here: Starlette would do so outside of all middlewares, hence without the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            log.exception("unhandled error", exc_info=error, extra={"path": scope["path"]})
            await problems.problem(500, "Internal Server Error", code="internal")(scope, receive, send)
