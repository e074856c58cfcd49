import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client import REGISTRY
from pydantic import BaseModel

from libs.common.errors import Kind, Unavailable, YouSyncError
from libs.common.settings import Settings
from libs.common.web import problems
from libs.common.web.app import create_app
from libs.common.web.health import Check
from libs.common.web.rights import PUBLIC

router = APIRouter()


class Body(BaseModel):
    number: float
    text: str = ""


class Teapot(YouSyncError):
    kind = Kind.CONFLICT
    code = "teapot"


@router.get("/things/{number}")
async def thing(number: int) -> dict[str, int]:
    return {"number": number}


@router.post("/things")
async def make(body: Body) -> Body:
    return body


@router.put("/things/{number}")
async def change(number: int) -> int:
    return number


@router.delete("/things/{other}/part")
async def remove_part(other: int) -> int:
    return other


@router.get("/teapot")
async def teapot() -> None:
    raise Teapot("I am a teapot")


@router.get("/down")
async def down() -> None:
    raise Unavailable("come back later")


@router.get("/bug")
async def bug() -> None:
    raise RuntimeError("password=secret")


async def fine() -> None:
    return None


async def broken() -> None:
    raise ConnectionError("host db.internal refused")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


OWN = [f"{method} {route.path_format}" for route in iter_route_contexts(router.routes) for method in route.methods or ()]
HOUSE = ("GET /health/live", "GET /health/ready", "GET /metrics", "GET /openapi.json")


def build(**checks: Check) -> FastAPI:
    rights = dict.fromkeys((*HOUSE, *OWN), PUBLIC)
    return create_app("test", Settings(), title="Test", routers=[router], lifespan=lifespan, checks=checks, rights=rights)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build(database=fine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", ["/things/3", "/things/3/", "/things/3//"])
async def test_a_path_answers_with_and_without_its_slash(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"number": 3})
    assert 'route="/things/{number}",service="test",status="200"' in (await client.get("/metrics")).text
    assert 'route="unmatched",service="test",status="200"' not in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/teapot", 409, "I am a teapot"),
        ("GET", "/down", 503, "come back later"),
        ("GET", "/nowhere", 404, "Not Found"),
        ("DELETE", "/teapot", 405, "Method Not Allowed"),
        ("GET", "/bug", 500, "Internal Server Error"),
    ],
)
async def test_an_error_is_a_problem_with_detail_where_clients_read_it(
    client: httpx.AsyncClient, method: str, path: str, status: int, detail: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert answer.json()["detail"] == detail
    assert answer.json()["status"] == status
    assert "secret" not in answer.text


async def test_a_temporary_failure_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/down")).headers["retry-after"] == problems.RETRY_AFTER_SECONDS


async def test_a_wrong_method_says_which_are_right(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/teapot")).headers["allow"] == "GET"
    assert (await client.options("/things/1/")).headers["allow"] == "GET, PUT"


@pytest.mark.parametrize("body", [b"{", b'{"number": "x\\ud800"}', b"\xff\xfe", b"null", b"[]"])
async def test_an_unreadable_body_is_422_with_the_list_that_clients_know(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/things", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert {"type", "loc", "msg"} <= answer.json()["detail"][0].keys()


async def test_the_request_id_is_taken_over_when_it_is_harmless(client: httpx.AsyncClient) -> None:
    assert (await client.get("/things/1", headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    given = (await client.get("/things/1", headers={"x-request-id": "a b\tc"})).headers["x-request-id"]
    assert given != "a b\tc"
    assert len(given) == 16


async def test_requests_are_counted_by_route_template_not_by_path(client: httpx.AsyncClient) -> None:
    def counted(route: str) -> float:
        labels = {"service": "test", "method": "GET", "route": route, "status": "200"}
        return REGISTRY.get_sample_value("yousync_http_requests_total", labels) or 0.0

    before = counted("/things/{number}")
    await client.get("/things/4711")
    assert counted("/things/{number}") == before + 1
    assert counted("/things/4711") == 0.0
    assert "yousync_http_requests_total" in (await client.get("/metrics")).text


async def test_one_log_line_per_request_carries_its_id(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="yousync.access"):
        await client.get("/things/1")
    line = next(record for record in caplog.records if record.name == "yousync.access")
    assert (line.__dict__["route"], line.__dict__["status"]) == ("/things/{number}", 200)


async def test_live_needs_nothing_and_ready_names_what_is_down_without_saying_where() -> None:
    transport = httpx.ASGITransport(app=build(database=broken, bus=fine))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"database": "unavailable (ConnectionError)", "bus": "ok"}
    assert "db.internal" not in json.dumps(ready.json())
