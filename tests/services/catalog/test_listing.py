"""Pages of lists and the search for actors, over HTTP."""

import unicodedata
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.catalog.conftest import Import, a_token
from tests.services.catalog.test_endpoints import ids

PAGED = [
    "/api/actors",
    "/api/actors/hardy",
    "/api/tokens",
    "/api/tokens/latest",
    "/api/tokens/popular",
    "/api/tokens/sync-collection",
    "/api/tokens/category/액션",
    "/api/tokens/1/related",
    "/api/scripts",
    "/api/scripts/token/1",
    "/api/duet/scenes",
]


@pytest.fixture
async def many(import_document: Import) -> None:
    """Seven of everything, with equal views, times and categories among them; two scenes of each film."""
    films = [f"https://www.youtube.com/watch?v=vid0000000{number}" for number in range(7)]
    tokens = [
        a_token(
            number, youtube_url=films[(number - 1) // 2], view_count=number % 3, category=("액션", "액션 코미디")[number % 2]
        )
        | {"start_time": 0, "end_time": 10}
        for number in range(1, 15)
    ]
    names = [{"id": number, "name": f"Tom Hardy {number}", "aliases": []} for number in range(1, 8)]
    lines = [{"id": n, "token_id": 1, "start_time": n // 3, "end_time": 10, "script": "line"} for n in range(1, 8)]
    links = [{"token_id": token["id"], "actor_id": actor["id"]} for token in tokens for actor in names[:2]]
    answer = await import_document({"urls": films, "actors": names, "tokens": tokens, "token_actors": links, "scripts": lines})
    assert answer.status_code == 200, answer.text


async def pages(client: httpx.AsyncClient, path: str, limit: int) -> list[list[Any]]:
    """All pages of a list, as their links lead through it."""
    found = []
    answer = await client.get(path, params={"limit": limit})
    while True:
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if "next" not in answer.links:
            return found
        assert "x-total-count" not in answer.headers
        answer = await client.get(answer.links["next"]["url"])


@pytest.mark.usefixtures("many")
async def test_links_lead_through_the_whole_list(client: httpx.AsyncClient) -> None:
    for path in PAGED:
        whole = (await client.get(path, params={"limit": 100})).json()
        assert len(whole) >= 7, path
        for limit in (1, 3, len(whole)):
            found = await pages(client, path, limit)
            assert [entry for page in found for entry in page] == whole, path
            assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1), path


@pytest.mark.usefixtures("many")
async def test_the_end_of_a_list_says_how_many_there_are(client: httpx.AsyncClient) -> None:
    for path in PAGED:
        whole = await client.get(path, params={"limit": 100})
        assert whole.headers["x-total-count"] == str(len(whole.json())), path
        end = await client.get(path, params={"skip": 2, "limit": 100})
        assert end.headers["x-total-count"] == str(len(whole.json())), path
        assert "x-total-count" not in (await client.get(path, params={"limit": 1})).headers, path


@pytest.mark.usefixtures("many")
async def test_a_cursor_that_is_none_of_this_list_is_422(client: httpx.AsyncClient) -> None:
    async def cursor(path: str) -> str:
        link = (await client.get(path, params={"limit": 1})).links["next"]["url"]
        return parse_qs(urlsplit(link).query)["after"][0]

    for path in PAGED:
        own, foreign = await cursor(path), await cursor("/api/tokens" if path != "/api/tokens" else "/api/actors")
        for after in (foreign, own[:-1], own + "A", "", "0", "a" * 257, "%00", "%ED%A0%80"):
            assert (await client.get(f"{path}?after={after}")).status_code == 422, (path, after)
        both = await client.get(path, params={"after": own, "skip": 1})
        assert (both.status_code, both.json()["code"]) == (422, "bad_page"), path


@pytest.mark.usefixtures("many")
async def test_a_link_is_made_of_the_path_and_never_of_what_the_caller_says_of_the_host(client: httpx.AsyncClient) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = await client.get("/api/tokens/category/액션/?limit=2", headers=headers)
    link = answer.headers["link"]
    assert link.startswith(f"</api/tokens/category/{quote('액션')}?after=")
    assert link.endswith('&limit=2>; rel="next"')
    assert "evil" not in str(answer.headers)


@pytest.mark.usefixtures("many")
async def test_what_is_in_the_path_cannot_end_the_link(client: httpx.AsyncClient) -> None:
    await client.get("/api/actors")
    answer = await client.get('/api/actors/hardy>; rel="self", <evil?limit=1')
    assert answer.status_code == 200
    assert all(link["url"].startswith("/api/actors/") for link in answer.links.values())


@pytest.mark.usefixtures("many")
async def test_pages_fit_together_though_scenes_come_and_go(client: httpx.AsyncClient, import_document: Import) -> None:
    first = await client.get("/api/tokens", params={"limit": 5})
    await import_document({"tokens": [a_token(20)]})
    second = await client.get(first.links["next"]["url"])
    assert [token["id"] for token in second.json()] == [6, 7, 8, 9, 10]
    newest = await client.get("/api/tokens/latest", params={"limit": 2})
    await import_document({"tokens": [a_token(21)]})
    assert [token["id"] for token in (await client.get(newest.links["next"]["url"])).json()] == [13, 12]


@pytest.mark.usefixtures("many")
async def test_short_scenes_go_on_after_midnight_where_they_were(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await ids(client, "/api/tokens/sync-collection")
    first = await client.get("/api/tokens/sync-collection", params={"limit": 5})
    monkeypatch.setattr("services.catalog.listing._start_of_today", lambda: "0" * 32)
    rest = await client.get(first.links["next"]["url"].replace("limit=5", "limit=100"))
    assert [token["id"] for token in first.json() + rest.json()] == whole


@pytest.mark.usefixtures("catalogue")
async def test_categories_are_found_by_any_part(client: httpx.AsyncClient) -> None:
    composed = unicodedata.normalize("NFD", "액션")
    for text, found in {"액": [1, 3], composed: [1, 3], "니메": [2], "%20": [], "_": [], "액션%25": []}.items():
        assert await ids(client, f"/api/tokens/category/{text}") == found, text


async def test_categories_are_found_whatever_their_case(client: httpx.AsyncClient, import_document: Import) -> None:
    tokens = [a_token(1, category="ACTION"), a_token(2, category="Straße"), a_token(3, category="액션/Action")]
    await import_document({"urls": [tokens[0]["youtube_url"]], "tokens": tokens})
    assert await ids(client, "/api/tokens/category/action") == [1, 3]
    assert await ids(client, "/api/tokens/category/STRASSE") == [2]
    assert await ids(client, "/api/tokens/category/액션%2Fa") == [3]


ACTORS = [
    {"id": 1, "name": "Tom Hardy", "aliases": ["톰 하디", "Edward Thomas Hardy"]},
    {"id": 2, "name": "Thomas Harden"},
    {"id": 3, "name": "Emma Stone", "aliases": ["엠마 스톤"]},
    {"id": 4, "name": "하정우", "aliases": ["Ha Jung-woo"]},
    {"id": 5, "name": "Kim", "aliases": ["Hardy"]},
    {"id": 6, "name": "배두나"},
    {"id": 7, "name": "İpek Ağa"},
]


FOUND_BY = [
    ("hardy", [5, 1]),  # called so before having it somewhere; Harden has too little in common
    ("hard", [5, 1, 2]),
    ("tom hardi", [1, 5, 2]),  # a slip of the finger: the most alike first
    ("톰 하드", [1]),
    ("엠마스톤", [3]),
    ("하", [4, 1]),  # begins so before having it inside
    ("하디", [1]),
    ("ㅌㅎㄷ", [1]),
    ("ㅌ ㅎ", [1]),
    ("ㅎ", [4, 1]),
    ("ㅇㅁㅅㅌ", [3]),
    ("ㅂㄷㄴ", [6]),
    ("ㄴ", [6]),
    ("ㅋㅋㅋ", []),
    ("İPEK", [7]),
    ("zzzzz", []),
    ("%E3%85%A3", []),  # a vowel
]


async def test_actors_are_found_by_what_people_type(client: httpx.AsyncClient, import_document: Import) -> None:
    await import_document({"actors": ACTORS})
    found = [(text, await ids(client, f"/api/actors/search/{text}")) for text, _ in FOUND_BY]
    assert found == FOUND_BY


async def test_of_a_search_text_ten_actors_are_meant_at_most(client: httpx.AsyncClient, import_document: Import) -> None:
    tokens = [a_token(number) for number in range(1, 13)]
    actors = [{"id": number, "name": f"Same {number:02}"} for number in range(1, 13)]
    links = [{"token_id": number, "actor_id": number} for number in range(1, 13)]
    await import_document({"urls": [tokens[0]["youtube_url"]], "actors": actors, "tokens": tokens, "token_actors": links})
    assert await ids(client, "/api/actors/same") == list(range(1, 11))


async def test_what_nobody_can_be_called_is_422(client: httpx.AsyncClient) -> None:
    for path in ("/api/actors/search/{}", "/api/actors/{}", "/api/tokens/category/{}"):
        for text in ("a%00b", "%ED%A0%80", "%FF", "a%09b", "%1B%5B31m", "%E2%80%A8", "x" * 201):
            answer = await client.get(path.format(text))
            assert answer.status_code == 422, (path, text)
            assert answer.json()["detail"][0]["loc"][0] == "path"


async def test_an_address_that_cannot_be_is_422(client: httpx.AsyncClient) -> None:
    for text in ("%00", "%ED%A0%80", "%0D%0A", "x" * 2049):
        assert (await client.get(f"/api/urls/tokens?youtube_url={text}")).status_code == 422, text
    for body in (b'{"youtube_url": "\\ud800"}', b'{"youtube_url": "\\u0000"}', b'{"youtube_url": "\xff"}', b"{", b"[]"):
        answer = await client.post("/api/urls/check", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), body


@pytest.mark.usefixtures("many")
async def test_the_scenes_of_a_film_are_counted_however_they_come_and_go(database: AsyncEngine) -> None:
    async def counted() -> list[tuple[int, int]]:
        asked = "SELECT urls.id, scenes, count(tokens.id) FROM urls LEFT JOIN tokens ON url_id = urls.id GROUP BY 1, 2"
        async with database.connect() as connection:
            return [(row[1], row[2]) for row in await connection.execute(sa.text(asked))]

    for change in (
        "SELECT 1",
        "UPDATE tokens SET url_id = 1 WHERE id IN (3, 5, 6)",
        "DELETE FROM tokens WHERE id IN (1, 3, 14)",
        "UPDATE tokens SET view_count = view_count + 1",
    ):
        async with database.begin() as connection:
            await connection.execute(sa.text(change))
        assert all(kept == there for kept, there in await counted()), change
