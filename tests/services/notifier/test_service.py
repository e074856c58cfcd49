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
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
)
from libs.common.contracts.base import Event
from libs.common.contracts.notifier import Frame, job_channel
from services.notifier.service import NotifierService
from tests.services.notifier.conftest import Ear

JOB = "36f6a40f6d8547f7a9463ea6d82e58ce"
RESULT: dict[str, Any] = {"status": "success", "result": {"overall_score": 0.82, "word_analysis": [{"word": "너\u0000"}]}}


def uploaded(job_id: str = JOB) -> AudioUploaded:
    return AudioUploaded(job_id=job_id, take_id="t", token_id=1, script_id=2, user_id=None, size=9, media_type="audio/wav")


def fact(kind: type[Event], version: int, *, progress: int = 70, message: str = "분석 중…", **more: Any) -> Event:
    common = {"job_id": JOB, "token_id": 1, "script_id": 2, "user_id": None}
    return kind.model_validate({**common, "version": version, "progress": progress, "message": message, **more})


def started(version: int = 1) -> Event:
    return fact(AnalysisStarted, version, attempt=1)


def completed(version: int = 3) -> Event:
    return fact(AnalysisCompleted, version, result=RESULT)


def message(event: Event) -> Message:
    return Message.of(event, source="audio", subject=JOB)


def frames(ear: Ear) -> list[Frame]:
    return [Frame.model_validate_json(body) for _, body in ear.heard]


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


async def test_the_life_of_a_job_is_told_frame_by_frame(bus: MemoryBus, ear: Ear) -> None:
    await tell(bus, uploaded(), started(1), fact(AnalysisProgressed, 2, progress=85, message="발음 비교"), completed(3))
    assert [(frame.sequence, frame.final) for frame in frames(ear)] == [(1, False), (2, False), (3, False), (4, True)]
    assert [json.dumps(frame.data, ensure_ascii=False) for frame in frames(ear)] == [
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
async def test_a_job_that_ended_without_a_result_is_told_as_failed(bus: MemoryBus, ear: Ear, end: Event) -> None:
    await tell(bus, end)
    (frame,) = frames(ear)
    assert frame.final
    assert frame.data == {
        "job_id": JOB,
        "status": "failed",
        "progress": 0,
        "message": "녹음에서 말소리를 찾지 못했습니다",
        "result": None,
    }


async def test_a_frame_travels_in_the_partition_of_its_channel(bus: MemoryBus, ear: Ear) -> None:
    await tell(bus, started())
    assert [partition for partition, _ in ear.heard] == [crc32(job_channel(JOB).encode()) % 256]


async def test_a_late_or_repeated_fact_makes_no_frame(bus: MemoryBus, ear: Ear) -> None:
    await tell(bus, started(5), started(5), fact(AnalysisProgressed, 4), uploaded(), fact(AnalysisProgressed, 6))
    assert [(frame.sequence, frame.data["progress"]) for frame in frames(ear)] == [(1, 70), (2, 70)]


async def test_nothing_follows_the_final_frame(bus: MemoryBus, ear: Ear) -> None:
    await tell(bus, completed(3), fact(AnalysisProgressed, 4), fact(AnalysisFailed, 5, reason="late"))
    assert [frame.sequence for frame in frames(ear)] == [1]


async def test_a_message_that_comes_again_sends_its_stored_frame_again(bus: MemoryBus, ear: Ear) -> None:
    first, second = message(started(1)), message(completed(2))
    for each in (first, second, first, second):
        await bus.publish(each)
    await settle()
    assert [frame.sequence for frame in frames(ear)] == [1, 2, 1, 2]
    assert ear.heard[:2] == ear.heard[2:]


async def test_a_frame_that_could_not_be_sent_is_sent_when_its_message_comes_again(
    bus: MemoryBus, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, refused = bus.publish_frame, 0

    async def refuse_once(partition: int, body: bytes) -> None:
        nonlocal refused
        if not refused:
            refused += 1
            raise BusUnavailable("the broker went away between commit and send")
        await send(partition, body)

    monkeypatch.setattr(bus, "publish_frame", refuse_once)
    await tell(bus, started(1))
    assert refused == 1
    assert [frame.sequence for frame in frames(ear)] == [1]


async def test_facts_of_one_job_at_the_same_time_leave_no_gap(app: FastAPI) -> None:
    service: NotifierService = app.state.notifier
    facts = [message(fact(AnalysisProgressed, version)) for version in range(1, 31)]
    await asyncio.gather(
        *(
            service.tell(fact(AnalysisProgressed, version), each.id)  # type: ignore[arg-type]
            for version, each in enumerate(facts, start=1)
        )
    )
    history = await service.history(job_channel(JOB), 0)
    assert [frame.sequence for frame in history.frames] == list(range(1, history.last_sequence + 1))


async def test_the_sweep_forgets_old_channels_whole_and_keeps_the_others(app: FastAPI, bus: MemoryBus) -> None:
    service: NotifierService = app.state.notifier
    await tell(bus, started(1), completed(2))
    await bus.publish(message(uploaded("0" * 32)))
    async with service._database.autocommit() as connection:
        await connection.exec_driver_sql(f"UPDATE channels SET updated_at = now() - interval '8 days' WHERE name = 'job:{JOB}'")
    await service.sweep(7)
    assert (await service.history(job_channel(JOB), 0)).last_sequence == 0
    assert (await service.history(job_channel("0" * 32), 0)).last_sequence == 1
