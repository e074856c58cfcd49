"""Jobs from dispatch to their end, as the bus and the clock move them."""

import asyncio
import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from libs.common.bus.base import PARTITIONS, BusUnavailable, Message
from libs.common.contracts.audio import (
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
    AnalysisStarted,
    AudioUploaded,
    JobFact,
    Priority,
)
from libs.common.contracts.catalog import ScriptDeleted
from libs.common.contracts.notifier import HEARD, Frame, Stored, frame_of, job_channel, lease_channel, partition_of, stop_frame
from libs.common.db import Database, Outgoing
from services.audio import job_repository, texts
from services.audio.errors import JobBusy
from services.audio.job_repository import Saved
from services.audio.jobs import Started
from services.audio.service import LOOKS
from tests.services.audio.house import House, Open, bearer, script, wav

RESULT = {"status": "success", "result": {"overall_score": 0.82, "word_analysis": [{"word": "you"}]}}


def started(work: AnalysisRequested) -> AnalysisReportStarted:
    return AnalysisReportStarted(job_id=work.job_id, lease=work.lease, worker="w")


def progressed(work: AnalysisRequested, percent: int) -> AnalysisReportProgressed:
    return AnalysisReportProgressed(job_id=work.job_id, lease=work.lease, worker="w", progress=percent, step="단어 찾기")


def completed(work: AnalysisRequested, result: dict[str, Any] = RESULT) -> AnalysisReportCompleted:
    return AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result=result)


def failed(
    work: AnalysisRequested, *, temporary: bool, reason: str = "audio_unreadable", message: str = "못 읽습니다"
) -> AnalysisReportFailed:
    return AnalysisReportFailed(
        job_id=work.job_id, lease=work.lease, worker="w", reason=reason, message=message, temporary=temporary
    )


def counted(kind: str, outcome: str) -> float:
    labels = {"service": "audio", "kind": kind, "outcome": outcome}
    return REGISTRY.get_sample_value("yousync_audio_reports_total", labels) or 0.0


async def ends(house: House, job_id: str, status: str) -> dict[str, Any]:
    """The job's state, once it has this status."""
    async with asyncio.timeout(10):
        while (state := await house.state(job_id))["status"] != status:
            await asyncio.sleep(0.01)
    return state


# --- Dispatch ---------------------------------------------------------------------------------------------------------


async def test_a_job_is_dispatched_with_all_that_a_server_needs(house: House) -> None:
    work = await house.dispatched(headers=bearer(1))
    assert (work.priority, work.attempt, work.script_id, work.token_id) == (Priority.HIGH, 1, 7, 3)
    assert (work.line_start, work.line_end, work.words) == (10.0, 12.0, script().words)
    assert (work.media_type, work.lease_seconds) == ("audio/wav", 30.0)
    assert timedelta(seconds=590) < work.deadline - datetime.now(UTC) <= timedelta(seconds=600)
    state = await house.state(work.job_id)
    assert (state["status"], state["progress"], state["message"]) == ("processing", 70, "분석 서버 호출")


async def test_the_link_in_the_work_leads_to_the_recording(house: House) -> None:
    work = await house.dispatched()
    url = httpx.URL(work.audio_url)
    answer = await house.client.get(url.raw_path.decode())
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, wav(), "audio/wav")
    assert int(url.params["expires"]) > work.deadline.timestamp()
    assert (await house.client.get(url.path)).status_code == 403


async def test_a_second_delivery_of_the_upload_dispatches_nothing(house: House) -> None:
    work = await house.dispatched()
    fact = await house.facts.until(AudioUploaded)
    await house.tell(fact)
    await house.tell(script())
    assert len(house.work.events) == 1
    assert (await house.rows("SELECT lease FROM jobs"))[0].lease == work.lease


async def test_a_line_that_is_deleted_meanwhile_is_analysed_all_the_same(open_house: Open) -> None:
    async with open_house(retry_seconds=(0,)) as house:
        work = await house.dispatched()
        await house.tell(ScriptDeleted(script_id=7, token_id=3, version=2))
        await house.tell(failed(work, temporary=True))
        assert (await house.work.until(AnalysisRequested, 2)).words == script().words


# --- Reports ----------------------------------------------------------------------------------------------------------


async def test_reports_move_the_job_and_the_facts_of_it_are_counted_without_gaps(house: House) -> None:
    work = await house.dispatched(headers=bearer(1))
    await house.tell(started(work))
    await house.tell(progressed(work, 50))
    await house.tell(completed(work))
    done = await house.facts.until(AnalysisCompleted)
    told = house.facts.of(JobFact)
    assert [type(fact) for fact in told] == [AnalysisStarted, AnalysisProgressed, AnalysisCompleted]
    assert [(fact.progress, fact.message) for fact in told] == [
        (70, "분석 중…"),
        (84, "분석 중… 단어 찾기"),
        (100, "분석 완료"),
    ]
    assert [house.facts.of(AudioUploaded)[0].sequence, *(fact.sequence for fact in told)] == [1, 2, 3, 4]
    assert (done.result, done.user_id, done.script_id) == (RESULT, 1, 7)
    state = await house.state(work.job_id)
    assert (state["status"], state["progress"], state["result"]) == ("completed", 100, RESULT)


async def test_the_result_can_be_read_as_soon_as_anybody_hears_of_it(house: House) -> None:
    work = await house.dispatched()
    await house.tell(completed(work))
    assert (await house.state(work.job_id))["result"] == RESULT


async def test_the_frame_of_a_report_is_sent_ahead_and_is_the_one_that_its_fact_makes(house: House) -> None:
    work = await house.dispatched()
    heard: list[Frame | Stored] = []

    async def hear(partition: int, body: bytes) -> None:
        state = await house.state(work.job_id)  # what is told can be read
        assert state["status"] == "completed"
        heard.append(HEARD.validate_json(body))

    listener = await house.bus.listen_frames(hear)
    await listener.bind(partition_of(job_channel(work.job_id), PARTITIONS))
    await house.tell(completed(work))
    done = await house.facts.until(AnalysisCompleted)
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0.005)
    await listener.close()
    assert heard == [frame_of(done)]


async def test_a_frame_that_cannot_be_sent_ahead_costs_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(partition: int, body: bytes) -> None:
        raise BusUnavailable("away")

    monkeypatch.setattr(house.bus, "publish_frame", away)
    work = await house.dispatched()
    await house.tell(completed(work))
    assert (await house.state(work.job_id))["status"] == "completed"
    assert (await house.facts.until(AnalysisCompleted)).result == RESULT


async def test_a_duplicate_report_changes_nothing(house: House) -> None:
    work = await house.dispatched()
    for report in (started(work), progressed(work, 50), completed(work)):
        message = Message.of(report, source="/test", subject="")
        await house.bus.publish(message)
        before = await house.rows("SELECT sequence, state, progress FROM jobs")
        await house.bus.publish(message)
        assert await house.rows("SELECT sequence, state, progress FROM jobs") == before


async def test_a_report_is_judged_by_what_is_committed_not_by_what_is_remembered(house: House) -> None:
    work = await house.dispatched()
    await house.tell(started(work))
    # another process hands the job to another server
    await house.rows("UPDATE jobs SET lease = reverse(lease), version = version + 1 RETURNING id")
    ((lease,),) = await house.rows("SELECT lease FROM jobs")
    again = work.model_copy(update={"lease": lease})
    stale = counted("progressed", "stale_lease")
    await house.tell(progressed(work, 30))
    assert counted("progressed", "stale_lease") == stale + 1
    await house.tell(progressed(again, 50))
    assert (await house.state(work.job_id))["progress"] == 84


async def test_reports_after_the_end_change_nothing_and_are_counted(house: House) -> None:
    work = await house.dispatched()
    await house.tell(completed(work))
    for late in (started(work), progressed(work, 99), completed(work, {"late": True}), failed(work, temporary=False)):
        kind = late.name.rpartition(".")[2]
        before = counted(kind, "finished")
        await house.tell(late)
        assert (await house.state(work.job_id))["result"] == RESULT
        assert counted(kind, "finished") == before + 1


async def test_who_reports_too_late_is_told_to_stop(house: House) -> None:
    first = await house.dispatched()
    await house.tell(failed(first, temporary=True))
    second = await house.work.until(AnalysisRequested, 2)
    stopped: list[str] = []

    async def hear(_: int, body: bytes) -> None:
        stopped.extend(work.lease for work in (first, second) if HEARD.validate_json(body) == stop_frame(work.lease))

    listener = await house.bus.listen_frames(hear)
    for work in (first, second):
        await listener.bind(partition_of(lease_channel(work.lease), PARTITIONS))
    await house.tell(progressed(first, 50))  # its lease is given to somebody else
    await house.tell(started(second))
    await house.tell(completed(second))
    await house.tell(progressed(second, 99))  # its job has ended
    await house.tell(progressed(first.model_copy(update={"lease": "no lease of ours"}), 50))
    async with asyncio.timeout(10):
        while len(stopped) < 2:
            await asyncio.sleep(0.005)
    await listener.close()
    assert stopped == [first.lease, second.lease]


async def test_a_broker_that_takes_no_stop_frame_costs_a_report_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(partition: int, body: bytes) -> None:
        await asyncio.Event().wait()

    work = await house.dispatched()
    await house.tell(completed(work))
    monkeypatch.setattr(house.bus, "publish_frame", hangs)
    monkeypatch.setattr("services.audio.telling.STOP_SECONDS", 0.05)
    before = counted("progressed", "finished")
    await asyncio.wait_for(house.tell(progressed(work, 99)), 10)
    assert counted("progressed", "finished") == before + 1


async def test_a_forged_lease_changes_nothing_and_is_counted(house: House) -> None:
    work = await house.dispatched()
    before = counted("completed", "stale_lease")
    await house.tell(completed(work.model_copy(update={"lease": "0" * 32}), {"forged": True}))
    assert (await house.state(work.job_id))["status"] == "processing"
    assert counted("completed", "stale_lease") == before + 1


@pytest.mark.parametrize("job_id", ["0" * 32, "", "x\x00y", "'; DROP TABLE jobs; --", "가" * 32])
async def test_a_report_on_an_unknown_job_is_counted_and_not_retried(house: House, job_id: str) -> None:
    work = await house.dispatched()
    before = counted("started", "unknown_job")
    await house.tell(started(work.model_copy(update={"job_id": job_id})))
    assert counted("started", "unknown_job") == before + 1
    assert await house.bus.dead_letters("audio") == []


async def test_reports_of_two_servers_at_once_end_the_job_once(house: House) -> None:
    work = await house.dispatched()
    reports = [completed(work, {"number": number}) for number in range(8)]
    await asyncio.gather(*(house.tell(report) for report in reports))
    await house.facts.until(AnalysisCompleted)
    await house.tell(script(9))
    assert len(house.facts.of(AnalysisCompleted)) == 1
    assert (await house.state(work.job_id))["result"] == house.facts.of(AnalysisCompleted)[0].result


async def test_reports_at_the_same_time_are_all_heard_and_told_one_after_the_other(house: House) -> None:
    work = await house.dispatched()
    await asyncio.gather(*(house.tell(report) for report in (started(work), progressed(work, 40), completed(work))))
    await house.facts.until(AnalysisCompleted)
    told = house.facts.of(JobFact)
    assert [fact.sequence for fact in told] == list(range(2, len(told) + 2))
    assert (await house.rows("SELECT sequence FROM jobs"))[0].sequence == told[-1].sequence


async def test_a_job_that_somebody_changed_between_look_and_change_is_looked_at_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await house.dispatched()
    save, saves = job_repository.save_job, []

    async def overtaken_once(database: Database, saved: Saved, outgoing: Collection[Outgoing]) -> bool:
        saves.append(saved.before.version)
        if len(saves) == 1:
            await house.jobs.report(work.job_id, "started", Started(work.lease))
        return await save(database, saved, outgoing)

    monkeypatch.setattr(job_repository, "save_job", overtaken_once)
    await house.tell(completed(work))
    await house.facts.until(AnalysisCompleted)
    assert [(fact.name, fact.sequence) for fact in house.facts.of(JobFact)] == [
        ("analysis.started", 2),
        ("analysis.completed", 3),
    ]
    assert saves == [2, 2, 3]


async def test_a_report_on_a_job_that_changes_all_the_time_is_left_to_the_bus_and_heard_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await house.dispatched()
    save, saves = job_repository.save_job, 0

    async def overtaken(database: Database, saved: Saved, outgoing: Collection[Outgoing]) -> bool:
        nonlocal saves
        saves += 1
        return saves > LOOKS and await save(database, saved, outgoing)

    monkeypatch.setattr(job_repository, "save_job", overtaken)
    with pytest.raises(JobBusy):
        await house.jobs.report(work.job_id, "started", Started(work.lease))
    assert JobBusy().retryable
    saves = 0
    await house.tell(completed(work))
    assert (await house.facts.until(AnalysisCompleted)).sequence == 2


@pytest.mark.parametrize(
    "result",
    [{"text": "a\x00b"}, {"a\x00": 1}, {"score": float("nan")}, {"score": float("inf")}, {"text": "x" * 1_000_001}],
    ids=["NUL", "NUL in a key", "NaN", "infinity", "too large"],
)
async def test_a_result_that_cannot_be_stored_fails_the_job(house: House, result: dict[str, Any]) -> None:
    work = await house.dispatched()
    report = {"job_id": work.job_id, "lease": work.lease, "worker": "w", "result": result}
    key = AnalysisReportCompleted.name
    # written by Python's json, which is as careless about NaN as other people's servers may be
    await house.bus.publish(Message(type=key, body=json.dumps(report).encode(), source="/test", subject="", routing_key=key))
    fact = await house.facts.until(AnalysisFailed)
    assert (fact.reason, fact.message) == ("invalid_result", texts.GAVE_UP)


async def test_text_that_only_looks_like_an_escaped_nul_is_stored(house: House) -> None:
    work = await house.dispatched()
    await house.tell(completed(work, {"text": r"a\u0000b"}))
    assert (await house.state(work.job_id))["result"] == {"text": r"a\u0000b"}


async def test_a_permanent_failure_ends_the_job_with_the_servers_text(house: House) -> None:
    work = await house.dispatched()
    await house.tell(failed(work, temporary=False))
    fact = await house.facts.until(AnalysisFailed)
    assert (fact.progress, fact.reason, fact.message) == (0, "audio_unreadable", "못 읽습니다")
    state = await house.state(work.job_id)
    assert (state["status"], state["progress"], state["message"]) == ("failed", 0, "못 읽습니다")


async def test_what_a_server_says_is_cleaned_before_anybody_sees_it(house: House) -> None:
    work = await house.dispatched()
    await house.tell(failed(work, temporary=False, reason="Traceback: http://10.0.0.1", message="a\x00b\nc" + "x" * 10_000))
    fact = await house.facts.until(AnalysisFailed)
    assert fact.reason == "analysis_error"
    assert fact.message.startswith("a b cxxx")
    assert len(fact.message) <= texts.MAX_LENGTH


async def test_a_temporary_failure_goes_to_another_server_under_a_new_lease(house: House) -> None:
    first = await house.dispatched()
    await house.tell(failed(first, temporary=True))
    second = await house.work.until(AnalysisRequested, 2)
    assert (second.job_id, second.attempt) == (first.job_id, 2)
    assert second.lease != first.lease
    await house.tell(completed(first, {"late": True}))
    assert (await house.state(first.job_id))["status"] == "processing"
    await house.tell(completed(second))
    assert (await house.state(first.job_id))["result"] == RESULT


async def test_a_job_that_three_servers_could_not_do_has_failed(open_house: Open) -> None:
    async with open_house(retry_seconds=(0,)) as house:
        work = await house.dispatched()
        for attempt in (2, 3):
            await house.tell(failed(work, temporary=True, reason="scoring_crashed"))
            work = await house.work.until(AnalysisRequested, attempt)
        await house.tell(failed(work, temporary=True, reason="scoring_crashed"))
        fact = await house.facts.until(AnalysisFailed)
        assert (fact.reason, fact.message) == ("scoring_crashed", texts.GAVE_UP)


# --- Time -------------------------------------------------------------------------------------------------------------


async def test_a_server_that_falls_silent_loses_the_job_to_another(open_house: Open) -> None:
    async with open_house(lease_seconds=0.2) as house:
        first = await house.dispatched()
        await house.tell(started(first))
        second = await house.work.until(AnalysisRequested, 2)
        assert (second.job_id, second.attempt) == (first.job_id, 2)


async def test_a_job_that_every_server_drops_fails_with_a_text_for_the_learner(open_house: Open) -> None:
    async with open_house(lease_seconds=0.1, retry_seconds=(0.1,)) as house:
        for attempt in (1, 2, 3):
            work = await house.dispatched() if attempt == 1 else await house.work.until(AnalysisRequested, attempt)
            await house.tell(started(work))
        fact = await house.facts.until(AnalysisFailed)
        assert (fact.reason, fact.message) == ("worker_lost", texts.GAVE_UP)


async def test_heartbeats_keep_a_long_job_with_its_server(open_house: Open) -> None:
    async with open_house(lease_seconds=0.6) as house:
        work = await house.dispatched()
        await house.tell(started(work))
        for _ in range(10):
            await asyncio.sleep(0.15)
            await house.tell(progressed(work, 0))
        assert len(house.work.events) == 1
        assert house.facts.of(AnalysisProgressed) == []


async def test_a_job_that_nobody_takes_fails_at_its_deadline(open_house: Open) -> None:
    async with open_house(lease_seconds=0.05, job_seconds=0.3) as house:
        work = await house.dispatched()
        state = await ends(house, work.job_id, "failed")
        assert (state["progress"], state["message"]) == (0, texts.TOO_LATE)
        assert (await house.facts.until(AnalysisFailed)).reason == "deadline"


async def test_reports_that_waited_while_the_service_was_down_are_heard_before_leases_are_judged(open_house: Open) -> None:
    async with open_house() as house:
        work = await house.dispatched()
        await house.tell(started(work))
        await house.rows("UPDATE jobs SET lease_expires_at = now() - interval '1 hour'")
    async with open_house(lease_seconds=5) as house:
        await asyncio.sleep(0.2)  # several sweeps' time
        await house.tell(completed(work))
        assert (await house.state(work.job_id))["result"] == RESULT


async def test_the_gauge_shows_open_jobs_by_state(house: House) -> None:
    work = await house.dispatched()
    await house.dispatched()
    await house.tell(started(work))
    await house.jobs.measure()
    shown = {
        state: REGISTRY.get_sample_value("yousync_audio_jobs", {"service": "audio", "state": state})
        for state in ("queued", "dispatched", "running")
    }
    assert shown == {"queued": 0, "dispatched": 1, "running": 1}
