"""The whole catalogue as a document: what comes out goes in again."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.acts import Origin
from libs.common.errors import Unavailable
from services.catalog.models import METADATA
from services.catalog.storage import SceneObjects
from tests.services.catalog.conftest import Import, a_catalogue, bearer
from tests.services.catalog.test_endpoints import the_storage
from tests.services.catalog.test_importing import KINDS, SAMPLES

ADMIN = bearer(admin=True)


async def exported(client: httpx.AsyncClient) -> httpx.Response:
    answer = await client.get("/api/catalog/export", headers=ADMIN)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer


async def forget(database: AsyncEngine) -> None:
    async with database.begin() as connection:
        await connection.execute(sa.text(f"TRUNCATE {', '.join(METADATA.tables)} RESTART IDENTITY"))


@pytest.mark.parametrize("content", [SAMPLES.read_bytes(), json.dumps(a_catalogue()).encode()], ids=["sample", "made up"])
async def test_an_export_brought_to_an_empty_platform_makes_the_same_one(
    app: FastAPI, client: httpx.AsyncClient, database: AsyncEngine, tmp_path: Path, content: bytes
) -> None:
    await app.state.importer.run(content, Origin())
    await client.post("/api/tokens/1/view")
    first = (await exported(client)).content
    again = await app.state.importer.run(first, Origin())
    assert all(counts.created == counts.updated == counts.removed == 0 for counts in again.counts.values())
    await forget(database)
    for key in json.loads(first)["pitch"]:
        await the_storage(tmp_path).delete(key)
    made = await app.state.importer.run(first, Origin())
    assert all(counts.created for counts in made.counts.values())
    assert (await exported(client)).content == first


async def test_an_empty_catalogue_is_a_document_too(client: httpx.AsyncClient, import_document: Import) -> None:
    document = (await exported(client)).json()
    assert {**document, "pitch": []} == {kind: [] for kind in KINDS if kind != "aliases"}
    assert (await import_document(document)).status_code == 200


@pytest.mark.usefixtures("catalogue")
async def test_melodies_that_are_not_there_are_left_out(client: httpx.AsyncClient, tmp_path: Path) -> None:
    key = "Tom Hardy/vid1/1/pitch.json"
    for content, shown in ((b"no JSON", {}), (b'"\\ud800"', {}), (b"[1e400, NaN]", {key: [None, None]})):

        async def stored(content: bytes = content) -> AsyncIterator[bytes]:
            yield content

        await the_storage(tmp_path).put(key, stored(), media_type="application/json")
        assert (await exported(client)).json()["pitch"] == shown
    await the_storage(tmp_path).delete(key)
    assert (await exported(client)).json()["pitch"] == {}


@pytest.mark.usefixtures("catalogue")
async def test_an_export_breaks_off_when_the_store_does_not_answer(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(self: SceneObjects, key: str) -> bytes | None:
        raise Unavailable("the object store does not answer")

    monkeypatch.setattr(SceneObjects, "stored_pitch", down)
    answer = await client.get("/api/catalog/export", headers=ADMIN)
    with pytest.raises(ValueError):
        answer.json()


@pytest.mark.usefixtures("catalogue")
async def test_an_export_is_of_one_moment_and_holds_nobody_up(app: FastAPI, client: httpx.AsyncClient) -> None:
    document = app.state.exporter.run()
    chunks = [await anext(document)]
    assert (await client.delete("/api/tokens/1", headers=ADMIN)).status_code == 200
    chunks += [chunk async for chunk in document]
    text = b"".join(chunks).decode()
    assert ('"token_name":"Scene 01"' in text) == ('"script":"you could leave"' in text)


@pytest.mark.usefixtures("catalogue")
async def test_a_reader_who_leaves_ends_the_export(app: FastAPI) -> None:
    document = app.state.exporter.run()
    await anext(document)
    await document.aclose()
    assert not [task for task in asyncio.all_tasks() if "Exporter" in repr(task)]


async def test_only_administrators_export(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/catalog/export")).status_code == 401
    assert (await client.get("/api/catalog/export", headers=bearer())).status_code == 403
