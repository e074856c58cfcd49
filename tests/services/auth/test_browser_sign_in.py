"""Sign-in that leads a browser to the provider and back: /api/auth/google/start, /callback, /token."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from pydantic import SecretStr

from services.auth.models import SIGN_IN_CODES, USERS
from tests.services.auth.conftest import Serve
from tests.services.auth.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider
from tests.services.auth.test_endpoints import execute, revoked

START, CALLBACK, TOKEN = (f"/api/auth/google/{name}" for name in ("start", "callback", "token"))
PAGE = "https://yousync.example.org/login"
VERIFIER = "v" * 43
CHALLENGE = create_s256_code_challenge(VERIFIER)
INTERRUPTED = (400, "sign_in_interrupted")


def settings(openid: OpenIdProvider, **changes: Any) -> dict[str, Any]:
    usual = {
        "google_issuer": openid.url,
        "google_client_ids": (CLIENT_ID,),
        "google_client_secret": SecretStr(CLIENT_SECRET),
        "return_urls": (PAGE, "https://other.example.org/"),
        "public_url": "http://auth",
    }
    return {**usual, **changes}


@pytest.fixture
async def browser(serve: Serve, openid: OpenIdProvider) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(**settings(openid)) as browser:
        yield browser


async def begin(browser: httpx.AsyncClient, **query: str) -> httpx.Response:
    return await browser.get(START, params={"code_challenge": CHALLENGE, **query})


async def to_callback(browser: httpx.AsyncClient, openid: OpenIdProvider, **changes: str) -> httpx.Response:
    """The whole way to the provider and back, with other parameters of the answer if wanted."""
    brought = openid.authorize((await begin(browser)).headers["Location"])
    return await browser.get(CALLBACK, params={**brought, **changes})


def fragment(answer: httpx.Response) -> dict[str, str]:
    """What the page is told; the address before it is the page's own."""
    assert answer.status_code == 303, answer.text
    where, _, said = answer.headers["Location"].partition("#")
    assert where == PAGE
    return dict(parse_qsl(said, strict_parsing=True))


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_the_way_to_the_provider_and_back_ends_with_a_token(browser: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    code = fragment(await to_callback(browser, openid))["code"]
    answer = await browser.post(TOKEN, json={"code": code, "code_verifier": VERIFIER})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    me = await browser.get("/api/auth/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert (me.json()["email"], me.json()["google_id"]) == ("alice@example.org", "g-1")


async def test_the_browser_is_sent_with_everything_that_protects_the_way(
    browser: httpx.AsyncClient, openid: OpenIdProvider
) -> None:
    answer = await begin(browser)
    assert answer.status_code == 303
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked["redirect_uri"] == ["http://auth" + CALLBACK]
    assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert asked["code_challenge"] != [CHALLENGE]
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("yousync-sign-in=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=600"} <= set(cookie.split("; "))
    for secret in (asked["state"][0], asked["nonce"][0]):
        assert secret not in cookie
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")


async def test_behind_tls_the_cookie_is_for_tls_and_this_host_only(serve: Serve, openid: OpenIdProvider) -> None:
    async with serve(**settings(openid, public_url="https://yousync.example.org")) as browser:
        cookie = (await begin(browser)).headers["Set-Cookie"]
    assert cookie.startswith("__Host-yousync-sign-in=")
    assert "Secure" in cookie.split("; ")
    assert "Domain" not in cookie


async def test_another_page_of_the_list_is_come_back_to(browser: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    start = await begin(browser, return_url="https://other.example.org/")
    back = await browser.get(CALLBACK, params=openid.authorize(start.headers["Location"]))
    assert back.headers["Location"].startswith("https://other.example.org/#code=")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        PAGE + "/",
        PAGE + "?x=1",
        PAGE + "@evil.example",
        PAGE + "\r\nSet-Cookie: a=b",
        "https://YOUSYNC.example.org/login",
        "//evil.example",
        "/login",
        "javascript:alert(1)",
        "",
    ],
)
async def test_open_redirect_only_pages_of_the_list_are_come_back_to(browser: httpx.AsyncClient, url: str) -> None:
    answer = await begin(browser, return_url=url)
    assert refusal(answer) == (400, "unknown_return_url")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("challenge", ["", "short", "x" * 44, "x" * 42 + "=", "한" * 43])
async def test_a_page_without_a_challenge_of_its_own_cannot_begin(browser: httpx.AsyncClient, challenge: str) -> None:
    assert (await browser.get(START, params={"code_challenge": challenge})).status_code == 422


async def test_login_csrf_a_browser_that_did_not_begin_cannot_end(
    browser: httpx.AsyncClient, openid: OpenIdProvider, serve: Serve, database_url: str
) -> None:
    attackers = openid.authorize((await begin(browser)).headers["Location"])
    async with serve(**settings(openid)) as victim:
        assert refusal(await victim.get(CALLBACK, params=attackers)) == INTERRUPTED
        await begin(victim)  # now with a cookie, of another attempt
        assert refusal(await victim.get(CALLBACK, params=attackers)) == INTERRUPTED
    assert await execute(database_url, sa.select(USERS.c.id)) == []


@pytest.mark.parametrize("change", [{"state": "guessed"}, {"state": ""}, {"state": "한"}, {"iss": "https://evil.example"}])
async def test_an_answer_that_is_not_to_this_attempt_is_refused(
    browser: httpx.AsyncClient, openid: OpenIdProvider, change: dict[str, str]
) -> None:
    assert refusal(await to_callback(browser, openid, **change)) == INTERRUPTED


@pytest.mark.parametrize("cookie", ["", "garbage", "a.b.c.d.e", "e30.e30.e30", "x" * 100_000])
async def test_a_cookie_that_is_not_ours_is_refused(browser: httpx.AsyncClient, openid: OpenIdProvider, cookie: str) -> None:
    brought = openid.authorize((await begin(browser)).headers["Location"])
    browser.cookies.clear()
    answer = await browser.get(CALLBACK, params=brought, headers={"Cookie": f"yousync-sign-in={cookie}"})
    assert refusal(answer) == INTERRUPTED


async def test_a_cookie_of_another_platform_is_refused(
    browser: httpx.AsyncClient, openid: OpenIdProvider, serve: Serve
) -> None:
    start = await begin(browser)
    other_secret = SecretStr("another secret of at least thirty-two bytes")
    async with serve(**settings(openid, key_secret=other_secret)) as other:
        cookie = start.headers["Set-Cookie"].split(";")[0]
        answer = await other.get(CALLBACK, params=openid.authorize(start.headers["Location"]), headers={"Cookie": cookie})
    assert refusal(answer) == INTERRUPTED


async def test_the_cookie_goes_when_the_browser_comes_back(browser: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    answer = await to_callback(browser, openid)
    assert 'yousync-sign-in="";' in answer.headers["Set-Cookie"]
    assert not browser.cookies


async def test_who_declines_at_the_provider_comes_back_to_the_page(browser: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    state = openid.authorize((await begin(browser)).headers["Location"])["state"]
    assert fragment(await browser.get(CALLBACK, params={"state": state, "error": "access_denied"})) == {
        "error": "access_denied"
    }
    state = openid.authorize((await begin(browser)).headers["Location"])["state"]
    other = await browser.get(CALLBACK, params={"state": state, "error": "<script>"})
    assert fragment(other) == {"error": "provider_error"}


async def test_a_code_that_the_provider_did_not_give_is_refused(browser: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    assert fragment(await to_callback(browser, openid, code="guessed")) == {"error": "code_refused"}


async def test_a_code_of_another_browsers_sign_in_is_refused(
    browser: httpx.AsyncClient, openid: OpenIdProvider, serve: Serve
) -> None:
    async with serve(**settings(openid)) as attacker:
        stolen = openid.authorize((await begin(browser)).headers["Location"])["code"]
        assert fragment(await to_callback(attacker, openid, code=stolen)) == {"error": "code_refused"}


@pytest.mark.parametrize("said", [{"nonce": "another"}, {"nonce": None}, {"aud": "another-site"}, {"email_verified": False}])
async def test_a_token_that_does_not_belong_to_this_sign_in_is_refused(
    browser: httpx.AsyncClient, openid: OpenIdProvider, said: dict[str, Any], database_url: str
) -> None:
    openid.said = said
    assert fragment(await to_callback(browser, openid)) == {"error": "invalid_id_token"}
    assert await execute(database_url, sa.select(USERS.c.id)) == []


async def test_a_provider_that_is_down_sends_the_browser_back_with_the_reason(
    browser: httpx.AsyncClient, openid: OpenIdProvider
) -> None:
    start = await begin(browser)
    openid.down = True
    back = await browser.get(CALLBACK, params=openid.authorize(start.headers["Location"]))
    assert fragment(back) == {"error": "provider_unreachable"}


async def test_a_code_counts_once(browser: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    body = {"code": fragment(await to_callback(browser, openid))["code"], "code_verifier": VERIFIER}
    assert (await browser.post(TOKEN, json=body)).status_code == 200
    assert refusal(await browser.post(TOKEN, json=body)) == (400, "invalid_sign_in_code")


async def test_a_second_use_of_a_code_ends_what_the_first_began(
    browser: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    body = {"code": fragment(await to_callback(browser, openid))["code"], "code_verifier": VERIFIER}
    first = (await browser.post(TOKEN, json=body)).json()
    bearer = {"Authorization": f"Bearer {first['access_token']}"}
    assert (await browser.get("/api/auth/me", headers=bearer)).status_code == 200
    # Who has the code only, not the verifier, is as good a reason.
    assert refusal(await browser.post(TOKEN, json={**body, "code_verifier": "x" * 43})) == (400, "invalid_sign_in_code")
    assert (await browser.get("/api/auth/me", headers=bearer)).status_code == 401
    again = await browser.post("/api/auth/token", json={"refresh_token": first["refresh_token"]})
    assert again.status_code == 401
    assert [event.reason for event in await revoked(database_url)] == ["replayed"]


async def test_of_two_uses_of_a_code_at_once_none_is_left(
    browser: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    body = {"code": fragment(await to_callback(browser, openid))["code"], "code_verifier": VERIFIER}
    answers = await asyncio.gather(*(browser.post(TOKEN, json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert [event.reason for event in await revoked(database_url)] == ["replayed"]


async def test_a_sign_in_ends_the_session_of_the_bearer_that_comes_along(
    browser: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    tokens: list[str] = []
    for _ in range(2):
        body = {"code": fragment(await to_callback(browser, openid))["code"], "code_verifier": VERIFIER}
        previous = {"Authorization": f"Bearer {tokens[-1]}"} if tokens else {"Authorization": "Bearer garbage"}
        tokens.append((await browser.post(TOKEN, json=body, headers=previous)).json()["access_token"])
    statuses = [
        (await browser.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code for token in tokens
    ]
    assert statuses == [401, 200]
    assert [event.reason for event in await revoked(database_url)] == ["replaced"]


async def test_a_code_without_the_pages_verifier_is_worth_nothing_and_is_spent(
    browser: httpx.AsyncClient, openid: OpenIdProvider
) -> None:
    code = fragment(await to_callback(browser, openid))["code"]
    for verifier in ("w" * 43, VERIFIER):
        answer = await browser.post(TOKEN, json={"code": code, "code_verifier": verifier})
        assert refusal(answer) == (400, "invalid_sign_in_code")


async def test_a_code_is_too_old_after_a_minute_and_forgotten_at_the_next(
    browser: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    codes = [fragment(await to_callback(browser, openid))["code"] for _ in range(2)]
    past = SIGN_IN_CODES.c.expires_at - sa.text("interval '61 seconds'")
    await execute(database_url, sa.update(SIGN_IN_CODES).values(expires_at=past))
    answer = await browser.post(TOKEN, json={"code": codes[0], "code_verifier": VERIFIER})
    assert refusal(answer) == (400, "invalid_sign_in_code")
    await to_callback(browser, openid)
    assert len(await execute(database_url, sa.select(SIGN_IN_CODES.c.user_id))) == 1


async def test_the_code_does_not_lie_readable_in_the_database(
    browser: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    code = fragment(await to_callback(browser, openid))["code"]
    ((kept,),) = await execute(database_url, sa.select(SIGN_IN_CODES.c.code_hash))
    assert code.encode() not in bytes(kept)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "body", [{}, {"code": "a"}, {"code": "", "code_verifier": VERIFIER}, {"code": "a", "code_verifier": "!"}]
)
async def test_a_bad_exchange_is_422(browser: httpx.AsyncClient, body: dict[str, str]) -> None:
    assert (await browser.post(TOKEN, json=body)).status_code == 422


async def test_without_pages_to_come_back_to_it_is_off(serve: Serve, openid: OpenIdProvider) -> None:
    async with serve(**settings(openid, return_urls=())) as browser:
        assert refusal(await begin(browser)) == (503, "sign_in_not_configured")
