"""What other services hear of scenes, and how one goes."""

import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.contracts.catalog import Scene, TokenSnapshot
from services.catalog import import_repository
from services.catalog.models import SCRIPTS, TOKEN_ACTORS, TOKENS, WORDS
from tests.callers import as_service
from tests.services.catalog.conftest import Import, a_catalogue, bearer, events


async def bodies(database: AsyncEngine, kind: str) -> list[dict[str, Any]]:
    async with database.connect() as connection:
        query = sa.text("SELECT body FROM outbox WHERE type = :kind ORDER BY id")
        return [json.loads(body) for body in (await connection.execute(query, {"kind": kind})).scalars()]


@pytest.mark.usefixtures("catalogue")
async def test_each_new_scene_is_published_with_its_objects_before_its_lines(database: AsyncEngine) -> None:
    assert (await events(database))[:5] == [
        ("token.created", "token:1"),
        ("token.created", "token:2"),
        ("token.created", "token:3"),
        ("token.created", "token:7"),
        ("script.created", "script:1"),
    ]
    [first, *_] = await bodies(database, "token.created")
    assert TokenSnapshot(**first) == TokenSnapshot(
        token_id=1,
        version=first["version"],
        token_name="Scene 01",
        actor_name="Tom Hardy",
        start_time=10.0,
        end_time=28.0,
        s3_pitch_url="Tom Hardy/vid1/1/pitch.json",
        s3_bgvoice_url="Tom Hardy/vid1/1/bg.wav",
        category="액션",
        youtube_url="https://www.youtube.com/watch?v=vid00000001",
    )


@pytest.mark.usefixtures("catalogue")
async def test_a_changed_scene_is_published_with_a_higher_version(import_document: Import, database: AsyncEngine) -> None:
    document = a_catalogue()
    document["tokens"][1]["s3_textgrid_url"] = "Emma Stone/vid2/0/scene.TextGrid"
    assert (await import_document(document)).status_code == 200
    assert (await events(database, "token"))[4:] == [("token.updated", "token:2")]
    before = {body["token_id"]: body["version"] for body in await bodies(database, "token.created")}
    [after] = await bodies(database, "token.updated")
    assert after["s3_textgrid_url"] == "Emma Stone/vid2/0/scene.TextGrid"
    assert after["version"] > max(before.values())


@pytest.mark.usefixtures("catalogue")
async def test_views_are_no_change_of_a_scene(
    client: httpx.AsyncClient, import_document: Import, database: AsyncEngine
) -> None:
    await client.post("/api/tokens/1/view")
    document = a_catalogue()
    document["tokens"][0]["view_count"] = 500
    assert (await import_document(document)).status_code == 200
    assert len(await events(database, "token")) == 4


@pytest.mark.usefixtures("catalogue")
async def test_a_service_reads_a_scene_with_its_lines_and_features(client: httpx.AsyncClient) -> None:
    answer = await client.get("/internal/tokens/1", headers=as_service("audio", "catalog"))
    scene = Scene.model_validate_json(answer.content)
    assert scene.token.s3_pitch_url == "Tom Hardy/vid1/1/pitch.json"
    assert [(script.script_id, script.token_id) for script in scene.scripts] == [(1, 1), (5, 1)]
    assert scene.scripts[0].words[0].mfcc is not None


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("token_id", [8, 0, 2**31])
async def test_a_scene_that_is_not_there_is_not_found(client: httpx.AsyncClient, token_id: int) -> None:
    answer = await client.get(f"/internal/tokens/{token_id}", headers=as_service("audio", "catalog"))
    assert (answer.status_code, answer.json()["detail"]) == (404, "Token not found")
    assert (await client.delete(f"/api/tokens/{token_id}", headers=bearer(admin=True))).status_code == 404


async def test_only_services_read_scenes_with_features(client: httpx.AsyncClient) -> None:
    assert (await client.get("/internal/tokens/1", headers=bearer(admin=True))).status_code == 403


@pytest.mark.usefixtures("catalogue")
async def test_a_deleted_scene_goes_with_its_lines_and_each_is_told_of(
    client: httpx.AsyncClient, database: AsyncEngine, import_document: Import
) -> None:
    known = {body["script_id"]: body["version"] for body in await bodies(database, "script.created")}
    answer = await client.delete("/api/tokens/1", headers=bearer(admin=True))
    assert (answer.status_code, answer.json()) == (200, {"detail": "Token deleted successfully"})
    assert (await events(database))[6:] == [
        ("token.deleted", "token:1"),
        ("script.deleted", "script:1"),
        ("script.deleted", "script:5"),
    ]
    for gone in await bodies(database, "script.deleted"):
        assert gone["token_id"] == 1
        assert gone["version"] > known[gone["script_id"]]
    async with database.connect() as connection:
        for table in (SCRIPTS, WORDS):
            assert (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one() == 0
        links = sa.select(sa.func.count()).where(TOKEN_ACTORS.c.token_id == 1)
        assert (await connection.execute(links)).scalar_one() == 0
    assert (await client.get("/api/tokens/1")).status_code == 404

    [buried] = await bodies(database, "token.deleted")
    assert (await import_document(a_catalogue())).status_code == 200
    again = (await bodies(database, "token.created"))[-1]
    assert (again["token_id"], again["version"] > buried["version"]) == (1, True)


@pytest.mark.usefixtures("catalogue")
async def test_only_administrators_delete(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    assert (await client.delete("/api/tokens/1")).status_code == 401
    assert (await client.delete("/api/tokens/1", headers=bearer())).status_code == 403
    async with database.connect() as connection:
        assert (await connection.execute(sa.select(TOKENS.c.id).where(TOKENS.c.id == 1))).scalar_one() == 1


@pytest.mark.usefixtures("catalogue")
async def test_nothing_is_deleted_during_an_import(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    async with database.begin() as connection:
        assert await import_repository.try_lock(connection)
        answer = await client.delete("/api/tokens/1", headers=bearer(admin=True))
        assert (answer.status_code, answer.json()["code"]) == (409, "import_running")
