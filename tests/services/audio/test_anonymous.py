"""Erasing recordings of nobody: when their time has come, all of it; before that, and of users, nothing."""

import asyncio
from datetime import datetime, timedelta
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.audio import AnalysisErased
from libs.common.outbox.table import OUTBOX
from libs.common.storage.base import Storage
from services.audio import anonymous, erasing_repository, job_repository
from services.audio.anonymous import AnonymousEraser
from services.audio.erasing import ObjectEraser
from services.audio.erasing_repository import LockedTake
from services.audio.jobs import Job, Lifetimes, new_job
from services.audio.models import JOB_LOG, JOBS, OBJECTS_TO_ERASE, TAKES, UPLOAD_KEYS
from services.audio.settings import AudioSettings
from tests.services.audio.house import PATIENCE, House, Open, bearer, wav
from tests.services.audio.practising import practise
from tests.services.audio.queueing import Queue

CLEANUP = "/api/scripts/cleanup/anonymous-results"
KEPT = timedelta(hours=24)
AGE = "UPDATE jobs SET created_at = created_at - interval '25 hours', finished_at = finished_at - interval '25 hours'"


def eraser_of(queue: Queue) -> AnonymousEraser:
    """On the queue's tables and clock."""
    objects = ObjectEraser(queue.database, cast(Storage, None), sweep_seconds=1000, clock=queue.clock)
    return AnonymousEraser(queue.database, objects, kept=KEPT, clock=queue.clock)


async def left(queue: Queue) -> set[str]:
    """Ids of the jobs that there are."""
    return {row.id for row in await queue.execute(sa.select(JOBS.c.id))}


async def ended(queue: Queue, jobs: int = 1) -> list[Job]:
    """Jobs of nobody that end now, one after the other."""
    made = [await queue.add("address:a") for _ in range(jobs)]
    for job in made:
        queue.clock.move(0.001)
        await queue.finish(job.id)
    return made


def again(job: Job, queue: Queue) -> Job:
    """The job that does it over."""
    return new_job(
        kind=job.kind,
        take_id=job.take_id,
        user_id=None,
        token_id=3,
        script_id=7,
        owner_key="address:a",
        priority=job.priority,
        lifetimes=Lifetimes(),
        now=queue.clock.now,
        traceparent=None,
        retry_of=job.id,
    )


async def do_over(job: Job, queue: Queue) -> Job:
    """A new job for the same recording."""
    new = again(job, queue)
    async with queue.database.transaction() as tx:
        assert await job_repository.add_retry(tx, new)
    return new


async def test_a_recording_of_nobody_is_kept_for_a_day_after_its_job_has_ended(queue: Queue) -> None:
    eraser, (job,) = eraser_of(queue), await ended(queue)
    queue.clock.move(24 * 3600 - 1)
    assert not await eraser.erase_round()
    assert await left(queue) == {job.id}
    queue.clock.move(1)
    assert not await eraser.erase_round()
    assert await left(queue) == set()
    assert AudioSettings().anonymous_retention_hours == KEPT / timedelta(hours=1)


async def test_an_open_job_is_never_erased(queue: Queue) -> None:
    job = await queue.add("address:a")
    queue.clock.move(1000 * 3600)
    await eraser_of(queue).erase_round()
    assert await left(queue) == {job.id}


async def test_users_recordings_stay(queue: Queue) -> None:
    (job,) = await ended(queue)
    await queue.execute(sa.update(TAKES).values(user_id=1))
    await queue.execute(sa.update(JOBS).values(user_id=1))
    queue.clock.move(1000 * 3600)
    await eraser_of(queue).erase_round()
    assert await left(queue) == {job.id}


async def test_all_that_is_noted_of_it_goes_and_its_object_is_noted(queue: Queue) -> None:
    (job,) = await ended(queue)
    (key,) = [row.object_key for row in await queue.execute(sa.select(TAKES.c.object_key))]
    noted = {"key": "k", "user_id": 0, "target": "script:7", "job_id": job.id, "created_at": queue.clock.now}
    await queue.execute(sa.insert(UPLOAD_KEYS).values(noted))
    queue.clock.move(24 * 3600)
    for _ in range(2):  # the second time there is nothing to do
        await eraser_of(queue).erase_round()
        for table in (TAKES, JOBS, JOB_LOG, UPLOAD_KEYS):
            assert await queue.execute(sa.select(table)) == []
        assert [row.object_key for row in await queue.execute(sa.select(OBJECTS_TO_ERASE))] == [key]
        (told,) = await queue.execute(sa.select(OUTBOX.c.body).where(OUTBOX.c.type == AnalysisErased.name))
        fact = AnalysisErased.model_validate_json(told.body)
        assert (fact.job_id, fact.user_id, fact.sequence) == (job.id, 0, job.sequence)


async def test_a_recording_that_is_done_over_is_kept_for_its_last_job(queue: Queue) -> None:
    eraser, (first,) = eraser_of(queue), await ended(queue)
    queue.clock.move(24 * 3600)
    second = await do_over(first, queue)
    await eraser.erase_round()
    assert await left(queue) == {first.id, second.id}
    await queue.finish(second.id)
    queue.clock.move(24 * 3600 - 1)
    await eraser.erase_round()
    assert await left(queue) == {first.id, second.id}
    queue.clock.move(1)
    await eraser.erase_round()
    assert await left(queue) == set()


async def test_a_recording_that_is_done_over_at_this_moment_stays(queue: Queue) -> None:
    (first,) = await ended(queue)
    queue.clock.move(24 * 3600)
    second = again(first, queue)
    async with queue.database.transaction() as tx:
        assert await job_repository.add_retry(tx, second)
        await asyncio.wait_for(eraser_of(queue).erase_round(), PATIENCE)  # does not wait for it
    assert await left(queue) == {first.id, second.id}


async def test_nothing_is_erased_that_is_done_over_between_the_look_and_the_lock(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = await ended(queue, 2)
    queue.clock.move(24 * 3600)
    look = erasing_repository.lock_anonymous
    begun: list[Job] = []

    async def outrun(_: AsyncConnection, ended_before: datetime, most: int) -> list[LockedTake]:
        async with queue.database.transaction() as apart:
            chosen = await look(apart.connection, ended_before, most)
        if not begun:
            begun.append(await do_over(first, queue))
        return chosen

    monkeypatch.setattr(erasing_repository, "lock_anonymous", outrun)
    await eraser_of(queue).erase_round()
    assert await left(queue) == {first.id, begun[0].id}


async def test_a_round_ends_and_says_that_there_is_more(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous, "BATCH", 2)
    monkeypatch.setattr(anonymous, "BATCHES", 2)
    jobs = await ended(queue, 5)
    queue.clock.move(25 * 3600)
    eraser = eraser_of(queue)
    assert await eraser.erase_round()
    assert await left(queue) == {jobs[-1].id}
    assert not await eraser.erase_round()
    assert await left(queue) == set()


async def test_processes_that_erase_at_once_share_the_work(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymous, "BATCH", 2)
    await ended(queue, 12)
    queue.clock.move(25 * 3600)
    await asyncio.gather(*(eraser_of(queue).erase_round() for _ in range(3)))
    assert await left(queue) == set()
    assert len(await queue.execute(sa.select(OUTBOX).where(OUTBOX.c.type == AnalysisErased.name))) == 12


# --- The endpoint -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["", "/"])
async def test_an_administrator_has_it_done_at_once(house: House, form: str) -> None:
    anybody = {"Idempotency-Key": "k"}
    job_id = (await house.upload(headers=anybody)).json()["job_id"]
    await house.client.post(f"/api/jobs/{job_id}/cancel")
    users = await practise(house)
    waiting = (await house.upload()).json()["job_id"]
    await house.rows(AGE)
    for _ in range(2):
        answer = await house.client.post(CLEANUP + form, headers=bearer(9, admin=True))
        assert (answer.status_code, answer.json()) == (200, {"message": "익명 사용자 결과 정리 작업 완료"})
        assert {row.id for row in await house.rows("SELECT id FROM jobs")} == {users, waiting}
    async with asyncio.timeout(PATIENCE):
        while len(house.objects()) != 2:
            await asyncio.sleep(0.01)
    fact = await house.facts.until(AnalysisErased)
    assert (fact.job_id, fact.user_id) == (job_id, 0)
    assert (await house.client.get(f"/api/scripts/analysis-result/{job_id}")).status_code == 404
    assert (await house.upload(wav(0.1), headers=anybody)).json()["job_id"] != job_id


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer x"}, 401), (bearer(1), 403)])
async def test_nobody_else_has_it_done(house: House, headers: dict[str, str], status: int) -> None:
    job_id = (await house.upload()).json()["job_id"]
    await house.client.post(f"/api/jobs/{job_id}/cancel")
    await house.rows(AGE)
    assert (await house.client.post(CLEANUP, headers=headers)).status_code == status
    assert len(house.objects()) == len(await house.rows("SELECT id FROM jobs")) == 1


async def test_it_is_done_without_being_asked_for(open_house: Open) -> None:
    async with open_house() as house:
        job_id = (await house.upload()).json()["job_id"]
        await house.client.post(f"/api/jobs/{job_id}/cancel")
        await house.rows(AGE)
    async with open_house() as house, asyncio.timeout(PATIENCE):
        while house.objects() or await house.rows("SELECT id FROM jobs"):
            await asyncio.sleep(0.01)
