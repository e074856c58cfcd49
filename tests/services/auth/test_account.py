"""One's own account: what it shows, and that deleting it leaves nothing."""

import asyncio
import json
from typing import Any

import httpx
import sqlalchemy as sa

from libs.common.contracts.auth import UserDeleted
from services.auth.models import ACTS, METADATA, REVOKED_SESSIONS, SESSIONS, SIGNING_KEYS, USERS
from tests.callers import as_service
from tests.services.auth.conftest import Serve, SignIn
from tests.services.auth.openid import CLIENT_ID, OpenIdProvider
from tests.services.auth.test_endpoints import claims_of, events, execute, revoked
from tests.services.auth.test_sessions import LOGOUT, ME, MINE, REFRESH, age, expired

IMPORT = "/api/auth/dev-users"
Headers = dict[str, str]


async def change(client: httpx.AsyncClient, headers: Headers, **shown: object) -> httpx.Response:
    return await client.patch(ME, json=shown, headers=headers)


async def google(client: httpx.AsyncClient, token: str) -> Headers:
    answer = await client.post("/api/auth/google-login", json={"id_token": token})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def profile(client: httpx.AsyncClient, headers: Headers) -> tuple[Any, Any]:
    me = (await client.get(ME, headers=headers)).json()
    return me["full_name"], me["profile_picture"]


async def rows_of(url: str, table: sa.Table) -> int:
    ((number,),) = await execute(url, sa.select(sa.func.count()).select_from(table))
    return int(str(number))


# What it shows


async def test_a_name_and_a_picture_are_changed_and_taken_away(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    alice = await sign_in(full_name="Alice")
    answer = await change(client, alice, full_name=" 김앨리스 ", profile_picture="https://pics.example.org/a.png")
    assert answer.status_code == 200
    assert answer.json() == (await client.get(ME, headers=alice)).json()
    assert await profile(client, alice) == ("김앨리스", "https://pics.example.org/a.png")
    assert (await change(client, alice)).status_code == 200
    assert (await change(client, alice, profile_picture=None)).json()["profile_picture"] is None
    assert await profile(client, alice) == ("김앨리스", None)


async def test_what_cannot_be_shown_or_is_not_theirs_to_change_is_named(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    alice = await sign_in()
    for field, value in (
        ("full_name", ""),
        ("full_name", "   "),
        ("full_name", "a\nb"),
        ("full_name", "x" * 201),
        ("full_name", 7),
        ("profile_picture", "http://pics.example.org/a.png"),
        ("profile_picture", "javascript:alert(1)"),
        ("profile_picture", "https:///a.png"),
        ("profile_picture", "https://user:password@pics.example.org/a.png"),
        ("profile_picture", "https://pics.example.org:a/"),
        ("profile_picture", "https://[::1"),
        ("profile_picture", "https://pics.example.org/ㄱ.png"),
        ("profile_picture", "https://pics.example.org/" + "x" * 2048),
        ("email", "other@example.org"),
        ("is_admin", True),
    ):
        answer = await change(client, alice, **{field: value})
        assert answer.status_code == 422, (field, value)
        assert answer.json()["detail"][0]["loc"] == ["body", field]


async def test_the_provider_does_not_overwrite_what_its_owner_has_set(serve: Serve, openid: OpenIdProvider) -> None:
    async with serve(google_issuer=openid.url, google_client_ids=(CLIENT_ID,)) as client:
        alice = await google(client, openid.token())
        await change(client, alice, profile_picture=None)
        again = await google(client, openid.token(name="Alice Lee"))
        assert await profile(client, again) == ("Alice Lee", None)
        await change(client, again, full_name="앨리스")
        assert await profile(client, await google(client, openid.token())) == ("앨리스", None)


async def test_a_name_that_somebody_set_before_the_owner_came_does_not_stay(serve: Serve, openid: OpenIdProvider) -> None:
    async with serve(google_issuer=openid.url, google_client_ids=(CLIENT_ID,)) as client:
        answer = await client.post("/api/auth/dev-login", json={"email": "alice@example.org"})
        squatter = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        await change(client, squatter, full_name="Mallory", profile_picture="https://evil.example.org/m.png")
        alice = await google(client, openid.token())
        assert await profile(client, alice) == ("Alice Kim", "https://pics.example.org/a.png")


# Its end


async def test_of_a_deleted_account_nothing_is_left_but_the_log_of_what_was_done(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    alice = await sign_in(full_name="Alice Kim")
    await client.post(REFRESH, headers=await expired(alice, database_url))
    answer = await client.delete(ME, headers=alice)
    assert (answer.status_code, answer.content) == (204, b"")
    kept = {ACTS, SIGNING_KEYS, REVOKED_SESSIONS}
    assert {table.name: await rows_of(database_url, table) for table in METADATA.sorted_tables if table not in kept} == {
        table.name: 0 for table in METADATA.sorted_tables if table not in kept
    }
    told = await execute(database_url, sa.text("SELECT convert_from(body, 'UTF8') FROM outbox"))
    assert not [body for (body,) in told if "alice" in str(body).lower()]
    acts = await execute(database_url, sa.select(ACTS.c.act, ACTS.c.user_id).order_by(ACTS.c.id))
    assert acts[-1] == ("account_deleted", 1_000_001)


async def test_the_others_are_told_that_the_sessions_ended_and_then_that_the_account_did(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    first, second = await sign_in(), await sign_in()
    await client.delete(ME, headers=first)
    assert sorted(each.session_id for each in await revoked(database_url)) == sorted(
        claims_of(each)["sid"] for each in (first, second)
    )
    assert {each.reason for each in await revoked(database_url)} == {"deleted"}
    assert await rows_of(database_url, REVOKED_SESSIONS) == 2  # while a token of them may be valid
    assert [name for name, _ in await events(database_url)][-1] == "user.deleted"
    ((body,),) = await execute(database_url, sa.text("SELECT body FROM outbox WHERE type = 'user.deleted'"))
    assert UserDeleted.model_validate(json.loads(bytes(body))).user_id == 1_000_001  # type: ignore[call-overload]


async def test_tokens_of_a_deleted_account_are_401_everywhere(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    alice = await sign_in()
    old = await expired(alice, database_url)
    assert (await client.delete(ME, headers=alice)).status_code == 204
    calls = [("GET", ME), ("PATCH", ME), ("DELETE", ME), ("POST", REFRESH), ("GET", MINE), ("DELETE", MINE)]
    for method, path in calls:
        answer = await client.request(method, path, headers=alice, json={} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown_user"), (method, path)
    assert (await client.post(REFRESH, headers=old)).status_code == 401
    assert (await client.post(LOGOUT, headers=alice)).status_code == 200


async def test_signing_in_again_makes_another_account(serve: Serve, openid: OpenIdProvider) -> None:
    async with serve(google_issuer=openid.url, google_client_ids=(CLIENT_ID,)) as client:
        first = await google(client, openid.token())
        before = (await client.get(ME, headers=first)).json()
        assert (await client.delete(ME, headers=first)).status_code == 204
        after = (await client.get(ME, headers=await google(client, openid.token()))).json()
        assert after["google_id"] == before["google_id"]
        assert after["id"] > before["id"]


async def test_who_signed_in_a_while_ago_has_to_do_so_again(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    alice = await sign_in()
    await age(database_url, created_at=601)
    for language, text in (("ko", "다시 로그인해 주세요."), ("en", "Please sign in again.")):
        answer = await client.delete(ME, headers={**alice, "Accept-Language": language})
        assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_again")
        assert answer.json()["detail"].endswith(text)
    refreshed = (await client.post(REFRESH, headers=alice)).json()["access_token"]
    answer = await client.delete(ME, headers={"Authorization": f"Bearer {refreshed}"})
    assert answer.status_code == 403  # going on is no sign-in
    assert (await client.delete(ME, headers=await sign_in())).status_code == 204


async def test_the_last_administrator_stays_until_there_is_another(serve: Serve) -> None:
    async with serve() as client:

        async def admin(email: str) -> Headers:
            answer = await client.post("/api/auth/dev-login", json={"email": email, "admin": True})
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}

        alice = await admin("alice@example.org")
        answer = await client.delete(ME, headers=alice)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
        bob = await admin("bob@example.org")
        both = await asyncio.gather(*(client.delete(ME, headers=each) for each in (alice, bob)))
        assert sorted(answer.status_code for answer in both) == [204, 409]
    async with serve(admin_emails="alice@example.org") as client:
        answers = [await client.delete(ME, headers=each) for each in (alice, bob)]
        assert sorted(answer.status_code for answer in answers) == [204, 401]


async def test_two_calls_at_once_delete_it_once_and_a_sign_in_meanwhile_leaves_nothing(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    alice = await sign_in()
    login = {"email": "alice@example.org"}
    first, second, third = await asyncio.gather(
        client.delete(ME, headers=alice), client.delete(ME, headers=alice), client.post("/api/auth/dev-login", json=login)
    )
    assert sorted(answer.status_code for answer in (first, second)) == [204, 401]
    assert third.status_code in (200, 401)  # of the account before, of the next one, or of none
    ((left,),) = await execute(
        database_url, sa.select(sa.func.count()).select_from(SESSIONS).where(SESSIONS.c.user_id == 1_000_001)
    )
    assert left == 0
    assert [name for name, _ in await events(database_url)].count("user.deleted") == 1


async def test_numbers_of_deleted_accounts_are_nobodys_again(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    admin = await sign_in("admin@example.org", admin=True)
    people = [{"id": 7, "email": "old@example.org"}, {"id": 2_000_000, "email": "late@example.org"}]
    assert (await client.post(IMPORT, json=people, headers=admin)).json()["created"] == 2
    for person in people:
        assert (await client.delete(ME, headers=await sign_in(str(person["email"])))).status_code == 204
    again = await client.post(IMPORT, json=people, headers=admin)
    assert again.json() == {"created": 0, "updated": 0, "unchanged": 2}
    await sign_in("new@example.org")
    highest = sa.select(sa.func.max(USERS.c.id), sa.func.count())
    ((newest, number),) = await execute(database_url, highest)
    assert (int(str(newest)) > 2_000_000, number) == (True, 2)


# What it holds, for its owner's archive


async def test_services_read_everything_about_somebody(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    alice, other = await sign_in(full_name="Alice Kim"), await sign_in("bob@example.org")
    await client.post(LOGOUT, headers=await sign_in())
    key = as_service("audio", "auth")
    data = (await client.get("/internal/users/1000001/data", headers=key)).json()
    assert data["profile.json"] == {**(await client.get(ME, headers=alice)).json(), "is_admin": False}
    assert [(each["end_reason"], each["id"] == claims_of(alice)["sid"]) for each in data["sessions.json"]] == [
        ("logout", False),
        (None, True),
    ]
    assert {each["act"] for each in data["activity.json"]} == {"account_created", "signed_in", "logged_out"}
    assert (await client.get("/internal/users/7/data", headers=key)).json() == {}
    for number in ("0", str(2**31), "abc"):
        assert (await client.get(f"/internal/users/{number}/data", headers=key)).status_code == 422
    assert (await client.get("/internal/users/1000001/data", headers=other)).status_code == 403
