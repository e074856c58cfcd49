"""The event streams as HTTP: plain ASGI, one task per stream, which waits for the client to leave."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.web import problems
from services.gateway.callers import caller_of
from services.gateway.errors import TooManyStreams
from services.gateway.hub import Hub
from services.gateway.revocations import Revocations
from services.gateway.stream import Stream

PATH = re.compile(r"/api/(?P<flow>scripts/analysis|tokens/analysis|youtube/process)-progress/(?P<job_id>[^/]+)/?")
JOB_ID = re.compile(r"[0-9a-f-]{32,36}")
# What a sequence can be: PostgreSQL's bigint has at most 19 digits.
EVENT_ID = re.compile(r"[0-9]{1,18}")

HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
# Exactly as the service that this one replaces wrote them.
UNKNOWN = {
    "scripts/analysis": b'data: {"error":"Job not found"}\n\n',
    "tokens/analysis": b'data: {"error": "Job not found"}\n\n',
    "youtube/process": b'data: {"error":"Job not found"}\n\n',
}


class Streams:
    """ASGI middleware that answers the stream paths itself, outside of everything that would cost memory per stream."""

    def __init__(self, app: ASGIApp, *, hub: Hub, revocations: Revocations, max_streams: int) -> None:
        self._app = app
        self._hub = hub
        self._revocations = revocations
        self._max_streams = max_streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no stream."""
        match = PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is None:
            return await self._app(scope, receive, send)
        if scope["method"] != "GET":
            refusal = problems.problem(405, "Method Not Allowed", headers={"Allow": "GET"})
            return await refusal(scope, receive, send)
        if self._hub.stopping or len(self._hub) >= self._max_streams:
            error = TooManyStreams()
            retry = {"Retry-After": problems.RETRY_AFTER_SECONDS}
            return await problems.problem(503, error.detail, code=error.code, headers=retry)(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        job_id, unknown = match["job_id"], UNKNOWN[match["flow"]]
        if JOB_ID.fullmatch(job_id) is None:
            return await send({"type": "http.response.body", "body": unknown, "more_body": False})
        opener = caller_of(scope)
        stream = Stream(job_id, send, seen=_last_event_id(scope), unknown=unknown, opener=opener)
        self._hub.join(stream)
        if opener is not None and opener.session_id in self._revocations:
            self._hub.end_session(opener.session_id)  # since it was looked at
        try:
            # It is also told to leave when the stream has ended.
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._hub.leave(stream)


def _last_event_id(scope: Scope) -> int | None:
    given = Headers(scope=scope).get("last-event-id", "")
    return int(given) if EVENT_ID.fullmatch(given) else None
