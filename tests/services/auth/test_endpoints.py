"""auth over HTTP, as its clients see it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.contracts.auth import SessionRevoked
from libs.common.web.auth import jwt_header
from libs.common.web.service_tokens import HEADER
from services.auth.models import USERS
from tests.callers import as_service
from tests.services.auth.conftest import Serve, SignIn

USER_FIELDS = {
    "id",
    "email",
    "google_id",
    "full_name",
    "profile_picture",
    "is_active",
    "login_type",
    "created_at",
    "updated_at",
}


async def execute(url: str, statement: sa.Executable) -> list[tuple[object, ...]]:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        result = await connection.execute(statement)
        rows = [tuple(row) for row in result] if result.returns_rows else []
    await engine.dispose()
    return rows


def claims_of(headers: dict[str, str]) -> dict[str, Any]:
    """What a bearer says."""
    return jwt_header(headers["Authorization"].split(".")[1])  # the second part of a JWS is read like its first


async def revoked(url: str) -> list[SessionRevoked]:
    """The sessions whose end was told, in that order."""
    rows = await execute(url, sa.text("SELECT body FROM outbox WHERE type = 'session.revoked' ORDER BY message_id"))
    return [SessionRevoked.model_validate(json.loads(bytes(body))) for (body,) in rows]  # type: ignore[call-overload]


async def events(url: str) -> list[tuple[object, ...]]:
    return await execute(url, sa.text("SELECT type, subject FROM outbox ORDER BY id"))


async def test_me_has_the_shape_of_the_contract(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    me = await client.get("/api/auth/me", headers=await sign_in(full_name="앨리스 김"))
    assert me.status_code == 200
    user = me.json()
    assert user.keys() == USER_FIELDS
    assert (user["email"], user["full_name"], user["is_active"]) == ("alice@example.org", "앨리스 김", True)


async def test_times_say_that_they_are_utc(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    created = (await client.get("/api/auth/me", headers=await sign_in())).json()["created_at"]
    assert created.endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()) < 60


async def test_the_first_sign_in_registers_and_later_ones_do_not(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    first = (await client.get("/api/auth/me", headers=await sign_in("Bob@Example.org"))).json()
    second = (await client.get("/api/auth/me", headers=await sign_in("bob@example.ORG", full_name="Bob"))).json()
    assert first["id"] == second["id"]
    assert second["email"] == "Bob@Example.org"
    assert second["full_name"] == "Bob"
    assert await events(database_url) == [("user.registered", f"user:{first['id']}")]


async def test_ten_first_sign_ins_at_once_make_one_account(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    headers = await asyncio.gather(*(sign_in() for _ in range(10)))
    answers = await asyncio.gather(*(client.get("/api/auth/me", headers=each) for each in headers))
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_refresh_gives_another_valid_token(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    old = await sign_in()
    answer = await client.post("/api/auth/refresh/", headers=old)
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"access_token", "token_type"}
    assert body["token_type"] == "bearer"
    assert f"Bearer {body['access_token']}" != old["Authorization"]
    new = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await client.get("/api/auth/me", headers=new)).status_code == 200


async def test_logout_answers_as_the_client_expects(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    headers = await sign_in()
    user_id = (await client.get("/api/auth/me", headers=headers)).json()["id"]
    answer = await client.post("/api/auth/logout", headers=headers)
    assert answer.json() == {"message": "성공적으로 로그아웃되었습니다", "user_id": user_id}


@pytest.mark.parametrize(("method", "path"), [("GET", "me"), ("POST", "refresh"), ("POST", "logout")])
@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Not authenticated"),
        ({"Authorization": "Basic YTpi"}, "Invalid authentication credentials"),
        ({"Authorization": "Bearer garbage"}, "유효하지 않은 토큰입니다"),
    ],
)
async def test_without_a_valid_token_the_answer_is_401(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], detail: str
) -> None:
    answer = await client.request(method, f"/api/auth/{path}", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["detail"] == detail
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_deactivated_account_gets_nothing(client: httpx.AsyncClient, sign_in: SignIn, database_url: str) -> None:
    headers = await sign_in()
    await execute(database_url, sa.update(USERS).values(is_active=False))
    answers = [
        await client.get("/api/auth/me", headers=headers),
        await client.post("/api/auth/refresh", headers=headers),
        await client.post("/api/auth/dev-login", json={"email": "alice@example.org"}),
    ]
    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [(401, "비활성화된 계정입니다")] * 3


async def test_a_token_of_a_deleted_account_is_refused(client: httpx.AsyncClient, sign_in: SignIn, database_url: str) -> None:
    headers = await sign_in()
    await execute(database_url, sa.delete(USERS))
    answer = await client.get("/api/auth/me", headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (401, "사용자를 찾을 수 없습니다")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": ""},
        {"email": "no-at-sign"},
        {"email": "a@" + "b" * 300},
        {"email": "a\x00@example.org"},
        {"email": "a\u202e@example.org"},
        {"email": "a@b", "full_name": "x" * 201},
        {"email": "a@b", "full_name": "a\x00b"},
        {"email": "a@b", "admin": "perhaps"},
        {"email": ["a@b"]},
    ],
)
async def test_a_bad_sign_in_is_422(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    assert (await client.post("/api/auth/dev-login", json=body)).status_code == 422


async def test_a_lone_surrogate_in_a_name_is_422(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/auth/dev-login",
        content=b'{"email": "a@b", "full_name": "\\ud800"}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422


async def test_development_endpoints_do_not_exist_unless_switched_on(serve: Serve) -> None:
    async with serve(development_login=False) as client:
        for path in ("dev-login", "dev-users"):
            answer = await client.post(f"/api/auth/{path}", json={"email": "a@example.org"})
            assert (answer.status_code, answer.json()["detail"]) == (404, "Not Found")


async def test_ready_tells_whether_the_database_answers(serve: Serve, client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/ready")).json()["checks"] == {"database": "ok"}
    nowhere = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"
    async with serve(database_url=nowhere) as cut_off:
        ready = await cut_off.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "waiting")
        assert (await cut_off.get("/.well-known/jwks.json")).status_code == 503
        assert (await cut_off.post("/api/auth/dev-login", json={"email": "a@example.org"})).status_code == 503


TWO_USERS = [
    {"id": 1, "email": "alice@example.org", "full_name": "Alice Kim", "google_id": "ignored"},
    {"id": 7, "email": "bob@example.org", "is_admin": True},
]


async def test_importing_users_keeps_their_ids_and_twice_changes_nothing(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    admin = await sign_in("root@example.org", admin=True)
    first = await client.post("/api/auth/dev-users", json=TWO_USERS, headers=admin)
    assert first.json() == {"created": 2, "updated": 0, "unchanged": 0}
    before = await execute(database_url, sa.select(USERS).order_by(USERS.c.id))
    second = await client.post("/api/auth/dev-users", json=TWO_USERS, headers=admin)
    assert second.json() == {"created": 0, "updated": 0, "unchanged": 2}
    assert await execute(database_url, sa.select(USERS).order_by(USERS.c.id)) == before
    assert [subject for _, subject in await events(database_url)][1:] == ["user:1", "user:7"]
    alice = (await client.get("/api/auth/me", headers=await sign_in("alice@example.org"))).json()
    assert (alice["id"], alice["full_name"]) == (1, "Alice Kim")


async def test_the_next_account_gets_an_id_above_the_imported_ones(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    admin = await sign_in("root@example.org", admin=True)
    document = [{"id": 1_000_002, "email": "alice@example.org"}]
    await client.post("/api/auth/dev-users", json=document, headers=admin)
    bob = (await client.get("/api/auth/me", headers=await sign_in("bob@example.org"))).json()
    assert bob["id"] == 1_000_003


async def test_a_changed_user_is_updated(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    admin = await sign_in("root@example.org", admin=True)
    await client.post("/api/auth/dev-users", json=TWO_USERS, headers=admin)
    changed = [{"id": 1, "email": "alice@example.org", "full_name": "Alice Lee"}]
    answer = await client.post("/api/auth/dev-users", json=changed, headers=admin)
    assert answer.json() == {"created": 0, "updated": 1, "unchanged": 0}


async def test_somebody_who_signed_in_before_keeps_the_id(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    alice = await sign_in("Alice@example.org", admin=True)
    document = [{"id": 1, "email": "alice@example.org", "full_name": "Alice Kim"}]
    answer = await client.post("/api/auth/dev-users", json=document, headers=alice)
    assert answer.json() == {"created": 0, "updated": 1, "unchanged": 0}
    me = (await client.get("/api/auth/me", headers=alice)).json()
    assert (me["id"], me["full_name"]) == (1_000_001, "Alice Kim")
    refreshed = (await client.post("/api/auth/refresh", headers=alice)).json()["access_token"]
    still_admin = await client.post("/api/auth/dev-users", json=[], headers={"Authorization": f"Bearer {refreshed}"})
    assert still_admin.status_code == 200


async def test_a_user_that_clashes_is_named_and_nothing_is_imported(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    admin = await sign_in("root@example.org", admin=True)
    document = [{"id": 1, "email": "new@example.org"}, {"id": 1_000_001, "email": "eve@example.org"}]
    detail = "users[1]: the id 1000001 belongs to another address here"
    answer = await client.post("/api/auth/dev-users", json=document, headers=admin)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)
    assert len(await execute(database_url, sa.select(USERS))) == 1


@pytest.mark.parametrize("bad_id", [0, -1, 2**31, 2**63, "abc", None])
async def test_an_id_that_cannot_be_one_is_422(client: httpx.AsyncClient, sign_in: SignIn, bad_id: object) -> None:
    admin = await sign_in("root@example.org", admin=True)
    document = [{"id": bad_id, "email": "a@example.org"}]
    answer = await client.post("/api/auth/dev-users", json=document, headers=admin)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", 0, "id"]


async def test_importing_users_is_for_administrators(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    assert (await client.post("/api/auth/dev-users", json=TWO_USERS)).status_code == 401
    answer = await client.post("/api/auth/dev-users", json=TWO_USERS, headers=await sign_in())
    assert answer.status_code == 403


# People, for other services


async def test_services_read_what_people_are_called(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    await sign_in("alice@example.org", full_name="Alice Kim")
    await sign_in("bob@example.org")
    ids = [1_000_002, 1_000_001, 7, 0, 2**31, 2**63]
    answer = await client.get("/internal/users", params={"ids": ",".join(map(str, ids))}, headers=as_service("audio", "auth"))
    assert answer.status_code == 200
    assert answer.json() == [
        {"id": 1_000_001, "full_name": "Alice Kim", "profile_picture": None},
        {"id": 1_000_002, "full_name": None, "profile_picture": None},
    ]


async def test_only_services_do(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    for headers in ({}, {HEADER: "x" * 32}, await sign_in(admin=True)):
        assert (await client.get("/internal/users?ids=1", headers=headers)).status_code == 403


@pytest.mark.parametrize("ids", ["", "a", "1,,2", "1;2", ",".join(["1"] * 101)])
async def test_a_question_about_no_ids_or_too_many_is_422(client: httpx.AsyncClient, ids: str) -> None:
    answer = await client.get("/internal/users", params={"ids": ids}, headers=as_service("audio", "auth"))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["query", "ids"]
