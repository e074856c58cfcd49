"""What clients are told of films."""

import asyncio

import pytest
from fastapi import FastAPI

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.audio import (
    FilmCancelled,
    FilmCompleted,
    FilmFact,
    FilmFailed,
    FilmProgressed,
    FilmRequested,
    FilmStarted,
)
from libs.common.contracts.notifier import frame_of, job_channel
from services.notifier.service import NotifierService

JOB = "eec82f29-392f-4816-988c-a9fde8a1f3f1"
REQUESTED = FilmRequested(
    job_id=JOB, sequence=1, youtube_url="https://www.youtube.com/watch?v=dQw4w9WgXcQ", movie_name="x", actor_name="y"
)
COMMON = {"job_id": JOB, "sequence": 2, "progress": 52, "message": "영상 처리 중..."}
NOTHING_YET = {"token_id": None, "token_ids": None, "result": None}


@pytest.mark.parametrize(
    ("fact", "final", "told"),
    [
        (REQUESTED, False, {"status": "processing", "progress": 0, "message": "영상 처리를 기다리고 있습니다.", **NOTHING_YET}),
        (FilmStarted(**COMMON, attempt=1), False, {"status": "processing", "progress": 52, **NOTHING_YET}),
        (FilmProgressed(**COMMON), False, {"status": "processing", "progress": 52, **NOTHING_YET}),
        (
            FilmCompleted(**COMMON, token_ids=(4, 5), result={"token_ids": [4, 5], "message": "done"}),
            True,
            {
                "status": "completed",
                "progress": 100,
                "token_id": 4,
                "token_ids": [4, 5],
                "result": {"token_ids": [4, 5], "message": "done"},
            },
        ),
        (
            FilmCompleted(**COMMON, token_ids=(), result={"token_ids": []}),
            True,
            {"status": "completed", "progress": 100, "token_id": None, "token_ids": [], "result": {"token_ids": []}},
        ),
        (FilmFailed(**COMMON, reason="deadline"), True, {"status": "failed", "progress": 0, **NOTHING_YET}),
        (FilmCancelled(**COMMON), True, {"status": "failed", "progress": 0, **NOTHING_YET}),
    ],
    ids=lambda value: value.name if isinstance(value, FilmRequested | FilmFact) else None,
)
def test_a_frame_has_the_whole_state_and_the_scenes(
    fact: FilmRequested | FilmFact, final: bool, told: dict[str, object]
) -> None:
    frame = frame_of(fact)
    assert (frame.channel, frame.sequence, frame.final) == (job_channel(JOB), fact.sequence, final)
    assert frame.data == {"job_id": JOB, "message": COMMON["message"], **told}
    assert list(frame.data) == ["job_id", "status", "progress", "message", "token_id", "token_ids", "result"]


async def test_what_was_told_of_a_film_can_be_read_again(app: FastAPI, bus: MemoryBus) -> None:
    facts = (REQUESTED, FilmCompleted(**COMMON, token_ids=(4,), result={"token_ids": [4]}))
    await asyncio.gather(*(bus.publish(Message.of(fact, source="audio", subject=job_channel(JOB))) for fact in facts))
    service: NotifierService = app.state.notifier
    history = await service.history(job_channel(JOB), 0)
    assert (history.last_sequence, history.final) == (2, True)
    assert list(history.frames) == [frame_of(fact) for fact in facts]
