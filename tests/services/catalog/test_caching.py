"""What browsers and proxies may keep of the catalogue."""

from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from services.catalog.etags import allows, etag
from tests.services.catalog.conftest import Import, a_catalogue
from tests.services.catalog.test_endpoints import store

LISTS = [
    "/api/actors",
    "/api/actors/search/hardy",
    "/api/actors/hardy",
    "/api/tokens",
    "/api/tokens/latest",
    "/api/tokens/popular",
    "/api/tokens/sync-collection",
    f"/api/tokens/category/{quote('액션')}",
    "/api/tokens/1/related",
    "/api/scripts",
    "/api/scripts/token/1",
    "/api/duet/scenes",
    "/api/urls/tokens?youtube_url=https://www.youtube.com/watch?v=vid00000001",
]


@pytest.mark.usefixtures("catalogue")
async def test_who_has_an_answer_is_not_sent_it_again(client: httpx.AsyncClient) -> None:
    for path in [*LISTS, "/api/tokens/1", "/api/scripts/1"]:
        first = await client.get(path)
        tag = first.headers["etag"]
        again = await client.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.content) == (304, b""), path
        assert [again.headers.get(name) for name in ("etag", "cache-control", "x-total-count")] == [
            first.headers.get(name) for name in ("etag", "cache-control", "x-total-count")
        ], path
        assert (await client.get(path, headers={"If-None-Match": '"other"'})).content == first.content, path


@pytest.mark.usefixtures("catalogue")
async def test_a_list_is_kept_briefly_and_a_single_thing_only_with_asking(client: httpx.AsyncClient) -> None:
    for path in LISTS:
        assert (await client.get(path)).headers["cache-control"] == "public, max-age=10, stale-while-revalidate=60", path
    for path in ("/api/tokens/1", "/api/scripts/1"):
        assert (await client.get(path)).headers["cache-control"] == "no-cache", path


@pytest.mark.usefixtures("catalogue")
async def test_errors_and_writes_are_not_for_keeping(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/api/tokens/4711"),
        await client.get("/api/tokens?limit=0"),
        await client.post("/api/tokens/1/view"),
        await client.post("/api/urls/check", json={"youtube_url": "x"}),
    ):
        assert "etag" not in answer.headers
        assert "max-age" not in answer.headers.get("cache-control", "")


@pytest.mark.usefixtures("catalogue")
async def test_a_view_makes_another_page_but_not_another_version(client: httpx.AsyncClient) -> None:
    before = (await client.get("/api/tokens/1")).headers["etag"]
    await client.post("/api/tokens/1/view")
    after = await client.get("/api/tokens/1", headers={"If-None-Match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before
    version = int(before.removeprefix('"v').partition("-")[0])
    assert allows(before, version)
    assert allows(after.headers["etag"], version)


@pytest.mark.usefixtures("catalogue")
async def test_a_line_has_the_tag_of_its_version(client: httpx.AsyncClient, import_document: Import) -> None:
    before = (await client.get("/api/scripts/1")).headers["etag"]
    assert before == etag(int(before.strip('"v')))
    document = a_catalogue()
    document["words"][0]["word"] = "another"
    assert (await import_document(document)).status_code == 200
    assert (await client.get("/api/scripts/1")).headers["etag"] != before


@pytest.mark.usefixtures("catalogue")
async def test_a_changed_line_makes_another_page_of_its_scene(client: httpx.AsyncClient, import_document: Import) -> None:
    before = (await client.get("/api/tokens/1")).headers["etag"]
    document = a_catalogue()
    document["scripts"][0]["translation"] = "다른 번역"
    await import_document(document)
    assert (await client.get("/api/tokens/1", headers={"If-None-Match": before})).status_code == 200


@pytest.mark.usefixtures("catalogue")
async def test_who_has_a_page_is_sent_it_again_before_its_link_ends(
    client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(tmp_path, "Tom Hardy/vid1/1/bg.wav", b"RIFF")
    now = 1_800_000_000.0
    monkeypatch.setattr("services.catalog.service.time.time", lambda: now)
    asked = {"If-None-Match": (await client.get("/api/tokens/1")).headers["etag"]}
    now += 299
    assert (await client.get("/api/tokens/1", headers=asked)).status_code == 304
    now += 1
    assert (await client.get("/api/tokens/1", headers=asked)).status_code == 200
    unlinked = {"If-None-Match": (await client.get("/api/tokens/3")).headers["etag"]}
    now += 10_000
    assert (await client.get("/api/tokens/3", headers=unlinked)).status_code == 304
