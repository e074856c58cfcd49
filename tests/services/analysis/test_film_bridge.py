"""The bridge between the queue of films and a preprocessor over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from libs.common.bus.base import Message
from libs.common.bus.topology import PREPROCESS
from libs.common.contracts.audio import (
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    PreprocessRequested,
    Priority,
)
from libs.common.contracts.base import Event
from services.analysis import texts
from services.analysis.film_bridge import FilmBridge
from services.analysis.settings import AnalysisSettings
from tests.analysis_server import AnalysisServer, FilmJob, accepted, hang, scores, status
from tests.services.analysis.desk import Desk, employed, work

HOOK = "http://127.0.0.1:1/api/youtube/webhook/process-complete"


def film(**changes: Any) -> PreprocessRequested:
    job_id, later = str(uuid4()), datetime.now(UTC) + timedelta(minutes=10)
    values: dict[str, Any] = {
        "job_id": job_id,
        "attempt": 1,
        "lease": uuid4().hex,
        "lease_seconds": 600,
        "claim_before": later,
        "deadline": later,
        "youtube_url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "movie_name": "인셉션",
        "actor_name": "Tom Hardy",
        "webhook_url": f"{HOOK}?job_id={job_id}&ticket=signed",
    }
    return PreprocessRequested(**{**values, **changes})


@asynccontextmanager
async def preparing(server: AnalysisServer, **changes: Any) -> AsyncIterator[Desk]:
    """A worker with a bridge to the preprocessor; leaving the block stops it."""
    values = {"preprocessor_http_url": server.film_url, "breaker_first_pause": 0.02, "breaker_longest_pause": 0.05}
    async with employed(FilmBridge(server.film_url, AnalysisSettings(**{**values, **changes})), shutdown_seconds=0.01) as desk:
        yield desk
    assert server.faults == []


def ask(desk: Desk, order: Event) -> "asyncio.Task[None]":
    return asyncio.create_task(desk.bus.publish(Message.of(order, source="/test", subject="", routing_key=order.name)))


async def test_a_film_is_posted_as_json_and_an_answer_that_names_scenes_is_the_result() -> None:
    order = film()
    async with AnalysisServer() as server, preparing(server) as desk:
        await ask(desk, order)
        done = await desk.until(AnalysisReportCompleted)
    [asked] = server.asked
    assert isinstance(asked.job, FilmJob)
    assert asked.job.model_dump() == {
        "youtube_url": order.youtube_url,
        "movie_name": "인셉션",
        "actor_name": "Tom Hardy",
        "job_id": order.job_id,
        "webhook_url": order.webhook_url,
    }
    assert (done.job_id, done.lease, done.result["token_ids"]) == (order.job_id, order.lease, [1, 2])


async def test_no_more_films_are_with_the_preprocessor_than_it_can_do_until_one_has_ended() -> None:
    first, second = film(), film()
    async with AnalysisServer() as server, preparing(server, preprocessor_concurrency=1) as desk:
        server.plan(accepted(), scores())
        await ask(desk, first)
        await server.until_asked(1)
        waiting = ask(desk, second)
        with pytest.raises(TimeoutError):
            await server.until_asked(2, seconds=0.1)
        await desk.say_stop(first.lease)  # the webhook has come
        done = await desk.until(AnalysisReportCompleted)
        await waiting
    assert done.job_id == second.job_id
    assert desk.of(AnalysisReportFailed) == []


async def test_a_film_that_was_taken_goes_on_without_the_bridge() -> None:
    async with AnalysisServer() as server:
        async with preparing(server) as desk:
            server.plan(accepted())
            await ask(desk, film())
            await desk.until(AnalysisReportProgressed)
        assert isinstance(desk.reports[0], AnalysisReportStarted)
        assert desk.of(AnalysisReportFailed) == []


async def test_a_film_that_was_not_taken_when_the_bridge_stops_is_given_back() -> None:
    async with AnalysisServer() as server:
        async with preparing(server) as desk:
            server.plan(hang())
            await ask(desk, film())
            await server.until_asked(1)
        [report] = desk.of(AnalysisReportFailed)
        assert (report.reason, report.temporary, report.message) == ("worker_stopping", True, texts.FILM_FAILURE)


@pytest.mark.parametrize(
    ("behaviour", "reason", "temporary"),
    [(status(500), "analysis_server_failed", True), (status(422), "analysis_server_refused", False)],
)
async def test_a_preprocessor_that_fails_is_told_in_the_words_of_films(behaviour: Any, reason: str, temporary: bool) -> None:
    async with AnalysisServer() as server, preparing(server) as desk:
        server.plan(behaviour)
        await ask(desk, film())
        report = await desk.until(AnalysisReportFailed)
    assert (report.reason, report.temporary, report.message) == (reason, temporary, texts.FILM_FAILURE)


async def test_films_for_a_preprocessor_that_is_down_stay_in_the_queue_until_it_is_back() -> None:
    server = AnalysisServer()
    async with server:
        pass
    async with preparing(server) as desk:
        await ask(desk, film())
        assert (await desk.until(AnalysisReportFailed)).reason == "analysis_server_unreachable"
        waiting = ask(desk, film())
        await asyncio.sleep(0.1)
        assert len(desk.of(AnalysisReportStarted)) == 1
        async with server:
            await desk.until(AnalysisReportCompleted)
            await waiting


async def test_a_preprocessor_is_never_given_a_take() -> None:
    async with AnalysisServer() as server, preparing(server) as desk:
        given = desk.give(work(Priority.HIGH, audio_uri="s3://yousync/take.wav"))
        await ask(desk, film())
        await desk.until(AnalysisReportCompleted)
        assert len(server.asked) == 1
        assert (await desk.bus.depths())[PREPROCESS.name] == 0
        given.cancel()
