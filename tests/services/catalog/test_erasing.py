"""Of somebody whose account is gone nothing is left here, and nothing comes back."""

from datetime import UTC, datetime

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import AUDIO
from libs.common.contracts.auth import UserDeleted
from tests.callers import as_service
from tests.services.catalog.conftest import bearer
from tests.services.catalog.test_requests import WISH

BOOKMARKS, REQUESTS = "/api/mypage/bookmarks", "/api/request"
ALICE, BOB = bearer(1), bearer(2)
GONE = UserDeleted(user_id=1, deleted_at=datetime(2026, 11, 23, tzinfo=UTC))

pytestmark = pytest.mark.usefixtures("catalogue")


@pytest.fixture(autouse=True)
async def audio(bus: MemoryBus) -> None:
    """The memory bus' publish waits for every queue that a message is bound for."""

    async def ignore(message: Message) -> None:
        return None

    await bus.consume(AUDIO, ignore)


def message() -> Message:
    return Message.of(GONE, source="auth", subject="user:1")


async def keep_something(client: httpx.AsyncClient, caller: dict[str, str]) -> list[int]:
    """The answers to a bookmark and a video request."""
    marked = await client.post(BOOKMARKS, json={"token_id": 2}, headers=caller)
    asked = await client.post(REQUESTS, json=WISH, headers=caller)
    return [marked.status_code, asked.status_code]


async def owners(database: AsyncEngine) -> set[int]:
    async with database.connect() as connection:
        rows = await connection.execute(sa.text("SELECT user_id FROM bookmarks UNION SELECT user_id FROM video_requests"))
        return set(rows.scalars())


async def test_a_deleted_users_bookmarks_and_requests_are_gone_and_those_of_others_stay(
    client: httpx.AsyncClient, bus: MemoryBus, database: AsyncEngine
) -> None:
    for caller in (ALICE, BOB):
        assert await keep_something(client, caller) == [201, 200]
    await bus.publish(message())  # the memory bus returns when it was handled
    assert await owners(database) == {2}
    assert [each["id"] for each in (await client.get(f"{REQUESTS}/all", headers=BOB)).json()] == [2]


async def test_a_deleted_user_whose_token_is_still_valid_writes_nothing(
    client: httpx.AsyncClient, bus: MemoryBus, database: AsyncEngine
) -> None:
    await bus.publish(message())
    assert await keep_something(client, ALICE) == [401, 401]
    refused = await client.post(BOOKMARKS, json={"token_id": 2}, headers=ALICE)
    assert (refused.json()["code"], refused.json()["detail"]) == ("unknown_user", "사용자를 찾을 수 없습니다")
    assert (await client.get(BOOKMARKS, headers=ALICE)).json() == []
    assert await owners(database) == set()


async def test_the_same_message_twice_and_another_one_of_the_same_user_change_nothing(
    client: httpx.AsyncClient, bus: MemoryBus, database: AsyncEngine
) -> None:
    twice = message()
    for each in (twice, twice, message()):
        await bus.publish(each)
    async with database.connect() as connection:
        rows = await connection.execute(sa.text("SELECT handler FROM inbox"))
        assert list(rows.scalars()) == ["catalog.erase"] * 2
        assert (await connection.execute(sa.text("SELECT user_id FROM deleted_users"))).scalars().all() == [1]
    assert await bus.dead_letters("catalog") == []


async def test_services_read_what_belongs_to_somebody(client: httpx.AsyncClient, app: FastAPI) -> None:
    await keep_something(client, ALICE)
    await keep_something(client, BOB)
    key = as_service("audio", "catalog")
    data = (await client.get("/internal/users/1/data", headers=key)).json()
    assert data["bookmarks.json"] == (await client.get(BOOKMARKS, headers=ALICE)).json()
    [request] = data["video-requests.json"]
    assert request.pop("created_at").endswith("Z")
    assert request == {"id": 1, **WISH, "status": "심사중"}
    nothing = await client.get("/internal/users/7/data", headers=key)
    assert nothing.json() == {"bookmarks.json": [], "video-requests.json": []}
    for number in ("0", "-1", str(2**31), str(2**63), "abc"):
        assert (await client.get(f"/internal/users/{number}/data", headers=key)).status_code == 422
    assert (await client.get("/internal/users/1/data", headers=ALICE)).status_code == 403
