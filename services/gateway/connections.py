"""What a connection may cost before a request of it is known: how many there are, how long and how large a request's head may
be, how long somebody may read nothing.

uvicorn has no bound on any of these. A proxy that speaks TLS in front usually has its own; this one holds without it.
"""

import asyncio
import ipaddress
import logging
from collections import Counter as Multiset
from http import HTTPStatus
from typing import Any, ClassVar, Final

from prometheus_client import Counter, Gauge
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.common.web import problems
from services.gateway.addresses import NOWHERE, network_of

log = logging.getLogger(__name__)

OPEN = Gauge("yousync_open_connections", "Open connections", ["service"]).labels("gateway")
REFUSED = Counter("yousync_refused_connections_total", "Connections refused or ended, by why", ["reason"])

# An access token has 400 bytes and may have 4,096; browsers send some 2 KB beside it, proxies add a little.
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
# Our longest are signed links and lists of a hundred job ids, at 4 KB.
MAX_URL_BYTES = 8 * 1024
# After a refusal, until the connection ends: closed at once it would be reset, and the client might never see why.
LINGER_SECONDS = 1.0


class Refusal(Exception):
    """Why a connection ends here."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail


MALFORMED: Final = Refusal(HTTPStatus.BAD_REQUEST, "malformed_request", "this is not an HTTP request")
SLOW_HEAD: Final = Refusal(HTTPStatus.REQUEST_TIMEOUT, "slow_request", "the request's head did not arrive in time")
LONG_URL: Final = Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "url_too_long", f"a URL may have at most {MAX_URL_BYTES} bytes")
LONG_HEAD: Final = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    f"a request may have at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together",
)
CROWDED: Final = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS, "too_many_connections", "too many connections are open from this address, please close some"
)
FULL: Final = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "gateway_full", "too many connections are open at the moment, please try again"
)


class Guard:
    """Counts the connections of one process. `proxies` are those whose clients share their connections (comma separated)."""

    def __init__(
        self, *, max_connections: int, max_per_address: int, proxies: str, head_seconds: float, reader_seconds: float
    ) -> None:
        self._max_connections = max_connections
        self._max_per_address = max_per_address
        self._proxies = [ipaddress.ip_network(each.strip()) for each in proxies.split(",") if each.strip()]
        self.head_seconds = head_seconds
        self.reader_seconds = reader_seconds
        self._open = 0
        self._by_network: Multiset[str] = Multiset()

    def enter(self, host: str | None) -> str:
        """Count a connection; under what, for `leave`. Raises `Refusal`, and it is not counted."""
        if self._open >= self._max_connections:
            raise FULL
        network = NOWHERE if self._is_proxy(host) else network_of(host)
        if network != NOWHERE and self._by_network[network] >= self._max_per_address:
            raise CROWDED
        self._by_network[network] += 1
        self._open += 1
        OPEN.set(self._open)
        return network

    def leave(self, network: str) -> None:
        """It has ended."""
        self._open -= 1
        OPEN.set(self._open)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    def _is_proxy(self, host: str | None) -> bool:
        if host is None or not self._proxies:
            return False
        address = ipaddress.ip_address(host)
        return any(address in network for network in self._proxies)


def guarded(guard: Guard) -> type[HttpToolsProtocol]:
    """The protocol of connections that `guard` counts."""
    return type("Guarded", (GuardedProtocol,), {"guard": guard})


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's, with an end to everything that a client could keep up for ever."""

    guard: ClassVar[Guard]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._network: str | None = None  # None: not counted
        self._refused = False
        self._in_head = False
        self._headers = 0
        self._header_bytes = 0
        self._raw_head_bytes = 0  # of reads that began within a head: a header's end may never come
        self._fault: Refusal | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, if there is room."""
        super().connection_made(transport)
        try:
            self._network = self.guard.enter(self.client[0] if self.client else None)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._network is not None:
            self.guard.leave(self._network)
            self._network = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head count, and from the first of them its time runs; what follows a refusal is dropped."""
        if self._refused:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        began_in_head = self._in_head
        super().data_received(data)
        if began_in_head and self._in_head:
            self._raw_head_bytes += len(data)
            if self._raw_head_bytes > MAX_HEADER_BYTES + MAX_URL_BYTES:
                self._refuse(LONG_HEAD)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        self._headers = self._header_bytes = self._raw_head_bytes = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        """It may come in pieces."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._fail(LONG_URL)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more."""
        super().on_header(name, value)
        self._headers += 1
        self._header_bytes += len(name) + len(value)
        if self._headers > MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            self._fail(LONG_HEAD)

    def on_headers_complete(self) -> None:
        """It is known what is wanted."""
        self._in_head = False
        self._stop("head")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser, or one of us above, did not take."""
        self._refuse(self._fault or MALFORMED)

    def pause_writing(self) -> None:
        """More waits than the connection takes: the client does not read."""
        super().pause_writing()
        self._start("reader", self.guard.reader_seconds, self._reader_is_gone)

    def resume_writing(self) -> None:
        """It reads on."""
        super().resume_writing()
        self._stop("reader")

    def _fail(self, refusal: Refusal) -> None:
        self._fault = refusal
        raise refusal  # through the parser, which says that it failed

    def _expect_head(self) -> None:
        if "head" not in self._timers:
            self._start("head", self.guard.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._stop("head")
        if self.flow.read_paused:  # we did not read it
            self._expect_head()
        elif self._in_head:
            self._refuse(SLOW_HEAD)
        else:  # nothing was asked, or the rest of a body that was answered long ago still comes
            self.transport.close()

    def _reader_is_gone(self) -> None:
        REFUSED.labels("slow_reader").inc()
        self.transport.abort()  # closing would wait until all is read

    def _refuse(self, refusal: Refusal) -> None:
        """Say why, and end it."""
        REFUSED.labels(refusal.code).inc()
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.abort()  # in the middle of another answer nothing can be said
                return
            self.cycle.disconnected = True  # whoever works on an answer is not heard any more
            self.cycle.message_event.set()
        again = {"Retry-After": problems.RETRY_AFTER_SECONDS} if refusal in (FULL, CROWDED) else {}
        headers = {**again, "Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        answer = problems.problem(refusal.status, refusal.detail, code=refusal.code, headers=headers)
        head = [f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}".encode()]
        head += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        if refusal is FULL:
            self.transport.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start("linger", LINGER_SECONDS, self.transport.close)

    def _start(self, name: str, seconds: float, then: Any) -> None:
        self._stop(name)
        self._timers[name] = self.loop.call_later(seconds, then)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
