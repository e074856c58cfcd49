"""POST /api/auth/google-login, as the web client uses it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.auth.models import USERS
from tests.services.auth.conftest import Serve, SignIn
from tests.services.auth.openid import CLIENT_ID, OpenIdProvider
from tests.services.auth.test_endpoints import claims_of, events, execute, revoked

PATH = "/api/auth/google-login"


@pytest.fixture
async def client(serve: Serve, openid: OpenIdProvider) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(google_issuer=openid.url, google_client_ids=(CLIENT_ID,)) as client:
        yield client


async def login(client: httpx.AsyncClient, token: str) -> dict[str, Any]:
    """The account that a token of the provider signs in to."""
    answer = await client.post(PATH, json={"id_token": token})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"access_token", "token_type"}
    assert answer.headers["Cache-Control"] == "no-store"
    me = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    user: dict[str, Any] = me.json()
    return user


async def test_the_first_sign_in_makes_the_account(
    client: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    user = await login(client, openid.token())
    wanted = {
        "email": "alice@example.org",
        "google_id": "g-1",
        "full_name": "Alice Kim",
        "profile_picture": "https://pics.example.org/a.png",
        "is_active": True,
        "login_type": "google",
    }
    assert {name: user[name] for name in wanted} == wanted
    assert await events(database_url) == [("user.registered", f"user:{user['id']}")]


async def test_later_ones_find_it_by_subject_and_update_name_and_picture(
    client: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    first = await login(client, openid.token())
    again = await login(client, openid.token(name="Alice Lee", picture=None, email="alice.lee@example.org"))
    assert (again["id"], again["full_name"]) == (first["id"], "Alice Lee")
    assert again["profile_picture"] == first["profile_picture"]
    assert again["email"] == "alice@example.org"
    assert len(await events(database_url)) == 1


async def test_a_sign_in_ends_the_session_of_the_bearer_that_comes_along(
    client: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    first = (await client.post(PATH, json={"id_token": openid.token()})).json()["access_token"]
    refused = await client.post(PATH, json={"id_token": "a.b.c"}, headers={"Authorization": f"Bearer {first}"})
    assert refused.status_code == 400
    assert await revoked(database_url) == []
    again = await client.post(PATH, json={"id_token": openid.token()}, headers={"Authorization": f"Bearer {first}"})
    assert again.status_code == 200
    assert [(event.reason, event.session_id) for event in await revoked(database_url)] == [
        ("replaced", claims_of({"Authorization": f"Bearer {first}"})["sid"])
    ]
    assert (await client.get("/api/auth/me", headers={"Authorization": f"Bearer {first}"})).status_code == 401


async def test_a_sign_in_that_says_nothing_new_changes_nothing(client: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    assert await login(client, openid.token()) == await login(client, openid.token())


async def test_an_account_with_the_same_address_is_linked(
    client: httpx.AsyncClient, openid: OpenIdProvider, sign_in: SignIn
) -> None:
    before = (await client.get("/api/auth/me", headers=await sign_in("Alice@Example.org"))).json()
    linked = await login(client, openid.token())
    assert linked["id"] == before["id"]
    assert (linked["google_id"], linked["login_type"], linked["email"]) == ("g-1", "google", "Alice@Example.org")


async def test_an_unverified_address_links_nothing(
    client: httpx.AsyncClient, openid: OpenIdProvider, sign_in: SignIn, database_url: str
) -> None:
    await sign_in("alice@example.org")
    answer = await client.post(PATH, json={"id_token": openid.token(email_verified=False)})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_id_token")
    assert answer.json()["detail"] == "유효하지 않은 구글 토큰입니다: 이메일이 인증되지 않은 계정입니다"
    assert await execute(database_url, sa.select(USERS.c.google_id)) == [(None,)]


async def test_an_address_that_another_identity_signs_in_with_is_not_handed_over(
    client: httpx.AsyncClient, openid: OpenIdProvider
) -> None:
    await login(client, openid.token())
    answer = await client.post(PATH, json={"id_token": openid.token(sub="g-2")})
    assert (answer.status_code, answer.json()["code"]) == (409, "identity_conflict")


async def test_ten_first_sign_ins_at_once_make_one_account(client: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    users = await asyncio.gather(*(login(client, openid.token()) for _ in range(10)))
    assert len({user["id"] for user in users}) == 1


async def test_two_identities_with_one_address_at_once_make_one_account_and_one_conflict(
    client: httpx.AsyncClient, openid: OpenIdProvider, sign_in: SignIn
) -> None:
    await sign_in("alice@example.org")
    posts = (client.post(PATH, json={"id_token": openid.token(sub=sub)}) for sub in ("g-1", "g-2"))
    assert sorted(answer.status_code for answer in await asyncio.gather(*posts)) == [200, 409]


async def test_one_identity_with_many_addresses_at_once_links_one_of_them(
    client: httpx.AsyncClient, openid: OpenIdProvider, sign_in: SignIn, database_url: str
) -> None:
    emails = [f"alice{number}@example.org" for number in range(6)]
    for email in emails:
        await sign_in(email)
    posts = (client.post(PATH, json={"id_token": openid.token(email=email)}) for email in emails)
    assert {answer.status_code for answer in await asyncio.gather(*posts)} <= {200, 409}
    linked = sa.select(USERS.c.id).where(USERS.c.google_id.is_not(None))
    assert len(await execute(database_url, linked)) == 1


async def test_a_deactivated_account_gets_no_token(
    client: httpx.AsyncClient, openid: OpenIdProvider, database_url: str
) -> None:
    await login(client, openid.token())
    await execute(database_url, sa.update(USERS).values(is_active=False))
    answer = await client.post(PATH, json={"id_token": openid.token(name="Other")})
    assert (answer.status_code, answer.json()["detail"]) == (401, "비활성화된 계정입니다")
    assert await execute(database_url, sa.select(USERS.c.full_name)) == [("Alice Kim",)]


@pytest.mark.parametrize("id_token", ["garbage", "a.b.c", "x" * 1_000_000])
async def test_a_bad_token_is_400_as_in_the_contract(client: httpx.AsyncClient, id_token: str) -> None:
    answer = await client.post(PATH, json={"id_token": id_token})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("유효하지 않은 구글 토큰입니다: ")
    assert len(answer.content) < 1000


@pytest.mark.parametrize("body", [{}, {"id_token": ""}, {"id_token": None}, {"id_token": 7}, []])
async def test_a_body_without_a_token_is_422(client: httpx.AsyncClient, body: object) -> None:
    assert (await client.post(PATH, json=body)).status_code == 422


async def test_an_unreachable_provider_is_503_and_says_so(client: httpx.AsyncClient, openid: OpenIdProvider) -> None:
    openid.down = True
    answer = await client.post(PATH, json={"id_token": openid.token()})
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unreachable")
    assert answer.json()["detail"].startswith("로그인 처리 중 오류가 발생했습니다: ")
    assert answer.headers["Retry-After"]


async def test_while_the_provider_is_silent_others_are_answered(
    client: httpx.AsyncClient, openid: OpenIdProvider, sign_in: SignIn
) -> None:
    headers = await sign_in()
    openid.answers.clear()
    waiting = asyncio.create_task(client.post(PATH, json={"id_token": openid.token()}))
    while not openid.fetched["discovery"]:
        await asyncio.sleep(0.001)
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 200
    assert not waiting.done()
    openid.answers.set()
    assert (await waiting).status_code == 200


async def test_without_a_client_id_sign_in_is_not_available(serve: Serve, openid: OpenIdProvider) -> None:
    async with serve(google_issuer=openid.url) as client:
        answer = await client.post(PATH, json={"id_token": openid.token()})
    assert (answer.status_code, answer.json()["code"]) == (503, "sign_in_not_configured")
