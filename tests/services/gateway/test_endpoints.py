import re

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import generate_latest
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from libs.common.bus.memory import MemoryBus
from services.gateway.main import build
from services.gateway.settings import GatewaySettings
from tests.services.gateway.conftest import Fake, FakeNotifier, NewGateway, answer, serving

ALLOWED = "https://yousync.link"


async def test_the_front_page_says_what_it_always_said(gateway: httpx.AsyncClient) -> None:
    assert (await gateway.get("/")).json() == {
        "message": "토큰/스크립트 관리 API 서버가 정상적으로 작동중입니다!",
        "docs": "/docs",
        "redoc": "/redoc",
        "version": "1.0.0",
    }


# Health


async def test_it_is_healthy_when_all_services_are_ready(new_gateway: NewGateway) -> None:
    response = await (await new_gateway()).get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "healthy", "service": "token-script-api"})


async def test_it_says_which_service_does_not_work(settings: GatewaySettings, fakes: dict[str, Fake]) -> None:
    fakes["catalog"].down = True
    closed_bus = MemoryBus()
    app = build(settings.model_copy(update={"audio_url": "http://127.0.0.1:1"}), closed_bus)
    async with serving(app, settings) as (url, _), httpx.AsyncClient(base_url=url) as gateway:
        response = await gateway.get("/health")
    assert response.status_code == 503
    assert response.json() == {
        "status": "degraded",
        "service": "token-script-api",
        "services": {
            "auth": "ready",
            "catalog": "not ready",
            "audio": "no answer",
            "notifier": "ready",
            "bus": "no answer",
        },
    }


async def test_many_probes_ask_the_services_once(new_gateway: NewGateway, catalog: Fake) -> None:
    gateway = await new_gateway()
    assert (await gateway.get("/health")).status_code == 200
    catalog.down = True
    assert (await gateway.get("/health")).status_code == 200


# Cross-origin


@pytest.mark.parametrize("origin", ["http://localhost:3000", ALLOWED, "http://127.0.0.1:8000"])
async def test_known_pages_may_ask_with_credentials(gateway: httpx.AsyncClient, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,if-match,idempotency-key",
    }
    response = await gateway.options("/api/tokens/1", headers=asked)
    assert (response.status_code, response.text) == (200, "OK")
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "PATCH" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "if-match", "idempotency-key"} <= set(allowed)
    assert int(response.headers["access-control-max-age"]) > 0
    assert "Origin" in response.headers["vary"]


async def test_other_pages_may_not(gateway: httpx.AsyncClient, notifier: FakeNotifier) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    response = await gateway.options("/api/tokens/1", headers=asked)
    assert (response.status_code, response.text) == (400, "Disallowed CORS origin")
    await notifier.tell(final=True)
    for path in ("/", "/api/tokens/1", "/api/scripts/analysis-progress/36f6a40f6d8547f7a9463ea6d82e58ce"):
        response = await gateway.get(path, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/tokens/1", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/health", 405),
        ("GET", "/api/scripts/analysis-progress/x", 200),
        ("GET", "/docs", 200),
    ],
)
async def test_every_answer_lets_the_page_read_it(gateway: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await gateway.request(method, path, headers={"Origin": ALLOWED})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ALLOWED


async def test_a_page_may_read_versions_and_pages_and_ask_whether_they_are_new(
    gateway: httpx.AsyncClient, catalog: Fake
) -> None:
    async def not_modified(scope: Scope, receive: Receive, send: Send) -> None:
        asked = dict(scope["headers"])[b"if-none-match"]
        headers = [(b"etag", asked), (b"link", b'</api/tokens?after=x>; rel="next"'), (b"x-total-count", b"3")]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    catalog.app = not_modified
    response = await gateway.get("/api/tokens", headers={"Origin": ALLOWED, "If-None-Match": '"v1"'})
    assert (response.status_code, response.content) == (304, b"")
    exposed = response.headers["access-control-expose-headers"].split(", ")
    for name, value in {"ETag": '"v1"', "Link": '</api/tokens?after=x>; rel="next"', "X-Total-Count": "3"}.items():
        assert response.headers[name] == value
        assert name in exposed
    assert "Origin" in response.headers["vary"]


async def test_an_unexpected_error_of_its_own_is_readable_too(
    gateway: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("services.gateway.proxy.route_of", fail)
    response = await gateway.get("/api/tokens/1", headers={"Origin": ALLOWED})
    assert (response.status_code, response.json()["detail"]) == (500, "Internal Server Error")
    assert response.headers["access-control-allow-origin"] == ALLOWED


# Documentation


class Token(BaseModel):
    id: int


def service_schema(*paths: str, token: type[BaseModel] = Token) -> dict[str, object]:
    app = FastAPI()
    for path in paths:
        app.add_api_route(path, lambda: None, response_model=token, operation_id=path)
    schema: dict[str, object] = app.openapi()
    return schema


async def test_one_document_shows_the_public_routes_of_all_services(gateway: httpx.AsyncClient, fakes: dict[str, Fake]) -> None:
    Other = type("Token", (BaseModel,), {"__annotations__": {"name": str}})  # noqa: N806  (a model like any other)
    fakes["catalog"].documents["/openapi.json"] = service_schema("/api/tokens/{id}", "/internal/x", "/health/live")
    fakes["audio"].documents["/openapi.json"] = service_schema("/objects/{key}", "/api/tokens/{id}", token=Other)
    fakes["auth"].documents["/openapi.json"] = service_schema("/api/auth/me")
    document = (await gateway.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/",
        "/health",
        "/api/scripts/analysis-progress/{job_id}",
        "/api/tokens/analysis-progress/{job_id}",
        "/api/youtube/process-progress/{job_id}",
        "/api/mypage/overview",
        "/api/tokens/{id}",
        "/objects/{key}",
        "/api/auth/me",
    }
    schemas = document["components"]["schemas"]
    assert (schemas["Token"]["properties"].keys(), schemas["AudioToken"]["properties"].keys()) == ({"id"}, {"name"})
    ok = "responses", "200", "content", "application/json", "schema", "$ref"

    def reference(path: str) -> object:
        found = document["paths"][path]["get"]
        for key in ok:
            found = found[key]
        return found

    assert reference("/api/tokens/{id}") == reference("/api/auth/me") == "#/components/schemas/Token"
    assert reference("/objects/{key}") == "#/components/schemas/AudioToken"
    assert document["paths"]["/api/auth/me"]["get"]["tags"] == ["auth"]
    assert "at the moment: notifier" in document["info"]["description"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_pages_show_that_document(gateway: httpx.AsyncClient, path: str) -> None:
    response = await gateway.get(path)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "/openapi.json" in response.text
    scripts = re.findall(r"""(?:src|href)=["']([^"']+)""", response.text)
    assert scripts
    for address in scripts:
        assert address.startswith("/docs/assets/"), address
        assert (await gateway.get(address)).status_code == 200, address


async def test_metrics_count_what_was_passed_on(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    catalog.app = lambda scope, receive, send: answer(send, 418, b"")
    await gateway.get("/api/tokens/1")
    metrics = generate_latest().decode()
    assert 'yousync_proxied_requests_total{status="418",upstream="catalog"} 1.0' in metrics
    assert 'yousync_http_requests_total{method="GET",route="/api/tokens",service="gateway",status="418"} 1.0' in metrics
    assert "yousync_open_streams{" in metrics
