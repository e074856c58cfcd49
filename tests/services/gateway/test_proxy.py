import asyncio
import hashlib
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.services.gateway.conftest import PATIENCE, Fake, NewGateway, answer, read_body

UPLOAD = "/api/scripts/1/upload-audio"
MIB = 1024 * 1024


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


# Routing


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("POST", "/api/auth/google-login", "auth"),
        ("POST", "/api/auth/refresh/", "auth"),
        ("GET", "/.well-known/jwks.json", "auth"),
        ("GET", "/api/actors/", "catalog"),
        ("GET", "/api/actors", "catalog"),
        ("GET", "/api/tokens/1", "catalog"),
        ("GET", "/api/scripts/token/1", "catalog"),
        ("GET", "/api/urls/tokens?youtube_url=x", "catalog"),
        ("POST", "/api/catalog/import", "catalog"),
        ("POST", "/api/scripts/1/upload-audio", "audio"),
        ("POST", "/api/scripts/1/upload-audio/", "audio"),
        ("GET", "/api/scripts/analysis-result/0a", "audio"),
        ("GET", "/api/tokens/analysis-result/0a/", "audio"),
        ("GET", "/objects/takes/1.wav?signature=x", "audio"),
        ("HEAD", "/objects/takes/1.wav", "audio"),
    ],
)
async def test_each_path_goes_to_the_service_that_owns_it(
    gateway: httpx.AsyncClient, fakes: dict[str, Fake], method: str, path: str, service: str
) -> None:
    for fake in fakes.values():
        fake.app = echo
    response = await gateway.request(method, path)
    assert response.status_code == 200
    assert [name for name, fake in fakes.items() if fake.asked] == [service]
    if method == "HEAD":
        assert response.content == b""
        assert int(response.headers["content-length"]) > 0
    else:
        assert (response.json()["method"], response.json()["target"]) == (method, path)


@pytest.mark.parametrize(
    "path",
    [
        "/internal/jobs/1",
        "/%69nternal/jobs/1",
        "//internal/jobs/1",
        "/api/actorsx",
        "/api",
        "/api/tokensx/1",
        "/nothing",
        "/api/actors/../../internal/jobs/1",
    ],
)
async def test_what_no_service_shows_does_not_exist(gateway: httpx.AsyncClient, fakes: dict[str, Fake], path: str) -> None:
    head = await raw(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    asked = [scope["path"] for fake in fakes.values() for scope in fake.asked]
    # A path with dots goes through as it is: services do not resolve dots, so they do not know it either.
    assert head.startswith(b"HTTP/1.1 404")
    assert not any(path.startswith("/internal") for path in asked)


async def test_an_unknown_path_is_a_problem_with_the_known_text(gateway: httpx.AsyncClient) -> None:
    response = await gateway.get("/api/nothing")
    assert (response.status_code, response.json()["detail"]) == (404, "Not Found")


@pytest.mark.parametrize(
    "target",
    [
        "/api/actors/%ED%86%B0%20%ED%95%98%EB%94%94",
        "/api/actors/a%2Fb%2e%2e//c?x=%2B+&y=&x=2&z=%zz",
        "/api/actors/a;b=1,2:@!$&'()*?q=[1]{}|^",
        "/api/actors/%00?a=b?c=/d",
    ],
)
async def test_path_and_query_go_through_byte_for_byte(gateway: httpx.AsyncClient, catalog: Fake, target: str) -> None:
    catalog.app = echo
    assert (await raw(gateway, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).startswith(b"HTTP/1.1 200")
    scope = catalog.asked[-1]
    assert (scope["raw_path"] + b"?" + scope["query_string"]).decode().rstrip("?") == target


async def test_bytes_that_no_url_may_hold_are_refused(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    head = await raw(gateway, "GET /api/actors/search?query=톰 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 400")
    assert catalog.asked == []


async def test_methods_that_change_the_connection_are_not_passed_on(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    for method in ("TRACE", "PROPFIND"):
        head = await raw(gateway, f"{method} /api/actors HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert head.startswith(b"HTTP/1.1 405")
    assert catalog.asked == []


# Headers


async def test_what_only_the_platform_may_say_is_not_taken_from_clients(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    catalog.app = echo
    forged = {
        "X-Service-Key": "guessed",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-User": "admin",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Request-ID": "given-by-the-client",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Authorization": "Bearer x",
        "Connection": "keep-alive, X-Secret",
        "X-Secret": "1",
        "TE": "trailers",
        "Upgrade": "h2c",
    }
    response = await gateway.get("/api/actors", headers=forged)
    seen = catalog.headers()
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == gateway.base_url.netloc.decode()
    assert not {"x-service-key", "x-forwarded-user", "forwarded", "x-real-ip", "x-secret", "te", "upgrade"} & seen.keys()
    assert seen["authorization"] == "Bearer x"
    assert seen["x-request-id"] == response.headers["x-request-id"] == "given-by-the-client"
    assert seen["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert seen["traceparent"].split("-")[2] != "b7ad6b7169203331"


async def test_nothing_is_added_to_what_the_client_said(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    catalog.app = echo
    await raw(gateway, b"GET /api/actors HTTP/1.1\r\nHost: x\r\nX-Own: \xed\x86\xb0\r\n\r\n")
    seen = catalog.headers()
    assert seen.pop("x-own") == "톰"
    assert sorted(seen) == ["host", "traceparent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"]


async def test_answers_keep_their_headers_except_those_of_the_connection(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        own = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-encoding", b"gzip"), (b"server", b"x")]
        await answer(send, 207, b"\x1f\x8bnot really gzip", *own, (b"keep-alive", b"timeout=5"), (b"etag", b'"1"'))

    catalog.app = app
    request = gateway.build_request("GET", "/api/actors")
    response = await gateway.send(request, stream=True)
    content = b"".join([chunk async for chunk in response.aiter_raw()])
    assert (response.status_code, content) == (207, b"\x1f\x8bnot really gzip")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (response.headers["etag"], response.headers["content-encoding"]) == ('"1"', "gzip")
    assert not {"server", "keep-alive"} & set(response.headers)
    assert len(response.headers.get_list("date")) == 1


async def test_redirects_and_errors_of_services_go_through(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 500 if scope["path"].endswith("1") else 307, b"", (b"location", b"/elsewhere"))

    catalog.app = app
    assert (await gateway.get("/api/tokens/1")).status_code == 500
    response = await gateway.get("/api/tokens/2")
    assert (response.status_code, response.headers["location"]) == (307, "/elsewhere")


# Bodies


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
        ("/api/catalog/import", 3000),
        ("/objects/x", 2000 + 64 * 1024),
    ],
)
async def test_a_body_may_be_as_large_as_its_route_takes(
    new_gateway: NewGateway, fakes: dict[str, Fake], path: str, limit: int
) -> None:
    for fake in fakes.values():
        fake.app = echo
    gateway = await new_gateway(max_body_bytes=1000, max_upload_bytes=2000, max_import_bytes=3000)

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
