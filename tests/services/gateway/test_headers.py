import httpx
from starlette.types import Receive, Scope, Send

from tests.services.gateway.conftest import Fake, answer, echo, raw


async def test_what_only_the_platform_may_say_is_not_taken_from_clients(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    catalog.app = echo
    forged = {
        "X-Service-Token": "guessed",
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
    assert not {"x-service-token", "x-forwarded-user", "forwarded", "x-real-ip", "x-secret", "te", "upgrade"} & seen.keys()
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
        own = [(b"x-own", b"1"), (b"x-own", b"2"), (b"content-encoding", b"gzip"), (b"server", b"x")]
        await answer(send, 207, b"\x1f\x8bnot really gzip", *own, (b"keep-alive", b"timeout=5"), (b"etag", b'"1"'))

    catalog.app = app
    request = gateway.build_request("GET", "/api/actors")
    response = await gateway.send(request, stream=True)
    content = b"".join([chunk async for chunk in response.aiter_raw()])
    assert (response.status_code, content) == (207, b"\x1f\x8bnot really gzip")
    assert response.headers.get_list("x-own") == ["1", "2"]
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
