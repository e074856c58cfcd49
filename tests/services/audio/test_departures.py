"""Whose account is deleted leaves nothing: what is there goes, what comes is refused, whichever is first."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import sqlalchemy as sa

from libs.common.bus.base import PARTITIONS, Message
from libs.common.contracts.audio import AnalysisCancelled, AnalysisErased, AnalysisReportCompleted
from libs.common.contracts.auth import UserDeleted
from libs.common.contracts.notifier import HEARD, lease_channel, partition_of, stop_frame
from libs.common.inbox import INBOX
from libs.common.outbox.table import OUTBOX
from libs.common.storage.base import Storage, StorageUnavailable
from libs.common.storage.disk import DiskStorage
from services.audio import departures, erasing_repository, repository, sweep
from services.audio.departures import Departures
from services.audio.erasing import ObjectEraser
from services.audio.jobs import Job
from services.audio.models import JOBS, METADATA, TAKES
from services.audio.repository import Take
from tests.services.audio.dubber import SYNTHESIZE, FakeMixer, ask, know_scene
from tests.services.audio.dubber import record as read_lines
from tests.services.audio.house import PATIENCE, House, Open, bearer, wav
from tests.services.audio.practising import knowing_scene, practise, record, result
from tests.services.audio.queueing import Queue

GONE = UserDeleted(user_id=1, deleted_at=datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows scene 3 with lines 7, 8, 9."""
    await knowing_scene(house)
    return house


async def left_of(house: House, user_id: int = 1) -> dict[str, int]:
    """How many rows name the user, by table, and how many objects lie in a folder of theirs; without what has none."""
    named = {
        table.name: f"user_id = {user_id}" if "user_id" in table.c else f"owner_key = 'user:{user_id}'"
        for table in METADATA.sorted_tables
        if {"user_id", "owner_key"} & set(table.c.keys())
    }
    jobs = f"job_id IN (SELECT id FROM jobs WHERE user_id = {user_id})"
    named |= {"jobs": f"{named['jobs']} OR owner_key = 'user:{user_id}'", "job_log": jobs, "objects_to_erase": "true"}
    found = {table: (await house.rows(f"SELECT count(*) FROM {table} WHERE {of}"))[0][0] for table, of in named.items()}
    folders = (f'"takes/{user_id}/', f'"dubbings/{user_id}/', f'"exports/{user_id}/')
    described = [file.read_text() for file in house.folder.rglob("objects/*/*.json")]
    found["objects"] = sum(any(folder in each for folder in folders) for each in described)
    return {name: number for name, number in found.items() if number}


async def nothing_left(house: House, user_id: int = 1) -> None:
    """Returns when no row and no object of the user is there any more."""
    async with asyncio.timeout(PATIENCE):
        while await left_of(house, user_id):
            await asyncio.sleep(0.01)


async def test_all_that_was_recorded_and_made_of_it_goes_and_what_others_have_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeMixer(monkeypatch)
    await know_scene(house)
    for user_id in (1, 2):
        await read_lines(house, 7, user_id=user_id)
        assert (await ask(house, user_id)).status_code == 200
        await house.upload_scene(headers={**bearer(user_id), "Idempotency-Key": "k"})
        await practise(house, 7, user_id=user_id)
    kept = await left_of(house, 2)
    assert kept == await left_of(house) == {"takes": 3, "jobs": 3, "job_log": 7, "upload_keys": 1, "dubbings": 1, "objects": 4}
    await house.tell(GONE)
    await nothing_left(house)
    assert await left_of(house, 2) == kept
    about = "SELECT type FROM outbox WHERE convert_from(body, 'UTF8')::json->>'user_id' = '{}' OR body LIKE '%takes/{}/%'"
    said = {row.type for row in await house.rows(about.format(1, 1))}
    assert said <= {"analysis.cancelled", "analysis.erased"}  # numbers only
    assert "analysis.completed" in {row.type for row in await house.rows(about.format(2, 2))}


async def test_open_jobs_are_cancelled_their_servers_stop_and_late_reports_change_nothing(scene: House) -> None:
    work = await record(scene, 7)
    stopped = asyncio.Event()

    async def hear(_: int, body: bytes) -> None:
        if HEARD.validate_json(body) == stop_frame(work.lease):
            stopped.set()

    listener = await scene.bus.listen_frames(hear)
    await listener.bind(partition_of(lease_channel(work.lease), PARTITIONS))
    await scene.tell(GONE)
    await asyncio.wait_for(stopped.wait(), PATIENCE)
    await nothing_left(scene)
    await scene.tell(AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result=result()))
    assert await left_of(scene) == {}
    cancelled, erased = await scene.facts.until(AnalysisCancelled), await scene.facts.until(AnalysisErased)
    assert (cancelled.job_id, cancelled.sequence) == (erased.job_id, erased.sequence) == (work.job_id, 2)
    await listener.close()


async def test_nothing_is_taken_of_whose_token_outlives_their_account(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = bearer(1)
    job_id = (await record(scene, 7)).job_id
    await scene.client.post(f"/api/jobs/{job_id}/cancel", headers=mine)
    with monkeypatch.context() as sleeping:  # what is there stays for a while: so there is something to mix and to do over
        sleeping.setattr(Departures, "erase_step", _nothing)
        await scene.tell(GONE)
        answers = [
            await scene.upload(headers=mine),
            await scene.upload(headers={**mine, "Idempotency-Key": "k"}),
            await scene.upload_scene(headers=mine),
            await scene.client.post("/api/tokens/batch-upload", files={"files": wav()}, data={"token_ids": "3"}, headers=mine),
            await scene.client.post(f"/api/jobs/{job_id}/retry", headers=mine),
            await scene.client.post(SYNTHESIZE, headers=mine),
        ]
        assert {(each.status_code, each.json()["code"]) for each in answers} == {(401, "unknown_user")}
        assert await left_of(scene) == {"takes": 1, "jobs": 1, "job_log": 3, "objects": 1, "departures": 1}
    await nothing_left(scene)
    assert (await scene.upload(headers=bearer(2))).status_code == 200
    assert (await scene.upload()).status_code == 200


async def _nothing(_: Departures) -> bool:
    return False


async def test_an_upload_on_its_way_is_refused_at_its_end(scene: House) -> None:
    head, stored, gone = (
        b"--b\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\n",
        asyncio.Event(),
        asyncio.Event(),
    )

    async def slowly() -> AsyncIterator[bytes]:
        yield head + wav()
        stored.set()
        await gone.wait()
        yield b"\r\n--b--\r\n"

    headers = {**bearer(1), "Content-Type": "multipart/form-data; boundary=b"}
    upload = asyncio.create_task(scene.client.post("/api/scripts/7/upload-audio", content=slowly(), headers=headers))
    await stored.wait()
    await scene.tell(GONE)
    gone.set()
    assert (await upload).status_code == 401
    await nothing_left(scene)
    assert scene.objects() == []


async def test_an_upload_that_was_first_is_waited_for_and_erased(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    at_it, on = asyncio.Event(), asyncio.Event()
    add = repository.add

    async def slowly(connection: Any, take: Take, job: Job) -> None:
        at_it.set()
        await on.wait()
        await add(connection, take, job)

    monkeypatch.setattr(repository, "add", slowly)
    upload = asyncio.create_task(scene.upload(headers=bearer(1)))
    await at_it.wait()
    told = asyncio.create_task(scene.tell(GONE))
    async with asyncio.timeout(PATIENCE):
        while not await scene.rows("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            await asyncio.sleep(0.01)
    on.set()
    assert (await upload).status_code == 200
    await told
    await nothing_left(scene)
    assert scene.objects() == []


async def test_the_object_of_a_refused_upload_goes_when_the_store_answers_again(
    scene: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.tell(GONE)
    await nothing_left(scene)

    async def down(*_: Any) -> None:
        raise StorageUnavailable("down")

    with monkeypatch.context() as outage:
        outage.setattr(DiskStorage, "delete", down)
        assert (await scene.upload(headers=bearer(1))).status_code == 401
        assert len(scene.objects()) == 1
    await nothing_left(scene)


async def test_heard_again_or_said_again_it_is_the_same(scene: House) -> None:
    message = Message.of(GONE, source="/test", subject="user:1")
    for each in (message, message, Message.of(GONE, source="/test", subject="user:1")):
        await practise(scene, 7, user_id=2)
        await scene.bus.publish(each)
        await nothing_left(scene)
    handled = await scene.rows(f"SELECT * FROM {INBOX.name} WHERE handler = '{departures.HANDLER}'")
    assert len(handled) == 2
    assert (await left_of(scene, 2))["takes"] == 3


async def test_who_has_much_is_erased_in_steps_that_processes_share(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (departures, sweep):
        monkeypatch.setattr(module, "BATCH", 2)
    step, steps = Departures.erase_step, 0

    async def counted(self: Departures) -> bool:
        nonlocal steps
        steps += 1
        return any(await asyncio.gather(step(self), step(self)))

    monkeypatch.setattr(Departures, "erase_step", counted)
    for _ in range(7):
        await scene.upload(headers=bearer(1))
    job_ids = {row.id for row in await scene.rows("SELECT id FROM jobs")}
    await scene.tell(GONE)
    await nothing_left(scene)
    assert steps >= 4
    await scene.facts.until(AnalysisErased, 7)
    assert sorted(fact.job_id for fact in scene.facts.of(AnalysisErased)) == sorted(job_ids)


async def test_who_dies_over_it_leaves_the_rest_to_the_next(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(Departures, "erase_step", _nothing)
        async with open_house() as house:
            await practise(house, 7)
            await house.tell(GONE)
            assert set(await left_of(house)) == {"takes", "jobs", "job_log", "objects", "departures"}
    async with open_house() as house:
        await nothing_left(house)


async def test_a_step_that_fails_is_tried_again(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [OSError("the database is away")]
    erase = erasing_repository.erase_takes

    async def failing(*values: Any) -> None:
        if failures:
            raise failures.pop()
        await erase(*values)

    monkeypatch.setattr(erasing_repository, "erase_takes", failing)
    await practise(scene, 7)
    await scene.tell(GONE)
    await nothing_left(scene)
    assert not failures


async def test_scenes_of_films_go_on_and_nobody_is_named_who_asked_for_them(open_house: Open) -> None:
    film = {"youtube_url": "https://youtu.be/dQw4w9WgXcQ", "movie_name": "M", "actor_name": "A"}
    async with open_house(preprocessing=True) as house:
        answer = await house.client.post("/api/youtube/process", json=film, headers=bearer(1, admin=True))
        assert answer.status_code < 300, answer.text
        assert await left_of(house) == {"jobs": 1}
        await house.tell(GONE)
        await nothing_left(house)
        [job] = await house.rows("SELECT owner_key, finished_at FROM jobs")
        assert (job.owner_key, job.finished_at) == ("departed", None)


async def test_what_is_still_to_be_sent_is_waited_for_and_goes_then(queue: Queue) -> None:
    job = await queue.add("user:1")
    await queue.finish(job.id)
    for table in (TAKES, JOBS):
        await queue.execute(sa.update(table).values(user_id=1))
    fact = AnalysisErased(job_id=job.id, user_id=1, sequence=2)  # stands for one with a result
    async with queue.database.transaction() as tx:
        tx.publish(fact, subject=f"job:{job.id}")
        tx.publish(fact, subject="job:another")
    objects = ObjectEraser(queue.database, cast(Storage, None), sweep_seconds=1000, clock=queue.clock)
    erasing = Departures(queue.database, queue.sweeper, objects, sweep_seconds=1000, clock=queue.clock)
    await erasing.heard(GONE, Message.of(GONE, source="/test", subject="user:1"))
    assert not await erasing.erase_step()
    assert len(await queue.execute(sa.select(TAKES))) == 1
    await queue.execute(sa.update(OUTBOX).values(sent_at=queue.clock.now))
    assert [await erasing.erase_step() for _ in range(4)] == [True, True, True, False]
    assert await queue.execute(sa.select(TAKES)) == []
    subjects = [row.subject for row in await queue.execute(sa.select(OUTBOX).order_by(OUTBOX.c.id))]
    assert subjects == ["job:another", f"job:{job.id}"]  # the last one says that it was erased
