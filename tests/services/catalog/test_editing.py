"""Administrators change one thing at a time: what is kept, what is told, who is refused."""

import asyncio
import json
from itertools import product
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.catalog import import_repository
from services.catalog.models import ACTORS, TOKEN_ACTORS, URLS
from tests.services.catalog.conftest import bearer, events

ADMIN = bearer(admin=True)
FILM = "https://www.youtube.com/watch?v=vid00000001"
SCENE = {"token_name": "Scene 09", "actor_name": "Tom Hardy", "start_time": 40.0, "end_time": 52.5, "youtube_url": FILM}
LINE = {"token_id": 1, "start_time": 18.5, "end_time": 21.0, "script": "and never look back"}
WORDS = [
    {"start_time": 18.5, "end_time": 19.0, "word": "and", "probability": 0.9},
    {"start_time": 19.0, "end_time": 19.4, "word": "never", "probability": None},
]

pytestmark = pytest.mark.usefixtures("catalogue")


async def send(client: httpx.AsyncClient, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
    """As an administrator; `if_match` is the header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.request(method, path, json=body, headers={**ADMIN, **named})


async def done(client: httpx.AsyncClient, method: str, path: str, body: object = None, **headers: str) -> Any:
    answer = await send(client, method, path, body, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def last_event(database: AsyncEngine) -> tuple[str, dict[str, Any]]:
    async with database.connect() as connection:
        row = (await connection.execute(sa.text("SELECT type, body FROM outbox ORDER BY id DESC LIMIT 1"))).one()
    return row.type, json.loads(row.body)


async def actors_of(database: AsyncEngine, token_id: int) -> list[str]:
    names = sa.select(ACTORS.c.name).join(TOKEN_ACTORS).where(TOKEN_ACTORS.c.token_id == token_id).order_by(ACTORS.c.id)
    async with database.connect() as connection:
        return list((await connection.execute(names)).scalars())


WRITES = [
    ("POST", "/api/actors"),
    ("POST", "/api/tokens"),
    ("PUT", "/api/tokens/1"),
    ("DELETE", "/api/tokens/1"),
    ("POST", "/api/scripts"),
    ("PUT", "/api/scripts/1"),
    ("DELETE", "/api/scripts/1"),
]


async def test_only_administrators_write(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    before = await events(database)
    body = {**SCENE, **LINE, "name": "Anybody"}
    for method, path in WRITES:
        assert (await client.request(method, path, json=body)).status_code == 401
        assert (await client.request(method, path, json=body, headers=bearer())).status_code == 403
    assert await events(database) == before


async def test_an_actor_is_added_once_whatever_the_case(client: httpx.AsyncClient) -> None:
    assert await done(client, "POST", "/api/actors/", {"name": "Song Kang-ho"}) == {"name": "Song Kang-ho", "id": 4}
    answer = await send(client, "POST", "/api/actors/", {"name": "SONG kang-ho"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Actor already exists")


async def test_of_two_who_add_the_same_actor_at_once_one_is_refused(client: httpx.AsyncClient) -> None:
    names = ({"name": name} for name in ("Bae Doona", "BAE DOONA"))
    answers = await asyncio.gather(*(send(client, "POST", "/api/actors", name) for name in names))
    assert sorted(answer.status_code for answer in answers) == [200, 400]


async def test_a_new_scene_is_answered_told_and_found_under_its_actor(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    scene = await done(client, "POST", "/api/tokens/", {**SCENE, "category": "액션"})
    empty = dict.fromkeys(["s3_textgrid_url", "s3_pitch_url", "s3_bgvoice_url", "thumbnail_url"])
    assert scene == {**SCENE, **empty, "category": "액션", "view_count": 0, "id": 8}
    name, event = await last_event(database)
    assert (name, event["token_id"], event["token_name"]) == ("token.created", 8, "Scene 09")
    found = (await client.get("/api/actors/하디")).json()
    assert 8 in [token["id"] for token in found]


NAMES = [("톰 하디", "Tom Hardy"), ("hardy", "Tom Hardy"), ("EMMA STONE", "Emma Stone"), ("Unheard", "Unheard")]


async def test_a_scene_is_linked_to_who_is_called_so_or_to_somebody_new(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    for named, linked in NAMES:
        scene = await done(client, "POST", "/api/tokens", {**SCENE, "actor_name": named})
        assert scene["actor_name"] == named
        assert await actors_of(database, scene["id"]) == [linked]


async def test_a_scene_makes_its_film_known(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    film = "https://youtu.be/new"
    both = (send(client, "POST", "/api/tokens", {**SCENE, "token_name": name, "youtube_url": film}) for name in "ab")
    assert [answer.status_code for answer in await asyncio.gather(*both)] == [200, 200]
    async with database.connect() as connection:
        known = sa.select(sa.func.count()).where(URLS.c.youtube_url == film)
        assert (await connection.execute(known)).scalar_one() == 1


async def test_a_change_keeps_what_it_does_not_name(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    await client.post("/api/tokens/1/view")
    before = (await client.get("/api/tokens/1")).json()
    answer = await done(client, "PUT", "/api/tokens/1", {"category": None, "end_time": 30, "view_count": 0})
    assert answer == {**{key: before[key] for key in answer}, "category": None, "end_time": 30.0}
    assert (answer["view_count"], answer["s3_pitch_url"]) == (4, "Tom Hardy/vid1/1/pitch.json")
    name, event = await last_event(database)
    assert (name, event["token_id"], event["end_time"]) == ("token.updated", 1, 30.0)


async def test_a_change_to_what_is_there_tells_nobody(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    before = await events(database)
    first = await send(client, "PUT", "/api/tokens/1", {"token_name": "Scene 01", "start_time": 10})
    line = await send(client, "PUT", "/api/scripts/5", {"script": "the", "words": []})
    assert (first.status_code, line.status_code) == (200, 200)
    assert await events(database) == before


async def test_another_actor_name_moves_the_scene_and_leaves_the_others_in_it(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    async with database.begin() as connection:
        await connection.execute(sa.insert(TOKEN_ACTORS).values(token_id=1, actor_id=3))
    await done(client, "PUT", "/api/tokens/1", {"actor_name": "엠마 스톤"})
    assert await actors_of(database, 1) == ["Emma Stone", "Nobody"]


async def test_a_line_is_written_with_its_words(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    line = await done(client, "POST", "/api/scripts/", {**LINE, "words": WORDS})
    words = [{**word, "script_id": 6, "id": 4 + index} for index, word in enumerate(WORDS)]
    assert line == {**LINE, "translation": None, "id": 6, "words": words}
    assert (await client.get("/api/scripts/6")).json() == line
    name, event = await last_event(database)
    assert (name, [word["word"] for word in event["words"]]) == ("script.created", ["and", "never"])


async def test_words_are_replaced_as_a_whole_and_the_same_ones_keep_their_features(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    new = [
        {"start_time": 15.0, "end_time": 15.5, "word": "you"},
        {"start_time": 15.5, "end_time": 15.7, "word": "all"},
        {"start_time": 15.7, "end_time": 16.0, "word": "could"},
        {"start_time": 16.0, "end_time": 18.5, "word": "go"},
    ]
    line = await done(client, "PUT", "/api/scripts/1", {"words": new})
    assert [(word["id"], word["word"]) for word in line["words"]] == [(1, "you"), (2, "all"), (3, "could"), (4, "go")]
    name, event = await last_event(database)
    assert name == "script.updated"
    assert [bool(word.get("mfcc")) for word in event["words"]] == [True, False, False, False]
    assert [word["word"] for word in (await done(client, "PUT", "/api/scripts/1", {"words": new[1:2]}))["words"]] == ["all"]


async def test_a_line_without_words_in_the_change_keeps_them(client: httpx.AsyncClient) -> None:
    line = await done(client, "PUT", "/api/scripts/1", {"translation": "떠날 수 있었어", "token_id": 3})
    assert (line["token_id"], line["translation"], line["script"]) == (3, "떠날 수 있었어", "you could leave")
    assert [word["id"] for word in line["words"]] == [1, 2, 3]


def a_word(start: object, end: object, word: object = "x", **more: object) -> dict[str, object]:
    return {"start_time": start, "end_time": end, "word": word, **more}


BAD_WORDS: list[tuple[object, list[object]]] = [
    ([a_word(18.5, 19), a_word(18.9, 20)], ["words", 1, "start_time"]),
    ([a_word(19, 20), a_word(18.5, 19)], ["words", 1, "start_time"]),
    ([a_word(18.4, 19)], ["words", 0]),
    ([a_word(20, 21.5)], ["words", 0]),
    ([a_word(20, 19)], ["words", 0, "end_time"]),
    ([a_word(20, None)], ["words", 0, "end_time"]),
    ([a_word(20, 20.5, "")], ["words", 0, "word"]),
    ([a_word(20, 20.5, probability=1.1)], ["words", 0, "probability"]),
    ([a_word(20, 20)] * 1001, ["words"]),
    ({}, ["words"]),
    (None, ["words"]),
]


async def test_words_that_cannot_be_are_named(client: httpx.AsyncClient) -> None:
    for words, where in BAD_WORDS:
        created = await send(client, "POST", "/api/scripts", {**LINE, "words": words})
        changed = await send(client, "PUT", "/api/scripts/1", {**LINE, "words": words})
        for answer in (created, changed):
            assert answer.status_code == 422, (words, answer.text)
            assert answer.json()["detail"][0]["loc"] == ["body", *where]


async def test_a_line_does_not_leave_its_words_behind(client: httpx.AsyncClient) -> None:
    answer = await send(client, "PUT", "/api/scripts/1", {"end_time": 15.8})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "end_time"])
    assert "'could'" in answer.json()["detail"][0]["msg"]
    await done(client, "PUT", "/api/scripts/1", {"end_time": 16.0})


BAD_FIELDS: list[tuple[str, object]] = [
    ("token_name", ""),
    ("token_name", "  "),
    ("token_name", "x" * 201),
    ("token_name", "a\x00b"),
    ("token_name", "a\nb"),
    ("token_name", "\ud800"),
    ("token_name", 5),
    ("token_name", None),
    ("category", ["액션"]),
    ("start_time", -0.5),
    ("start_time", "10"),
    ("start_time", True),
    ("start_time", float("nan")),
    ("end_time", float("inf")),
    ("end_time", 10**400),
    ("s3_pitch_url", "k" * 2049),
    ("youtube_url", None),
    ("youtube_url", "https://" + "".join(chr(0xAC00 + number * 7 % 11172) for number in range(2000))),
    ("youtube_url", "watch?v=1"),
    ("youtube_url", "javascript://x"),
    ("youtube_url", "http://[::1"),
]


async def test_a_field_that_cannot_be_is_named(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    before = await events(database)
    headers = {**ADMIN, "Content-Type": "application/json"}
    for field, value in BAD_FIELDS:
        content = json.dumps({**SCENE, field: value})
        for method, path in (("POST", "/api/tokens"), ("PUT", "/api/tokens/1")):
            answer = await client.request(method, path, content=content, headers=headers)
            assert answer.status_code == 422, (field, value, answer.text)
            assert answer.json()["detail"][0]["loc"] == ["body", field]
    assert await events(database) == before


async def test_a_new_scene_needs_its_fields(client: httpx.AsyncClient) -> None:
    for field in ("token_name", "actor_name", "start_time", "end_time", "youtube_url"):
        answer = await send(client, "POST", "/api/tokens", {key: value for key, value in SCENE.items() if key != field})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field])


MISFITS: list[tuple[str, dict[str, object], str]] = [
    ("/api/tokens/1", {"end_time": 9}, "end_time"),
    ("/api/tokens/1", {"start_time": 29}, "start_time"),
    ("/api/tokens/1", {"start_time": 9, "end_time": 8}, "end_time"),
    ("/api/scripts/5", {"start_time": 15.5}, "start_time"),
    ("/api/scripts/5", {"script": None}, "script"),
    ("/api/scripts/5", {"script": "a\x1bb"}, "script"),
    ("/api/scripts/5", {"script": "x" * 5001}, "script"),
    ("/api/scripts/5", {"token_id": 2**31}, "token_id"),
    ("/api/scripts/5", {"token_id": 0}, "token_id"),
]


async def test_a_change_fits_what_is_there(client: httpx.AsyncClient) -> None:
    for path, change, field in MISFITS:
        answer = await send(client, "PUT", path, change)
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field]), change


NO_OBJECTS = (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"start_time": ' + b"1" * 9999)


async def test_a_body_that_is_no_object_is_refused(client: httpx.AsyncClient) -> None:
    for content in NO_OBJECTS:
        for method, path in (("POST", "/api/tokens"), ("PUT", "/api/scripts/1"), ("POST", "/api/actors")):
            answer = await client.request(method, path, content=content, headers={**ADMIN, "Content-Type": "application/json"})
            assert answer.status_code in (400, 422), answer.text


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for thing, text in (("tokens", "Token not found"), ("scripts", "Script not found")):
        for method, any_id in product(("PUT", "DELETE"), (8, 0, -1, 2**31, 2**63)):
            answer = await send(client, method, f"/api/{thing}/{any_id}", {})
            assert (answer.status_code, answer.json()["detail"]) == (404, text)


async def test_a_line_of_an_unknown_scene_is_not_found(client: httpx.AsyncClient) -> None:
    for method, path in (("POST", "/api/scripts"), ("PUT", "/api/scripts/1")):
        answer = await send(client, method, path, {**LINE, "token_id": 99, "words": []})
        assert (answer.status_code, answer.json()["detail"]) == (404, "Token not found")


async def test_a_deleted_line_goes_with_its_words_and_is_told_of(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    assert await done(client, "DELETE", "/api/scripts/1/") == {"detail": "Script deleted successfully"}
    assert (await client.get("/api/scripts/1")).status_code == 404
    name, event = await last_event(database)
    assert (name, event["script_id"], event["token_id"]) == ("script.deleted", 1, 1)
    assert [script["id"] for script in (await client.get("/api/tokens/1")).json()["scripts"]] == [5]


async def test_a_change_from_an_older_state_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    for path, change in (("/api/scripts/1", {"translation": "처음"}), ("/api/tokens/1", {"category": "드라마"})):
        seen = (await client.get(path)).headers["etag"]
        first = await send(client, "PUT", path, change, if_match=seen)
        assert first.status_code == 200
        published = await events(database)
        for method in ("PUT", "DELETE"):
            late = await send(client, method, path, {next(iter(change)): "나중"}, if_match=seen)
            assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
        assert await events(database) == published
        again = await send(client, "PUT", path, change, if_match=f'"v0", {first.headers["etag"]}')
        assert (again.status_code, again.headers["etag"]) == (200, first.headers["etag"])
        for weak in ("W/" + first.headers["etag"], first.headers["etag"].strip('"'), ""):
            assert (await send(client, "PUT", path, change, if_match=weak)).status_code == 412
        assert (await send(client, "DELETE", path, if_match="*")).status_code == 200


async def test_a_view_is_no_reason_to_refuse_a_change(client: httpx.AsyncClient) -> None:
    seen = (await client.get("/api/tokens/2")).headers["etag"]
    await client.post("/api/tokens/2/view")
    assert (await send(client, "PUT", "/api/tokens/2", {"category": "판타지"}, if_match=seen)).status_code == 200


async def test_the_tag_of_what_was_written_allows_the_next_change(client: httpx.AsyncClient) -> None:
    for path, body, change in (("/api/tokens", SCENE, {"category": "액션"}), ("/api/scripts", LINE, {"words": WORDS})):
        made = await send(client, "POST", path, body)
        one = f"{path}/{made.json()['id']}"
        changed = await send(client, "PUT", one, change, if_match=made.headers["etag"])
        assert (await send(client, "DELETE", one, if_match=made.headers["etag"])).status_code == 412
        assert (await send(client, "DELETE", one, if_match=changed.headers["etag"])).status_code == 200


async def test_of_many_changes_at_once_from_one_state_one_is_made(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    made = await send(client, "PUT", "/api/scripts/1", {"translation": "시작"})
    published = len(await events(database))
    texts = [f"번역 {number}" for number in range(10)]
    tagged = (send(client, "PUT", "/api/scripts/1", {"translation": text}, if_match=made.headers["etag"]) for text in texts)
    answers = await asyncio.gather(*tagged)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
    [winner] = [answer.json()["translation"] for answer in answers if answer.status_code == 200]
    assert (await client.get("/api/scripts/1")).json()["translation"] == winner
    assert len(await events(database)) == published + 1


async def test_changes_at_once_to_different_fields_are_all_made(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    changes: list[dict[str, object]] = [
        {"token_name": "A"},
        {"category": "판타지"},
        {"thumbnail_url": "https://t.example.org/1"},
        {"end_time": 27},
    ]
    await asyncio.gather(*(done(client, "PUT", "/api/tokens/1", change) for change in changes))
    scene = (await client.get("/api/tokens/1")).json()
    for change in changes:
        assert change.items() <= scene.items()
    async with database.connect() as connection:
        bodies = await connection.execute(sa.text("SELECT body FROM outbox WHERE type = 'token.updated' ORDER BY id"))
        versions = [json.loads(body)["version"] for body in bodies.scalars()]
    assert versions == sorted(set(versions))
    assert len(versions) == 4


async def test_nothing_is_changed_during_an_import_and_an_import_waits_for_a_change(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    async with database.connect() as importing, database.connect() as editing, importing.begin():
        async with editing.begin():
            assert await import_repository.try_lock_for_edit(editing)
            waiting = asyncio.create_task(import_repository.try_lock(importing))
            assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        assert await waiting
        for method, path, body in (
            ("PUT", "/api/tokens/1", {}),
            ("POST", "/api/scripts", LINE),
            ("DELETE", "/api/scripts/1", None),
        ):
            answer = await send(client, method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "import_running")


async def test_a_line_that_comes_while_its_scene_goes_is_told_of_or_refused(
    client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    adding = [send(client, "POST", "/api/scripts", LINE) for _ in range(5)]
    *added, deleted = await asyncio.gather(*adding, send(client, "DELETE", "/api/tokens/1"))
    assert deleted.status_code == 200
    made = {f"script:{answer.json()['id']}" for answer in added if answer.status_code == 200}
    assert {answer.status_code for answer in added} <= {200, 404}
    assert made <= {subject for name, subject in await events(database) if name == "script.deleted"}
