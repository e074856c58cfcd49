"""Bringing a catalogue document: all or nothing, the second time nothing, and an error that names the entry."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common.acts import Origin
from libs.common.contracts.catalog import ScriptUpdated
from services.catalog import import_repository
from services.catalog.importing import BATCH
from services.catalog.models import ACTOR_ALIASES, METADATA, SCRIPTS, TOKENS, URLS, WORDS
from tests.services.catalog.conftest import MAX_IMPORT_BYTES, Import, a_catalogue, a_token, bearer, events

SAMPLES = Path(__file__).parents[3] / "samples" / "catalog.json"
KINDS = ("urls", "actors", "aliases", "tokens", "token_actors", "scripts", "words", "pitch")


async def rows(database: AsyncEngine, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    async with database.connect() as connection:
        wanted = [column for column in table.c if column.name in columns or not columns]
        found = await connection.execute(sa.select(*wanted).order_by(*table.primary_key))
        return [tuple(row) for row in found]


async def everything(database: AsyncEngine) -> dict[str, list[tuple[Any, ...]]]:
    return {name: await rows(database, table) for name, table in METADATA.tables.items()}


def counts(answer: httpx.Response, what: str) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {kind: answer.json()[kind][what] for kind in KINDS if answer.json()[kind][what]}


async def test_an_import_counts_what_it_made(import_document: Import) -> None:
    answer = await import_document(a_catalogue())
    made = {"urls": 3, "actors": 3, "aliases": 4, "tokens": 4, "token_actors": 3, "scripts": 2, "words": 3, "pitch": 1}
    assert counts(answer, "created") == made
    assert counts(answer, "updated") == counts(answer, "unchanged") == counts(answer, "removed") == {}
    assert answer.json()["ignored"] == []


async def test_the_second_import_changes_nothing_and_says_so(import_document: Import, database: AsyncEngine) -> None:
    first = await import_document(a_catalogue())
    before, published = await everything(database), await events(database)
    second = await import_document(a_catalogue())
    assert counts(second, "unchanged") == counts(first, "created")
    assert counts(second, "created") == counts(second, "updated") == counts(second, "removed") == {}
    assert await everything(database) == before
    assert await events(database) == published


@pytest.mark.usefixtures("catalogue")
async def test_ids_are_kept_and_new_ones_come_after_them(database: AsyncEngine) -> None:
    assert await rows(database, URLS, "id") == [(1,), (2,), (3,)]
    assert await rows(database, TOKENS, "id") == [(1,), (2,), (3,), (7,)]
    assert (9, "Emily_Stone 100%") in await rows(database, ACTOR_ALIASES, "id", "name")
    async with database.begin() as connection:
        url = await connection.execute(sa.insert(URLS).values(youtube_url="https://youtu.be/new").returning(URLS.c.id))
        assert url.scalar_one() == 4
        token = sa.insert(TOKENS).values(token_name="n", actor_name="a", start_time=0, end_time=1, url_id=4, version=1)
        assert (await connection.execute(token.returning(TOKENS.c.id))).scalar_one() == 8


@pytest.mark.usefixtures("catalogue")
async def test_each_new_line_is_published_with_its_words(database: AsyncEngine) -> None:
    assert await events(database, "script") == [("script.created", "script:1"), ("script.created", "script:5")]
    async with database.connect() as connection:
        body = (
            (await connection.execute(sa.text("SELECT body FROM outbox WHERE type = 'script.created' ORDER BY id")))
            .scalars()
            .first()
        )
    snapshot = json.loads(body or b"")
    assert snapshot["script"] == "you could leave"
    assert [word["word"] for word in snapshot["words"]] == ["you", "could", "leave"]
    assert snapshot["words"][0]["mfcc"] == a_catalogue()["words"][0]["mfcc"]


def drop_a_word(document: dict[str, Any]) -> None:
    document["words"].pop()


def add_a_word(document: dict[str, Any]) -> None:
    document["words"].append({"id": 40, "script_id": 1, "word": "now"})


def change_a_word(document: dict[str, Any]) -> None:
    document["words"][0]["mfcc"][0][0] = 0.13


def change_the_text(document: dict[str, Any]) -> None:
    document["scripts"][0]["script"] = "you could go"


def change_the_translation(document: dict[str, Any]) -> None:
    document["scripts"][0]["translation"] = "떠날 수 있었어"


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("change", [drop_a_word, add_a_word, change_a_word, change_the_text, change_the_translation])
async def test_a_changed_line_is_published_with_a_higher_version(
    import_document: Import, database: AsyncEngine, change: Callable[[dict[str, Any]], None]
) -> None:
    versions = dict(await rows(database, SCRIPTS, "id", "version"))
    document = a_catalogue()
    change(document)
    answer = await import_document(document)
    assert answer.json()["scripts"] == {"created": 0, "updated": 1, "unchanged": 1, "removed": 0}
    assert (await events(database, "script"))[2:] == [("script.updated", "script:1")]
    after = dict(await rows(database, SCRIPTS, "id", "version"))
    assert after[5] == versions[5]
    assert after[1] > max(versions.values())
    async with database.connect() as connection:
        body = (await connection.execute(sa.text("SELECT body FROM outbox WHERE type = 'script.updated'"))).scalars().first()
    event = ScriptUpdated.model_validate_json(body or b"")
    assert event.version == after[1]
    assert [word.word for word in event.words] == [word["word"] for word in document["words"]]


@pytest.mark.usefixtures("catalogue")
async def test_an_import_never_sets_back_the_views(client: httpx.AsyncClient, import_document: Import) -> None:
    await client.post("/api/tokens/1/view")
    changed = a_catalogue()
    changed["tokens"][0]["token_name"] = "Another name"
    answer = await import_document(changed)
    assert counts(answer, "updated") == {"tokens": 1}
    token = (await client.get("/api/tokens/1")).json()
    assert (token["token_name"], token["view_count"]) == ("Another name", 4)


@pytest.mark.usefixtures("catalogue")
async def test_what_belongs_to_an_entry_is_replaced_as_a_whole(import_document: Import, database: AsyncEngine) -> None:
    answer = await import_document(
        {
            "actors": [{"id": 1, "name": "Tom Hardy", "aliases": ["톰 하디", "토마스"]}, {"id": 2, "name": "Emma Stone"}],
            "token_actors": [{"token_id": 1, "actor_id": 3}],
        }
    )
    assert counts(answer, "removed") == {"aliases": 1, "token_actors": 1}
    assert counts(answer, "created") == {"aliases": 1, "token_actors": 1}
    names = await rows(database, ACTOR_ALIASES, "actor_id", "name")
    assert sorted(names) == [(1, "토마스"), (1, "톰 하디"), (2, "Emily_Stone 100%"), (2, "엠마 스톤")]


async def test_words_without_ids_keep_their_order_and_the_second_time_their_ids(
    import_document: Import, database: AsyncEngine
) -> None:
    document = a_catalogue()
    texts = [f"word{number}" for number in range(12)]
    document["words"] = [{"script_id": 1, "word": text} for text in texts]
    await import_document(document)
    before = await rows(database, WORDS, "id", "word")
    assert [word for _, word in before] == texts
    assert counts(await import_document(document), "unchanged")["words"] == 12
    document["words"].insert(0, {"script_id": 1, "word": "first"})
    await import_document(document)
    assert [word for _, word in await rows(database, WORDS, "id", "word")] == ["first", *texts]


@pytest.mark.usefixtures("catalogue")
async def test_a_document_may_refer_to_what_is_there_already(import_document: Import, database: AsyncEngine) -> None:
    more = {
        "tokens": [a_token(8)],
        "scripts": [{"id": 9, "token_id": 2, "start_time": 1, "end_time": 2, "script": "x"}],
        "words": [{"id": 50, "script_id": 5, "word": "the"}],
        "token_actors": [{"token_id": 8, "actor_id": 2}],
    }
    answer = await import_document(more)
    assert counts(answer, "created") == {"tokens": 1, "scripts": 1, "words": 1, "token_actors": 1}
    assert (await events(database, "script"))[2:] == [("script.updated", "script:5"), ("script.created", "script:9")]


async def test_keys_that_nobody_reads_are_told(import_document: Import) -> None:
    answer = await import_document({"users": [{"id": 1}], "bookmarks": [], "scrpts": []})
    assert answer.json()["ignored"] == ["bookmarks", "scrpts"]


async def test_an_empty_document_is_fine(import_document: Import) -> None:
    assert counts(await import_document({}), "created") == {}


async def test_the_sample_catalogue_can_be_imported_twice(
    app: FastAPI, client: httpx.AsyncClient, database: AsyncEngine
) -> None:
    """It is larger than these tests allow over HTTP, so it goes to the use case."""
    content = SAMPLES.read_bytes()
    first, second = await app.state.importer.run(content, Origin()), await app.state.importer.run(content, Origin())
    document = json.loads(content)
    for kind in ("urls", "actors", "tokens", "token_actors", "scripts", "words", "pitch"):
        assert first.counts[kind].created == second.counts[kind].unchanged == len(document[kind])
    assert len(await events(database)) == len(document["scripts"]) + len(document["tokens"])
    (script,) = [script for script in document["scripts"] if script["id"] == 3]
    assert (await client.get("/api/scripts/3")).json()["script"] == script["script"]


async def test_more_lines_than_a_batch_are_all_written_and_published(app: FastAPI, database: AsyncEngine) -> None:
    number = 2 * BATCH + 7
    document = {
        "urls": ["https://youtu.be/x"],
        "tokens": [a_token(1, youtube_url="https://youtu.be/x")],
        "scripts": [
            {"id": i, "token_id": 1, "start_time": i, "end_time": i + 1, "script": f"line {i}"} for i in range(1, number + 1)
        ],
        "words": [{"script_id": i, "word": "w"} for i in range(1, number + 1)],
    }
    report = await app.state.importer.run(json.dumps(document).encode(), Origin())
    assert report.counts["scripts"].created == report.counts["words"].created == number
    subjects = [subject for _, subject in await events(database, "script")]
    assert len(set(subjects)) == number
    versions = [version for (version,) in await rows(database, SCRIPTS, "version")]
    assert len(set(versions)) == number


def with_entry(kind: str, entry: object) -> dict[str, Any]:
    document = copy.deepcopy(a_catalogue())
    document[kind].append(entry)
    return document


LINE = {"id": 90, "token_id": 1, "start_time": 1, "end_time": 2, "script": "x"}


@pytest.mark.parametrize(
    ("kind", "entry", "detail"),
    [
        ("tokens", a_token(8, youtube_url="x"), "tokens[4]: youtube_url 'x' is not in urls"),
        ("tokens", a_token(8, start_time=5, end_time=4.5), "tokens[4]: end_time 4.5 is before start_time 5"),
        ("tokens", a_token(8, start_time=float("nan")), "tokens[4].start_time: Input should be a finite number"),
        ("tokens", a_token(8, end_time=float("inf")), "tokens[4].end_time: Input should be a finite number"),
        ("tokens", a_token(8, start_time=-1), "tokens[4].start_time: Input should be greater than or equal to 0"),
        ("tokens", a_token(8, start_time="1"), "tokens[4].start_time: Input should be a valid number"),
        ("tokens", a_token(7), "tokens[4]: id 7 is used by tokens[3] already"),
        ("tokens", a_token(0), "tokens[4].id: Input should be greater than or equal to 1"),
        ("tokens", a_token(2**31), "tokens[4].id: Input should be less than or equal to 2147483647"),
        ("tokens", {**a_token(8), "id": True}, "tokens[4].id: Input should be a valid integer"),
        ("tokens", {**a_token(8), "id": "8"}, "tokens[4].id: Input should be a valid integer"),
        ("tokens", {"id": 8}, "tokens[4].token_name: Field required"),
        ("tokens", 8, "tokens[4]: Input should be a valid dictionary or instance of TokenEntry"),
        ("tokens", a_token(8, token_name="a\x00b"), "tokens[4].token_name: must not contain control characters"),
        ("tokens", a_token(8, token_name="a\nb"), "tokens[4].token_name: must not contain control characters"),
        ("tokens", a_token(8, token_name="x" * 201), "tokens[4].token_name: String should have at most 200 characters"),
        ("scripts", {**LINE, "token_id": 99}, "scripts[2]: token_id 99 is not in tokens"),
        ("scripts", {**LINE, "script": "x" * 5001}, "scripts[2].script: String should have at most 5000 characters"),
        ("scripts", {**LINE, "script": "bell\x07"}, "scripts[2].script: must not contain control characters"),
        ("scripts", {**LINE, "id": 1}, "scripts[2]: id 1 is used by scripts[0] already"),
        ("words", {"id": 9, "script_id": 77}, "words[3]: script_id 77 is not in scripts"),
        ("words", {"id": 1, "script_id": 5}, "words[3]: id 1 is used by words[0] already"),
        ("words", {"script_id": 1}, "words[3]: all words of a script carry an id or none; words[0] is different"),
        ("words", {"id": 9, "script_id": 1, "mfcc": [[1.0] * 12]}, "words[3].mfcc[0]: must hold 13 numbers"),
        (
            "words",
            {"id": 9, "script_id": 1, "mfcc": [[1.0] * 12 + [float("nan")]]},
            "words[3].mfcc[0][12]: Input should be a finite number",
        ),
        (
            "words",
            {"id": 9, "script_id": 1, "probability": 1.5},
            "words[3].probability: Input should be less than or equal to 1",
        ),
        ("actors", {"id": 4, "name": "Nobody"}, "actors[3]: name Nobody is used by actors[2] already"),
        ("actors", {"id": 4, "name": ""}, "actors[3].name: String should have at least 1 character"),
        (
            "actors",
            {"id": 4, "name": "x", "aliases": ["a", "a"]},
            "actors[3].aliases[1]: name a is used by actors[3].aliases[0] already",
        ),
        ("actors", {"id": 4, "name": "x", "aliases": [5]}, "actors[3].aliases[0]: Input should be a valid dictionary"),
        ("token_actors", {"token_id": 99, "actor_id": 1}, "token_actors[3]: token_id 99 is not in tokens"),
        ("token_actors", {"token_id": 1, "actor_id": 99}, "token_actors[3]: actor_id 99 is not in actors"),
        (
            "token_actors",
            {"token_id": 1, "actor_id": 1},
            "token_actors[3]: pair (1, 1) is used by token_actors[0] already",
        ),
        ("urls", {"id": 1, "youtube_url": "y"}, "urls[3]: id 1 is used by urls[0] already"),
        ("urls", "", "urls[3].youtube_url: String should have at least 1 character"),
    ],
)
async def test_a_wrong_entry_is_named_and_nothing_is_imported(
    client: httpx.AsyncClient, database: AsyncEngine, kind: str, entry: object, detail: str
) -> None:
    content = json.dumps(with_entry(kind, entry))  # writes NaN, as Python programs do
    answer = await client.post("/api/catalog/import", content=content, headers=bearer(admin=True))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)
    assert not any((await everything(database)).values())
    assert await events(database) == []


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({"urls": [{"id": 9, "youtube_url": "https://www.youtube.com/watch?v=vid00000001"}]}, "urls[0]: "),
        ({"actors": [{"id": 9, "name": "Nobody"}]}, "actors[0]: 'Nobody' has the id 3 here already"),
        ({"actors": [{"id": 1, "name": "Tom Hardy", "aliases": [{"id": 9, "name": "z"}]}]}, "actors[0].aliases[0]: "),
        ({"words": [{"id": 1, "script_id": 5}]}, "words[0]: the id 1 belongs to a word of script 1 here"),
        ({"words": [{"id": 2**31 - 1, "script_id": 5}, {"script_id": 1}]}, "words: there are no ids left"),
    ],
)
async def test_an_entry_that_clashes_with_what_is_there_is_named(
    import_document: Import, database: AsyncEngine, document: dict[str, Any], detail: str
) -> None:
    before = await everything(database)
    answer = await import_document(document)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)
    assert await everything(database) == before


async def test_a_pitch_that_cannot_be_stored_is_named(client: httpx.AsyncClient, tmp_path: Path) -> None:
    for pitch, detail in (
        ('{"../x": []}', "pitch['../x']: An object key must not"),
        ('{"x": [NaN]}', "pitch['x']: holds NaN"),
        ("[]", "pitch must be an object"),
        ('{"a\\u0000b": []}', "pitch['a\\x00b']: An object key must not contain control characters"),
    ):
        content = f'{{"pitch": {pitch}}}'
        answer = await client.post("/api/catalog/import", content=content, headers=bearer(admin=True))
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(detail), answer.text
    assert not any((tmp_path / "objects").rglob("*.json"))


async def test_a_wrong_entry_leaves_stored_melodies_as_they_are(client: httpx.AsyncClient, import_document: Import) -> None:
    await import_document(a_catalogue())
    document = with_entry("tokens", a_token(8, youtube_url="x"))
    document["pitch"] = {key: [] for key in document["pitch"]}
    assert (await import_document(document)).status_code == 422
    assert (await client.get("/api/tokens/1")).json()["pitch"] == a_catalogue()["pitch"]["Tom Hardy/vid1/1/pitch.json"]


async def test_a_failure_in_the_middle_leaves_nothing(
    import_document: Import, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(import_repository, "give_new_versions", fail)
    assert (await import_document(a_catalogue())).status_code == 500
    assert not any((await everything(database)).values())
    assert await events(database) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"tokens": {}}',
        b'{"tokens": null}',
        b"\xff",
        b"[" * 100_000,
        b'{"urls": ["\\ud800"]}',
    ],
)
async def test_what_is_no_document_is_422(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/api/catalog/import", content=content, headers=bearer(admin=True))
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


async def test_a_document_that_is_too_long_is_413_and_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_IMPORT_BYTES:
            sent += 10_000
            yield b" " * 10_000

    answer = await client.post("/api/catalog/import", content=endless(), headers=bearer(admin=True))
    assert answer.status_code == 413
    assert sent <= MAX_IMPORT_BYTES + 20_000
    announced = b" " * (MAX_IMPORT_BYTES + 1)
    answer = await client.post("/api/catalog/import", content=announced, headers=bearer(admin=True))
    assert (answer.status_code, answer.json()["code"]) == (413, "document_too_large")


async def test_only_administrators_import(client: httpx.AsyncClient, database: AsyncEngine) -> None:
    assert (await client.post("/api/catalog/import", json=a_catalogue())).status_code == 401
    assert (await client.post("/api/catalog/import", json=a_catalogue(), headers=bearer())).status_code == 403
    assert not any((await everything(database)).values())


async def test_two_imports_at_once_do_not_mix(import_document: Import, database: AsyncEngine) -> None:
    async with database.begin() as connection:
        assert await import_repository.try_lock(connection)
        answer = await import_document(a_catalogue())
    assert (answer.status_code, answer.json()["code"]) == (409, "import_running")
    assert (await import_document(a_catalogue())).status_code == 200
