"""Administrators: whom they find, whom they switch off or make one of them, and what nobody can do."""

import asyncio
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from libs.common.db import Database
from services.auth import repository, session_repository
from services.auth.models import ACTS, SESSIONS, USERS
from tests.services.auth.conftest import Serve, SignIn
from tests.services.auth.test_endpoints import execute, revoked

USERS_PATH = "/api/auth/users"
WHY = {"reason": "spam in names"}
Headers = dict[str, str]


async def id_of(client: httpx.AsyncClient, headers: Headers) -> int:
    return int((await client.get("/api/auth/me", headers=headers)).json()["id"])


@pytest.fixture
async def admin(sign_in: SignIn) -> Headers:
    return await sign_in("admin@example.org", admin=True)


@pytest.fixture
async def learner(sign_in: SignIn) -> Headers:
    return await sign_in("learner@example.org", full_name="김 학습자")


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def acts(url: str) -> list[tuple[object, ...]]:
    """What administrators did, to whom, why."""
    unasked = ("account_created", "signed_in")
    chosen = sa.select(ACTS.c.act, ACTS.c.user_id, ACTS.c.account_id, ACTS.c.reason)
    return await execute(url, chosen.where(ACTS.c.act.not_in(unasked)).order_by(ACTS.c.id))


async def test_an_account_that_is_switched_off_loses_its_sessions_at_once_and_says_why(
    client: httpx.AsyncClient, admin: Headers, learner: Headers, sign_in: SignIn, database_url: str
) -> None:
    user_id = await id_of(client, learner)
    await sign_in("learner@example.org")
    answer = await client.post(f"{USERS_PATH}/{user_id}/deactivate", json=WHY, headers=admin)
    assert (answer.status_code, answer.json()["is_active"], answer.json()["admin_by"]) == (200, False, None)
    assert refusal(await client.get("/api/auth/me", headers=learner)) == (401, "deactivated")
    ended = await revoked(database_url)
    assert [(event.user_id, event.reason) for event in ended] == [(user_id, "deactivated")] * 2
    assert await acts(database_url) == [("account_deactivated", await id_of(client, admin), user_id, "spam in names")]


async def test_switched_on_again_its_owner_signs_in_anew(
    client: httpx.AsyncClient, admin: Headers, learner: Headers, sign_in: SignIn, database_url: str
) -> None:
    user_id = await id_of(client, learner)
    for step in ("deactivate", "deactivate", "activate", "activate"):  # what is so already is not done again
        assert (await client.post(f"{USERS_PATH}/{user_id}/{step}", json=WHY, headers=admin)).status_code == 200
    assert refusal(await client.get("/api/auth/me", headers=learner)) == (401, "session_ended")
    assert await id_of(client, await sign_in("learner@example.org")) == user_id
    assert [act for act, *_ in await acts(database_url)] == ["account_deactivated", "account_activated"]


async def test_a_right_that_is_taken_back_ends_the_sessions_whose_tokens_say_otherwise(
    client: httpx.AsyncClient, admin: Headers, learner: Headers, sign_in: SignIn, database_url: str
) -> None:
    user_id = await id_of(client, learner)
    granted = await client.put(f"{USERS_PATH}/{user_id}/admin", headers=admin)
    assert (granted.json()["is_admin"], granted.json()["admin_by"]) == (True, "grant")
    second = await sign_in("learner@example.org")
    assert (await client.get(USERS_PATH, headers=second)).status_code == 200
    taken = await client.delete(f"{USERS_PATH}/{user_id}/admin", headers=admin)
    assert (taken.status_code, taken.json()["is_admin"]) == (200, False)
    assert refusal(await client.get(USERS_PATH, headers=second)) == (401, "session_ended")
    assert {event.reason for event in await revoked(database_url)} == {"demoted"}
    names = [act for act, *_ in await acts(database_url)]
    assert names == ["admin_granted", "accounts_searched", "admin_revoked"]


@pytest.mark.parametrize(("method", "path"), [("POST", "deactivate"), ("DELETE", "admin")])
async def test_nobody_does_it_to_themselves(
    method: str, path: str, client: httpx.AsyncClient, admin: Headers, sign_in: SignIn
) -> None:
    await sign_in("other@example.org", admin=True)
    url = f"{USERS_PATH}/{await id_of(client, admin)}/{path}"
    body = WHY if method == "POST" else None
    assert refusal(await client.request(method, url, headers=admin, json=body)) == (409, "not_oneself")
    spoken = await client.request(method, url, headers={**admin, "Accept-Language": "en"}, json=body)
    assert spoken.json()["detail"].startswith("Nobody can do this to their own account.")


async def test_who_is_an_administrator_by_the_settings_stays_one_and_hears_where_that_stands(
    serve: Serve, database_url: str
) -> None:
    async with serve(admin_emails=frozenset({"boss@example.org"})) as client:

        async def bearer(email: str, **more: Any) -> Headers:
            answer = await client.post("/api/auth/dev-login", json={"email": email, **more})
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}

        boss, admin = await bearer("Boss@example.org"), await bearer("admin@example.org", admin=True)
        answer = await client.delete(f"{USERS_PATH}/{await id_of(client, boss)}/admin", headers=admin)
        assert refusal(answer) == (409, "admin_by_settings")
        assert "AUTH_ADMIN_EMAILS" in answer.json()["detail"]
        listed = (await client.get(USERS_PATH, headers=boss)).json()
        assert [(each["is_admin"], each["admin_by"]) for each in listed] == [(True, "settings"), (True, "grant")]


async def test_of_the_last_two_administrators_who_demote_each_other_at_once_one_stays(serve: Serve, database_url: str) -> None:
    async with serve() as one, serve() as other:  # two replicas

        async def bearer(email: str) -> Headers:
            answer = await one.post("/api/auth/dev-login", json={"email": email, "admin": True})
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}

        for _ in range(5):
            first, second = await bearer("first@example.org"), await bearer("second@example.org")
            first_id, second_id = await id_of(one, first), await id_of(one, second)
            answers = await asyncio.gather(
                one.delete(f"{USERS_PATH}/{second_id}/admin", headers=first),
                other.delete(f"{USERS_PATH}/{first_id}/admin", headers=second),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 401]
            assert await execute(database_url, sa.select(sa.func.count()).select_from(USERS).where(USERS.c.is_admin)) == [(1,)]


async def test_a_token_that_still_says_administrator_is_not_believed(
    client: httpx.AsyncClient, admin: Headers, learner: Headers, database_url: str
) -> None:
    user_id = await id_of(client, learner)
    await execute(database_url, sa.update(USERS).values(is_admin=False))
    assert refusal(await client.put(f"{USERS_PATH}/{user_id}/admin", headers=admin)) == (403, "forbidden")
    assert refusal(await client.get(USERS_PATH, headers=admin)) == (403, "forbidden")


async def test_an_account_that_there_is_not_is_404(client: httpx.AsyncClient, admin: Headers) -> None:
    for user_id in (0, -1, 999, 2**31, 2**63):
        for method, path in (("POST", "deactivate"), ("POST", "activate"), ("PUT", "admin"), ("DELETE", "admin")):
            body = WHY if method == "POST" else None
            answer = await client.request(method, f"{USERS_PATH}/{user_id}/{path}", headers=admin, json=body)
            assert refusal(answer) == (404, "account_not_found")


async def test_whoever_switches_an_account_off_says_why(client: httpx.AsyncClient, admin: Headers, learner: Headers) -> None:
    user_id = await id_of(client, learner)
    bodies: list[object] = [{}, {"reason": ""}, {"reason": "x" * 201}, {"reason": "a\x00b"}, {"reason": 1}, [], None]
    for body in bodies:
        answer = await client.post(f"{USERS_PATH}/{user_id}/deactivate", json=body, headers=admin)
        assert answer.status_code == 422, body


async def test_people_are_found_by_a_part_of_their_address_or_name(
    client: httpx.AsyncClient, admin: Headers, learner: Headers
) -> None:
    for query in ("LEARN", "학습", "@example.org"):
        found = await client.get(USERS_PATH, params={"query": query}, headers=admin)
        assert "learner@example.org" in [each["email"] for each in found.json()]
    for nothing in ("%", "_", "nobody"):
        found = await client.get(USERS_PATH, params={"query": nothing}, headers=admin)
        assert (found.json(), found.headers["X-Total-Count"]) == ([], "0")


async def test_pages_follow_each_other_until_the_end(client: httpx.AsyncClient, admin: Headers, sign_in: SignIn) -> None:
    for number in range(4):
        await sign_in(f"{number}@example.org")
    await sign_in("elsewhere@example.net")
    page = await client.get(USERS_PATH, params={"limit": 2, "query": "e.org"}, headers=admin)
    seen = [each["id"] for each in page.json()]
    while "next" in page.links:
        page = await client.get(page.links["next"]["url"], headers=admin)
        seen += [each["id"] for each in page.json()]
    assert (len(seen), seen) == (5, sorted(seen))
    assert page.headers["Cache-Control"] == "no-store"


async def test_what_is_no_page_is_422(client: httpx.AsyncClient, admin: Headers) -> None:
    for query in ("skip=-1", "limit=0", "limit=101", "after=-1", "after=9999999999", "query=%00", "after=x"):
        assert (await client.get(f"{USERS_PATH}?{query}", headers=admin)).status_code == 422, query


async def test_a_sign_in_on_its_way_is_ended_by_whoever_switches_the_account_off(
    client: httpx.AsyncClient, admin: Headers, learner: Headers, database_url: str
) -> None:
    user_id = await id_of(client, learner)
    database = Database(database_url, source="auth", pool_size=1)
    async with database.transaction() as tx:  # a replica that signs in: it has read the account
        await repository.account(tx.connection, user_id, hold=True)
        switching = asyncio.create_task(client.post(f"{USERS_PATH}/{user_id}/deactivate", json=WHY, headers=admin))
        waiting = sa.text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation IS NULL)")
        async with asyncio.timeout(10):
            while not (await execute(database_url, waiting))[0][0]:
                await asyncio.sleep(0.01)
        await session_repository.add(tx.connection, "f" * 32, user_id, device=None, network=None, idle=60, lifetime=60)
    assert (await switching).status_code == 200
    await database.close()
    live = sa.select(SESSIONS.c.id).where(SESSIONS.c.user_id == user_id, SESSIONS.c.ended_at.is_(None))
    assert await execute(database_url, live) == []


async def test_a_person_sees_what_was_done_with_their_account_but_not_from_where_an_administrator_did_it(
    client: httpx.AsyncClient, admin: Headers, learner: Headers, sign_in: SignIn
) -> None:
    user_id = await id_of(client, learner)
    for step in ("deactivate", "activate"):
        place = {"User-Agent": "the office", "X-Forwarded-For": "192.0.2.7"}
        await client.post(f"{USERS_PATH}/{user_id}/{step}", json=WHY, headers={**admin, **place})
    answer = await client.get("/api/auth/me/activity", headers=await sign_in("learner@example.org"))
    assert [each["act"] for each in answer.json()] == [
        *("signed_in", "account_activated", "account_deactivated", "signed_in", "account_created")
    ]
    switched_off = answer.json()[2]
    hidden = {name: switched_off[name] for name in ("reason", "device", "network", "session_id")}
    assert (switched_off["mine"], set(hidden.values())) == (False, {None})
    assert answer.json()[0]["mine"]
    assert "192.0.2" not in answer.text


async def test_activity_comes_in_pages(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    for _ in range(4):
        learner = await sign_in()
    page = await client.get("/api/auth/me/activity?limit=2", headers=learner)
    ids = [each["id"] for each in page.json()]
    while "next" in page.links:
        page = await client.get(page.links["next"]["url"], headers=learner)
        ids += [each["id"] for each in page.json()]
    assert (len(ids), ids) == (5, sorted(ids, reverse=True))
    for wrong in ("after=0", f"after={2**63}", "limit=101"):
        assert (await client.get(f"/api/auth/me/activity?{wrong}", headers=learner)).status_code == 422
