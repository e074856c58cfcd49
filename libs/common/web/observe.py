"""Per request: an id, one log line, metrics. Plain ASGI, because a wrapper that buffers would break streams."""

import logging
import re
import secrets
import time

from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.telemetry import child_traceparent, log_context

log = logging.getLogger("yousync.access")

REQUESTS = Counter("yousync_http_requests_total", "HTTP requests", ["service", "method", "route", "status"])
SECONDS = Histogram(
    "yousync_http_request_seconds",
    "Time until the answer's last byte",
    ["service", "method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RUNNING = Gauge("yousync_http_requests_running", "Requests that are being answered", ["service"])

# What a client may choose as the id under which its request is logged.
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Observe:
    """ASGI middleware; the outermost one of every app."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        status = 500
        started = time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).setdefault("X-Request-ID", request_id)
            await send(message)

        scope.setdefault("state", {})["request_id"] = request_id
        with log_context(
            service=self._service, request_id=request_id, traceparent=child_traceparent(headers.get("traceparent"))
        ):
            RUNNING.labels(self._service).inc()
            try:
                await self._app(scope, receive, observed)
            finally:
                RUNNING.labels(self._service).dec()
                self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's template, never the path: an id in a label would make a metric per id.
        route = getattr(scope.get("route"), "path", None) or scope.get("state", {}).get("route") or "unmatched"
        if route.startswith(("/health", "/metrics")):
            return
        REQUESTS.labels(self._service, scope["method"], route, str(status)).inc()
        SECONDS.labels(self._service, scope["method"], route).observe(seconds)
        log.info(
            "request",
            extra={
                "method": scope["method"],
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1e3, 2),
                **({"refusal": refusal} if (refusal := scope.get("state", {}).get("refusal")) else {}),
            },
        )
