import asyncio
import json
from typing import Any
from zlib import crc32

import pytest
from fastapi import FastAPI

from libs.common.bus.base import BusUnavailable, Message
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisErased,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
    JobKind,
)
from libs.common.contracts.base import Event
from libs.common.contracts.notifier import HEARD, Frame, Stored, frame_of, job_channel
from libs.common.db import DatabaseUnavailable
from libs.common.statement import Rows
from services.notifier import repository
from services.notifier.service import NotifierService
from tests.services.notifier.conftest import Ear

JOB = "36f6a40f6d8547f7a9463ea6d82e58ce"
RESULT: dict[str, Any] = {"status": "success", "result": {"overall_score": 0.82, "word_analysis": [{"word": "너\u0000"}]}}


def uploaded(job_id: str = JOB) -> AudioUploaded:
    return AudioUploaded(
        job_id=job_id,
        sequence=1,
        kind=JobKind.LINE,
        take_id="t",
        token_id=1,
        script_id=2,
        user_id=None,
        size=9,
        media_type="audio/wav",
    )


def fact(kind: type[Event], sequence: int, *, progress: int = 70, message: str = "분석 중…", **more: Any) -> Event:
    common = {"job_id": JOB, "kind": JobKind.LINE, "token_id": 1, "script_id": 2, "user_id": None}
    return kind.model_validate({**common, "sequence": sequence, "progress": progress, "message": message, **more})


def started(sequence: int = 2) -> Event:
    return fact(AnalysisStarted, sequence, attempt=1)


def completed(sequence: int = 4) -> Event:
    return fact(AnalysisCompleted, sequence, result=RESULT)


def message(event: Event) -> Message:
    return Message.of(event, source="audio", subject=JOB)


async def frames(app: FastAPI) -> list[Frame]:
    """What the channel was told."""
    service: NotifierService = app.state.notifier
    return list((await service.history(job_channel(JOB), 0)).frames)


def heard(ear: Ear) -> list[Frame | Stored]:
    return [HEARD.validate_json(body) for _, body in ear.heard]


def stored(*sequences: int) -> list[Stored]:
    return [Stored(channel=job_channel(JOB), sequence=sequence) for sequence in sequences]


async def settle() -> None:
    """Let the ear's task run: a memory bus hands frames over without waiting for who hears them."""
    await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _running(app: FastAPI) -> None:
    """The service consumes in all of these tests."""


async def tell(bus: MemoryBus, *events: Event) -> None:
    for event in events:
        await bus.publish(message(event))
    await settle()


async def test_the_life_of_a_job_is_told_frame_by_frame(app: FastAPI, bus: MemoryBus) -> None:
    await tell(bus, uploaded(), started(2), fact(AnalysisProgressed, 3, progress=85, message="발음 비교"), completed(4))
    assert [(frame.sequence, frame.final) for frame in await frames(app)] == [(1, False), (2, False), (3, False), (4, True)]
    assert [json.dumps(frame.data, ensure_ascii=False) for frame in await frames(app)] == [
        f'{{"job_id": "{JOB}", "status": "processing", "progress": 40, "message": "S3 업로드", "result": null}}',
        f'{{"job_id": "{JOB}", "status": "processing", "progress": 70, "message": "분석 중…", "result": null}}',
        f'{{"job_id": "{JOB}", "status": "processing", "progress": 85, "message": "발음 비교", "result": null}}',
        json.dumps(
            {"job_id": JOB, "status": "completed", "progress": 100, "message": "분석 완료", "result": RESULT},
            ensure_ascii=False,
        ),
    ]


@pytest.mark.parametrize(
    "end",
    [
        fact(AnalysisFailed, 2, message="녹음에서 말소리를 찾지 못했습니다", reason="silent"),
        fact(AnalysisCancelled, 2, message="녹음에서 말소리를 찾지 못했습니다"),
    ],
)
async def test_a_job_that_ended_without_a_result_is_told_as_failed(app: FastAPI, bus: MemoryBus, end: Event) -> None:
    await tell(bus, end)
    (frame,) = await frames(app)
    assert frame.final
    assert frame.data == {
        "job_id": JOB,
        "status": "failed",
        "progress": 0,
        "message": "녹음에서 말소리를 찾지 못했습니다",
        "result": None,
    }


async def test_what_is_said_of_a_channel_travels_in_its_partition(bus: MemoryBus, ear: Ear) -> None:
    await tell(bus, started())
    assert {partition for partition, _ in ear.heard} == {crc32(job_channel(JOB).encode()) % 256}


async def test_a_frame_is_announced_when_it_can_be_read(
    app: FastAPI, bus: MemoryBus, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, kept = bus.publish_frame, []

    async def look(partition: int, body: bytes) -> None:
        kept.append([frame.sequence for frame in await frames(app)])
        await send(partition, body)

    monkeypatch.setattr(bus, "publish_frame", look)
    await tell(bus, started(2))
    assert kept == [[2]]
    assert heard(ear) == stored(2)


async def test_a_fact_that_comes_again_is_announced_again_and_kept_once(app: FastAPI, bus: MemoryBus, ear: Ear) -> None:
    first, second = message(started(2)), message(completed(3))
    for each in (first, second):
        await bus.publish(each)
    kept = await frames(app)
    for each in (first, second):
        await bus.publish(each)
    await settle()
    assert heard(ear) == stored(2, 3, 2, 3)
    assert [frame.sequence for frame in kept] == [2, 3]
    assert await frames(app) == kept


async def test_a_late_fact_fills_its_hole_and_overrides_nothing(app: FastAPI, bus: MemoryBus) -> None:
    service: NotifierService = app.state.notifier
    await tell(bus, uploaded(), completed(4))
    history = await service.history(job_channel(JOB), 1)
    assert ([frame.sequence for frame in history.frames], history.last_sequence, history.final) == ([4], 4, True)
    await tell(bus, fact(AnalysisProgressed, 3), started(2))
    history = await service.history(job_channel(JOB), 1)
    assert ([frame.sequence for frame in history.frames], history.last_sequence, history.final) == ([2, 3, 4], 4, True)


async def test_a_frame_that_could_not_be_stored_is_when_its_fact_comes_again_and_not_announced_before(
    app: FastAPI, bus: MemoryBus, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, failed = repository.store, 0

    async def fail_once(where: Rows, frame: Frame, message: Message) -> bool:
        nonlocal failed
        if not failed:
            failed += 1
            raise DatabaseUnavailable("the database went away")
        return await store(where, frame, message)

    monkeypatch.setattr(repository, "store", fail_once)
    await tell(bus, completed(2))
    assert heard(ear) == stored(2)
    assert [frame.sequence for frame in await frames(app)] == [2]


async def test_a_frame_that_could_not_be_announced_is_when_its_fact_comes_again(
    app: FastAPI, bus: MemoryBus, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, kept = bus.publish_frame, []

    async def refuse_once(partition: int, body: bytes) -> None:
        kept.append([frame.sequence for frame in await frames(app)])
        if len(kept) == 1:
            raise BusUnavailable("the broker is away")
        await send(partition, body)

    monkeypatch.setattr(bus, "publish_frame", refuse_once)
    await tell(bus, started(2))
    assert kept == [[2], [2]]
    assert heard(ear) == stored(2)


async def test_of_an_erased_job_nothing_is_told_any_more_however_late_its_facts_come(app: FastAPI, bus: MemoryBus) -> None:
    service: NotifierService = app.state.notifier
    other = uploaded("0" * 32)
    await tell(bus, uploaded(), started(2), other)
    for _ in range(2):
        await tell(bus, AnalysisErased(job_id=JOB, user_id=1, sequence=3))
    await tell(bus, completed(3), started(2))  # the first for the first time, from the retry ladder
    history = await service.history(job_channel(JOB), 0)
    nothing = {"job_id": JOB, "status": "failed", "progress": 0, "message": "삭제된 분석입니다.", "result": None}
    assert [(frame.sequence, frame.final, frame.data) for frame in history.frames] == [
        (1, False, nothing),
        (2, False, nothing),
        (3, True, nothing),
    ]
    assert history.final
    [kept] = (await service.history(job_channel("0" * 32), 0)).frames
    assert kept == frame_of(other)
    assert len(await noted(app)) == 7


async def test_the_sweep_forgets_old_frames_and_keeps_the_others(app: FastAPI, bus: MemoryBus) -> None:
    service: NotifierService = app.state.notifier
    await tell(bus, started(2), completed(3))
    await bus.publish(message(uploaded("0" * 32)))
    async with service._database.autocommit() as connection:
        await connection.exec_driver_sql(
            f"UPDATE frames SET created_at = now() - interval '8 days' WHERE channel = 'job:{JOB}'"
        )
        await connection.exec_driver_sql("UPDATE inbox SET processed_at = now() - interval '15 days' WHERE attempt = 1")
    await service.sweep(7, 14)
    assert await noted(app) == []
    assert (await service.history(job_channel(JOB), 0)).last_sequence == 0
    assert (await service.history(job_channel("0" * 32), 0)).last_sequence == 1


async def noted(app: FastAPI) -> list[tuple[str, str, int]]:
    async with app.state.notifier._database.autocommit() as connection:
        rows = await connection.exec_driver_sql("SELECT message_id::text, handler, attempt FROM inbox")
        return [tuple(row) for row in rows]


async def test_a_fact_is_noted_in_the_inbox_with_its_frame_and_only_once(app: FastAPI, bus: MemoryBus) -> None:
    fact = message(started(2))
    for _ in range(2):
        await bus.publish(fact)
    assert await noted(app) == [(fact.id, "notifier.frame", 1)]
