"""Which headers go through the gateway, and which it sets itself."""

from collections.abc import Iterable

from multidict import CIMultiDict
from starlette.types import Scope

from libs.common.telemetry import current

RawHeaders = Iterable[tuple[bytes, bytes]]

# Of one connection, not of the message: RFC 9110, section 7.6.1.
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade".split()
)
# Ours to say. `expect` was answered when the body was first read; `x-service-token` opens what is not public.
NOT_FROM_CLIENTS = frozenset(
    {b"host", b"expect", b"forwarded", b"x-real-ip", b"x-request-id", b"traceparent", b"x-service-token"}
)
# uvicorn sets the date; the request's id is set by whoever logs it first.
NOT_FROM_SERVICES = frozenset({b"date", b"server", b"x-request-id"})


def to_service(scope: Scope, *, cookies: bool) -> CIMultiDict[str]:
    """The headers of a client's request as the service gets them, without `cookies` if these are not for it."""
    dropped = HOP_BY_HOP | NOT_FROM_CLIENTS | _nominated(scope["headers"])
    if not cookies:
        dropped |= {b"cookie"}
    headers: CIMultiDict[str] = CIMultiDict(
        (name.decode("latin-1"), _text(value))
        for name, value in scope["headers"]
        if name not in dropped and not name.startswith(b"x-forwarded-")
    )
    given = dict(scope["headers"])
    client = scope.get("client")
    if client:
        headers["X-Forwarded-For"] = client[0]
    headers["X-Forwarded-Proto"] = scope["scheme"]
    headers["X-Forwarded-Host"] = _text(given.get(b"host", b""))
    headers["X-Request-ID"] = scope["state"]["request_id"]
    if (trace := current("traceparent")) is not None:
        headers["traceparent"] = trace
    return headers


def to_client(headers: RawHeaders, *, cookies: bool) -> list[tuple[bytes, bytes]]:
    """The headers of a service's answer as the client gets them; only some may set `cookies`."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = HOP_BY_HOP | NOT_FROM_SERVICES | _nominated(lowered)
    if not cookies:
        dropped |= {b"set-cookie"}
    return [(name, value) for name, value in lowered if name not in dropped]


def _nominated(headers: RawHeaders) -> frozenset[bytes]:
    """Headers that `Connection` declares to be of this connection only."""
    return frozenset(option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b","))


def _text(value: bytes) -> str:
    """The bytes as text that is sent as the same bytes where they are UTF-8 (aiohttp encodes in UTF-8)."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
