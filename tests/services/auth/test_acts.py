"""The audit log: what is written, that it stays, and what is forgotten in time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from libs.common.acts import Act, Origin, Place, performed
from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.db import Database
from services.auth import acts_repository
from services.auth.acts import MAX_TOLD_APART, ActLog, Refusals, hear
from services.auth.acts_repository import RecordedAct, Wanted
from services.auth.models import ACTS
from tests.services.auth.conftest import Serve, SignIn
from tests.services.auth.openid import OpenIdProvider
from tests.services.auth.test_browser_sign_in import settings
from tests.services.auth.test_sessions import tokens

PLACE = {"User-Agent": "Firefox", "X-Forwarded-For": "203.0.113.77"}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, source="auth", pool_size=2)
    yield database
    await database.close()


async def acts(database: Database, **wanted: Any) -> list[RecordedAct]:
    """Oldest first."""
    async with database.reading() as connection:
        return list(reversed(await acts_repository.newest(connection, Wanted(**wanted), limit=100)))


async def names(database: Database) -> list[str]:
    return [each.act for each in await acts(database)]


async def add(database: Database, *, days_ago: float = 0.0) -> None:
    act = performed(Act.SIGNED_IN, Origin()).model_copy(update={"at": datetime.now(UTC) - timedelta(days=days_ago)})
    async with database.transaction() as tx:
        await acts_repository.add(tx.connection, act, service="auth")


async def test_a_sign_in_is_kept_with_who_when_and_from_where(
    client: httpx.AsyncClient, sign_in: SignIn, database: Database
) -> None:
    before = datetime.now(UTC)
    answer = await client.post(
        "/api/auth/dev-login", json={"email": "alice@example.org"}, headers={**PLACE, "X-Request-ID": "r-1"}
    )
    assert answer.status_code == 200
    created, signed_in = await acts(database)
    assert (created.act, signed_in.act, signed_in.service, signed_in.times) == ("account_created", "signed_in", "auth", 1)
    assert signed_in.user_id == created.user_id is not None
    assert (signed_in.network, signed_in.device, signed_in.request_id) == ("203.0.113.0/24", "Firefox", "r-1")
    assert before <= signed_in.at <= datetime.now(UTC)
    assert len(signed_in.session_id or "") == 32


async def test_the_log_holds_no_token_and_no_whole_address(
    client: httpx.AsyncClient, sign_in: SignIn, database: Database
) -> None:
    caller = await sign_in()
    await client.post("/api/auth/refresh", headers={**caller, **PLACE})
    await client.post("/api/auth/logout", headers={**caller, **PLACE})
    async with database.reading() as connection:
        rows = [str(row) for row in await connection.execute(sa.select(ACTS))]
    token = caller["Authorization"].removeprefix("Bearer ")
    for told in (token, token.rpartition(".")[2], "203.0.113.77", "alice"):
        assert not [row for row in rows if told in row]


async def test_a_refresh_is_only_kept_when_the_session_comes_from_somewhere_else(
    client: httpx.AsyncClient, sign_in: SignIn, database: Database
) -> None:
    caller = await sign_in()
    for _ in range(2):
        assert (await client.post("/api/auth/refresh", headers={**caller, **PLACE})).status_code == 200
    assert await names(database) == ["account_created", "signed_in", "session_moved"]


async def test_each_end_of_a_session_is_kept_once(client: httpx.AsyncClient, sign_in: SignIn, database: Database) -> None:
    first, second, third = [await sign_in() for _ in range(3)]
    sessions = (await client.get("/api/auth/sessions", headers=first)).json()
    other = next(each["id"] for each in sessions if not each["current"])
    assert (await client.delete(f"/api/auth/sessions/{other}", headers=first)).status_code == 204
    for _ in range(2):
        await client.post("/api/auth/logout", headers=first)
    for caller in (second, third):
        await client.delete("/api/auth/sessions", headers=caller)
    kept = [each for each in await acts(database) if each.act not in ("account_created", "signed_in")]
    assert [each.act for each in kept] == ["session_ended", "logged_out", "sessions_ended"]
    assert kept[0].thing == f"session:{other}"


async def test_a_replay_is_kept_with_the_place_of_whoever_came_second(
    serve: Serve, openid: OpenIdProvider, database: Database
) -> None:
    async with serve(**settings(openid)) as client:
        stolen = await tokens(client, openid)
        for headers in ({}, PLACE, PLACE):
            await client.post("/api/auth/token", json={"refresh_token": stolen["refresh_token"]}, headers=headers)
    [replay] = await acts(database, act="replay_noticed")
    assert (replay.network, replay.device) == ("203.0.113.0/24", "Firefox")
    assert replay.user_id is not None
    assert replay.session_id is not None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE acts SET user_id = 1",
        "UPDATE acts SET reason = 'x' WHERE false",
        "DELETE FROM acts",
        "TRUNCATE acts",
        "TRUNCATE acts RESTART IDENTITY CASCADE",
        "INSERT INTO acts (id, at, service, act) OVERRIDING SYSTEM VALUE VALUES (1, now(), 's', 'a') "
        "ON CONFLICT (id) DO UPDATE SET act = 'b'",
    ],
)
async def test_the_service_itself_cannot_change_what_is_in_the_log(statement: str, database: Database) -> None:
    await add(database)
    with pytest.raises(DBAPIError, match="the audit log is only added to"):
        async with database.transaction() as tx:
            await tx.connection.execute(sa.text(statement))
    assert await names(database) == ["signed_in"]


async def test_nothing_younger_than_ninety_days_is_deleted_whatever_is_asked_for(database: Database) -> None:
    for days_ago in (0.0, 89.9, 90.1, 400.0):
        await add(database, days_ago=days_ago)
    async with database.autocommit() as connection:
        assert await acts_repository.forget(connection, days=0) == 2
    assert len(await acts(database)) == 2


async def test_acts_are_forgotten_when_the_time_of_the_setting_is_over(database: Database) -> None:
    for days_ago in (399.0, 401.0):
        await add(database, days_ago=days_ago)
    await ActLog(database, retention_days=400, inbox_retention_days=14).forget_old()
    assert len(await acts(database)) == 1


async def test_what_another_service_tells_is_kept_once_however_often_it_comes(database: Database) -> None:
    origin = Origin(Place("curl", "192.0.2.0/24"), 5, "a" * 32)
    told = performed(Act.SCENE_DELETED, origin, thing="token:7")
    message = Message.of(told, source="catalog", subject="token:7")
    bus = MemoryBus()
    await bus.start()
    listening = asyncio.create_task(hear(bus, ActLog(database, retention_days=365, inbox_retention_days=14), start=False))
    for _ in range(2):
        await bus.publish(message)
    listening.cancel()
    await bus.close()
    [kept] = await acts(database)
    assert (kept.service, kept.act, kept.user_id, kept.thing, kept.at) == ("catalog", "scene_deleted", 5, "token:7", told.at)
    assert (kept.session_id, kept.network, kept.device) == ("a" * 32, "192.0.2.0/24", "curl")


async def test_refused_sign_ins_are_counted_and_say_why(serve: Serve, database: Database) -> None:
    async with serve(google_client_ids=("us",)) as client:
        for _ in range(3):
            answer = await client.post("/api/auth/google-login", json={"id_token": "x" * 20_000}, headers=PLACE)
            assert answer.status_code == 400
        await client.get("/api/auth/google/callback", headers=PLACE)
    kept = await acts(database, act="sign_in_refused")  # at the end at the latest
    times = {reason: sum(each.times for each in kept if each.reason == reason) for reason in {each.reason for each in kept}}
    assert times == {"invalid_id_token": 3, "sign_in_interrupted": 1}
    assert {(each.network, each.user_id) for each in kept} == {("203.0.113.0/24", None)}


async def test_strangers_cannot_fill_the_log_with_refusals(database: Database) -> None:
    refusals = Refusals(database)
    for number in range(5_000):
        refusals.count("invalid_id_token", Place("bot", f"10.{number // 256}.{number % 256}.0/24"))
    await refusals.flush()
    kept = await acts(database)
    assert len(kept) == MAX_TOLD_APART + 1
    assert sum(each.times for each in kept) == 5_000
    assert (kept[-1].network, kept[-1].times) == (None, 5_000 - MAX_TOLD_APART)


async def test_refusals_that_could_not_be_written_are_counted_on(database: Database) -> None:
    unreachable = Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", source="auth")
    refusals = Refusals(unreachable)
    refusals.count("deactivated", Place(), user_id=5)
    with pytest.raises(Exception, match="the database does not answer"):
        await refusals.flush()
    refusals.count("deactivated", Place(), user_id=5)
    refusals._database = database
    await refusals.flush()
    [kept] = await acts(database, person=5)
    assert (kept.times, kept.reason) == (2, "deactivated")
