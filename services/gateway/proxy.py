"""Passes requests on: both bodies chunk by chunk with bounded memory, each side held back by the other."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from libs.common.errors import YouSyncError
from libs.common.web import problems
from services.gateway import headers
from services.gateway.errors import BodyTooLarge, ServiceDown
from services.gateway.refusals import linger
from services.gateway.routes import BodySize, route_of
from services.gateway.upstream import Upstreams

log = logging.getLogger(__name__)

PROXIED = Counter("yousync_proxied_requests_total", "Requests passed on, by service and status", ["upstream", "status"])

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Form data around a file: boundaries, part headers. `audio` counts the file itself.
FORM_BYTES = 64 * 1024
SLOW_BODY = "the request's body did not arrive in time"
SERVICE_SILENT = ("the service did not answer in time, please try again", "service_timeout")  # text and code


class _ClientGone(Exception):
    """Nobody waits for the answer any more."""


class Proxy:
    """An ASGI app for everything that the gateway does not answer itself. `limits` are bytes of a request's body."""

    def __init__(
        self,
        upstreams: Upstreams,
        limits: Mapping[BodySize, int],
        *,
        upstream_seconds: float,
        client_seconds: float,
        min_body_rate: int,
    ) -> None:
        self._upstreams = upstreams
        self._limits = limits
        self._upstream_seconds = upstream_seconds
        self._client_seconds = client_seconds
        self._min_body_rate = min_body_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 404 for what is not in the table of routes."""
        route = route_of(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        if scope["method"] not in METHODS:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(METHODS)})
        scope["state"]["route"] = route.name
        exchange = _Exchange(
            scope,
            receive,
            send,
            limit=self._limits[route.body],
            cookies=route.cookies,
            upstream_seconds=self._upstream_seconds,
            client_seconds=self._client_seconds,
            min_body_rate=self._min_body_rate,
        )
        try:
            exchange.check_announced_size()
            await exchange.run(
                self._upstreams.request(
                    route.service,
                    scope["method"],
                    scope["raw_path"].decode("ascii"),
                    scope["query_string"].decode("ascii"),
                    headers=headers.to_service(scope, cookies=route.cookies),
                    body=exchange.body(),
                )
            )
        except _ClientGone:
            exchange.status = 499  # as nginx counts it
        except YouSyncError as error:
            retry = {"Retry-After": problems.RETRY_AFTER_SECONDS} if error.retryable else None
            await exchange.refuse(problems.problem(problems.STATUS[error.kind], error.detail, code=error.code, headers=retry))
        except TimeoutError:
            await exchange.refuse(exchange.timeout_problem())
        finally:
            PROXIED.labels(route.service, str(exchange.status)).inc()


class _Exchange:
    """One request on its way through: what arrived, what was answered, and who is being waited for."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        limit: int,
        cookies: bool,
        upstream_seconds: float,
        client_seconds: float,
        min_body_rate: int,
    ) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._cookies = cookies
        self._upstream_seconds = upstream_seconds
        self._client_seconds = client_seconds
        self._min_body_rate = min_body_rate
        given = dict(scope["headers"])
        self._announced = given.get(b"content-length")
        self._has_body = self._announced not in (None, b"0") or b"transfer-encoding" in given
        self._body_read = asyncio.Event()
        if not self._has_body:
            self._body_read.set()
        self._failure: Exception | None = None  # why the body ended before its end
        self._patience: asyncio.Timeout | None = None
        self._waits_for_client = False
        self.status = 0  # as sent; 0 before that

    def check_announced_size(self) -> None:
        """Raise `BodyTooLarge` before anything is read when the client itself says so."""
        if self._announced is not None and int(self._announced) > self._limit:
            raise BodyTooLarge(self._limit)

    def body(self) -> AsyncIterator[bytes] | None:
        """The request's body as it arrives, or None when there is none."""
        return self._chunks() if self._has_body else None

    async def run(self, request: Any) -> None:
        """Send the request, pass the answer on. Raises `ServiceDown`, `BodyTooLarge`, `_ClientGone`, TimeoutError."""
        client_leaves = asyncio.create_task(self._until_client_leaves())
        try:
            async with asyncio.timeout(None) as self._patience:
                client_leaves.add_done_callback(self._give_up)
                self._wait_for_service()
                async with request as answer:
                    await self._pass_on(answer)
        except aiohttp.ClientError as error:  # before TimeoutError, which a connection that is not made in time is as well
            if self._failure is not None:
                raise self._failure from None
            log.warning("a service does not answer", extra={"error": repr(error)})
            raise ServiceDown from error
        except TimeoutError:
            if client_leaves.done():
                raise _ClientGone from None
            raise
        finally:
            self._patience = None
            client_leaves.cancel()

    async def refuse(self, response: JSONResponse) -> None:
        """Answer with a problem of our own, or break the answer off when it has begun: its length tells the client."""
        if self.status:
            raise ConnectionAbortedError(f"the answer broke off: {bytes(response.body).decode()}")
        self.status = response.status_code
        await self._start(response.status_code, list(response.raw_headers))
        await self._send({"type": "http.response.body", "body": response.body, "more_body": True})
        await self._end()

    def timeout_problem(self) -> JSONResponse:
        """Who let the other wait too long."""
        if self._waits_for_client:
            return problems.problem(HTTPStatus.REQUEST_TIMEOUT, SLOW_BODY)
        detail, code = SERVICE_SILENT
        return problems.problem(HTTPStatus.GATEWAY_TIMEOUT, detail, code=code)

    async def _pass_on(self, answer: aiohttp.ClientResponse) -> None:
        self._wait_for_client()
        await self._start(answer.status, headers.to_client(answer.raw_headers, cookies=self._cookies))
        while chunk := await self._next(answer.content):
            self._wait_for_client()
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._wait_for_client()
        await self._end()

    async def _next(self, content: aiohttp.StreamReader) -> bytes:
        self._wait_for_service()
        return await content.readany()

    async def _start(self, status: int, raw_headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        if not self._body_read.is_set():
            raw_headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": raw_headers})

    async def _end(self) -> None:
        if not self._body_read.is_set():
            await linger(self._receive)
        self._patience = None  # the client is told to leave now: that ends nothing any more
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        """What aiohttp sends on. It wraps what is raised here, so the reason is kept aside."""
        received = 0
        waited = 0.0  # for the client; while the service does not take more, nobody can send
        clock = asyncio.get_running_loop().time
        while True:
            since = clock()
            patience = self._client_seconds + received / self._min_body_rate - waited
            self._wait(min(self._client_seconds, patience), for_client=True)
            message: Message = await self._receive()
            waited += clock() - since
            if message["type"] == "http.disconnect":
                self._failure = _ClientGone()
                raise self._failure
            chunk: bytes = message.get("body", b"")
            received += len(chunk)
            if received > self._limit:
                self._failure = BodyTooLarge(self._limit)
                raise self._failure
            self._wait_for_service()
            if chunk:
                yield chunk
            if not message.get("more_body"):
                self._body_read.set()
                return

    async def _until_client_leaves(self) -> None:
        await self._body_read.wait()  # until then the body's reader notices
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _give_up(self, client_leaves: "asyncio.Task[None]") -> None:
        if not client_leaves.cancelled() and self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _wait_for_client(self) -> None:
        self._wait(self._client_seconds, for_client=True)

    def _wait_for_service(self) -> None:
        self._wait(self._upstream_seconds, for_client=False)

    def _wait(self, seconds: float, *, for_client: bool) -> None:
        self._waits_for_client = for_client
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + seconds)
