"""Sections 0 and 1: what holds everywhere, and the service itself."""

import httpx
import pytest

from tests.contract.shapes import refused
from tests.contract.site import Site

CLIENTS_ORIGIN = "http://localhost:3000"


def test_the_front_page(site: Site) -> None:
    answer = site.anonymous.get("/")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "message": "토큰/스크립트 관리 API 서버가 정상적으로 작동중입니다!",
            "docs": "/docs",
            "redoc": "/redoc",
            "version": "1.0.0",
        },
    )


def test_health(site: Site, form: str) -> None:
    answer = site.anonymous.get(f"/health{form}")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "service": "token-script-api"})


@pytest.mark.parametrize(
    ("path", "kind"), [("/docs", "text/html"), ("/redoc", "text/html"), ("/openapi.json", "application/json")]
)
def test_the_documentation(site: Site, path: str, kind: str, form: str) -> None:
    answer = site.anonymous.get(path + form)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)


def test_the_documents_version_is_one_that_existing_tools_read(site: Site) -> None:
    assert site.anonymous.get("/openapi.json").json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["/api", "/api/nothing", "/nothing", "/internal/jobs/1", "/api/tokens/1/nothing"])
def test_an_unknown_path(site: Site, path: str, form: str) -> None:
    refused(site.anonymous.get(path + form), 404, "Not Found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/api/tokens"), ("DELETE", "/api/actors"), ("GET", "/api/auth/logout"), ("PUT", "/"), ("POST", "/health")],
)
def test_a_wrong_method(site: Site, method: str, path: str) -> None:
    answer = site.anonymous.request(method, path)
    refused(answer, 405, "Method Not Allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/health", "/api/tokens", "/api/auth/me"])
def test_head_is_no_method(site: Site, path: str, form: str) -> None:
    assert site.anonymous.head(path.rstrip("/") + form or "/").status_code == 405


@pytest.mark.parametrize("origin", [CLIENTS_ORIGIN, "https://yousync.link"])
def test_the_web_clients_pages_may_call_with_credentials(site: Site, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    preflight = site.anonymous.options("/api/mypage/bookmarks/1", headers=asked)
    assert (preflight.status_code, preflight.text) == (200, "OK")
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower().split(", ")
    for path in ("/api/tokens", "/api/tokens/abc", "/api/auth/me", "/nothing"):
        answer = site.callers["forged"].get(path, headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin, path


def test_other_pages_may_not(site: Site) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    preflight = site.anonymous.options("/api/tokens", headers=asked)
    assert (preflight.status_code, preflight.text) == (400, "Disallowed CORS origin")


@pytest.mark.parametrize("path", ["/api/tokens?limit=1", "/api/actors/search/hardy?limit=1", "/api/duet/scenes"])
def test_json_is_utf_8_as_it_is_written(site: Site, path: str) -> None:
    answer = site.anonymous.get(path)
    assert answer.headers["content-type"] == "application/json"
    assert b"\\u" not in answer.content


REQUIRED = (
    ("GET", "/api/auth/me"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("POST", "/api/tokens/7001/upload-audio"),
    ("POST", "/api/tokens/batch-upload"),
)


@pytest.mark.parametrize(("method", "path"), REQUIRED)
def test_what_a_bearer_that_does_not_count_is_answered(site: Site, method: str, path: str, form: str) -> None:
    def ask(client: httpx.Client, **headers: str) -> httpx.Response:
        return client.request(method, path + form, headers=headers)

    for answer, detail in (
        (ask(site.anonymous), "Not authenticated"),
        (ask(site.anonymous, Authorization="Basic YTpi"), "Invalid authentication credentials"),
        (ask(site.callers["expired"]), "토큰이 만료되었습니다"),
        (ask(site.callers["forged"]), "유효하지 않은 토큰입니다"),
        (ask(site.anonymous, Authorization="Bearer garbage"), "유효하지 않은 토큰입니다"),
    ):
        refused(answer, 401, detail)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api/tokens", "/api/tokens/latest", "/api/scripts", "/api/actors", "/api/actors/hardy"])
@pytest.mark.parametrize("query", ["limit=-1", "limit=0", "limit=abc", "skip=-1", "skip=99999999999999999999"])
def test_pages_have_bounds(site: Site, path: str, query: str) -> None:
    name = query.partition("=")[0]
    errors = refused(site.anonymous.get(f"{path}?{query}"), 422)
    assert [error["loc"] for error in errors] == [["query", name]]
