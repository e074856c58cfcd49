import asyncio
import hashlib
import socket
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.services.gateway.conftest import PATIENCE, Fake, NewGateway, answer, connect, echo, raw, read_body

UPLOAD = "/api/scripts/1/upload-audio"
MIB = 1024 * 1024


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_arrives_as_it_was_sent(gateway: httpx.AsyncClient, audio: Fake, chunked: bool) -> None:
    audio.app = echo
    body = bytes(range(256)) * 12_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_001):
            yield body[start : start + 100_001]

    response = await gateway.post(UPLOAD, content=pieces() if chunked else body)
    assert response.json()["body"] == hashlib.sha256(body).hexdigest()
    assert ("transfer-encoding" in audio.headers()) is chunked


async def test_a_hundred_megabytes_pass_without_staying_in_memory(new_gateway: NewGateway, audio: Fake) -> None:
    held = 0

    async def there_and_back(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal held
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (message := await receive()).get("more_body"):
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
            held = max(held, tracemalloc.get_traced_memory()[0])
        await send({"type": "http.response.body", "body": message.get("body", b"")})

    audio.app = there_and_back
    gateway = await new_gateway(max_upload_bytes=200 * MIB)
    chunk = b"x" * 64 * 1024

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1600):
            yield chunk

    reader, writer = await connect(gateway)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    async def send_all() -> None:
        head = f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: {1600 * len(chunk)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        async for piece in pieces():
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(send_all())
    received = 0
    async with asyncio.timeout(60):
        while data := await reader.read(1 << 20):
            received += len(data)
    await sending
    tracemalloc.stop()
    writer.close()
    assert received > 1600 * len(chunk)
    assert held - before < 8 * MIB


async def test_a_slow_reader_holds_the_service_back(gateway: httpx.AsyncClient, audio: Fake) -> None:
    sent = 0

    async def pour(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 65536
        await send({"type": "http.response.body", "body": b""})

    audio.app = pour
    reader, writer = await connect(gateway)
    writer.write(b"GET /objects/a HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    progress = -1
    async with asyncio.timeout(PATIENCE):
        while progress != sent:
            progress = sent
            await asyncio.sleep(0.2)
    assert 0 < sent < 40 * MIB
    writer.close()


# Limits


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/auth/google-login", 1000),
        (UPLOAD, 2000 + 64 * 1024),
        ("/api/tokens/1/upload-audio/", 2000 + 64 * 1024),
        ("/api/tokens/batch-upload/", 4000 + 64 * 1024),
        ("/api/catalog/import", 3000),
        ("/objects/x", 2000 + 64 * 1024),
    ],
)
async def test_a_body_may_be_as_large_as_its_route_takes(
    new_gateway: NewGateway, fakes: dict[str, Fake], path: str, limit: int
) -> None:
    for fake in fakes.values():
        fake.app = echo
    gateway = await new_gateway(max_body_bytes=1000, max_upload_bytes=2000, max_import_bytes=3000, max_batch_bytes=4000)

    async def pieces(size: int) -> AsyncIterator[bytes]:
        yield b"x" * size

    assert (await gateway.post(path, content=b"x" * limit)).json()["length"] == limit
    assert (await gateway.post(path, content=pieces(limit))).json()["length"] == limit
    for refused in (
        await gateway.post(path, content=b"x" * (limit + 1)),
        await gateway.post(path, content=pieces(limit + 1)),
    ):
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        assert str(limit) in refused.json()["detail"]


async def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(gateway: httpx.AsyncClient, audio: Fake) -> None:
    head = await raw(gateway, f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 413")
    assert audio.asked == []


async def test_an_early_refusal_reaches_a_client_that_still_sends(gateway: httpx.AsyncClient, audio: Fake) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answer(send, 413, b'{"detail":"no"}', (b"content-type", b"application/json"))

    audio.app = refuse
    reader, writer = await connect(gateway)
    writer.write(f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: {40 * MIB}\r\n\r\n".encode() + b"x" * MIB)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(15) == b'{"detail":"no"}'
        assert head.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in head
        writer.write(b"x" * MIB)  # who sends on is not reset at once, or the answer might be lost
        await writer.drain()
    writer.close()


async def test_a_client_that_leaves_in_the_middle_of_an_upload_ends_it_at_the_service(
    gateway: httpx.AsyncClient, audio: Fake
) -> None:
    began, left = asyncio.Event(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    audio.app = wait
    _, writer = await connect(gateway)
    writer.write(f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf".encode())
    async with asyncio.timeout(PATIENCE):
        await began.wait()
        writer.close()
        await left.wait()


async def test_a_client_that_leaves_before_the_answer_ends_the_request_at_the_service(
    gateway: httpx.AsyncClient, catalog: Fake
) -> None:
    began, left = asyncio.Event(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        began.set()
        await receive()
        left.set()

    catalog.app = wait
    _, writer = await connect(gateway)
    writer.write(b"GET /api/actors HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await began.wait()
        writer.close()
        await left.wait()


# Services that fail


async def test_a_service_that_is_down_is_a_503_that_says_when_to_come_again(new_gateway: NewGateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    gateway = await new_gateway(catalog_url=url)
    response = await gateway.get("/api/actors", headers={"Origin": "http://localhost:3000"})
    assert (response.status_code, response.json()["code"]) == (503, "service_down")
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert url.rpartition(":")[2] not in response.text


async def test_a_service_that_does_not_answer_is_a_504(new_gateway: NewGateway, catalog: Fake) -> None:
    async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await receive()

    catalog.app = sleep
    gateway = await new_gateway(upstream_seconds=0.1)
    response = await gateway.post("/api/tokens", content=b"{}")
    assert (response.status_code, response.json()["code"]) == (504, "service_timeout")


async def test_a_client_that_stops_sending_is_a_408(new_gateway: NewGateway, audio: Fake) -> None:
    audio.app = echo
    gateway = await new_gateway(client_seconds=0.1, upstream_seconds=60)
    head = await raw(gateway, f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf".encode())
    assert head.startswith(b"HTTP/1.1 408")


async def test_an_answer_that_breaks_off_is_not_made_to_look_whole(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    async def break_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    catalog.app = break_off
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.get("/api/actors")


async def test_a_service_may_listen_on_a_unix_socket(new_gateway: NewGateway, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "c"

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        writer.close()

    async with await asyncio.start_unix_server(greet, path):
        gateway = await new_gateway(catalog_url=f"unix:{path}")
        assert (await gateway.get("/api/actors")).text == "hi"
