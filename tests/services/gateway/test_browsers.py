"""What browsers are told, which pages may call, and that no cookie proves anything."""

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from libs.common.web.service_tokens import new_key
from services.gateway.main import build
from services.gateway.metrics import metrics_server
from services.gateway.origins import origin
from services.gateway.settings import GatewaySettings
from tests.services.gateway.conftest import JOB, Fake, FakeNotifier, NewGateway, answer, echo, raw, serving
from tests.services.gateway.test_callers import token

OURS = "https://yousync.link"
STREAM = f"/api/scripts/analysis-progress/{JOB}"
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}


# Headers of every answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/health/live", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/api/tokens/1", 200),
        ("POST", "/api/tokens/1/view", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/health", 405),
        ("GET", STREAM, 200),
        ("GET", "/api/mypage/overview", 401),
    ],
)
async def test_an_answer_is_data_and_nothing_else(
    gateway: httpx.AsyncClient, catalog: Fake, notifier: FakeNotifier, method: str, path: str, status: int
) -> None:
    catalog.app = echo
    await notifier.tell(final=True)
    response = await gateway.request(method, path)
    assert response.status_code == status
    assert EVERYWHERE.items() <= response.headers.items()
    assert response.headers["vary"].lower().split(", ").count("origin") == 1
    assert not {"server", "x-powered-by", "strict-transport-security"} & set(response.headers)


async def test_an_error_and_a_preflight_have_them_too(gateway: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("services.gateway.proxy.route_of", fail)
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for response in (await gateway.get("/api/tokens/1"), await gateway.options("/api/tokens/1", headers=preflight)):
        assert response.status_code in (400, 500)
        assert EVERYWHERE.items() <= response.headers.items()


async def test_a_file_of_a_user_may_be_played_elsewhere_and_is_no_page(gateway: httpx.AsyncClient, audio: Fake) -> None:
    audio.app = lambda scope, receive, send: answer(send, 200, b"RIFF", (b"content-type", b"audio/wav"))
    headers = (await gateway.get("/objects/takes/1.wav")).headers
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "sandbox" in headers["content-security-policy"]


async def test_over_tls_a_browser_is_told_to_come_by_tls_only(new_gateway: NewGateway) -> None:
    gateway = await new_gateway(public_url="https://api.example.org")
    assert (await gateway.get("/")).headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, "no-store"),
        ({"cache-control": "private, max-age=60"}, "private, max-age=60"),
        ({"etag": '"1"'}, None),
        ({"etag": '"1"', "cache-control": "no-cache"}, "no-cache"),
    ],
)
async def test_what_says_nothing_about_keeping_is_not_kept(
    gateway: httpx.AsyncClient, catalog: Fake, said: dict[str, str], kept: str | None
) -> None:
    given = [(name.encode(), value.encode()) for name, value in said.items()]
    catalog.app = lambda scope, receive, send: answer(send, 200, b"{}", *given)
    assert (await gateway.get("/api/tokens/1")).headers.get("cache-control") == kept


async def test_a_304_does_not_take_back_what_was_kept(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    async def not_modified(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    catalog.app = not_modified
    assert "cache-control" not in (await gateway.get("/api/tokens/1")).headers


# Pages of our own


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_runs_only_what_is_on_it(gateway: httpx.AsyncClient, path: str) -> None:
    response = await gateway.get(path)
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    scripts = policy["script-src"].split(" ")
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:"} & set(scripts)
    inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", response.text, re.DOTALL)
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in inline}
    assert hashes == set(scripts) - {"'self'"}
    assert not re.search(r"""\bon\w+=["']|javascript:""", response.text)
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in response.headers["permissions-policy"]


# Which pages may call


@pytest.mark.parametrize(
    "stranger",
    [
        "null",
        "https://evil.example",
        "https://yousync.link.evil.example",
        "https://evilyousync.link",
        "https://sub.yousync.link",
        "https://yousync.link:8443",
        "https://yousync.link@evil.example",
        "https://yousync.link, https://evil.example",
        "http://yousync.link",
        "https://yousync.link/",
        "HTTPS://YOUSYNC.LINK",
        "https://yousync。link",
        "file://",
        "",
    ],
)
async def test_an_origin_is_compared_whole(gateway: httpx.AsyncClient, notifier: FakeNotifier, stranger: str) -> None:
    await notifier.tell(final=True)
    for path in ("/", "/api/tokens/1", STREAM):
        head = await raw(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\nOrigin: {stranger}\r\n\r\n".encode())
        assert b"access-control-allow-origin" not in head.lower(), path


async def test_a_page_may_not_send_what_nobody_reads(gateway: httpx.AsyncClient) -> None:
    asked = {"Origin": OURS, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-service-token"}
    assert (await gateway.options("/api/tokens/1", headers=asked)).status_code == 400
    asked = {"Origin": OURS, "Access-Control-Request-Method": "TRACE"}
    assert (await gateway.options("/api/tokens/1", headers=asked)).status_code == 400


async def test_fault_65_a_site_of_ones_own_is_let_in_by_a_setting(
    settings: GatewaySettings, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "http://localhost:3001")
    own = settings.model_copy(update={"cors_origins": GatewaySettings().cors_origins})
    async with serving(build(own), own) as (url, _), httpx.AsyncClient(base_url=url) as gateway:
        asked = {"Origin": "http://localhost:3001", "Access-Control-Request-Method": "POST"}
        response = await gateway.options("/api/tokens", headers=asked)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "http://localhost:3001")


def test_origins_are_a_comma_list_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "https://A.example:443, https://b.example/,http://[::1]:3000")
    monkeypatch.setenv("PUBLIC_URL", "https://api.example/")
    allowed = ("https://a.example", "https://b.example", "http://[::1]:3000", "https://api.example", "http://localhost:3000")
    assert GatewaySettings().origins == allowed


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("*", "name the origins"),
        ("https://*.example.org", "name the origins"),
        ("null", "not an origin"),
        ("example.org", "not an origin"),
        ("ftp://example.org", "not an origin"),
        ("https://", "not an origin"),
        ("https://example.org/page", "no path"),
        ("https://example.org?x", "no path"),
        ("https://user@example.org", "no path, query or user"),
    ],
)
def test_what_is_no_origin_is_refused_at_start(value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        origin(value)
    with pytest.raises(ValidationError, match=said):
        GatewaySettings(cors_origins=(value,))


def production(**changed: Any) -> GatewaySettings:
    """Settings that production starts with."""
    urls = {f"{name}_url": "http://x" for name in ("auth", "catalog", "audio", "notifier")}
    own = {"broker_url": "amqp://x", "public_url": "https://api.example.org", "service_private_key": new_key()}
    return GatewaySettings(**{"environment": "production", **urls, **own, **changed})


def test_in_production_nobody_comes_in_without_tls() -> None:
    with pytest.raises(ValidationError, match=r"must have come over TLS: http://a\.example"):
        production(cors_origins=("http://a.example", "https://b.example"))
    assert production().origins == (OURS, "https://api.example.org")


def test_a_proxy_is_named() -> None:
    with pytest.raises(ValidationError, match="name the proxies"):
        GatewaySettings(forwarded_allow_ips="*")
    for value in ("proxy.example", "10.0.0.1/8", "10.0.0.0/8, x"):
        with pytest.raises(ValidationError):
            GatewaySettings(forwarded_allow_ips=value)
    assert GatewaySettings(forwarded_allow_ips="10.0.0.0/8, 2001:db8::1").forwarded_allow_ips == "10.0.0.0/8, 2001:db8::1"


# Cookies


@pytest.mark.parametrize("path", ["/api/auth/me", "/api/auth/refresh", "/api/mypage/bookmarks", "/api/tokens/1", "/objects/x"])
async def test_no_service_sees_a_cookie_or_sets_one(gateway: httpx.AsyncClient, fakes: dict[str, Fake], path: str) -> None:
    for fake in fakes.values():
        fake.app = lambda scope, receive, send: answer(send, 200, b"", (b"set-cookie", b"session=1"))
    response = await gateway.post(path, headers={"Cookie": f"access_token={token()}; session=1"})
    assert response.status_code == 200
    (asked,) = [scope for fake in fakes.values() for scope in fake.asked]
    assert b"cookie" not in dict(asked["headers"])
    assert "set-cookie" not in response.headers


async def test_only_the_way_of_a_sign_in_has_one(gateway: httpx.AsyncClient, fakes: dict[str, Fake]) -> None:
    fakes["auth"].app = lambda scope, receive, send: answer(
        send, 302, b"", (b"set-cookie", b"__Host-a=1"), (b"set-cookie", b"__Host-b=2")
    )
    for path in ("/api/auth/google/start", "/api/auth/google/callback"):
        response = await gateway.get(path, headers={"Cookie": "__Host-a=1"})
        assert fakes["auth"].headers()["cookie"] == "__Host-a=1"
        assert response.headers.get_list("set-cookie") == ["__Host-a=1", "__Host-b=2"]


async def test_a_cookie_is_no_proof_to_the_gateway(gateway: httpx.AsyncClient) -> None:
    proof = token()
    for cookie in (f"access_token={proof}", f"Authorization=Bearer {proof}", f"token={proof}; session={proof}"):
        assert (await gateway.get("/api/mypage/overview", headers={"Cookie": cookie})).status_code == 401


# Metrics


async def test_the_public_port_shows_no_metrics(gateway: httpx.AsyncClient) -> None:
    for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics"):
        head = await raw(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert head.startswith(b"HTTP/1.1 404"), path


async def test_metrics_have_an_address_of_their_own() -> None:
    with metrics_server("127.0.0.1:0") as port:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "yousync_open_streams{" in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    with metrics_server("") as nowhere:
        assert nowhere is None


@pytest.mark.parametrize("value", ["9100", "host", ":9100", "http://x:9100", "x:y", "x:123456"])
def test_an_address_that_is_none_is_refused_at_start(value: str) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(metrics_listen=value)
