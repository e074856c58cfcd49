import logging

import httpx
import pytest

from tests.services.gateway.conftest import Fake, NewGateway, echo, raw


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
        ("GET", "/api/mypage/bookmarks/?limit=5", "catalog"),
        ("DELETE", "/api/mypage/bookmarks/1", "catalog"),
        ("POST", "/api/request/", "catalog"),
        ("GET", "/api/request/all", "catalog"),
        ("PATCH", "/api/request/1/status", "catalog"),
        ("POST", "/api/scripts/1/upload-audio", "audio"),
        ("POST", "/api/scripts/1/upload-audio/", "audio"),
        ("GET", "/api/scripts/analysis-result/0a", "audio"),
        ("GET", "/api/tokens/analysis-result/0a/", "audio"),
        ("POST", "/api/tokens/1/upload-audio/", "audio"),
        ("POST", "/api/tokens/batch-upload/", "audio"),
        ("GET", "/api/tokens/batch-progress/?job_ids=a,b", "audio"),
        ("GET", "/api/tokens/queue/status/", "audio"),
        ("POST", "/api/scripts/webhook/analysis-complete?job_id=0a&ticket=x", "audio"),
        ("POST", "/api/tokens/webhook/analysis-complete/?job_id=0a&ticket=x", "audio"),
        ("POST", "/api/scripts/cleanup/anonymous-results/", "audio"),
        ("GET", "/api/jobs/0a", "audio"),
        ("POST", "/api/jobs/0a/cancel", "audio"),
        ("POST", "/api/jobs/0a/retry/", "audio"),
        ("GET", "/api/mypage/my-dubbed-tokens?limit=1", "audio"),
        ("GET", "/api/mypage/tokens/1/analysis-status/", "audio"),
        ("DELETE", "/api/mypage/tokens/1/my-results", "audio"),
        ("GET", "/api/score/1/score/", "audio"),
        ("GET", "/api/score/me/average/", "audio"),
        ("GET", "/api/score/leaderboard/top-recorders", "audio"),
        ("POST", "/api/youtube/process/", "audio"),
        ("GET", "/api/youtube/process-status/0a", "audio"),
        ("POST", "/api/youtube/webhook/process-complete?job_id=0a&ticket=x", "audio"),
        ("POST", "/api/synthesize/1", "audio"),
        ("GET", "/api/tokens/1/latest-dubbing/", "audio"),
        ("GET", "/api/tokens/1/user-audios", "audio"),
        ("DELETE", "/api/tokens/1", "catalog"),
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
        "/api/jobs",
        "/api/jobs/0a/delete",
        "/api/actorsx",
        "/api",
        "/api/tokensx/1",
        "/api/mypage",
        "/api/requests",
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


@pytest.mark.parametrize("up", [True, False])
async def test_no_log_holds_the_ticket_of_a_webhook(
    new_gateway: NewGateway, audio: Fake, caplog: pytest.LogCaptureFixture, up: bool
) -> None:
    caplog.set_level(logging.INFO)
    audio.app = echo
    gateway = await new_gateway() if up else await new_gateway(audio_url="http://127.0.0.1:1")
    response = await gateway.post("/api/tokens/webhook/analysis-complete/?job_id=0a&ticket=THESECRET", json={})
    assert response.status_code == (200 if up else 503)
    logged = [record for record in caplog.records if record.name.startswith(("yousync", "services", "libs", "uvicorn"))]
    assert any(getattr(record, "route", None) == "/api/tokens/webhook/analysis-complete" for record in logged)
    assert not any("THESECRET" in str(value) for record in logged for value in vars(record).values())
