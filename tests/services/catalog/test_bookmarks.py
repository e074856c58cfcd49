"""Bookmarks: everybody has their own, once each, as long as the scene is there."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.catalog import bookmarks
from services.catalog.learner_models import BOOKMARKS
from services.catalog.models import TOKENS
from tests.callers import as_service
from tests.services.catalog.conftest import bearer

PATH = "/api/mypage/bookmarks"
ALICE, BOB = bearer(1), bearer(2)

pytestmark = pytest.mark.usefixtures("catalogue")


async def mark(client: httpx.AsyncClient, token_id: object, caller: dict[str, str] = ALICE) -> httpx.Response:
    return await client.post(PATH, json={"token_id": token_id}, headers=caller)


async def marked(client: httpx.AsyncClient, caller: dict[str, str] = ALICE, **page: int) -> list[int]:
    """The scenes that the caller's list shows."""
    answer = await client.get(PATH, params=page, headers=caller)
    assert answer.status_code == 200
    return [each["token_id"] for each in answer.json()]


async def test_a_bookmark_is_answered_and_listed_as_the_contract_has_it(client: httpx.AsyncClient) -> None:
    before = datetime.now(UTC)
    answer = await mark(client, 2)
    assert (answer.status_code, answer.json()) == (201, {"token_id": 2})
    [bookmark] = (await client.get(PATH, headers=ALICE)).json()
    assert bookmark.pop("created_at").endswith("Z")
    assert bookmark == {
        "id": 1,
        "user_id": 1,
        "token_id": 2,
        "token": {
            "id": 2,
            "token_name": "Scene 02",
            "actor_name": "Emma Stone",
            "category": "애니메이션",
            "thumbnail_url": None,
            "youtube_url": "https://www.youtube.com/watch?v=vid00000002",
        },
    }
    [again] = (await client.get(PATH + "/", headers=ALICE)).json()
    assert before <= datetime.fromisoformat(again["created_at"]) <= datetime.now(UTC)


async def test_no_bookmarks_are_an_empty_list(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH, headers=ALICE)
    assert (answer.status_code, answer.json()) == (200, [])


async def test_a_second_bookmark_of_a_scene_is_refused(client: httpx.AsyncClient) -> None:
    await mark(client, 1)
    answer = await mark(client, 1)
    assert (answer.status_code, answer.json()["detail"]) == (409, "Already bookmarked - Detected by explicit check")
    assert (await mark(client, 1, BOB)).status_code == 201


async def test_of_many_at_once_one_is_made(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(mark(client, 1) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    assert await marked(client) == [1]


async def test_a_scene_that_is_not_there_cannot_be_marked(client: httpx.AsyncClient) -> None:
    answer = await mark(client, 8)
    assert (answer.status_code, answer.json()["detail"]) == (404, "Token not found")


async def test_what_is_no_id_is_named(client: httpx.AsyncClient) -> None:
    for no_id in (0, -1, 2**31, 2**70, "abc", 1.5, None, [1]):
        answer = await mark(client, no_id)
        assert answer.status_code == 422, no_id
        assert answer.json()["detail"][0]["loc"] == ["body", "token_id"]


async def test_the_newest_come_first_in_pages(client: httpx.AsyncClient) -> None:
    for token_id in (3, 1, 2):
        await mark(client, token_id)
    assert await marked(client) == [2, 1, 3]
    assert await marked(client, limit=2) == [2, 1]
    assert await marked(client, limit=2, offset=2) == [3]
    assert await marked(client, offset=3) == []


async def test_a_page_that_cannot_be_is_422(client: httpx.AsyncClient) -> None:
    for page in ("limit=0", "limit=101", "limit=x", "offset=-1", f"offset={2**31}", f"limit={2**70}"):
        answer = await client.get(f"{PATH}?{page}", headers=ALICE)
        assert answer.status_code == 422, page
        assert answer.json()["detail"][0]["loc"] == ["query", page.partition("=")[0]]


async def test_nobody_sees_or_removes_those_of_others(client: httpx.AsyncClient) -> None:
    await mark(client, 1)
    assert await marked(client, BOB) == []
    assert (await client.delete(f"{PATH}/1", headers=BOB)).status_code == 204
    assert await marked(client) == [1]


async def test_removing_is_the_same_answer_whether_or_not_there_was_one(client: httpx.AsyncClient) -> None:
    await mark(client, 1)
    for token_id in (1, 1, 8, 0, -1, 2**31, 2**70):
        answer = await client.delete(f"{PATH}/{token_id}", headers=ALICE)
        assert (answer.status_code, answer.content) == (204, b"")
    assert await marked(client) == []
    assert (await client.delete(f"{PATH}/abc", headers=ALICE)).status_code == 422
    assert (await mark(client, 1)).status_code == 201


async def test_a_bookmark_goes_with_its_scene(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    for token_id in (1, 2):
        await mark(client, token_id)
    assert (await client.delete("/api/tokens/1", headers=bearer(admin=True))).status_code == 200
    assert await marked(client) == [2]
    async with database.connect() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(BOOKMARKS))).scalar_one() == 1


async def test_a_scene_that_is_being_deleted_is_waited_for_and_then_not_found(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')")
    async with database.connect() as onlooker, database.connect() as connection:
        await onlooker.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(sa.delete(TOKENS).where(TOKENS.c.id == 1))
        marking = asyncio.create_task(mark(client, 1))
        async with asyncio.timeout(10):
            while not (await onlooker.execute(waiting)).scalar_one():
                await asyncio.sleep(0.01)
        await connection.commit()
        assert (await marking).status_code == 404


async def test_bookmarks_need_a_login(client: httpx.AsyncClient) -> None:
    for method, path in (("POST", PATH), ("GET", PATH), ("DELETE", f"{PATH}/1")):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["detail"]) == (401, "Not authenticated")


# For the gateway


async def test_the_gateway_reads_how_many_and_the_newest(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookmarks, "OVERVIEW_MAX", 2)
    for token_id in (3, 1, 2):
        await mark(client, token_id)
    key = as_service("gateway", "catalog")
    overview = (await client.get("/internal/users/1/bookmarks", headers=key)).json()
    assert overview["total"] == 3
    assert overview["newest"] == (await client.get(PATH, params={"limit": 2}, headers=ALICE)).json()
    assert (await client.get("/internal/users/2/bookmarks", headers=key)).json() == {"total": 0, "newest": []}


async def test_only_services_do(client: httpx.AsyncClient) -> None:
    assert (await client.get("/internal/users/1/bookmarks", headers=bearer(admin=True))).status_code == 403
