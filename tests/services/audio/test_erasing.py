"""Erasing one's own recordings and results: nothing is left, wherever something fails meanwhile."""

import asyncio
from typing import cast

import pytest

from libs.common.bus.base import PARTITIONS
from libs.common.contracts.audio import AnalysisCancelled, AnalysisErased, AnalysisReportCompleted, AnalysisReportStarted
from libs.common.contracts.notifier import HEARD, lease_channel, partition_of, stop_frame
from libs.common.db import Database
from libs.common.storage.base import Storage, StorageUnavailable
from services.audio import erasing_repository
from services.audio.erasing import ObjectEraser
from services.audio.service import JobService
from tests.services.audio.house import PATIENCE, House, Open, bearer
from tests.services.audio.practising import knowing_scene, practise, record, result
from tests.services.audio.queueing import Queue

RESULTS = "/api/mypage/tokens/3/my-results"
TABLES = ("takes", "jobs", "job_log", "upload_keys", "objects_to_erase")


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows scene 3 with lines 7, 8, 9."""
    await knowing_scene(house)
    return house


async def erase(house: House, user_id: int = 1) -> int:
    return (await house.client.delete(RESULTS, headers=bearer(user_id))).status_code


async def counts(house: House) -> dict[str, int]:
    """Rows of each table, without empty ones."""
    found = {table: (await house.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}
    return {table: number for table, number in found.items() if number}


async def nothing_left(house: House) -> None:
    """Returns when no row and no object is there any more."""
    async with asyncio.timeout(PATIENCE):
        while await counts(house) or house.objects():
            await asyncio.sleep(0.01)


async def test_results_go_with_their_recordings_and_all_that_is_noted_of_them(scene: House) -> None:
    await practise(scene, 7)
    await practise(scene, None)
    await scene.client.post(
        "/api/scripts/8/upload-audio",
        files={"file": scene.objects()[0].read_bytes()},
        headers={**bearer(1), "Idempotency-Key": "k"},
    )
    assert set(await counts(scene)) == {"takes", "jobs", "job_log", "upload_keys"}
    answer = await scene.client.delete(RESULTS, headers=bearer(1))
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (204, b"", None)
    await nothing_left(scene)
    again = await scene.client.delete(RESULTS + "/", headers=bearer(1))
    assert (again.status_code, again.json()["detail"]) == (404, "삭제할 분석 결과가 없습니다.")


async def test_what_others_recorded_and_other_scenes_stay(scene: House) -> None:
    await knowing_scene(scene, token_id=4, lines=1)
    kept = [await practise(scene, 7, user_id=2), await practise(scene, 107), (await scene.upload()).json()["job_id"]]
    await practise(scene, 7)
    assert await erase(scene) == 204
    rows = await scene.rows("SELECT id FROM jobs")
    assert sorted(row.id for row in rows) == sorted(kept)
    async with asyncio.timeout(PATIENCE):
        while len(scene.objects()) != len(kept):
            await asyncio.sleep(0.01)
    assert await erase(scene, user_id=3) == 404


async def test_there_is_nothing_to_erase_of_a_scene_that_is_none(scene: House) -> None:
    for token_id in (0, -1, 4, 2**31, 10**30):
        answer = await scene.client.delete(f"/api/mypage/tokens/{token_id}/my-results", headers=bearer(1))
        assert (answer.status_code, answer.json()["detail"]) == (404, "삭제할 분석 결과가 없습니다.")


async def test_only_who_is_signed_in_erases(scene: House) -> None:
    await scene.upload()
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        assert (await scene.client.delete(RESULTS, headers=headers)).status_code == 401
    assert (await counts(scene))["takes"] == 1


async def test_open_jobs_are_cancelled_and_told_of_before_they_go(scene: House) -> None:
    work = await record(scene, 7)
    assert await erase(scene) == 204
    fact = await scene.facts.until(AnalysisCancelled)
    assert (fact.job_id, fact.sequence) == (work.job_id, 2)
    await nothing_left(scene)
    await scene.tell(AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result=result()))
    assert await counts(scene) == {}


async def test_the_others_are_told_of_each_job_that_it_is_erased(scene: House) -> None:
    finished = await practise(scene, 7)
    waiting = (await record(scene, None)).job_id
    await practise(scene, 7, user_id=2)
    assert await erase(scene) == 204
    await scene.facts.until(AnalysisErased, 2)
    told = sorted((fact.job_id, fact.user_id, fact.sequence) for fact in scene.facts.of(AnalysisErased))
    assert told == sorted([(finished, 1, 2), (waiting, 1, 2)])


async def test_a_server_that_takes_up_an_erased_job_is_told_to_stop(scene: House) -> None:
    work = await record(scene, 7)
    assert await erase(scene) == 204
    stopped = asyncio.Event()

    async def hear(_: int, body: bytes) -> None:
        if HEARD.validate_json(body) == stop_frame(work.lease):
            stopped.set()

    listener = await scene.bus.listen_frames(hear)
    await listener.bind(partition_of(lease_channel(work.lease), PARTITIONS))
    await scene.tell(AnalysisReportStarted(job_id=work.job_id, lease=work.lease, worker="w"))
    await asyncio.wait_for(stopped.wait(), PATIENCE)
    await listener.close()


async def test_of_two_who_erase_at_once_one_finds_nothing(scene: House) -> None:
    for script_id in (7, 8, 9):
        await practise(scene, script_id)
    await record(scene, 7)
    assert sorted(await asyncio.gather(erase(scene), erase(scene))) == [204, 404]
    await nothing_left(scene)


async def test_jobs_that_cannot_be_cancelled_leave_everything_as_it_is(scene: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_vain(*_: object) -> None: ...

    await practise(scene, 7)
    await record(scene, 7)
    monkeypatch.setattr(JobService, "cancel", in_vain)
    answer = await scene.client.delete(RESULTS, headers=bearer(1))
    assert (answer.status_code, answer.json()["code"]) == (503, "job_busy")
    assert (await counts(scene))["takes"] == len(scene.objects()) == 2


async def test_nothing_is_done_over_of_what_is_being_erased(scene: House) -> None:
    work = await record(scene, 7)
    await scene.client.post(f"/api/jobs/{work.job_id}/cancel", headers=bearer(1))
    database = Database(scene.app.state.settings.database_url.get_secret_value(), source="test", pool_size=1)
    async with database.transaction() as tx:
        takes = await erasing_repository.lock_takes(tx.connection, 1, 3)
        await erasing_repository.erase_takes(tx.connection, takes)
        retry = asyncio.create_task(scene.client.post(f"/api/jobs/{work.job_id}/retry", headers=bearer(1)))
        async with asyncio.timeout(PATIENCE):
            while not await scene.rows("SELECT pid FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    assert ((await retry).status_code, (await retry).json()["code"]) == (404, "recording_gone")
    await database.close()
    assert set(await counts(scene)) == set()


# --- Objects ----------------------------------------------------------------------------------------------------------


async def test_objects_go_after_a_crash_between_their_rows_and_them(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(ObjectEraser, "wake", lambda _: None)
        async with open_house(sweep_seconds=1000) as house:
            await practise(house, 7)
            assert await erase(house) == 204
            assert (await counts(house), len(house.objects())) == ({"objects_to_erase": 1}, 1)
    async with open_house() as house:
        await nothing_left(house)


class Store:
    """Deletes, but for the keys that it refuses."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.deleted: list[str] = []

    async def delete(self, key: str) -> None:
        if key in self.refused:
            raise StorageUnavailable("refused")
        self.deleted.append(key)


async def test_an_object_that_cannot_be_erased_is_tried_later_and_later_and_holds_up_no_other(queue: Queue) -> None:
    store = Store()
    store.refused = {"a"}
    eraser = ObjectEraser(queue.database, cast(Storage, store), sweep_seconds=1, clock=queue.clock)
    async with queue.database.transaction() as tx:
        await erasing_repository.note_objects(tx.connection, ["a", "b", "c"], queue.clock.now)
    assert await eraser.sweep() == 3
    assert sorted(store.deleted) == ["b", "c"]
    for seconds in (10, 20, 40):
        queue.clock.move(seconds - 1)
        assert await eraser.sweep() == 0
        queue.clock.move(1)
        assert await eraser.sweep() == 1
    store.refused = set()
    queue.clock.move(80)
    assert await eraser.sweep() == 1
    assert store.deleted[2:] == ["a"]
    queue.clock.move(10_000)
    assert await eraser.sweep() == 0


async def test_the_pause_between_attempts_stops_growing(queue: Queue) -> None:
    store = Store()
    store.refused = {"a"}
    eraser = ObjectEraser(queue.database, cast(Storage, store), sweep_seconds=1, clock=queue.clock)
    async with queue.database.transaction() as tx:
        await erasing_repository.note_objects(tx.connection, ["a"], queue.clock.now)
    for _ in range(12):
        queue.clock.move(3600)
        assert await eraser.sweep() == 1


async def test_processes_that_erase_at_once_share_the_objects(queue: Queue) -> None:
    store = Store()
    erasers = [ObjectEraser(queue.database, cast(Storage, store), sweep_seconds=1, clock=queue.clock) for _ in range(4)]
    keys = [f"k{number}" for number in range(250)]
    async with queue.database.transaction() as tx:
        await erasing_repository.note_objects(tx.connection, keys, queue.clock.now)
    while await asyncio.gather(*(eraser.sweep() for eraser in erasers)) != [0] * 4:
        pass
    assert sorted(store.deleted) == sorted(keys)
