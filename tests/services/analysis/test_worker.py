"""The worker between the queues and a scoring pool that the test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.common.bus.base import BusUnavailable, Message
from libs.common.bus.topology import WORK
from libs.common.contracts.audio import (
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    Priority,
)
from services.analysis import texts
from services.analysis.errors import AudioError, AudioTooShort, AudioUnreadable, RecordingGone, ScoringTimedOut
from services.analysis.reference import Reference
from services.analysis.scoring.script import ScriptWord
from services.analysis.worker import CLAIMS
from tests.services.analysis.desk import PATIENCE, Desk, employed, work

SCORE = {"overall_score": 0.9}


@dataclass
class Pool:
    """Plays the scoring pool: every take waits until the test lets it go on."""

    size: int = 1
    error: Exception | None = None
    waits: bool = False
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    given: list[tuple[list[ScriptWord], float | None]] = field(default_factory=list)
    running: int = 0

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def score(
        self,
        audio: Path,
        words: Sequence[ScriptWord],
        on_progress: Callable[[int, str], None],
        *,
        line_start: float | None,
    ) -> dict[str, Any]:
        self.given.append((list(words), line_start))
        self.running += 1
        try:
            on_progress(60, "align")
            if self.waits:
                await self.may_end.wait()
            if self.error is not None:
                raise self.error
            return SCORE
        finally:
            self.running -= 1


class Store:
    """Plays the object store."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Path]:
        if self.error is not None:
            raise self.error
        yield Path("take.wav")

    async def close(self) -> None:
        pass


@asynccontextmanager
async def working(pool: Pool, store: Store | None = None, *, shutdown_seconds: float = 0.1) -> AsyncIterator[Desk]:
    """A running worker of the reference server; leaving the block stops it."""
    async with employed(Reference(pool, store or Store()), shutdown_seconds=shutdown_seconds) as desk:
        yield desk


async def test_a_job_is_claimed_scored_and_reported() -> None:
    pool, request = Pool(), work()
    async with working(pool) as desk:
        desk.give(request)
        done = await desk.until(AnalysisReportCompleted)
    assert done.result == {"status": "success", "result": SCORE}
    assert isinstance(desk.reports[0], AnalysisReportStarted)
    assert {(report.job_id, report.lease, report.worker) for report in desk.reports} == {(request.job_id, request.lease, "w")}
    [(words, line_start)] = pool.given
    assert line_start == 10.0
    assert [(word.id, word.word, word.start_time, word.end_time) for word in words] == [(1, "you", 10.0, 11.0)]


async def test_the_queue_is_told_when_the_job_is_claimed_not_when_it_is_done() -> None:
    async with working(Pool(waits=True)) as desk:
        await desk.give(work())
        assert len(desk.of(AnalysisReportStarted)) == 1
        assert desk.of(AnalysisReportCompleted) == []


async def test_a_job_is_worked_on_while_its_claim_is_on_its_way_and_nothing_else_is_said_before() -> None:
    pool, claim_is_through = Pool(), asyncio.Event()
    async with working(pool) as desk:
        publish = desk.bus.publish

        async def slow(message: Message) -> None:
            if message.type == AnalysisReportStarted.name:
                await claim_is_through.wait()
            await publish(message)

        desk.bus.publish = slow  # type: ignore[method-assign]
        message = Message.of(work(), source="/test", subject="", routing_key="analysis.requested.high")
        giving = asyncio.create_task(publish(message))
        async with asyncio.timeout(PATIENCE):
            while not pool.given or pool.running:
                await asyncio.sleep(0)
        assert desk.reports == []
        assert not giving.done()  # the queue is told with the claim
        claim_is_through.set()
        await desk.until(AnalysisReportCompleted)
        assert isinstance(desk.reports[0], AnalysisReportStarted)
        await giving


async def test_what_cannot_be_claimed_is_not_worked_on_any_longer_and_its_slot_is_free() -> None:
    pool, refused = Pool(waits=True), work()
    async with working(pool) as desk:
        publish = desk.bus.publish

        async def of_others_only(message: Message) -> None:
            if refused.job_id.encode() in message.body and message.type == AnalysisReportStarted.name:
                while not pool.running:
                    await asyncio.sleep(0)
                raise BusUnavailable("away")
            await publish(message)

        desk.bus.publish = of_others_only  # type: ignore[method-assign]
        message = Message.of(refused, source="/test", subject="", routing_key="analysis.requested.high")
        given = asyncio.create_task(publish(message))
        async with asyncio.timeout(PATIENCE):
            while not pool.given or pool.running:
                await asyncio.sleep(0)
        pool.may_end.set()
        desk.give(work())
        done = await desk.until(AnalysisReportCompleted)
        assert done.job_id != refused.job_id
        assert {report.job_id for report in desk.reports} == {done.job_id}
        given.cancel()


async def test_progress_is_reported_in_words_for_the_learner() -> None:
    async with working(Pool(waits=True)) as desk:
        desk.give(work())
        report = await desk.until(AnalysisReportProgressed)
        assert (report.progress, report.step) == (60, texts.STEPS["align"])


async def test_a_long_job_keeps_its_lease_by_heartbeats() -> None:
    async with working(Pool(waits=True)) as desk:
        desk.give(work(lease_seconds=0.06))
        last = await desk.until(AnalysisReportProgressed, 5)
        assert last.progress == 60


async def test_work_that_finds_no_slot_stays_where_another_worker_can_take_it() -> None:
    pool = Pool(waits=True, size=1)
    async with working(pool) as desk:
        await desk.give(work())
        for _ in range(5):
            desk.give(work())
        await asyncio.sleep(0.05)
        assert (await desk.bus.depths())["analysis.work.high"] == 4  # one is in the worker's hand
        assert len(desk.of(AnalysisReportStarted)) == 1
        pool.may_end.set()
        await desk.until(AnalysisReportCompleted, 6)


async def test_many_slots_are_filled_by_claims_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    together = asyncio.Barrier(2)
    async with working(Pool(size=2 * CLAIMS)) as desk:
        publish = desk.bus.publish

        async def held(message: Message) -> None:
            if message.type == AnalysisReportStarted.name:
                await together.wait()
            await publish(message)

        monkeypatch.setattr(desk.bus, "publish", held)
        for _ in range(4):
            desk.give(work())
        await desk.until(AnalysisReportCompleted, 4)


async def test_as_many_jobs_run_as_the_pool_has_processes() -> None:
    pool = Pool(waits=True, size=3)
    async with working(pool) as desk:
        for _ in range(5):
            desk.give(work())
        await desk.until(AnalysisReportStarted, 3)
        await asyncio.sleep(0.05)
        assert pool.running == 3
        pool.may_end.set()
        await desk.until(AnalysisReportCompleted, 5)


@pytest.mark.parametrize("priority", [Priority(name) for name in WORK])
async def test_every_queue_is_served(priority: Priority) -> None:
    async with working(Pool()) as desk:
        desk.give(work(priority))
        await desk.until(AnalysisReportCompleted)


async def test_a_second_delivery_of_a_running_job_is_not_worked_on() -> None:
    pool, request = Pool(waits=True, size=2), work()
    async with working(pool) as desk:
        await desk.give(request)
        await desk.give(request)
        assert len(desk.of(AnalysisReportStarted)) == 1
        assert pool.running == 1


@pytest.mark.parametrize("limit", ["claim_before", "deadline"])
async def test_a_job_that_is_too_old_to_be_claimed_is_dropped(limit: str) -> None:
    pool, past = Pool(), datetime.now(UTC) - timedelta(seconds=1)
    async with working(pool) as desk:
        await desk.give(work(Priority.HIGH, **{limit: past}))
        desk.give(work())
        await desk.until(AnalysisReportCompleted)
    assert len(desk.of(AnalysisReportStarted)) == 1
    assert len(pool.given) == 1


async def test_a_job_whose_lease_runs_no_more_is_dropped_without_a_word() -> None:
    pool, request, other = Pool(waits=True), work(), work()
    async with working(pool) as desk:
        await desk.give(request)
        desk.give(other)
        await desk.until(AnalysisReportProgressed)
        await desk.say_stop(request.lease)
        pool.may_end.set()
        await desk.until(AnalysisReportCompleted)
    assert [report.job_id for report in desk.reports if isinstance(report, AnalysisReportCompleted)] == [other.job_id]
    assert desk.of(AnalysisReportFailed) == []


async def test_a_stop_of_another_lease_stops_nothing() -> None:
    pool = Pool(waits=True)
    async with working(pool) as desk:
        await desk.give(work())
        await desk.say_stop(work().lease)
        pool.may_end.set()
        await desk.until(AnalysisReportCompleted)


async def test_a_claim_that_came_too_late_is_stopped_even_when_that_is_heard_before_the_claim_is_through() -> None:
    pool, request = Pool(waits=True), work()
    async with working(pool) as desk:
        publish = desk.bus.publish

        async def stopped_meanwhile(message: Message) -> None:
            await publish(message)
            if message.type == AnalysisReportStarted.name:
                await desk.say_stop(request.lease)
                await asyncio.sleep(0)  # where the frame is heard
                await asyncio.sleep(0)

        desk.bus.publish = stopped_meanwhile  # type: ignore[method-assign]
        await desk.give(request)
        desk.bus.publish = publish  # type: ignore[method-assign]
        pool.may_end.set()
        desk.give(work())
        await desk.until(AnalysisReportCompleted)
    assert len(desk.of(AnalysisReportCompleted)) == 1


@pytest.mark.parametrize(
    ("pool_error", "store_error", "reason", "temporary", "message"),
    [
        (ScoringTimedOut("x"), None, "scoring_timed_out", True, texts.FAILURE),
        (ZeroDivisionError("a bug"), None, "internal", True, texts.FAILURE),
        (None, RecordingGone("x"), "recording_gone", False, texts.FAILURES["recording_gone"]),
    ],
)
async def test_a_failure_is_reported_by_name_and_leaks_nothing(
    pool_error: Exception | None, store_error: Exception | None, reason: str, temporary: bool, message: str
) -> None:
    async with working(Pool(error=pool_error), Store(store_error)) as desk:
        desk.give(work())
        report = await desk.until(AnalysisReportFailed)
        assert (report.reason, report.temporary, report.message) == (reason, temporary, message)


@pytest.mark.parametrize(("error", "flag"), [(AudioUnreadable("x"), "unreadable"), (AudioTooShort("x"), "too_short")])
async def test_a_recording_in_which_nothing_can_be_heard_is_a_result_with_every_word_unheard(
    error: AudioError, flag: str
) -> None:
    async with working(Pool(error=error)) as desk:
        request = work()
        desk.give(request)
        result = (await desk.until(AnalysisReportCompleted)).result["result"]
    assert result["overall_score"] == 0.0
    assert [word["word"] for word in result["word_analysis"]] == [word.word for word in request.words]
    assert {word["text_status"] for word in result["word_analysis"]} == {"fail"}
    assert list(result["quality"]["flags"]) == [flag]


async def test_the_slot_of_a_failed_job_is_free_again() -> None:
    async with working(Pool(error=ZeroDivisionError("a bug"))) as desk:
        for _ in range(3):
            desk.give(work())
        await desk.until(AnalysisReportFailed, 3)


async def test_a_result_waits_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.analysis.reporting.RETRY_SECONDS", 0.01)
    pool = Pool(waits=True)
    async with working(pool) as desk:
        await desk.give(work())
        publish, refused = desk.bus.publish, 0

        async def away(message: Message) -> None:
            nonlocal refused
            refused += 1
            if refused <= 3:
                raise BusUnavailable("away")
            await publish(message)

        monkeypatch.setattr(desk.bus, "publish", away)
        pool.may_end.set()
        await desk.until(AnalysisReportCompleted)
        assert refused > 3


async def test_a_worker_that_stops_finishes_what_it_holds() -> None:
    pool = Pool(waits=True)
    async with working(pool, shutdown_seconds=PATIENCE) as desk:
        await desk.give(work())
        asyncio.get_running_loop().call_later(0.1, pool.may_end.set)
    assert len(desk.of(AnalysisReportCompleted)) == 1


async def test_a_worker_that_must_stop_gives_back_what_it_cannot_finish() -> None:
    async with working(Pool(waits=True)) as desk:
        await desk.give(work())
    [report] = desk.of(AnalysisReportFailed)
    assert (report.reason, report.temporary) == ("worker_stopping", True)


async def test_work_that_waits_for_a_slot_goes_back_to_its_queue_when_the_worker_stops() -> None:
    async with working(Pool(waits=True)) as desk:
        await desk.give(work())
        waiting = desk.give(work())
        await asyncio.sleep(0.05)
    with pytest.raises(BusUnavailable):  # the memory bus' way to say that nobody has finished with it
        await waiting
    assert len(desk.of(AnalysisReportStarted)) == 1
