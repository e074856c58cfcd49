"""The catalogue over HTTP, as its clients see it."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from libs.common.bus.memory import MemoryBus
from libs.common.storage.disk import DiskStorage
from libs.common.web.service_tokens import HEADER
from services.catalog.main import build
from services.catalog.settings import CatalogSettings
from tests.callers import as_service
from tests.services.catalog.conftest import Import, a_catalogue, a_token

TOKEN_FIELDS = [
    "token_name",
    "actor_name",
    "category",
    "start_time",
    "end_time",
    "s3_textgrid_url",
    "s3_pitch_url",
    "s3_bgvoice_url",
    "thumbnail_url",
    "youtube_url",
    "view_count",
    "id",
]
SCRIPT_FIELDS = ["token_id", "start_time", "end_time", "script", "translation", "id", "words"]
WORD_FIELDS = ["script_id", "start_time", "end_time", "word", "probability", "id"]


def the_storage(folder: Path) -> DiskStorage:
    """The app's object store, from outside."""
    key = CatalogSettings().storage_signing_key.get_secret_value().encode()
    return DiskStorage(folder, signing_key=key, public_url="")


async def store(folder: Path, key: str, content: bytes) -> None:
    """Put an object into the app's store."""

    async def once() -> AsyncIterator[bytes]:
        yield content

    await the_storage(folder).put(key, once(), media_type="application/octet-stream")


async def ids(client: httpx.AsyncClient, path: str, **query: object) -> list[int]:
    answer = await client.get(path, params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [entry["id"] for entry in answer.json()]


@pytest.mark.usefixtures("catalogue")
async def test_actors_are_listed_with_name_and_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/actors/")
    assert answer.json() == [
        {"name": "Tom Hardy", "id": 1},
        {"name": "Emma Stone", "id": 2},
        {"name": "Nobody", "id": 3},
    ]


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("톰", [1]),
        ("스톤", [2]),
        ("HARDY", [1]),
        (unicodedata.normalize("NFD", "하디"), [1]),
        ("emma stone", [2]),
        ("100%", [2]),
        ("y_s", [2]),
        ("%", [2]),
        ("_", [2]),
        ("\\", []),
        ("o", [1, 2, 3]),
        (" ", []),
        ("1", [2]),
        ("a/b", []),
        ("😀", []),
    ],
)
async def test_actors_are_found_by_part_of_a_name(client: httpx.AsyncClient, text: str, found: list[int]) -> None:
    assert await ids(client, f"/api/actors/search/{quote(text, safe='')}") == found


async def test_who_is_called_exactly_so_comes_first(client: httpx.AsyncClient, import_document: Import) -> None:
    actors = [{"id": 1, "name": "Tom Hardy"}, {"id": 2, "name": "Tom"}, {"id": 3, "name": "Kim", "aliases": ["TOM"]}]
    await import_document({"actors": actors})
    assert await ids(client, "/api/actors/search/tom") == [2, 3, 1]
    assert await ids(client, "/api/actors/search/tom", limit=1) == [2]


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(("text", "found"), [("Tom Hardy", [1, 3]), ("엠마", [2]), ("o", [1, 2, 3]), ("zzz", []), ("7", [])])
async def test_scenes_are_found_by_actor(client: httpx.AsyncClient, text: str, found: list[int]) -> None:
    assert await ids(client, f"/api/actors/{quote(text)}") == found


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("path", ["/api/actors/search/a%00b", "/api/actors/a%00b", "/api/tokens/category/a%00b"])
async def test_a_nul_in_a_search_is_422(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 422


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("/api/tokens", [1, 2, 3, 7]),
        ("/api/tokens/", [1, 2, 3, 7]),
        ("/api/tokens/latest", [7, 3, 2, 1]),
        ("/api/tokens/latest/", [7, 3, 2, 1]),
        ("/api/tokens/popular/", [3, 2, 1, 7]),
        ("/api/tokens/category/액/", [1, 3]),
        ("/api/tokens/category/%25/", []),
        ("/api/tokens/category/없음/", []),
        ("/api/tokens/1/related/", [3]),
        ("/api/urls/tokens?youtube_url=https://www.youtube.com/watch?v=vid00000001", [1, 3]),
    ],
)
async def test_lists_of_scenes_have_their_order(client: httpx.AsyncClient, path: str, order: list[int]) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert [token["id"] for token in answer.json()] == order
    assert all(list(token) == TOKEN_FIELDS for token in answer.json())


@pytest.mark.usefixtures("catalogue")
async def test_a_view_does_not_move_scenes_in_the_list(client: httpx.AsyncClient) -> None:
    await client.post("/api/tokens/1/view")
    assert await ids(client, "/api/tokens/") == [1, 2, 3, 7]


async def test_short_scenes_come_shuffled_and_in_pages_that_fit_together(
    client: httpx.AsyncClient, import_document: Import
) -> None:
    tokens = [a_token(number, start_time=0, end_time=19.9) for number in range(1, 31)]
    tokens.append(a_token(31, start_time=0, end_time=20))
    await import_document({"urls": [tokens[0]["youtube_url"]], "tokens": tokens})
    everything = await ids(client, "/api/tokens/sync-collection")
    assert sorted(everything) == list(range(1, 31))
    assert everything != sorted(everything)
    pages = [await ids(client, "/api/tokens/sync-collection", skip=skip, limit=7) for skip in range(0, 35, 7)]
    assert [one for page in pages for one in page] == everything


LISTS = [
    "/api/actors",
    "/api/actors/o",
    "/api/tokens",
    "/api/tokens/latest",
    "/api/tokens/popular",
    "/api/tokens/sync-collection",
    "/api/tokens/category/액션",
    "/api/tokens/1/related",
    "/api/scripts",
    "/api/scripts/token/1",
]


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("path", LISTS)
async def test_every_list_can_be_paged(client: httpx.AsyncClient, path: str) -> None:
    everything = await ids(client, path)
    assert everything
    assert await ids(client, path, limit=1) == everything[:1]
    assert await ids(client, path, skip=1) == everything[1:]
    assert await ids(client, path, skip=2**31 - 1, limit=100) == []


@pytest.mark.parametrize("path", [*LISTS, "/api/actors/search/o"])
async def test_a_limit_outside_1_to_100_is_422(client: httpx.AsyncClient, path: str) -> None:
    for limit in ("0", "-1", "101", str(2**63), "abc", ""):
        assert (await client.get(path, params={"limit": limit})).status_code == 422, limit


@pytest.mark.parametrize("path", LISTS)
async def test_a_skip_that_cannot_be_is_422(client: httpx.AsyncClient, path: str) -> None:
    for skip in ("-1", str(2**31), str(2**63), "abc", ""):
        assert (await client.get(path, params={"skip": skip})).status_code == 422, skip


@pytest.mark.usefixtures("catalogue")
async def test_a_scene_has_the_shape_of_the_contract(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await store(tmp_path, "Tom Hardy/vid1/1/bg.wav", b"RIFF")
    answer = await client.get("/api/tokens/1")
    assert answer.status_code == 200
    detail = answer.json()
    assert list(detail) == [*TOKEN_FIELDS, "bgvoice_url", "pitch", "scripts"]
    assert detail["pitch"] == [{"time": 10.0, "hz": 120.5}, {"time": 10.02, "hz": None}]
    assert [script["id"] for script in detail["scripts"]] == [5, 1]
    first, second = detail["scripts"]
    assert list(first) == SCRIPT_FIELDS
    assert (first["translation"], first["words"]) == ("번역", [])
    assert [list(word) for word in second["words"]] == [WORD_FIELDS] * 3
    assert second["words"][0] == {
        "script_id": 1,
        "start_time": 15.0,
        "end_time": 15.5,
        "word": "you",
        "probability": 0.81,
        "id": 1,
    }
    link = urlsplit(detail["bgvoice_url"])
    assert link.path == "/objects/Tom%20Hardy/vid1/1/bg.wav"
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert 895 <= the_storage(tmp_path).signer.verify("Tom Hardy/vid1/1/bg.wav", **query) <= 900


@pytest.mark.usefixtures("catalogue")
async def test_a_scene_without_objects_has_nulls_and_a_foreign_url_is_passed_on(client: httpx.AsyncClient) -> None:
    bare = (await client.get("/api/tokens/2")).json()
    assert (bare["bgvoice_url"], bare["pitch"], bare["scripts"]) == (None, None, [])
    foreign = (await client.get("/api/tokens/3")).json()
    assert foreign["bgvoice_url"] == "https://cdn.example.org/bg.wav"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (b'[{"time": 1.0, "hz": NaN}]', [{"time": 1.0, "hz": None}]),
        (b"[1e999]", [None]),
        (b"not json", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b" " * (8 * 1024 * 1024 + 1), None),
    ],
)
async def test_a_melody_is_shown_as_far_as_it_can_be_read(
    client: httpx.AsyncClient, import_document: Import, tmp_path: Path, stored: bytes, shown: object
) -> None:
    tokens = [a_token(1, s3_pitch_url="s3://old-bucket/one/pitch.json")]
    await import_document({"urls": [tokens[0]["youtube_url"]], "tokens": tokens})
    await store(tmp_path, "one/pitch.json", stored)
    answer = await client.get("/api/tokens/1")
    assert answer.status_code == 200
    assert answer.json()["pitch"] == shown


@pytest.mark.usefixtures("catalogue")
async def test_fifty_views_at_once_are_fifty_views(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/api/tokens/1/view") for _ in range(50)))
    assert sorted(answer.json()["view_count"] for answer in answers) == list(range(4, 54))
    assert answers[0].json().keys() == {"token_id", "view_count"}
    assert (await client.get("/api/tokens/1")).json()["view_count"] == 53


@pytest.mark.usefixtures("catalogue")
async def test_lines_are_shown_with_their_words(client: httpx.AsyncClient) -> None:
    assert await ids(client, "/api/scripts/") == [1, 5]
    assert await ids(client, "/api/scripts/token/1") == [5, 1]
    assert await ids(client, "/api/scripts/token/4711") == []
    line = (await client.get("/api/scripts/1")).json()
    assert list(line) == SCRIPT_FIELDS
    assert [word["word"] for word in line["words"]] == ["you", "could", "leave"]


@pytest.mark.usefixtures("catalogue")
async def test_films_are_known_by_their_exact_address(client: httpx.AsyncClient) -> None:
    known = await client.post("/api/urls/check", json={"youtube_url": "https://www.youtube.com/watch?v=vid00000003"})
    assert known.json() == {"exists": True}
    assert (await client.post("/api/urls/check", json={"youtube_url": "https://youtu.be/x"})).json() == {"exists": False}
    unknown = await client.get("/api/urls/tokens", params={"youtube_url": "https://youtu.be/x"})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "URL not found")
    assert await ids(client, "/api/urls/tokens", youtube_url="https://www.youtube.com/watch?v=vid00000003") == []
    assert (await client.get("/api/urls/tokens")).status_code == 422
    assert (await client.post("/api/urls/check", json={"youtube_url": "a\x00"})).status_code == 422
    assert (await client.post("/api/urls/check", json={"youtube_url": "x" * 2049})).status_code == 422


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/api/tokens/{}", "Token not found"),
        ("GET", "/api/tokens/{}/related", "Token not found"),
        ("POST", "/api/tokens/{}/view", "Token not found"),
        ("GET", "/api/scripts/{}", "Script not found"),
        ("GET", "/internal/scripts/{}", "Script not found"),
    ],
)
async def test_an_id_that_nothing_has_is_404_and_no_number_is_422(
    client: httpx.AsyncClient, method: str, path: str, detail: str
) -> None:
    for number in (0, -1, 4711, 2**31, 2**63, int("9" * 40)):
        answer = await client.request(method, path.format(number), headers=as_service("audio", "catalog"))
        assert (answer.status_code, answer.json()["detail"]) == (404, detail), number
    for text in ("abc", "1.5", "0x1", "1e3", "%00", "9" * 5000):
        answer = await client.request(method, path.format(text), headers=as_service("audio", "catalog"))
        assert answer.status_code == 422, text


@pytest.mark.usefixtures("catalogue")
async def test_a_scene_that_cannot_be_has_no_lines(client: httpx.AsyncClient) -> None:
    for number in (0, -1, 2**31, 2**63):
        assert await ids(client, f"/api/scripts/token/{number}") == []
    assert (await client.get("/api/scripts/token/abc")).status_code == 422


@pytest.mark.usefixtures("catalogue")
async def test_nothing_is_related_to_a_scene_without_actor(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/tokens/7/related")
    assert (answer.status_code, answer.json()["detail"]) == (404, "해당 토큰과 연결된 배우를 찾을 수 없습니다.")
    assert await ids(client, "/api/tokens/2/related") == []


@pytest.mark.usefixtures("catalogue")
async def test_a_snapshot_is_for_services_and_carries_the_features(client: httpx.AsyncClient) -> None:
    assert (await client.get("/internal/scripts/1")).status_code == 403
    assert (await client.get("/internal/scripts/1", headers={HEADER: "guessed"})).status_code == 403
    snapshot = (await client.get("/internal/scripts/1", headers=as_service("audio", "catalog"))).json()
    assert snapshot.keys() == {"script_id", "token_id", "version", "start_time", "end_time", "script", "words"}
    assert snapshot["version"] >= 1
    assert snapshot["words"][0]["mfcc"] == a_catalogue()["words"][0]["mfcc"]
    assert snapshot["words"][2] == {
        "id": 3,
        "word": "leave",
        "start_time": None,
        "end_time": None,
        "probability": None,
        "mfcc": None,
    }


async def test_ready_tells_what_answers(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/ready")).json()["checks"] == {"database": "ok", "storage": "ok"}


async def test_without_a_database_the_answer_is_503_and_not_ready(tmp_path: Path) -> None:
    settings = CatalogSettings(
        database_url=SecretStr("postgresql+asyncpg://nobody@127.0.0.1:1/nothing"), storage_url=f"file://{tmp_path}"
    )
    app = build(settings, MemoryBus())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://catalog") as client,
    ):
        assert (await client.get("/api/tokens")).status_code == 503
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.usefixtures("catalogue")
async def test_duet_scenes_are_the_films_with_exactly_two_scenes(client: httpx.AsyncClient, import_document: Import) -> None:
    (first, second) = (await client.get("/api/duet/scenes/")).json()
    assert list(first) == ["youtube_url", "thumbnail_url", "scene_title", "duet_pair"]
    assert [[token["id"] for token in film["duet_pair"]] for film in (first, second)] == [[1, 3], [2, 7]]
    assert (first["youtube_url"], first["scene_title"]) == ("https://www.youtube.com/watch?v=vid00000001", "Scene 01")
    assert list(first["duet_pair"][0]) == TOKEN_FIELDS
    third = a_token(8, thumbnail_url="https://thumbs.example.org/1.jpg")
    await import_document({"tokens": [third]})
    assert [film["duet_pair"][0]["id"] for film in (await client.get("/api/duet/scenes")).json()] == [2]


async def test_without_scenes_there_are_no_duets(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/duet/scenes")).json() == []
