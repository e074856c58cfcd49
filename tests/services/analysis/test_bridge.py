"""The bridge between the work queues and an analysis server over HTTP that misbehaves in every way we know of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from libs.common.bus.base import BusUnavailable
from libs.common.contracts.audio import (
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
    JobKind,
    Priority,
)
from services.analysis import texts
from services.analysis.bridge import Bridge
from services.analysis.errors import ServerUnavailable
from services.analysis.settings import AnalysisSettings
from tests.analysis_server import (
    AnalysisServer,
    LineJob,
    TokenJob,
    accepted,
    break_off,
    garbage,
    hang,
    scores,
    status,
    webhook,
    webhook_first,
)
from tests.services.analysis.desk import PATIENCE, Desk, employed, work


@dataclass
class Webhooks:
    """Where servers report to: plays `audio`, which ends the job and tells the holder of its lease."""

    desk: Desk
    url: str
    leases: dict[str, str] = field(default_factory=dict)  # by job
    heard: list[str] = field(default_factory=list)  # jobs
    says_stop: bool = True

    def job(self, priority: Priority = Priority.HIGH, **changes: Any) -> AnalysisRequested:
        """Work whose result may be reported here."""
        request = work(priority, audio_uri="s3://yousync/take.wav", **changes)
        path = f"{self.url}/api/scripts/webhook/analysis-complete?job_id={request.job_id}&key=signed"
        self.leases[request.job_id] = request.lease
        return request.model_copy(update={"webhook_url": path})

    async def hear(self, request: web.Request) -> web.Response:
        job_id = request.query["job_id"]
        self.heard.append(job_id)
        if self.says_stop:
            await self.desk.say_stop(self.leases[job_id])
        return web.json_response({"received": True, "job_id": job_id})


@asynccontextmanager
async def bridging(server: AnalysisServer, **changes: Any) -> AsyncIterator[tuple[Desk, Bridge, Webhooks]]:
    """A worker with a bridge to `server`; leaving the block stops it."""
    values: dict[str, Any] = {
        "mode": "http",
        "http_url": server.token_url,
        "script_http_url": server.line_url,
        "breaker_first_pause": 0.02,
        "breaker_longest_pause": 0.05,
    }
    bridge = Bridge(AnalysisSettings(**{**values, **changes}))
    async with employed(bridge) as desk:
        webhooks = Webhooks(desk, "")
        app = web.Application()
        app.router.add_post("/api/scripts/webhook/analysis-complete", webhooks.hear)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            webhooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield desk, bridge, webhooks
        finally:
            await runner.cleanup()
    assert server.faults == []


async def test_a_line_is_asked_for_and_the_answer_that_holds_scores_is_the_result() -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        request = webhooks.job()
        desk.give(request)
        done = await desk.until(AnalysisReportCompleted)
    [asked] = server.asked
    assert isinstance(asked.job, LineJob)
    assert asked.job.script.id == request.script_id
    assert (done.job_id, done.lease) == (request.job_id, request.lease)
    assert done.result["scores"] == {"overall_score": 0.9}
    assert done.result["result"]["word_analysis"][0]["word"] == "you"
    assert isinstance(desk.reports[0], AnalysisReportStarted)


async def test_a_whole_scene_is_asked_for_at_the_other_address() -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        desk.give(webhooks.job(Priority.NORMAL, kind=JobKind.TOKEN, script_id=None))
        await desk.until(AnalysisReportCompleted)
    [asked] = server.asked
    assert isinstance(asked.job, TokenJob)
    assert asked.job.video_id == "3"


@pytest.mark.parametrize(
    "behaviour",
    [webhook(0.05), webhook(0.05, times=2), webhook(0.05, answer=""), webhook_first(), webhook_first(5.0)],
    ids=["later", "twice", "after an empty answer", "before the answer", "long before the answer"],
)
async def test_a_job_that_ends_by_its_webhook_frees_the_slot_and_nothing_is_reported(behaviour: Any) -> None:
    async with AnalysisServer() as server, bridging(server, http_concurrency=1) as (desk, _, webhooks):
        server.plan(behaviour, scores())
        first, second = webhooks.job(), webhooks.job()
        desk.give(first)
        await server.until_asked(1)
        desk.give(second)
        done = await desk.until(AnalysisReportCompleted)
        assert done.job_id == second.job_id
        assert webhooks.heard[0] == first.job_id
        assert desk.of(AnalysisReportFailed) == []


async def test_a_learner_is_told_that_the_webhook_is_waited_for_and_the_lease_is_kept() -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        server.plan(accepted())
        desk.give(webhooks.job(lease_seconds=0.06))
        beat = await desk.until(AnalysisReportProgressed, 4)
        assert (beat.progress, beat.step) == (69, "")


@pytest.mark.parametrize("behaviour", [accepted(), hang()], ids=["took the job and was silent", "never said anything"])
async def test_a_webhook_that_never_comes_is_a_temporary_failure(behaviour: Any) -> None:
    settings = {"webhook_seconds": 1.0, "script_answer_seconds": 0.5, "http_concurrency": 1}
    async with AnalysisServer() as server, bridging(server, **settings) as (desk, _, webhooks):
        server.plan(behaviour, scores())
        desk.give(webhooks.job())
        report = await desk.until(AnalysisReportFailed)
        assert (report.reason, report.temporary, report.message) == ("analysis_server_silent", True, texts.FAILURE)
        desk.give(webhooks.job())
        await desk.until(AnalysisReportCompleted)


async def test_a_server_that_answers_too_late_may_still_use_the_webhook() -> None:
    settings = {"script_answer_seconds": 0.5, "http_concurrency": 1}
    async with AnalysisServer() as server, bridging(server, **settings) as (desk, _, webhooks):
        server.plan(hang(), scores())
        desk.give(webhooks.job())
        await server.until_asked(1)
        await desk.until(AnalysisReportProgressed)
        await server.asked[0].call_back()
        desk.give(webhooks.job())
        await desk.until(AnalysisReportCompleted)
        assert desk.of(AnalysisReportFailed) == []


async def test_a_lost_word_that_the_job_has_ended_costs_only_time() -> None:
    settings = {"webhook_seconds": 0.2, "http_concurrency": 1}
    async with AnalysisServer() as server, bridging(server, **settings) as (desk, _, webhooks):
        webhooks.says_stop = False
        server.plan(webhook(), scores())
        desk.give(webhooks.job())
        desk.give(webhooks.job())
        done = await desk.until(AnalysisReportCompleted)
        assert webhooks.heard == [server.asked[0].job_id]
        assert done.job_id == server.asked[1].job_id


async def test_a_server_that_should_report_by_webhook_and_was_given_none_fails_at_once() -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        server.plan(accepted())
        desk.give(webhooks.job().model_copy(update={"webhook_url": None}))
        report = await desk.until(AnalysisReportFailed)
        assert (report.reason, report.temporary) == ("analysis_server_failed", True)


@pytest.mark.parametrize(
    "behaviour", [status(500), garbage(), break_off(), status(404)], ids=["500", "garbage", "connection broken", "404"]
)
async def test_a_failure_of_the_server_is_temporary_and_tells_the_learner_nothing_of_it(behaviour: Any) -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        server.plan(behaviour)
        desk.give(webhooks.job())
        report = await desk.until(AnalysisReportFailed)
        assert (report.reason, report.temporary, report.message) == ("analysis_server_failed", True, texts.FAILURE)
        assert str(server.port) not in report.model_dump_json()


async def test_a_job_that_the_server_refuses_is_not_tried_again() -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        server.plan(status(422))
        desk.give(webhooks.job())
        report = await desk.until(AnalysisReportFailed)
        assert (report.reason, report.temporary) == ("analysis_server_refused", False)
        assert report.message == texts.FAILURES["analysis_server_refused"]


async def test_a_busy_server_is_asked_again_and_that_costs_the_job_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.analysis.peer.BUSY_SECONDS", 0.01)
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        server.plan(status(429), status(429), status(503, Retry_After="0"), scores())
        desk.give(webhooks.job())
        await desk.until(AnalysisReportCompleted)
        assert len(server.asked) == 4
        assert len(desk.of(AnalysisReportStarted)) == 1
        assert desk.of(AnalysisReportFailed) == []


async def test_a_server_that_stays_busy_is_a_temporary_failure() -> None:
    async with AnalysisServer() as server, bridging(server, webhook_seconds=1.0) as (desk, _, webhooks):
        server.plan(status(429, Retry_After="3600"))
        desk.give(webhooks.job())
        report = await desk.until(AnalysisReportFailed)
        assert (report.reason, report.temporary) == ("analysis_server_busy", True)


async def test_a_cancelled_job_frees_its_slot_and_lets_go_of_the_server() -> None:
    async with AnalysisServer() as server, bridging(server, http_concurrency=1) as (desk, _, webhooks):
        server.plan(hang(), scores())
        request = webhooks.job()
        desk.give(request)
        await server.until_asked(1)
        await desk.say_stop(request.lease)
        desk.give(webhooks.job())
        await desk.until(AnalysisReportCompleted)


async def test_no_more_jobs_are_with_the_server_than_it_can_do() -> None:
    async with AnalysisServer() as server, bridging(server, http_concurrency=2) as (desk, _, webhooks):
        server.plan(hang())
        for _ in range(5):
            desk.give(webhooks.job())
        await server.until_asked(2)
        with pytest.raises(TimeoutError):
            await server.until_asked(3, seconds=0.1)


async def test_nothing_is_waited_for_beyond_the_job_s_deadline() -> None:
    async with AnalysisServer() as server, bridging(server) as (desk, _, webhooks):
        server.plan(accepted())
        desk.give(webhooks.job(deadline=datetime.now(UTC) + timedelta(seconds=0.2)))
        assert (await desk.until(AnalysisReportFailed)).reason == "analysis_server_silent"


# --- A server that is down --------------------------------------------------------------------------------------------


async def test_work_for_a_server_that_is_down_stays_in_the_queue_until_it_is_back() -> None:
    server = AnalysisServer()
    async with server:
        pass
    async with bridging(server) as (desk, bridge, webhooks):
        desk.give(webhooks.job())
        assert (await desk.until(AnalysisReportFailed)).reason == "analysis_server_unreachable"
        waiting = [webhooks.job() for _ in range(3)]
        for request in waiting:
            desk.give(request)
        await asyncio.sleep(0.1)
        assert (await desk.bus.depths())["analysis.work.high"] == 3
        assert len(desk.of(AnalysisReportStarted)) == 1
        with pytest.raises(ServerUnavailable):
            await bridge.checks["line_server"]()
        async with server:
            await desk.until(AnalysisReportCompleted, 3)
            await bridge.checks["line_server"]()
        assert len(desk.of(AnalysisReportFailed)) == 1


async def test_a_worker_that_stops_while_the_server_is_down_leaves_the_work_in_the_queue() -> None:
    server = AnalysisServer()
    async with server:
        pass
    async with bridging(server) as (desk, _, webhooks):
        desk.give(webhooks.job())
        await desk.until(AnalysisReportFailed)
        waiting = desk.give(webhooks.job())
        await asyncio.sleep(0.05)
    with pytest.raises(BusUnavailable):
        await waiting
    assert len(desk.of(AnalysisReportStarted)) == 1


async def test_one_server_that_is_down_does_not_stop_the_other() -> None:
    gone = AnalysisServer()
    async with gone:
        pass
    async with AnalysisServer() as server, bridging(server, http_url=gone.token_url) as (desk, bridge, webhooks):
        desk.give(webhooks.job(Priority.NORMAL, kind=JobKind.TOKEN, script_id=None))
        await desk.until(AnalysisReportFailed)
        desk.give(webhooks.job(Priority.NORMAL, kind=JobKind.TOKEN, script_id=None))
        desk.give(webhooks.job())
        await desk.until(AnalysisReportCompleted)
        await bridge.checks["line_server"]()
        assert len(desk.of(AnalysisReportStarted)) == 2


async def test_a_server_that_fails_and_fails_is_left_alone_and_then_tried_with_one_job() -> None:
    settings = {"breaker_failures": 2, "http_concurrency": 4, "breaker_first_pause": 0.3, "breaker_longest_pause": 0.3}
    async with AnalysisServer() as server, bridging(server, **settings) as (desk, _, webhooks):
        server.plan(status(500), status(500), scores())
        for _ in range(2):
            desk.give(webhooks.job())
        await desk.until(AnalysisReportFailed, 2)
        for _ in range(4):
            desk.give(webhooks.job())
        with pytest.raises(TimeoutError):
            await server.until_asked(3, seconds=0.1)
        await desk.until(AnalysisReportCompleted, 4)
        assert len(desk.of(AnalysisReportFailed)) == 2


async def test_a_bridge_that_stops_gives_its_jobs_back_at_once() -> None:
    async with AnalysisServer() as server:
        async with bridging(server) as (desk, _, webhooks):
            server.plan(hang())
            desk.give(webhooks.job())
            await server.until_asked(1, seconds=PATIENCE)
        assert [report.reason for report in desk.of(AnalysisReportFailed)] == ["worker_stopping"]
