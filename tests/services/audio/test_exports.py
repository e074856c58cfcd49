"""The archive of somebody's data: all of it and nothing else, made once whoever dies over it, gone in time."""

import asyncio
import io
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4
from zipfile import ZipFile

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Response

from libs.common.contracts.auth import UserDeleted
from libs.common.storage.base import Storage, StoredObject
from libs.common.storage.disk import DiskStorage
from services.audio import exporting
from services.audio.export_contents import Contents
from services.audio.models import TAKES
from tests.services.audio.dubber import FakeMixer, ask, get, know_scene
from tests.services.audio.dubber import record as read_lines
from tests.services.audio.house import PATIENCE, House, Open, bearer, served, wav
from tests.services.audio.practising import practise, record
from tests.services.audio.queueing import Queue
from yousync.local.s3 import PrivateS3

EXPORT = "/api/auth/me/export"
GONE = UserDeleted(user_id=1, deleted_at=datetime(2026, 11, 23, tzinfo=UTC))
PROFILE = {"id": 1, "email": "learner@example.org", "full_name": "배우는 사람"}


class Owner:
    """A service that keeps something of people; `status` is what it answers with."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.files = files
        self.status = 200
        self.asked: list[int] = []

    def app(self) -> FastAPI:
        """GET /internal/users/{id}/data."""
        app = FastAPI()

        @app.get("/internal/users/{user_id}/data")
        async def data(user_id: int, response: Response) -> dict[str, Any]:
            self.asked.append(user_id)
            response.status_code = self.status
            return self.files

        return app


@pytest.fixture
async def owners() -> AsyncIterator[dict[str, Owner]]:
    auth, catalog = Owner({"profile.json": PROFILE, "sessions.json": []}), Owner({"bookmarks.json": [{"token_id": 3}]})
    async with served(auth.app()) as auth_url, served(catalog.app()) as catalog_url:
        yield {auth_url: auth, catalog_url: catalog}


@pytest.fixture
def open_export_house(open_house: Open, owners: dict[str, Owner]) -> Open:
    """As `open_house`, with the services that own the rest."""
    auth_url, catalog_url = owners

    @asynccontextmanager
    async def running(**values: Any) -> AsyncIterator[House]:
        async with open_house(auth_url=auth_url, catalog_url=catalog_url, **values) as house:
            yield house

    return running


@pytest.fixture
async def exporter(open_export_house: Open) -> AsyncIterator[House]:
    """A running service that makes archives."""
    async with open_export_house() as house:
        yield house


class Jam:
    """Archives get stuck on their way into the store until `let` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_it, self.let, self.given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.calls = 0
        put = DiskStorage.put

        async def slowly(store: DiskStorage, key: str, chunks: AsyncIterator[bytes], *, media_type: str) -> StoredObject:
            if key.startswith("exports/"):
                self.calls += 1
                self.at_it.set()
                try:
                    await self.let.wait()
                except asyncio.CancelledError:
                    self.given_up.set()
                    raise
            return await put(store, key, chunks, media_type=media_type)

        monkeypatch.setattr(DiskStorage, "put", slowly)


async def look(house: House, user_id: int = 1, **params: Any) -> httpx.Response:
    """Ask for the archive."""
    return await house.client.get(EXPORT, headers=bearer(user_id), params=params)


async def ready(house: House, user_id: int = 1, **params: Any) -> dict[str, Any]:
    """Ask until it is ready."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await look(house, user_id, **params)).status_code == 202:
            await asyncio.sleep(0.01)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def opened(house: House, body: dict[str, Any]) -> ZipFile:
    """What is behind the link."""
    data = await get(house, body["url"])
    assert len(data) == body["size"]
    return ZipFile(io.BytesIO(data))


def archives(house: House) -> int:
    """How many archives are in the store."""
    return sum(file.suffix == ".zip" for file in house.objects())


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_holds_everything_that_is_kept_of_who_asks_and_nothing_else(
    exporter: House, monkeypatch: pytest.MonkeyPatch, owners: dict[str, Owner]
) -> None:
    FakeMixer(monkeypatch)
    await know_scene(exporter)
    await read_lines(exporter, 5)
    await ask(exporter)
    finished, waiting = await practise(exporter, 7), (await record(exporter, None)).job_id
    others = await practise(exporter, 7, user_id=2)
    first = await look(exporter)
    assert (first.status_code, first.headers["Retry-After"], first.headers["Cache-Control"]) == (202, "5", "no-store")
    assert first.json() == {"state": "preparing", "message": "데이터를 모으고 있습니다. 잠시 후 다시 확인해 주세요."}
    body = await ready(exporter)
    url, size, made_at, expires_at = (body[name] for name in ("url", "size", "made_at", "expires_at"))
    message = "데이터를 내려받을 수 있습니다."
    assert body == {
        "state": "ready",
        "message": message,
        "url": url,
        "size": size,
        "made_at": made_at,
        "expires_at": expires_at,
    }
    assert datetime.fromisoformat(expires_at) - datetime.fromisoformat(made_at) == timedelta(hours=24)
    assert made_at.endswith("Z")

    archive = await opened(exporter, body)
    assert archive.testzip() is None
    folders = [name for name in archive.namelist() if "/" in name]
    files = {name: archive.read(name) for name in archive.namelist() if "/" not in name}
    assert set(files) == {
        *("README.txt", "profile.json", "sessions.json", "bookmarks.json", "takes.json", "dubbings.json"),
    }
    assert "YouSync가 회원님에 대해" in files["README.txt"].decode()
    assert "the data that YouSync keeps of you" in files["README.txt"].decode()
    assert (json.loads(files["profile.json"]), json.loads(files["bookmarks.json"])) == (PROFILE, [{"token_id": 3}])
    takes = json.loads(files["takes.json"])
    assert [(take["scene_id"], take["line_id"], take["line"]) for take in takes] == [
        (3, None, None), (3, 7, "you could"), (3, 5, "you could"),
    ]  # fmt: skip
    assert {(take["scene"], take["actor"]) for take in takes} == {("Scene 03", "Tom Hardy")}
    by_job = {each["id"]: each for take in takes for each in take["analyses"]}
    assert set(by_job) == {finished, waiting, takes[2]["analyses"][0]["id"]}
    assert (by_job[finished]["state"], by_job[finished]["score"]) == ("completed", 0.82)
    assert by_job[finished]["result"]["result"]["overall_score"] == 0.82
    assert by_job[waiting]["state"] == "queued"
    assert archive.read(takes[1]["file"]) == archive.read(takes[0]["file"]) == wav()
    assert all(len(archive.read(take["file"])) == take["size"] for take in takes)
    [dubbing] = json.loads(files["dubbings.json"])
    assert archive.read(dubbing["file"]) == b"a dubbing"
    assert sorted(folders) == sorted([*(take["file"] for take in takes), dubbing["file"]])

    [row] = await exporter.rows(f"SELECT lease FROM jobs WHERE id = '{waiting}'")
    said = "".join([*(file.decode() for file in files.values()), *folders])
    for secret in ("takes/1", "dubbings/1", "exports/", row.lease, "worker", "lease", others):
        assert secret not in said
    assert {user for owner in owners.values() for user in owner.asked} == {1}


async def test_who_has_recorded_nothing_gets_an_archive_too(exporter: House) -> None:
    archive = await opened(exporter, await ready(exporter))
    assert (archive.read("takes.json"), json.loads(archive.read("dubbings.json"))) == (b"[]\n", [])


async def test_it_is_made_once_however_often_it_is_asked_for_meanwhile(
    exporter: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    jam = Jam(monkeypatch)
    answers = await asyncio.gather(*(look(exporter) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert (await look(exporter, fresh=True)).status_code == 202
    jam.let.set()
    first = await ready(exporter)
    again = await ready(exporter)
    assert (first["made_at"], jam.calls, archives(exporter)) == (again["made_at"], 1, 1)
    assert len(await exporter.rows("SELECT 1 FROM outbox WHERE type = 'act.performed'")) == 1


async def test_who_is_not_signed_in_is_refused_and_english_is_spoken(exporter: House) -> None:
    assert (await exporter.client.get(EXPORT)).status_code == 401
    assert (await look(exporter, fresh="perhaps")).status_code == 422
    english = {**bearer(1), "Accept-Language": "en"}
    answer = await exporter.client.get(EXPORT + "/", headers=english)
    assert answer.json()["message"] == "Your data is being collected. Please look again in a moment."
    assert answer.headers["Content-Language"] == "en"


async def test_a_fresh_one_takes_the_place_of_an_old_one_only(exporter: House) -> None:
    first = await ready(exporter)
    assert (await ready(exporter, fresh=True))["made_at"] == first["made_at"]
    await exporter.rows("UPDATE exports SET finished_at = finished_at - interval '1 hour'")
    assert (await look(exporter)).status_code == 200
    assert (await look(exporter, fresh=True)).status_code == 202
    assert (await ready(exporter, fresh=True))["made_at"] > first["made_at"]
    await until(lambda: archives(exporter) == 1)
    assert (await exporter.client.get(first["url"].removeprefix(exporter.app.state.settings.public_url))).status_code == 404


async def test_it_goes_when_its_time_has_come(exporter: House) -> None:
    first = await ready(exporter)
    await exporter.rows("UPDATE exports SET expires_at = now()")
    async with asyncio.timeout(PATIENCE):
        while archives(exporter) or await exporter.rows("SELECT id FROM exports"):
            await asyncio.sleep(0.01)
    assert (await ready(exporter))["made_at"] > first["made_at"]


# --- What fails -------------------------------------------------------------------------------------------------------


async def test_a_failure_is_told_once_and_then_it_is_tried_again(
    exporter: House, owners: dict[str, Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "RETRY_SECONDS", (0.0,))
    auth, catalog = owners.values()
    catalog.status = 500
    english = {**bearer(1), "Accept-Language": "en"}
    async with asyncio.timeout(PATIENCE):
        while (answer := await exporter.client.get(EXPORT, headers=english)).status_code == 202:
            await asyncio.sleep(0.01)
    assert (answer.status_code, answer.json()["code"]) == (503, "export_failed")
    assert answer.json()["detail"] == "Your data could not be collected. Please try again in a moment."
    assert len(auth.asked) == len(catalog.asked) == 3
    catalog.status = 200
    assert (await look(exporter)).status_code == 202
    await ready(exporter)


async def test_who_stops_gives_it_back_and_the_next_one_makes_it(
    open_export_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stopping:
        jam = Jam(stopping)
        async with open_export_house() as house:
            await look(house)
            await jam.at_it.wait()
        assert jam.given_up.is_set()
    async with open_export_house() as house:
        await ready(house)
        assert [row.attempt for row in await house.rows("SELECT attempt FROM exports")] == [1]


async def test_who_has_lost_it_stops_and_leaves_it_to_whoever_has_it(
    open_export_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    jam = Jam(monkeypatch)
    async with open_export_house(export_lease_seconds=3) as house:
        await look(house)
        await jam.at_it.wait()
        await house.rows("UPDATE exports SET lease = gen_random_uuid(), due_at = now() + interval '1 second'")
        await asyncio.wait_for(jam.given_up.wait(), PATIENCE)
        jam.let.set()
        await ready(house)  # the other died over it
        assert (jam.calls, [row.attempt for row in await house.rows("SELECT attempt FROM exports")]) == (2, [2])


async def test_who_works_keeps_it_for_longer_than_a_lease(open_export_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    jam = Jam(monkeypatch)
    async with open_export_house(export_lease_seconds=3) as house:
        await look(house)
        await jam.at_it.wait()
        [begun] = await house.rows("SELECT due_at FROM exports")
        async with asyncio.timeout(PATIENCE):
            while not await house.rows(
                f"SELECT 1 FROM exports WHERE due_at > '{begun.due_at}'::timestamptz + interval '0.5 s'"
            ):
                await asyncio.sleep(0.01)
        jam.let.set()
        await ready(house)
        assert jam.calls == 1


async def test_what_killed_all_who_began_it_is_given_up(open_export_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    jam = Jam(monkeypatch)
    async with open_export_house(sweep_seconds=0.05) as house:
        await look(house)
        await jam.at_it.wait()
        await house.rows("UPDATE exports SET attempt = 3, lease = NULL, due_at = now()")
        jam.let.set()
        async with asyncio.timeout(PATIENCE):
            while (answer := await look(house)).status_code == 202:
                await asyncio.sleep(0.01)
        assert (answer.status_code, answer.json()["code"]) == (503, "export_failed")


# --- What is erased ---------------------------------------------------------------------------------------------------


async def test_it_goes_with_the_account_and_no_new_one_is_made(exporter: House) -> None:
    await ready(exporter)
    await exporter.tell(GONE)
    await until(lambda: not archives(exporter))
    answer = await look(exporter)
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_user")
    assert await exporter.rows("SELECT id FROM exports") == []


async def test_one_that_is_being_made_is_given_up_with_the_account(
    open_export_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    jam = Jam(monkeypatch)
    async with open_export_house(export_lease_seconds=1) as house:
        await look(house)
        await jam.at_it.wait()
        await house.tell(GONE)
        await asyncio.wait_for(jam.given_up.wait(), PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while await house.rows("SELECT 1 FROM exports UNION ALL SELECT 1 FROM objects_to_erase"):
                await asyncio.sleep(0.01)
        assert (jam.calls, house.objects()) == (1, [])


async def test_one_that_is_finished_just_after_the_account_went_leaves_nothing(
    exporter: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    jam = Jam(monkeypatch)
    await look(exporter)
    await jam.at_it.wait()
    await exporter.rows("DELETE FROM exports")  # as who erases does, whose note of the object is done with
    jam.let.set()
    async with asyncio.timeout(PATIENCE):
        while not archives(exporter):
            await asyncio.sleep(0)
    await until(lambda: not archives(exporter))


async def test_it_goes_with_recordings_that_are_in_it(exporter: House) -> None:
    await know_scene(exporter)
    await practise(exporter, 7)
    first = await ready(exporter)
    assert (await exporter.client.delete("/api/mypage/tokens/3/my-results", headers=bearer(1))).status_code == 204
    await until(lambda: not exporter.objects() or not archives(exporter))
    second = await ready(exporter)
    assert second["made_at"] > first["made_at"]
    assert (await opened(exporter, second)).read("takes.json") == b"[]\n"


# --- Much of it -------------------------------------------------------------------------------------------------------


async def test_beyond_the_limit_old_recordings_are_left_out_and_lost_ones_are_named(open_export_house: Open) -> None:
    async with open_export_house(max_export_bytes=3 * len(wav())) as house:
        for _ in range(4):
            await house.upload(headers=bearer(1))
        [newest, *_] = await house.rows("SELECT object_key FROM takes ORDER BY created_at DESC")
        storage = house.app.state.uploads._storage
        await storage.delete(newest.object_key)
        archive = await opened(house, await ready(house))
    takes = json.loads(archive.read("takes.json"))
    assert [take.get("no_file_because") for take in takes] == ["not_stored", None, None, "archive_full"]
    assert [take["file"] in archive.namelist() for take in takes] == [False, True, True, False]


class Shelf:
    """Has every object: a megabyte of which nothing is kept."""

    piece = bytes(256 * 1024)

    async def stat(self, key: str) -> StoredObject:
        return StoredObject(key, 4 * len(self.piece), "audio/wav")

    async def read(self, key: str) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield self.piece


async def test_the_memory_does_not_grow_with_the_archive(queue: Queue) -> None:
    takes = [
        {
            "id": uuid4(), "user_id": 1, "token_id": 3, "script_id": 7, "object_key": f"takes/1/{number}.wav", "sha256": "",
            "media_type": "audio/wav", "size": 2**20, "created_at": queue.clock.now - timedelta(seconds=number // 3),
        }
        for number in range(400)
    ]  # fmt: skip
    await queue.execute(sa.insert(TAKES).values(takes))
    contents = Contents(queue.database, cast(Storage, Shelf()), max_bytes=2**40)
    size, largest = 0, 0
    tracemalloc.start()
    try:
        async for piece in contents.of(1, {}, queue.clock.now + timedelta(seconds=1)):
            size, largest = size + len(piece), max(largest, len(piece))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 400 * 2**20
    assert largest < 2**20
    assert peak < 12 * 2**20


async def test_in_s3_it_is_an_object_like_any_other(
    open_export_house: Open, s3: PrivateS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    recording = wav(160)  # 5 MB: two of them are more than a part
    async with open_export_house(storage=s3.storage_url) as house, httpx.AsyncClient(trust_env=False) as browser:
        for _ in range(2):
            assert (await house.upload(recording, headers=bearer(1))).status_code == 200
        body = await ready(house)
        answer = await browser.get(body["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        archive = ZipFile(io.BytesIO(answer.content))
        files = [take["file"] for take in json.loads(archive.read("takes.json"))]
        assert [archive.read(file) == recording for file in files] == [True, True]
        await house.tell(GONE)
        async with asyncio.timeout(PATIENCE):
            while (await browser.get(body["url"])).status_code != httpx.codes.NOT_FOUND:
                await asyncio.sleep(0.01)
