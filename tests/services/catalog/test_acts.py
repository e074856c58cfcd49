"""What administrators do to the catalogue is told to the audit log, in the transaction in which it is done."""

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.contracts.acts import ActPerformed
from tests.services.catalog.conftest import Import, a_catalogue, bearer

ADMIN = {**bearer(9, admin=True), "User-Agent": "the office", "X-Forwarded-For": "192.0.2.7"}
SCENE = {
    "token_name": "Scene",
    "actor_name": "Tom Hardy",
    "start_time": 0,
    "end_time": 5,
    "youtube_url": "https://www.youtube.com/watch?v=vid00000009",
}
LINE = {"token_id": 1, "start_time": 10.0, "end_time": 12.0, "script": "hello"}

pytestmark = pytest.mark.usefixtures("catalogue")


async def told(database: AsyncEngine) -> list[ActPerformed]:
    """Since the catalogue was imported."""
    async with database.connect() as connection:
        rows = await connection.execute(sa.text("SELECT body FROM outbox WHERE type = 'act.performed' ORDER BY id"))
        return [ActPerformed.model_validate_json(body) for body in rows.scalars()][1:]


async def test_each_change_is_told_once_with_who_and_from_where(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    actor = await client.post("/api/actors", json={"name": "Somebody New"}, headers=ADMIN)
    scene = await client.post("/api/tokens", json=SCENE, headers=ADMIN)
    line = await client.post("/api/scripts", json=LINE, headers=ADMIN)
    scene_id, line_id = scene.json()["id"], line.json()["id"]
    for _ in range(2):  # the second time nothing is changed
        assert (await client.put(f"/api/tokens/{scene_id}", json={"token_name": "S"}, headers=ADMIN)).status_code == 200
        assert (await client.put(f"/api/scripts/{line_id}", json={"script": "bye"}, headers=ADMIN)).status_code == 200
    for path in (f"scripts/{line_id}", f"tokens/{scene_id}"):
        assert [(await client.delete(f"/api/{path}", headers=ADMIN)).status_code for _ in range(2)] == [200, 404]
    acts = await told(database)
    assert [(act.act, act.thing) for act in acts] == [
        ("actor_created", f"actor:{actor.json()['id']}"),
        ("scene_created", f"token:{scene_id}"),
        ("line_created", f"script:{line_id}"),
        ("scene_updated", f"token:{scene_id}"),
        ("line_updated", f"script:{line_id}"),
        ("line_deleted", f"script:{line_id}"),
        ("scene_deleted", f"token:{scene_id}"),
    ]
    assert {(act.user_id, act.device, act.network) for act in acts} == {(9, "the office", "192.0.2.0/24")}
    assert len({act.request_id for act in acts}) == len(acts)


async def test_an_import_is_one_act_and_one_that_is_refused_none(import_document: Import, database: AsyncEngine) -> None:
    assert (await import_document(a_catalogue())).status_code == 200
    assert (await import_document({"tokens": 1})).status_code == 422
    assert [(act.act, act.user_id) for act in await told(database)] == [("catalogue_imported", 1)]


async def test_a_review_of_a_request_says_what_was_decided(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    wish = {"actor": "Tom Hardy", "content": "please", "url": "https://www.youtube.com/watch?v=vid00000009"}
    asked = await client.post("/api/request", json=wish, headers=bearer(5))
    path = f"/api/request/{asked.json()['id']}/status"
    assert (await client.patch(path, json={"status": "승인됨"}, headers=ADMIN)).status_code == 200
    assert (await client.patch(path, json={"status": "?"}, headers=ADMIN)).status_code == 400
    [act] = await told(database)
    assert (act.act, act.reason, act.user_id) == ("video_request_reviewed", "approved", 9)
