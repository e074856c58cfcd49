"""Sessions: what continues them, what ends them, and who is told."""

import asyncio
import time
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt

from libs.common.acts import Place
from services.auth.models import REFRESH_TOKENS, SESSIONS, SPENT_TOKENS, USERS
from tests.services.auth.conftest import Serve, SignIn
from tests.services.auth.openid import CLIENT_ID, OpenIdProvider
from tests.services.auth.test_browser_sign_in import TOKEN, VERIFIER, fragment, settings, to_callback
from tests.services.auth.test_endpoints import claims_of, execute, revoked
from tests.services.auth.test_keys import stored_private_key

REFRESH, NEXT, LOGOUT, MINE, ME = (f"/api/auth/{name}" for name in ("refresh", "token", "logout", "sessions", "me"))
ENDED = (401, "session_ended")
Headers = dict[str, str]
PHONE = {"User-Agent": "Phone/1", "X-Forwarded-For": "203.0.113.77"}


async def expired(headers: Headers, url: str, *, ago: int = 60) -> Headers:
    """The same token, as if it had expired so many seconds ago."""
    key = await stored_private_key(url)
    now = int(time.time())
    said = {**claims_of(headers), "iat": now - ago - 900, "exp": now - ago}
    return {"Authorization": "Bearer " + jwt.encode({"alg": "Ed25519", "kid": key.kid}, said, key, algorithms=["Ed25519"])}


async def refreshed(client: httpx.AsyncClient, headers: Headers) -> Headers:
    answer = await client.post(REFRESH, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"access_token", "token_type"}
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def age(url: str, **seconds: int) -> None:
    """Let sessions, or uses of tokens, be so many seconds older."""
    values = {name: SESSIONS.c[name] - sa.text(f"interval '{amount} seconds'") for name, amount in seconds.items()}
    await execute(url, sa.update(SESSIONS).values(**values))


async def test_a_token_names_its_session_and_a_refresh_keeps_it(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    first, other = await sign_in(), await sign_in()
    assert claims_of(first)["sid"] != claims_of(other)["sid"]
    again = await refreshed(client, first)
    assert claims_of(again)["sid"] == claims_of(first)["sid"]
    assert claims_of(again)["jti"] != claims_of(first)["jti"]


async def test_fault_52_an_expired_token_continues_its_session(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    old = await expired(await sign_in(), database_url)
    assert (await client.get(ME, headers=old)).json()["detail"] == "토큰이 만료되었습니다"
    assert (await client.get(ME, headers=await refreshed(client, old))).status_code == 200


async def test_calls_that_fail_at_the_same_time_all_refresh_the_expired_token(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    old = await expired(await sign_in(), database_url)
    fresh = await asyncio.gather(*(refreshed(client, old) for _ in range(5)))
    assert len({claims_of(each)["jti"] for each in fresh}) == 5
    assert await revoked(database_url) == []


async def test_an_expired_token_that_is_refreshed_again_later_ends_the_session(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    old = await expired(await sign_in(), database_url)
    fresh = await refreshed(client, old)
    past = SPENT_TOKENS.c.spent_at - sa.text("interval '11 seconds'")
    await execute(database_url, sa.update(SPENT_TOKENS).values(spent_at=past))
    assert refusal(await client.post(REFRESH, headers=old)) == ENDED
    assert refusal(await client.post(REFRESH, headers=fresh)) == ENDED
    assert [(each.reason, each.session_id) for each in await revoked(database_url)] == [("replayed", claims_of(old)["sid"])]


async def test_refreshing_expired_tokens_can_be_switched_off(serve: Serve, database_url: str) -> None:
    async with serve(refresh_expired=False) as client:
        answer = await client.post("/api/auth/dev-login", json={"email": "alice@example.org"})
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        late = await client.post(REFRESH, headers=await expired(headers, database_url))
        assert (late.status_code, late.json()["detail"]) == (401, "토큰이 만료되었습니다")
        await refreshed(client, headers)


@pytest.mark.parametrize("gone", [{"idle_at": 14 * 86400}, {"expires_at": 90 * 86400}], ids=["idle", "too old"])
async def test_a_session_that_nobody_used_or_that_is_too_old_is_over(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str, gone: dict[str, int]
) -> None:
    headers = await sign_in()
    await age(database_url, **gone)
    late = await expired(headers, database_url)
    assert [refusal(await client.post(REFRESH, headers=each)) for each in (headers, late)] == [ENDED] * 2
    assert refusal(await client.get(ME, headers=headers)) == ENDED


async def test_a_refresh_moves_the_idle_end_but_not_the_last_one(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    headers = await sign_in()
    await age(database_url, idle_at=14 * 86400 - 60, last_used_at=14 * 86400 - 60)
    ((before,),) = await execute(database_url, sa.select(SESSIONS.c.expires_at))
    await refreshed(client, headers)
    left = sa.extract("epoch", SESSIONS.c.idle_at - sa.func.now())
    ((seconds, after),) = await execute(database_url, sa.select(left, SESSIONS.c.expires_at))
    assert float(seconds) > 13 * 86400  # type: ignore[arg-type]
    assert after == before


async def test_a_token_expired_longer_ago_than_a_session_may_be_idle_proves_nothing(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    old = await expired(await sign_in(), database_url, ago=15 * 86400)
    answer = await client.post(REFRESH, headers=old)
    assert (answer.status_code, answer.json()["detail"]) == (401, "토큰이 만료되었습니다")


@pytest.mark.parametrize("change", [{"sid": "0" * 32}, {"sid": ""}, {"sub": "1000002"}])
async def test_a_token_of_no_session_of_its_owner_continues_none(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str, change: dict[str, str]
) -> None:
    headers = await sign_in()
    await sign_in("bob@example.org")
    key = await stored_private_key(database_url)
    token = jwt.encode({"alg": "Ed25519", "kid": key.kid}, {**claims_of(headers), **change}, key, algorithms=["Ed25519"])
    forged = {"Authorization": f"Bearer {token}"}
    assert refusal(await client.post(REFRESH, headers=forged)) == ENDED
    assert refusal(await client.get(ME, headers=forged)) == ENDED
    assert refusal(await client.delete(MINE, headers=forged)) == ENDED


async def test_fault_25_logout_ends_the_session_and_tells(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    headers, elsewhere = await sign_in(), await sign_in()
    assert (await client.post(LOGOUT, headers=headers)).status_code == 200
    assert refusal(await client.get(ME, headers=headers)) == ENDED
    assert refusal(await client.post(REFRESH, headers=headers)) == ENDED
    assert refusal(await client.post(REFRESH, headers=await expired(headers, database_url))) == ENDED
    assert (await client.post(LOGOUT, headers=headers)).status_code == 200
    assert (await client.get(ME, headers=elsewhere)).status_code == 200
    (event,) = await revoked(database_url)
    said = claims_of(headers)
    assert (event.session_id, event.user_id, event.reason) == (said["sid"], int(said["sub"]), "logout")
    assert event.tokens_until.timestamp() >= said["exp"] + 5


async def test_one_sees_where_one_is_signed_in(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    mine = await sign_in()
    await sign_in("bob@example.org")
    await client.post("/api/auth/dev-login", json={"email": "alice@example.org"}, headers=PHONE)
    rows = (await client.get(MINE, headers=mine)).json()
    assert [(row["device"], row["network"], row["current"]) for row in rows] == [
        ("Phone/1", "203.0.113.0/24", False),
        (f"python-httpx/{httpx.__version__}", None, True),
    ]
    assert rows[1]["id"] == claims_of(mine)["sid"]
    assert all(row[name].endswith("Z") for row in rows for name in ("created_at", "last_used_at", "expires_at"))


async def test_one_ends_a_session_elsewhere(client: httpx.AsyncClient, sign_in: SignIn, database_url: str) -> None:
    here, lost = await sign_in(), await sign_in()
    path = f"{MINE}/{claims_of(lost)['sid']}"
    assert (await client.delete(path, headers=here)).status_code == 204
    assert refusal(await client.get(ME, headers=lost)) == ENDED
    assert refusal(await client.delete(path, headers=here)) == (404, "session_not_found")
    assert (await client.get(ME, headers=here)).status_code == 200
    assert [event.reason for event in await revoked(database_url)] == ["ended"]


async def test_nobody_ends_a_session_of_somebody_else(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    alice, eve = await sign_in(), await sign_in("eve@example.org")
    answer = await client.delete(f"{MINE}/{claims_of(alice)['sid']}", headers=eve)
    assert refusal(answer) == (404, "session_not_found")
    assert (await client.get(ME, headers=alice)).status_code == 200


@pytest.mark.parametrize("session_id", ["x", "%00", "0" * 33, "G" * 32])
async def test_what_cannot_be_a_session_is_422(client: httpx.AsyncClient, sign_in: SignIn, session_id: str) -> None:
    assert (await client.delete(f"{MINE}/{session_id}", headers=await sign_in())).status_code == 422


async def test_one_signs_out_everywhere(client: httpx.AsyncClient, sign_in: SignIn, database_url: str) -> None:
    everywhere, bob = [await sign_in() for _ in range(3)], await sign_in("bob@example.org")
    assert (await client.delete(MINE, headers=everywhere[0])).status_code == 204
    assert [refusal(await client.get(ME, headers=each)) for each in everywhere] == [ENDED] * 3
    assert (await client.get(ME, headers=bob)).status_code == 200
    assert {event.session_id for event in await revoked(database_url)} == {claims_of(each)["sid"] for each in everywhere}


async def test_a_deactivated_account_continues_nothing(client: httpx.AsyncClient, sign_in: SignIn, database_url: str) -> None:
    headers = await sign_in()
    await execute(database_url, sa.update(USERS).values(is_active=False))
    answer = await client.post(REFRESH, headers=await expired(headers, database_url))
    assert (answer.status_code, answer.json()["detail"]) == (401, "비활성화된 계정입니다")


async def test_what_began_before_the_owner_proved_to_be_it_ends_when_the_account_is_linked(
    serve: Serve, openid: OpenIdProvider, database_url: str
) -> None:
    async with serve(google_issuer=openid.url, google_client_ids=(CLIENT_ID,)) as client:
        early = await client.post("/api/auth/dev-login", json={"email": "alice@example.org"})
        headers = {"Authorization": f"Bearer {early.json()['access_token']}"}
        proven = await client.post("/api/auth/google-login", json={"id_token": openid.token()})
        assert proven.status_code == 200
        assert refusal(await client.get(ME, headers=headers)) == ENDED
        await refreshed(client, {"Authorization": f"Bearer {proven.json()['access_token']}"})
    assert [event.reason for event in await revoked(database_url)] == ["linked"]


@pytest.fixture
def with_refresh_token(serve: Serve, openid: OpenIdProvider) -> Any:
    return lambda: serve(**settings(openid))


async def tokens(client: httpx.AsyncClient, openid: OpenIdProvider) -> dict[str, str]:
    code = fragment(await to_callback(client, openid))["code"]
    answer: dict[str, str] = (await client.post(TOKEN, json={"code": code, "code_verifier": VERIFIER})).json()
    assert answer.keys() == {"access_token", "token_type", "refresh_token"}
    return answer


async def rotate(client: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    return await client.post(NEXT, json={"refresh_token": refresh_token})


async def test_a_refresh_token_is_replaced_at_each_use(with_refresh_token: Any, openid: OpenIdProvider) -> None:
    async with with_refresh_token() as client:
        first = await tokens(client, openid)
        second = (await rotate(client, first["refresh_token"])).json()
        third = await rotate(client, second["refresh_token"])
        assert third.headers["Cache-Control"] == "no-store"
        assert len({each["refresh_token"] for each in (first, second, third.json())}) == 3
        me = await client.get(ME, headers={"Authorization": f"Bearer {third.json()['access_token']}"})
        assert me.status_code == 200


async def test_a_replayed_refresh_token_ends_the_whole_family(
    with_refresh_token: Any, openid: OpenIdProvider, database_url: str
) -> None:
    async with with_refresh_token() as client:
        stolen = await tokens(client, openid)
        owners = (await rotate(client, stolen["refresh_token"])).json()
        assert refusal(await rotate(client, stolen["refresh_token"])) == ENDED
        assert refusal(await rotate(client, owners["refresh_token"])) == ENDED
        bearer = {"Authorization": f"Bearer {owners['access_token']}"}
        assert refusal(await client.post(REFRESH, headers=bearer)) == ENDED
    assert [event.reason for event in await revoked(database_url)] == ["replayed"]


async def test_of_ten_uses_at_once_one_gets_tokens_and_the_session_ends(
    with_refresh_token: Any, openid: OpenIdProvider, database_url: str
) -> None:
    async with with_refresh_token() as client:
        stolen = (await tokens(client, openid))["refresh_token"]
        answers = await asyncio.gather(*(rotate(client, stolen) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    assert len(await revoked(database_url)) == 1


async def test_refresh_tokens_of_an_ended_session_are_worth_nothing(with_refresh_token: Any, openid: OpenIdProvider) -> None:
    async with with_refresh_token() as client:
        given = await tokens(client, openid)
        await client.post(LOGOUT, headers={"Authorization": f"Bearer {given['access_token']}"})
        assert refusal(await rotate(client, given["refresh_token"])) == ENDED


async def test_refresh_tokens_do_not_lie_readable_in_the_database(
    with_refresh_token: Any, openid: OpenIdProvider, database_url: str
) -> None:
    async with with_refresh_token() as client:
        given = await tokens(client, openid)
    ((kept,),) = await execute(database_url, sa.select(REFRESH_TOKENS.c.token_hash))
    assert len(bytes(kept)) == 32  # type: ignore[call-overload]
    assert given["refresh_token"].encode() not in bytes(kept)  # type: ignore[call-overload]


@pytest.mark.parametrize("token", ["guessed", "\x00", "한글", "x" * 200])
async def test_an_invented_refresh_token_is_401(client: httpx.AsyncClient, token: str) -> None:
    assert refusal(await rotate(client, token)) == ENDED


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 201}, {"refresh_token": 7}, []])
async def test_a_body_that_holds_no_refresh_token_is_422(client: httpx.AsyncClient, body: object) -> None:
    assert (await client.post(NEXT, json=body)).status_code == 422


async def test_whatever_body_an_old_client_sends_with_its_bearer_is_not_looked_at(
    client: httpx.AsyncClient, sign_in: SignIn
) -> None:
    bodies: tuple[Any, ...] = ({}, [], {"refresh_token": "guessed"})
    for body in bodies:
        assert (await client.post(REFRESH, json=body, headers=await sign_in())).status_code == 200


async def test_sessions_that_were_over_long_ago_are_forgotten_with_what_belongs_to_them(
    serve: Serve, database_url: str
) -> None:
    async with serve() as client:
        for email in ("alice@example.org", "bob@example.org"):
            answer = await client.post("/api/auth/dev-login", json={"email": email})
            await refreshed(client, {"Authorization": f"Bearer {answer.json()['access_token']}"})
        old = sa.select(SESSIONS.c.id).order_by(SESSIONS.c.created_at).limit(1).scalar_subquery()
        past = sa.func.now() - sa.text("interval '31 days'")
        await execute(database_url, sa.update(SESSIONS).where(SESSIONS.c.id == old).values(idle_at=past))
        await client._transport.app.state.sessions.forget_old()
    assert len(await execute(database_url, sa.select(SESSIONS.c.id))) == 1
    assert len(await execute(database_url, sa.select(SPENT_TOKENS.c.token_id))) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::7", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("testclient", None),
        ("", None),
    ],
)
def test_an_address_is_kept_without_its_last_part(address: str, network: str | None) -> None:
    assert Place.of("", address) == Place(None, network)


def test_a_device_is_kept_as_far_as_it_can_be_shown() -> None:
    assert Place.of("Phone\x00\u202e/1" + "x" * 300, "").device == "Phone/1" + "x" * 193
    assert Place.of(" \x00 ", "").device is None
