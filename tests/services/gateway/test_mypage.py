"""My page is composed of what its owners answer in time; what does not come is missing and named."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey
from prometheus_client import generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.web.auth import AUDIENCE
from libs.common.web.service_tokens import HEADER
from tests.callers import verifier_of
from tests.services.gateway.conftest import Fake, NewGateway, answer, hang

PATH = "/api/mypage/overview"
ME, KEYS = "/api/auth/me", "/.well-known/jwks.json"
KEY = OKPKey.generate_key("Ed25519", auto_kid=True)
NOBODY = "http://127.0.0.1:1"

ALICE = {
    "id": 7,
    "email": "alice@example.org",
    "google_id": None,
    "full_name": "Alice Kim",
    "profile_picture": None,
    "is_active": True,
    "login_type": "google",
    "created_at": "2026-11-23T03:42:29.250661Z",
    "updated_at": None,
}
ALICE_AS_HER_TOKEN_SAYS = {**ALICE, "full_name": None, "login_type": "unknown", "created_at": None}
SCENE = {"token_name": "Scene 02", "actor_name": "Emma Stone", "category": None, "youtube_url": "https://youtu.be/x"}
BOOKMARK = {
    "id": 3,
    "user_id": 7,
    "token_id": 2,
    "created_at": "2026-11-23T03:43:10Z",
    "token": {"id": 2, **SCENE, "thumbnail_url": None},
}
DUBBED = {"token_id": 2, **SCENE, "last_dubbed_at": "2026-11-23T03:44:32.496222Z", "total_scripts": 3, "completed_scripts": 2}
BOOKMARKS = {"total": 501, "newest": [BOOKMARK]}
PRACTICE = {"total_dubbed_tokens": 1, "total_practice_count": 4, "average_completion_rate": 0.82, "recent": [DUBBED]}
WHOLE = {
    "user_info": ALICE,
    "total_bookmarks": 501,
    "total_dubbed_tokens": 1,
    "total_practice_count": 4,
    "average_completion_rate": 0.82,
    "recent_bookmarks": [BOOKMARK],
    "recent_dubbed_tokens": [DUBBED],
    "unavailable": [],
}
WITHOUT: dict[str, dict[str, Any]] = {
    "auth": {"user_info": ALICE_AS_HER_TOKEN_SAYS},
    "catalog": {"total_bookmarks": 0, "recent_bookmarks": []},
    "audio": {
        "total_dubbed_tokens": 0,
        "total_practice_count": 0,
        "average_completion_rate": 0.0,
        "recent_dubbed_tokens": [],
    },
}

Start = Callable[..., Awaitable[httpx.AsyncClient]]


def bearer(*, seconds: float = 60) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": "yousync", "aud": AUDIENCE, "sub": "7", "email": ALICE["email"], "iat": now, "exp": now + seconds}
    return {"Authorization": f"Bearer {jwt.encode({'alg': 'Ed25519', 'kid': KEY.kid}, claims, KEY, algorithms=['Ed25519'])}"}


def without(*owners: str) -> dict[str, Any]:
    """The page that lacks their parts."""
    page: dict[str, Any] = {**WHOLE, "unavailable": list(owners)}
    for owner in owners:
        page.update(WITHOUT[owner])
    return page


def says(status: int, body: bytes) -> ASGIApp:
    """Answers everything so."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status, body, (b"content-type", b"application/json"))

    return app


def let(fake: Fake, app: ASGIApp) -> None:
    """Let an owner answer by `app` what the page is composed of."""
    if fake.name == "auth":
        fake.app = app
    else:
        fake.internal = app


@pytest.fixture
def start(new_gateway: NewGateway, fakes: dict[str, Fake]) -> Start:
    """Starts a gateway that knows the signing keys; every owner has its part."""
    fakes["auth"].documents.update({ME: ALICE, KEYS: {"keys": [KEY.as_dict(private=False)]}})
    fakes["catalog"].documents["/internal/users/7/bookmarks"] = BOOKMARKS
    fakes["audio"].documents["/internal/users/7/practice"] = PRACTICE

    async def started(**changed: Any) -> httpx.AsyncClient:
        gateway = await new_gateway(**changed)
        assert (await gateway.get(PATH, headers=bearer())).status_code == 200
        for fake in fakes.values():
            fake.asked.clear()
        return gateway

    return started


async def test_the_page_is_composed_of_its_parts(start: Start, fakes: dict[str, Fake]) -> None:
    gateway = await start()
    for path in (PATH, f"{PATH}/"):
        response = await gateway.get(path, headers=bearer())
        assert (response.status_code, response.json()) == (200, WHOLE)
        assert response.headers["cache-control"] == "private, no-store"
    assert fakes["auth"].headers()["authorization"].startswith("Bearer ")
    for owner in ("catalog", "audio"):
        assert verifier_of(owner).caller(fakes[owner].headers()[HEADER.lower()]) == "gateway"
        assert "authorization" not in fakes[owner].headers()
    assert HEADER.lower() not in fakes["auth"].headers()


async def test_the_owners_log_their_parts_under_the_id_and_trace_of_the_page(start: Start, fakes: dict[str, Fake]) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    seen = {"X-Request-ID": "mine-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    await (await start()).get(PATH, headers={**bearer(), **seen})
    for owner in ("auth", "catalog", "audio"):
        assert fakes[owner].headers()["x-request-id"] == "mine-1"
        assert trace in fakes[owner].headers()["traceparent"]


async def test_all_parts_are_asked_for_at_once(start: Start, fakes: dict[str, Fake]) -> None:
    gateway = await start()
    everybody = asyncio.Barrier(3)

    def together(document: bytes) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await everybody.wait()
            await says(200, document)(scope, receive, send)

        return app

    for owner, part in (("auth", ALICE), ("catalog", BOOKMARKS), ("audio", PRACTICE)):
        let(fakes[owner], together(httpx.Response(200, json=part).content))
    assert (await gateway.get(PATH, headers=bearer())).json() == WHOLE


@pytest.mark.parametrize("hanging", [("catalog",), ("auth", "catalog", "audio")])
async def test_nobody_waits_for_an_owner_that_hangs(start: Start, fakes: dict[str, Fake], hanging: tuple[str, ...]) -> None:
    gateway = await start(part_seconds=1.0)
    for owner in hanging:
        let(fakes[owner], hang)
    response = await gateway.get(PATH, headers=bearer())
    assert (response.status_code, response.json()) == (200, without(*hanging))
    assert response.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("owner", ["auth", "catalog", "audio"])
async def test_the_part_of_an_owner_that_fails_is_missing(start: Start, fakes: dict[str, Fake], owner: str) -> None:
    gateway = await start()
    for broken in (says(500, b"Internal Server Error"), says(404, b"{}"), says(307, b"")):
        let(fakes[owner], broken)
        assert (await gateway.get(PATH, headers=bearer())).json() == without(owner)
    metrics = generate_latest().decode()
    assert f'yousync_mypage_parts_missing_total{{upstream="{owner}"}}' in metrics


@pytest.mark.parametrize("owner", ["catalog", "audio"])
async def test_the_part_of_an_owner_that_is_down_is_missing(start: Start, owner: str) -> None:
    gateway = await start(**{f"{owner}_url": NOBODY})
    assert (await gateway.get(PATH, headers=bearer())).json() == without(owner)


async def test_garbage_is_no_part(start: Start, fakes: dict[str, Fake]) -> None:
    gateway = await start()
    for garbage in (b"", b"\xff\xfe", b"<html>", b"null", b"[]", b'"x"', b'{"id": 7, "total": "many", "recent": 3}'):
        for owner in ("auth", "catalog", "audio"):
            let(fakes[owner], says(200, garbage))
        assert (await gateway.get(PATH, headers=bearer())).json() == without("auth", "catalog", "audio")
    let(fakes["audio"], says(200, b'{"average_completion_rate": NaN}'))
    assert "audio" in (await gateway.get(PATH, headers=bearer())).json()["unavailable"]


async def test_a_caller_without_a_valid_token_gets_nothing(start: Start, fakes: dict[str, Fake]) -> None:
    gateway = await start()
    for headers, detail in (
        ({}, "Not authenticated"),
        ({"Authorization": "Basic YTpi"}, "Invalid authentication credentials"),
        ({"Authorization": "Bearer x.y.z"}, "유효하지 않은 토큰입니다"),
        (bearer(seconds=-60), "토큰이 만료되었습니다"),
    ):
        response = await gateway.get(PATH, headers=headers)
        assert (response.status_code, response.json()["detail"]) == (401, detail)
        assert response.headers["www-authenticate"] == "Bearer"
    assert not any(fake.asked for fake in fakes.values())


async def test_an_account_that_auth_no_longer_serves_gets_nothing(start: Start, fakes: dict[str, Fake]) -> None:
    gateway = await start()
    for body, detail in (
        ('{"detail": "비활성화된 계정입니다"}'.encode(), "비활성화된 계정입니다"),
        (b"nonsense", "유효하지 않은 토큰입니다"),
        (b"[]", "유효하지 않은 토큰입니다"),
    ):
        fakes["auth"].app = says(401, body)
        response = await gateway.get(PATH, headers=bearer())
        assert (response.status_code, response.json()["detail"]) == (401, detail)


async def test_without_the_signing_keys_nobody_can_be_believed(new_gateway: NewGateway) -> None:
    response = await (await new_gateway(auth_url=NOBODY)).get(PATH, headers=bearer())
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")


async def test_the_api_document_shows_the_page(new_gateway: NewGateway) -> None:
    operation = (await (await new_gateway()).get("/openapi.json")).json()["paths"][PATH]["get"]
    assert operation["security"] == [{"bearer": []}]
    assert operation["responses"].keys() == {"200", "401", "429", "503"}
