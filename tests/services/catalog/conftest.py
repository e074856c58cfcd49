"""The real app of catalog over a database of its own and objects on disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OKPKey
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from libs.common.bus.memory import MemoryBus
from libs.common.migrations import upgrade
from libs.common.web.auth import AUDIENCE, TokenVerifier
from services.catalog.main import build
from services.catalog.models import METADATA
from services.catalog.settings import CatalogSettings

MAX_IMPORT_BYTES = 200_000
Import = Callable[..., Awaitable[httpx.Response]]
KEY = OKPKey.generate_key("Ed25519", auto_kid=True)


def bearer(user_id: int = 1, *, admin: bool = False) -> dict[str, str]:
    """The headers of somebody whom auth signed in."""
    now = int(time.time())
    who = {"sub": str(user_id), "email": "a@b", "admin": admin}
    claims = {"iss": "yousync", "aud": AUDIENCE, **who, "iat": now, "exp": now + 3600}
    return {"Authorization": f"Bearer {jwt.encode({'alg': 'Ed25519', 'kid': KEY.kid}, claims, KEY, algorithms=['Ed25519'])}"}


@pytest.fixture(scope="session")
async def migrated_database(make_database: Callable[[str], str]) -> str:
    url = make_database("catalog")
    await upgrade("services.catalog", url)
    return url


@pytest.fixture
async def database(migrated_database: str) -> AsyncIterator[AsyncEngine]:
    """An empty database, for looking into it from outside."""
    engine = create_async_engine(migrated_database)
    names = ", ".join([*METADATA.tables, "deleted_users", "outbox", "inbox"])
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.close()


@pytest.fixture
async def app(database: AsyncEngine, migrated_database: str, bus: MemoryBus, tmp_path: Path) -> AsyncIterator[FastAPI]:
    settings = CatalogSettings(
        database_url=SecretStr(migrated_database),
        storage_url=f"file://{tmp_path}",
        max_import_bytes=MAX_IMPORT_BYTES,
    )
    app = build(settings, bus)

    async def keys() -> dict[str, Any]:
        return {"keys": [KEY.as_dict(private=False)]}

    app.state.verifier = TokenVerifier(keys, issuer="yousync", leeway=0)
    async with app.router.lifespan_context(app):
        await _until_ready(app)
        yield app


async def _until_ready(app: FastAPI) -> None:
    """A service answers before it has reached everything it needs; a test begins after that."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://catalog") as client, asyncio.timeout(10):
        while (await client.get("/health/ready")).status_code != httpx.codes.OK:
            await asyncio.sleep(0.01)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://catalog") as client:
        yield client


@pytest.fixture
def import_document(client: httpx.AsyncClient) -> Import:
    """`await import_document(document)`: as an administrator."""

    async def send(document: object, **values: Any) -> httpx.Response:
        return await client.post("/api/catalog/import", json=document, headers=bearer(admin=True), **values)

    return send


def a_token(token_id: int, **changes: Any) -> dict[str, Any]:
    """A scene as a document has it."""
    return {
        "id": token_id,
        "token_name": f"Scene {token_id:02}",
        "actor_name": "Tom Hardy",
        "category": "액션",
        "start_time": 10.0,
        "end_time": 28.0,
        "s3_textgrid_url": None,
        "s3_pitch_url": None,
        "s3_bgvoice_url": None,
        "thumbnail_url": None,
        "youtube_url": "https://www.youtube.com/watch?v=vid00000001",
        "view_count": 0,
        **changes,
    }


def a_catalogue() -> dict[str, Any]:
    """Three actors, three films, four scenes, two lines, three words, one melody."""
    films = [f"https://www.youtube.com/watch?v=vid0000000{number}" for number in (1, 2, 3)]
    return {
        "users": [{"id": 1, "email": "alice@example.org"}],
        "urls": [{"id": 1, "youtube_url": films[0]}, films[1], {"youtube_url": films[2], "added": "2025-01-01"}],
        "actors": [
            {"id": 1, "name": "Tom Hardy", "aliases": ["톰 하디", "Hardy"]},
            {"id": 2, "name": "Emma Stone", "aliases": ["엠마 스톤", {"id": 9, "name": "Emily_Stone 100%"}]},
            {"id": 3, "name": "Nobody"},
        ],
        "tokens": [
            a_token(1, s3_pitch_url="Tom Hardy/vid1/1/pitch.json", s3_bgvoice_url="Tom Hardy/vid1/1/bg.wav", view_count=3),
            a_token(2, actor_name="Emma Stone", category="애니메이션", end_time=40.0, youtube_url=films[1], view_count=9),
            a_token(3, end_time=30.0, view_count=9, s3_bgvoice_url="https://cdn.example.org/bg.wav"),
            a_token(7, actor_name="Unlinked", category=None, start_time=0, end_time=5, youtube_url=films[1]),
        ],
        "token_actors": [
            {"token_id": 1, "actor_id": 1},
            {"token_id": 2, "actor_id": 2},
            {"token_id": 3, "actor_id": 1},
        ],
        "scripts": [
            {"id": 1, "token_id": 1, "start_time": 15.0, "end_time": 18.5, "script": "you could leave"},
            {"id": 5, "token_id": 1, "start_time": 10.0, "end_time": 15, "script": "the", "translation": "번역"},
        ],
        "words": [
            {
                "id": 1,
                "script_id": 1,
                "start_time": 15.0,
                "end_time": 15.5,
                "word": "you",
                "probability": 0.81,
                "mfcc": [[0.12] * 13, [-1e-7] * 13],
            },
            {"id": 2, "script_id": 1, "start_time": 15.5, "end_time": 16, "word": "could"},
            {"id": 3, "script_id": 1, "word": "leave"},
        ],
        "pitch": {"Tom Hardy/vid1/1/pitch.json": [{"time": 10.0, "hz": 120.5}, {"time": 10.02, "hz": None}]},
    }


@pytest.fixture
async def catalogue(import_document: Import) -> None:
    """`a_catalogue` is there."""
    answer = await import_document(a_catalogue())
    assert answer.status_code == 200, answer.text


async def events(database: AsyncEngine, about: str = "") -> list[tuple[str, str]]:
    """Type and subject of what was published in order, of all kinds or only `about` one; acts are for the audit log."""
    async with database.connect() as connection:
        rows = await connection.execute(sa.text("SELECT type, subject FROM outbox WHERE type <> 'act.performed' ORDER BY id"))
        return [(row.type, row.subject) for row in rows if row.type.startswith(about)]
