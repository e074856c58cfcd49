"""What a gateway reads that did not hear which sessions ended."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from libs.common.contracts.auth import RevokedSessions
from services.auth.models import REVOKED_SESSIONS, USERS
from tests.callers import as_service
from tests.services.auth.conftest import SignIn
from tests.services.auth.test_endpoints import claims_of, execute, revoked

PATH, LOGOUT = "/internal/sessions/revoked", "/api/auth/logout"


async def read(client: httpx.AsyncClient, **params: Any) -> RevokedSessions:
    answer = await client.get(PATH, params=params, headers=as_service("gateway", "auth"))
    assert answer.status_code == 200, answer.text
    return RevokedSessions.model_validate(answer.json())


async def ids(client: httpx.AsyncClient, **params: Any) -> list[str]:
    return [each.session_id for each in (await read(client, **params)).sessions]


async def age(url: str, **seconds: int) -> None:
    """Let what is remembered be so many seconds older."""
    changed = {name: REVOKED_SESSIONS.c[name] - sa.text(f"interval '{amount} seconds'") for name, amount in seconds.items()}
    await execute(url, sa.update(REVOKED_SESSIONS).values(**changed))


async def test_a_session_that_ended_is_remembered_as_the_event_told_it(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    gone, _ = await sign_in(), await sign_in()
    assert await ids(client) == []
    await client.post(LOGOUT, headers=gone)
    (told,) = await revoked(database_url)
    (kept,) = (await read(client)).sessions
    assert (kept.session_id, kept.tokens_until) == (told.session_id, told.tokens_until)
    assert kept.session_id == claims_of(gone)["sid"]


async def test_ending_all_of_them_remembers_all(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    everywhere = [await sign_in() for _ in range(3)]
    await client.delete("/api/auth/sessions", headers=everywhere[0])
    assert await ids(client) == sorted(claims_of(each)["sid"] for each in everywhere)


async def test_it_outlives_the_account(client: httpx.AsyncClient, sign_in: SignIn, database_url: str) -> None:
    headers = await sign_in()
    await client.post(LOGOUT, headers=headers)
    await execute(database_url, sa.delete(USERS))
    assert await ids(client) == [claims_of(headers)["sid"]]


async def test_it_is_forgotten_when_no_token_is_valid_any_more(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    await client.post(LOGOUT, headers=await sign_in())
    await age(database_url, tokens_until=900 + 120 - 5)
    assert len(await ids(client)) == 1
    await age(database_url, tokens_until=5)
    assert await ids(client) == []
    await client._transport.app.state.revoked.forget_old()  # type: ignore[attr-defined]
    assert list(await execute(database_url, sa.select(REVOKED_SESSIONS))) == []


async def test_who_missed_a_moment_reads_what_ended_in_it(
    client: httpx.AsyncClient, sign_in: SignIn, database_url: str
) -> None:
    await client.post(LOGOUT, headers=await sign_in())
    await age(database_url, revoked_at=60)
    await client.post(LOGOUT, headers=(late := await sign_in()))
    assert await ids(client, within_seconds=30) == [claims_of(late)["sid"]]
    assert len(await ids(client, within_seconds=90)) == 2


async def test_many_come_in_pages(client: httpx.AsyncClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.auth.revoked.PAGE", 2)
    everywhere = [await sign_in() for _ in range(3)]
    await client.delete("/api/auth/sessions", headers=everywhere[0])
    first = await read(client)
    assert first.more_after is not None
    second = await read(client, after=first.more_after)
    assert second.more_after is None
    both = [each.session_id for each in (*first.sessions, *second.sessions)]
    assert both == sorted(claims_of(each)["sid"] for each in everywhere)


@pytest.mark.parametrize(
    "params", [{"after": "\x00"}, {"after": "'"}, {"after": "a" * 33}, {"within_seconds": 0}, {"within_seconds": 2**31}]
)
async def test_what_is_no_place_in_it_is_422(client: httpx.AsyncClient, params: dict[str, Any]) -> None:
    assert (await client.get(PATH, params=params, headers=as_service("gateway", "auth"))).status_code == 422


async def test_nobody_else_reads_it(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    for headers in ({}, await sign_in(admin=True), as_service("audio", "auth")):
        assert (await client.get(PATH, headers=headers)).status_code == 403
