"""Connections that cost more than they should: too many, too slow, too long."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send

from services.gateway.connections import MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES, Guard, Refusal
from tests.services.gateway.conftest import JOB, PATIENCE, Fake, FakeNotifier, NewGateway, connect, echo
from tests.services.gateway.test_callers import KEY, token

UPLOAD = "/api/scripts/1/upload-audio"
STREAM = f"/api/scripts/analysis-progress/{JOB}"


@pytest.fixture(autouse=True)
def _answering(fakes: dict[str, Fake]) -> None:
    fakes["catalog"].app = fakes["audio"].app = echo


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of an answer that ends its connection."""
    async with asyncio.timeout(PATIENCE):
        everything = await reader.read()
    head, _, body = everything.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers, json.loads(body)


async def refused(gateway: httpx.AsyncClient, *pieces: bytes) -> tuple[int, str]:
    """Status and code of the refusal that follows on `pieces`."""
    reader, writer = await connect(gateway)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    status, headers, problem = await answered(reader)
    writer.close()
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert problem["detail"]
    assert problem["status"] == status
    return status, problem["code"]


def get(path: str = "/api/tokens/1", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


# Too long


async def test_a_url_that_is_too_long_is_a_414(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    assert await refused(gateway, get("/api/actors/" + "a" * MAX_URL_BYTES)) == (414, "url_too_long")
    assert await refused(gateway, get("/api/tokens?x=" + "a" * MAX_URL_BYTES)) == (414, "url_too_long")
    assert catalog.asked == []
    longest = "/api/actors/" + "a" * (MAX_URL_BYTES - len("/api/actors/"))
    assert (await gateway.get(longest)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Own: " + "a" * MAX_HEADER_BYTES],
        ["X-" + "a" * MAX_HEADER_BYTES + ": 1"],
        [f"X-Own-{number}: {'a' * 1000}" for number in range(40)],
        [f"X-Own-{number}: 1" for number in range(MAX_HEADERS)],
        ["Authorization: Bearer " + "a" * 1_000_000],
        ["Cookie: " + "a" * 300_000],
    ],
)
async def test_headers_that_are_too_large_are_a_431(gateway: httpx.AsyncClient, catalog: Fake, headers: list[str]) -> None:
    assert await refused(gateway, get("/api/tokens/1", *headers)) == (431, "headers_too_large")
    assert catalog.asked == []


async def test_a_header_that_never_ends_is_not_waited_for(gateway: httpx.AsyncClient) -> None:
    reader, writer = await connect(gateway)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Own: ")
    sent = 0
    async with asyncio.timeout(PATIENCE):
        while not reader.at_eof() and sent < 64 * MAX_HEADER_BYTES:
            writer.write(b"a" * 4096)
            await writer.drain()
            sent += 4096
            if reader._buffer:  # type: ignore[attr-defined]
                break
            await asyncio.sleep(0)
    status, _, problem = await answered(reader)
    assert (status, problem["code"]) == (431, "headers_too_large")
    writer.close()


async def test_the_headers_of_a_real_browser_pass(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    many = {f"X-Own-{number}": "a" * 300 for number in range(80)}
    assert (await gateway.get("/api/tokens/1", headers=many)).status_code == 200
    assert catalog.headers()["x-own-79"] == "a" * 300


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS on a port without
        b"HELO gateway\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBroken\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Own: a\x00b\r\n\r\n",
        b"POST /api/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /api/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /api/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x, y\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_a_400(gateway: httpx.AsyncClient, request_: bytes) -> None:
    assert await refused(gateway, request_) == (400, "malformed_request")


# Too slow


async def test_a_head_that_does_not_come_in_time_is_a_408(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(head_seconds=0.1)
    assert await refused(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n") == (408, "slow_request")


async def test_a_head_that_comes_byte_by_byte_has_no_more_time(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(head_seconds=0.2)
    reader, writer = await connect(gateway)

    async def dribble() -> None:
        for byte in get("/", *(f"X-{number}: 1" for number in range(90))):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    dribbling = asyncio.create_task(dribble())
    status, _, problem = await answered(reader)
    dribbling.cancel()
    writer.close()
    assert (status, problem["code"]) == (408, "slow_request")


@pytest.mark.parametrize("noise", [b"", b"\r\n", b"\r\n" * 100])
async def test_a_connection_that_asks_nothing_is_closed(new_gateway: NewGateway, noise: bytes) -> None:
    gateway = await new_gateway(head_seconds=0.1)
    reader, writer = await connect(gateway)
    writer.write(noise)
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


async def test_the_second_request_of_a_connection_has_as_much_time_as_the_first(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(head_seconds=0.1)
    reader, writer = await connect(gateway)
    writer.write(get("/health/live"))
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"}")
        await asyncio.sleep(0.15)  # being idle between requests is no fault
        writer.write(get("/health/live"))
        await reader.readuntil(b"}")
        writer.write(b"GET / HTTP/1.1\r\n")
    status, _, problem = await answered(reader)
    assert (status, problem["code"]) == (408, "slow_request")
    writer.close()


async def test_an_answer_may_take_longer_than_a_head(new_gateway: NewGateway, notifier: FakeNotifier) -> None:
    gateway = await new_gateway(head_seconds=0.1)
    await notifier.tell()
    async with gateway.stream("GET", STREAM) as response:
        chunks = response.aiter_raw()
        await anext(chunks)
        await asyncio.sleep(0.2)
        await notifier.tell(final=True)
        assert b'"completed"' in await anext(chunks)


async def test_a_body_that_dribbles_is_a_408(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(client_seconds=0.2)
    reader, writer = await connect(gateway)
    writer.write(f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode())

    async def dribble() -> None:
        while True:  # never silent for as long as it may be
            writer.write(b"x")
            await asyncio.sleep(0.02)

    dribbling = asyncio.create_task(dribble())
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408")
    dribbling.cancel()
    writer.close()


async def test_who_reads_nothing_is_let_go(new_gateway: NewGateway, audio: Fake) -> None:
    gone = asyncio.Event()

    async def pour(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert (await receive())["type"] == "http.request"
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        gone.set()

    audio.app = pour
    gateway = await new_gateway(client_seconds=0.2)
    with socket.create_connection(("127.0.0.1", int(gateway.base_url.port or 0))) as client:
        client.sendall(get("/objects/x"))
        async with asyncio.timeout(PATIENCE):
            await gone.wait()


# Too many


async def test_an_address_may_have_so_many_connections(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(max_connections_per_address=3)
    held = [await connect(gateway) for _ in range(3)]
    for reader, writer in held:
        writer.write(get("/health/live"))
        await reader.readuntil(b"}")
    assert await refused(gateway, get("/health/live")) == (429, "too_many_connections")
    before = REGISTRY.get_sample_value("yousync_open_connections", {"service": "gateway"})
    held[0][1].close()
    async with asyncio.timeout(PATIENCE):
        while REGISTRY.get_sample_value("yousync_open_connections", {"service": "gateway"}) == before:
            await asyncio.sleep(0.005)
    assert (await gateway.get("/health/live")).status_code == 200
    for _, writer in held:
        writer.close()


async def test_a_process_holds_so_many_connections(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(max_connections=1)
    reader, writer = await connect(gateway)
    writer.write(get("/health/live"))
    await reader.readuntil(b"}")
    assert await refused(gateway, get("/health/live")) == (503, "gateway_full")
    writer.close()


def test_connections_of_a_proxy_are_those_of_many() -> None:
    guard = Guard(max_connections=10, max_per_address=1, proxies="10.0.0.0/8, ::1", head_seconds=1, reader_seconds=1)
    for host in ("10.1.2.3", "10.1.2.3", "::1", "::1", None, None, "203.0.113.9"):
        guard.enter(host)
    for host in ("203.0.113.9", "::ffff:203.0.113.9"):
        with pytest.raises(Refusal, match="too_many_connections"):
            guard.enter(host)
    guard.leave("203.0.113.9")
    assert guard.enter("203.0.113.9") == "203.0.113.9"


# Streams


async def test_an_address_may_hold_so_many_streams(new_gateway: NewGateway, notifier: FakeNotifier) -> None:
    gateway = await new_gateway(max_streams_per_address=2)
    await notifier.tell()
    async with gateway.stream("GET", STREAM) as first, gateway.stream("GET", STREAM) as second:
        assert (first.status_code, second.status_code) == (200, 200)
        headers = {"Origin": "http://localhost:3000", "Accept-Language": "en"}
        third = await gateway.get(STREAM, headers=headers)
        assert (third.status_code, third.json()["code"]) == (429, "too_many_own_streams")
        assert third.json()["detail"].startswith("too many event streams are open, please close")
        assert int(third.headers["retry-after"]) > 0
        assert third.headers["access-control-allow-origin"] == "http://localhost:3000"
        await notifier.tell(final=True)
        for stream in (first, second):
            async for _ in stream.aiter_raw():
                pass
    assert (await gateway.get(STREAM)).status_code == 200


async def test_a_user_may_hold_so_many_streams(new_gateway: NewGateway, notifier: FakeNotifier, fakes: dict[str, Fake]) -> None:
    fakes["auth"].documents["/.well-known/jwks.json"] = {"keys": [KEY.as_dict(private=False)]}
    fakes["audio"].app = None
    gateway = await new_gateway(max_streams_per_user=1)
    await notifier.tell()
    alice, bob = ({"Authorization": f"Bearer {token(sub=sub, sid=sub)}"} for sub in ("1", "2"))
    async with gateway.stream("GET", STREAM, headers=alice) as first:
        assert first.status_code == 200
        second = await gateway.get(STREAM, headers=alice)
        assert (second.status_code, second.json()["detail"][:3]) == (429, "열려 ")
        async with gateway.stream("GET", STREAM, headers=bob) as other, gateway.stream("GET", STREAM) as nobodys:
            assert (other.status_code, nobodys.status_code) == (200, 200)
