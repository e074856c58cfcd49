"""An administrator's day with the catalogue: through the commands, and through the gateway as a page in a browser."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from praatio import textgrid  # type: ignore[import-untyped]
from praatio.utilities.constants import Interval  # type: ignore[import-untyped]

from tests.e2e.platforms import TAKES, Embedded
from yousync.client import Client

FILM = "https://youtu.be/studio"
ORIGIN = "http://localhost:3000"


def a_textgrid(folder: Path, *last_words: str) -> Path:
    grid = textgrid.Textgrid(0, 4)
    words = [Interval(index, index + 0.9, word) for index, word in enumerate(("to", "be", *last_words))]
    grid.addTier(textgrid.IntervalTier("words", words, 0, 4))
    grid.addTier(textgrid.IntervalTier("lines", [Interval(0, 4, " ".join(word.label for word in words))], 0, 4))
    file = folder / "scene.TextGrid"
    grid.save(str(file), format="long_textgrid", includeBlankSpaces=True)
    return file


def make_scene(platform: Embedded, file: Path, *more: str) -> dict[str, Any]:
    known_by = ("--film", FILM, "--actor", "Sarah Bernhardt", "--name", "Act 3")
    answer: dict[str, Any] = json.loads(
        platform.yousync("catalog", "scene", str(file), *known_by, "--at", "60", *more, "--url", platform.url)
    )
    return answer


@pytest.fixture
async def administrator(embedded: Embedded) -> Any:
    async with Client(embedded.url) as client:
        token = await client.sign_in("admin@example.org", admin=True)
    headers = {"Authorization": f"Bearer {token}", "Origin": ORIGIN}
    async with httpx.AsyncClient(base_url=embedded.url, headers=headers, trust_env=False, timeout=30) as http:
        yield http


async def test_a_scene_of_a_studio_comes_is_mended_exported_and_goes(
    embedded: Embedded, administrator: httpx.AsyncClient, tmp_path: Path
) -> None:
    pitch = tmp_path / "pitch.json"
    pitch.write_text('[{"time": 0.5, "hz": 180}]')
    made = await asyncio.to_thread(make_scene, embedded, a_textgrid(tmp_path, "or", "not"), "--pitch", str(pitch))
    assert {kind: made[kind]["created"] for kind in ("tokens", "scripts", "words", "pitch")} == {
        "tokens": 1,
        "scripts": 1,
        "words": 4,
        "pitch": 1,
    }
    [token] = (await administrator.get("/api/urls/tokens", params={"youtube_url": FILM})).json()
    scene = (await administrator.get(f"/api/tokens/{token['id']}")).json()
    assert (scene["start_time"], scene["pitch"]) == (60.0, [{"time": 60.5, "hz": 180}])
    [line] = scene["scripts"]

    mended = await asyncio.to_thread(make_scene, embedded, a_textgrid(tmp_path, "or", "so"))
    assert (mended["scripts"]["updated"], mended["tokens"]["unchanged"]) == (1, 1)
    assert (await administrator.get(f"/api/scripts/{line['id']}")).json()["script"] == "to be or so"

    file = tmp_path / "catalog.json"
    await asyncio.to_thread(embedded.yousync, "catalog", "export", str(file), "--url", embedded.url)
    again = json.loads(await asyncio.to_thread(embedded.yousync, "catalog", "import", str(file), "--url", embedded.url))
    assert not [kind for kind, each in again.items() if kind != "ignored" and (each["created"] or each["updated"])]

    take = (TAKES / "script-1.flac").read_bytes()
    path = f"/api/scripts/{line['id']}/upload-audio"
    job = (await administrator.post(path, files={"file": ("take.flac", take)})).json()["job_id"]
    assert (await administrator.delete(f"/api/tokens/{token['id']}")).status_code == 200
    async with asyncio.timeout(10):
        while (answer := await administrator.post(path, files={"file": ("take.flac", take)})).status_code == 200:
            await asyncio.sleep(0.05)
    assert (answer.status_code, answer.json()["detail"]) == (404, "Script not found")
    assert (await administrator.get(f"/api/scripts/analysis-result/{job}")).status_code == 200


async def test_a_page_edits_only_what_it_has_seen(administrator: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,content-type,if-match"}
    preflight = await administrator.options("/api/scripts/1", headers=asked)
    assert preflight.status_code == 200
    assert "if-match" in preflight.headers["access-control-allow-headers"].lower()
    line = await administrator.get("/api/scripts/1")
    assert "etag" in line.headers["access-control-expose-headers"].lower()
    seen = {"If-Match": line.headers["etag"]}
    changed = await administrator.put("/api/scripts/1/", json={"translation": "장미"}, headers=seen)
    assert changed.status_code == 200
    late = await administrator.put("/api/scripts/1", json={"translation": "다른 것"}, headers=seen)
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert late.headers["access-control-allow-origin"] == ORIGIN
    back = {"translation": line.json()["translation"]}
    assert (
        await administrator.put("/api/scripts/1", json=back, headers={"If-Match": changed.headers["etag"]})
    ).status_code == 200
