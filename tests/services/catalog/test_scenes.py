"""Scenes without ids: found again by film and name, their lines by what is said."""

import copy
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.services.catalog.conftest import Import, events
from tests.services.catalog.test_importing import counts

FILM = "https://www.youtube.com/watch?v=vid00000001"


def a_line(start: float, script: str, **more: Any) -> dict[str, Any]:
    """Two seconds, one word a second."""
    words = [
        {"start_time": start + index, "end_time": start + index + 1, "word": word} for index, word in enumerate(script.split())
    ]
    return {"start_time": start, "end_time": start + 2, "script": script, "words": words, **more}


def a_scene(**changes: Any) -> dict[str, Any]:
    """A scene of a new film, by somebody new."""
    lines = [a_line(1, "to be", translation="사느냐"), a_line(3, "or not"), a_line(5, "to be", translation="죽느냐")]
    film = "https://youtu.be/hamlet"
    scene = {
        "youtube_url": film,
        "token_name": "Act 3",
        "actor_name": "Sarah",
        "start_time": 0,
        "end_time": 9,
        "scripts": lines,
    }
    return {**scene, **changes}


async def lines_of(client: httpx.AsyncClient, token_id: int) -> list[tuple[int, str]]:
    return [(line["id"], line["script"]) for line in (await client.get(f"/api/tokens/{token_id}")).json()["scripts"]]


@pytest.mark.usefixtures("catalogue")
async def test_a_new_scene_gets_ids_its_film_and_its_actor(client: httpx.AsyncClient, import_document: Import) -> None:
    answer = await import_document({"scenes": [a_scene()], "pitch": {"act3/pitch.json": []}})
    assert counts(answer, "created") == {"urls": 1, "actors": 1, "tokens": 1, "scripts": 3, "words": 6, "pitch": 1}
    assert await lines_of(client, 8) == [(6, "to be"), (7, "or not"), (8, "to be")]
    assert [token["id"] for token in (await client.get("/api/actors/sarah")).json()] == [8]
    words = (await client.get("/api/scripts/7")).json()["words"]
    assert [(word["id"], word["word"]) for word in words] == [(6, "or"), (7, "not")]


async def test_the_second_time_changes_nothing(import_document: Import, database: AsyncEngine) -> None:
    await import_document({"scenes": [a_scene()]})
    published = await events(database)
    second = await import_document({"scenes": [a_scene()]})
    assert counts(second, "created") == counts(second, "updated") == counts(second, "removed") == {}
    assert await events(database) == published


async def test_lines_keep_their_ids_through_new_mended_and_missing_neighbours(
    client: httpx.AsyncClient, import_document: Import, database: AsyncEngine
) -> None:
    await import_document({"scenes": [a_scene()]})
    before = dict(await lines_of(client, 1))
    assert before == {1: "to be", 2: "or not", 3: "to be"}
    lines = [a_line(0, "ah me"), a_line(2, "to be"), a_line(4, "or nought"), a_line(6, "to be")]
    await import_document({"scenes": [a_scene(scripts=lines)]})
    assert await lines_of(client, 1) == [(4, "ah me"), (1, "to be"), (2, "or nought"), (3, "to be")]
    assert (await client.get("/api/scripts/1")).json()["translation"] == "사느냐"
    answer = await import_document({"scenes": [a_scene(scripts=lines[1:2])]})
    assert counts(answer, "removed") == {"scripts": 3}
    assert await lines_of(client, 1) == [(1, "to be")]
    assert [subject for name, subject in await events(database) if name == "script.deleted"] == [
        "script:4",
        "script:2",
        "script:3",
    ]


@pytest.mark.usefixtures("catalogue")
async def test_what_a_scene_does_not_name_stays(client: httpx.AsyncClient, import_document: Import) -> None:
    known = {"start_time": 15.0, "end_time": 18.5, "script": "you could leave"}
    words = [{"start_time": 15.0, "end_time": 15.5, "word": "you"}, {"start_time": 15.5, "end_time": 18.5, "word": "could"}]
    scene = a_scene(youtube_url=FILM, token_name="Scene 01", actor_name="톰 하디", scripts=[{**known, "words": words}])
    assert (await import_document({"scenes": [scene]})).status_code == 200
    token = (await client.get("/api/tokens/1")).json()
    assert (token["category"], token["view_count"], token["end_time"]) == ("액션", 3, 9.0)
    assert token["s3_pitch_url"] == "Tom Hardy/vid1/1/pitch.json"
    assert [(word["id"], word["word"]) for word in token["scripts"][0]["words"]] == [(1, "you"), (2, "could")]
    assert [each["id"] for each in (await client.get("/api/actors/hardy")).json()] == [1, 3]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"token_name": " "}, "scenes[0].token_name: must not be blank"),
    ({"end_time": None}, "scenes[0].end_time: Input should be a valid number"),
    ({"scripts": [a_line(1, "to be", words=[])]}, "scenes[0].scripts[0].words: List should have at least 1 item"),
    ({"scripts": [a_line(1, "to be", end_time=2)]}, "scenes[0].scripts[0].words[1]: is outside of the line's time, 1 to 2 s"),
]


async def test_what_is_wrong_is_named(import_document: Import, database: AsyncEngine) -> None:
    for change, message in WRONG:
        answer = await import_document({"scenes": [a_scene(**change)]})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(message), answer.text
    overlapping = copy.deepcopy(a_scene())
    overlapping["scripts"][1]["words"][1]["start_time"] = 3.5
    answer = await import_document({"scenes": [overlapping]})
    assert answer.json()["detail"].startswith("scenes[0].scripts[1].words[1].start_time: is before the end")
    answer = await import_document({"scenes": [a_scene(), a_scene()]})
    assert answer.json()["detail"].startswith("scenes[1]: film and name")
    assert await events(database) == []


async def test_two_scenes_of_one_name_in_a_film_are_left_to_ids(import_document: Import) -> None:
    tokens = [{**a_scene(), "id": token_id} for token_id in (1, 2)]
    await import_document({"urls": ["https://youtu.be/hamlet"], "tokens": tokens})
    answer = await import_document({"scenes": [a_scene()]})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_document")
    assert "several scenes called 'Act 3'" in answer.json()["detail"]
