"""A gateway on a loopback port with an in-memory bus, and stand-ins for the services behind it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.bus.base import PARTITIONS, Bus
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.notifier import Frame, Stored, job_channel, partition_of
from libs.common.settings import Settings
from libs.common.web.server import Server
from services.gateway.main import build
from services.gateway.routes import Service
from services.gateway.settings import GatewaySettings

JOB = "36f6a40f6d8547f7a9463ea6d82e58ce"
# What a gateway asks by itself.
ALWAYS_ASKED: dict[str, Any] = {"/health/ready": {}, "/internal/sessions/revoked": {"sessions": []}}
PATIENCE = 10.0  # seconds until a test gives up waiting; nothing is measured with it


@asynccontextmanager
async def serving(app: FastAPI, settings: Settings) -> AsyncIterator[tuple[str, Server]]:
    """`app` on a port of its own: its address, and the server to stop."""
    server = Server(app, settings)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE):
        while not server.started:
            await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.stop()
        await task


@dataclass
class Fake:
    """A service behind the gateway: answers as `app` says, and keeps the scopes that it was asked with."""

    name: str
    url: str = ""
    app: ASGIApp | None = None
    internal: ASGIApp | None = None  # the same below /internal
    asked: list[Scope] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)  # JSON by path
    channels: Callable[[str, int], Any] | None = None  # a history by channel and sequence
    down: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in ALWAYS_ASKED:
            self.asked.append(scope)
        app = self.internal if scope["path"].startswith("/internal") else self.app
        if app is not None:
            return await app(scope, receive, send)
        document = self.find(scope["path"], scope["query_string"].decode())
        status = 503 if self.down else 404 if document is None else 200
        await answer(send, status, httpx.Response(status, json=document).content, (b"content-type", b"application/json"))
        return None

    def find(self, path: str, query: str) -> Any:
        """The document at `path`, or None."""
        if self.channels is not None and path.startswith("/internal/channels/"):
            return self.channels(path.split("/")[3], int(query.removeprefix("after=")))
        return self.documents.get(path)

    def headers(self) -> dict[str, str]:
        """Those of the last request."""
        return {name.decode(): value.decode() for name, value in self.asked[-1]["headers"]}


async def answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """A whole answer at once."""
    given = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers nothing, until nobody waits any more."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what arrived."""
    body = await read_body(receive)
    seen = {
        "method": scope["method"],
        "target": (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode(),
        "body": hashlib.sha256(body).hexdigest(),
        "length": len(body),
    }
    await answer(send, 200, json.dumps(seen).encode(), (b"content-type", b"application/json"), (b"x-own", b"1"))


def port_of(gateway: httpx.AsyncClient) -> int:
    port = gateway.base_url.port
    assert port is not None
    return port


async def connect(gateway: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port_of(gateway))


async def raw(gateway: httpx.AsyncClient, request: bytes) -> bytes:
    """What the gateway answers to bytes that no decent client would send, up to the end of the answer's head."""
    reader, writer = await connect(gateway)
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


@pytest.fixture(scope="session")
async def _served_fakes() -> AsyncIterator[dict[str, tuple[FastAPI, str]]]:
    settings = Settings(environment="test", listen_port=0, shutdown_seconds=1)
    apps: dict[str, tuple[FastAPI, str]] = {}
    open_servers = AsyncExitStack()
    for service in Service:
        app = FastAPI(openapi_url=None, redirect_slashes=False)
        url, _ = await open_servers.enter_async_context(serving(app, settings))
        apps[service] = app, url
    async with open_servers:
        yield apps


@pytest.fixture
def fakes(_served_fakes: dict[str, tuple[FastAPI, str]]) -> dict[str, Fake]:
    """All services, by name; ready, and without any other document."""
    fakes: dict[str, Fake] = {}
    for name, (app, url) in _served_fakes.items():
        fakes[name] = Fake(name, url, documents=dict(ALWAYS_ASKED))
        app.router.default = fakes[name]
    return fakes


@pytest.fixture
def audio(fakes: dict[str, Fake]) -> Fake:
    return fakes["audio"]


@pytest.fixture
def catalog(fakes: dict[str, Fake]) -> Fake:
    return fakes["catalog"]


class FakeNotifier:
    """Keeps frames as the real one does, and tells them on the bus."""

    def __init__(self, fake: Fake, bus: Bus) -> None:
        self.fake = fake
        self._bus = bus
        self._frames: dict[str, list[Frame]] = {}
        fake.channels = self.history

    async def tell(self, job_id: str = JOB, *, progress: int = 50, final: bool = False, heard: bool = True) -> Frame:
        """Publish the next frame of a job, store it and say so, unless the bus loses both messages."""
        frame = self.next(job_id, progress=progress, final=final)
        if heard:
            await self.publish(frame)
        self.store(frame)
        if heard:
            await self.publish(Stored(channel=frame.channel, sequence=frame.sequence))
        return frame

    def next(self, job_id: str = JOB, *, progress: int = 50, final: bool = False) -> Frame:
        """The frame that follows those that are stored."""
        status = "completed" if final else "processing"
        data = {"job_id": job_id, "status": status, "progress": progress, "message": "분석 중…", "result": None}
        channel = job_channel(job_id)
        return Frame(channel=channel, sequence=len(self._frames.get(channel, ())) + 1, final=final, data=data)

    def store(self, frame: Frame) -> None:
        self._frames.setdefault(frame.channel, []).append(frame)

    async def publish(self, what: Frame | Stored) -> None:
        await self._bus.publish_frame(partition_of(what.channel, PARTITIONS), what.model_dump_json().encode())

    def history(self, channel: str, after: int) -> dict[str, Any]:
        """What the real one answers."""
        frames = self._frames.get(channel, [])
        return {
            "channel": channel,
            "last_sequence": len(frames),
            "final": bool(frames) and frames[-1].final,
            "frames": [frame.model_dump() for frame in frames[after:]],
        }


@pytest.fixture(scope="session")
async def bus() -> AsyncIterator[MemoryBus]:
    """The bus of all gateways here: nothing stays on it between tests."""
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.close()


@pytest.fixture
def notifier(fakes: dict[str, Fake], bus: MemoryBus) -> FakeNotifier:
    return FakeNotifier(fakes["notifier"], bus)


@pytest.fixture(scope="session")
def settings(_served_fakes: dict[str, tuple[FastAPI, str]]) -> GatewaySettings:
    urls = {f"{name}_url": url for name, (_, url) in _served_fakes.items()}
    settings = GatewaySettings(environment="test", listen_port=0, shutdown_seconds=2)
    # Exact texts are compared: comments come only where a test asks for them.
    return settings.model_copy(update={**urls, "heartbeat_seconds": 3600.0})


NewGateway = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def new_gateway(
    settings: GatewaySettings, fakes: dict[str, Fake], notifier: FakeNotifier, bus: MemoryBus
) -> AsyncIterator[NewGateway]:
    """Starts a gateway with some settings changed; the client of it."""
    stack = AsyncExitStack()

    async def start(**changed: Any) -> httpx.AsyncClient:
        url, _ = await stack.enter_async_context(serving(build(settings.model_copy(update=changed), bus), settings))
        return await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=PATIENCE))

    async with stack:
        yield start


@pytest.fixture
async def new_proxied(
    settings: GatewaySettings, fakes: dict[str, Fake], notifier: FakeNotifier, bus: MemoryBus
) -> AsyncIterator[NewGateway]:
    """The same behind a proxy on this machine, which is known to be one."""
    stack = AsyncExitStack()
    known = settings.model_copy(update={"forwarded_allow_ips": "127.0.0.1"})

    async def start(**changed: Any) -> httpx.AsyncClient:
        url, _ = await stack.enter_async_context(serving(build(known.model_copy(update=changed), bus), known))
        return await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=PATIENCE))

    async with stack:
        yield start


@pytest.fixture(scope="session")
async def _gateway_url(settings: GatewaySettings, bus: MemoryBus) -> AsyncIterator[str]:
    async with serving(build(settings, bus), settings) as (url, _):
        yield url


@pytest.fixture
async def gateway(_gateway_url: str, fakes: dict[str, Fake], notifier: FakeNotifier) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that all tests share; those that look at what it keeps for a while start their own."""
    async with httpx.AsyncClient(base_url=_gateway_url, timeout=PATIENCE) as client:
        yield client
