"""The real app of auth over a database of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.bus.memory import MemoryBus
from libs.common.migrations import upgrade
from services.auth.main import build
from services.auth.settings import AuthSettings
from tests.services.auth.openid import OpenIdProvider, running

Serve = Callable[..., Any]
SignIn = Callable[..., Awaitable[dict[str, str]]]

# The audit log cannot be emptied without a change of its table.
EMPTY_LOG = """
DO $$ BEGIN
    ALTER TABLE acts DISABLE TRIGGER USER;
    TRUNCATE acts RESTART IDENTITY;
    ALTER TABLE acts ENABLE ALWAYS TRIGGER acts_row_stays, ENABLE ALWAYS TRIGGER acts_stay;
END $$
"""


@pytest.fixture(scope="session")
async def migrated_database(make_database: Callable[[str], str]) -> str:
    url = make_database("auth")
    await upgrade("services.auth", url)
    return url


@pytest.fixture
async def database_url(migrated_database: str) -> str:
    """An empty database: one for all tests, because emptying tables is ten times as fast as making them."""
    engine = create_async_engine(migrated_database)
    async with engine.begin() as connection:
        await connection.execute(
            text("TRUNCATE users, deleted_users, signing_keys, revoked_sessions, outbox, inbox RESTART IDENTITY CASCADE")
        )
        await connection.execute(text(EMPTY_LOG))
    await engine.dispose()
    return migrated_database


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running app."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://auth") as client:
            yield client


@pytest.fixture
def serve(database_url: str) -> Serve:
    """`async with serve(token_seconds=60) as client`: a replica with these settings, development sign-in on."""

    @asynccontextmanager
    async def running(**values: Any) -> AsyncIterator[httpx.AsyncClient]:
        bus = MemoryBus()
        await bus.start()
        settings = AuthSettings(**{"development_login": True, "database_url": SecretStr(database_url), **values})
        async with client_of(build(settings, bus)) as client:
            yield client
        await bus.close()

    return running


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client


@pytest.fixture
def sign_in(client: httpx.AsyncClient) -> SignIn:
    """`await sign_in("a@example.org", admin=True)`: the headers of a signed-in caller."""

    async def headers(email: str = "alice@example.org", **values: Any) -> dict[str, str]:
        answer = await client.post("/api/auth/dev-login", json={"email": email, **values})
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    return headers


@pytest.fixture(scope="session")
async def openid_server() -> AsyncIterator[OpenIdProvider]:
    async with running(OpenIdProvider()) as provider:
        yield provider


@pytest.fixture
def openid(openid_server: OpenIdProvider) -> OpenIdProvider:
    """An OpenID provider that answers on this machine."""
    openid_server.reset()
    return openid_server
