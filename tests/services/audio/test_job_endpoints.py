"""One job from outside: where it stands, stopping it, doing it over."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from libs.common.bus.base import PARTITIONS
from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportStarted,
    AnalysisRequested,
    AudioUploaded,
)
from libs.common.contracts.notifier import HEARD, lease_channel, partition_of, stop_frame
from services.audio import texts
from tests.services.audio.house import House, Open, bearer, token, wav

ENGLISH = {"Accept-Language": "en-GB, en;q=0.9, ko;q=0.5"}


def started(work: AnalysisRequested) -> AnalysisReportStarted:
    return AnalysisReportStarted(job_id=work.job_id, lease=work.lease, worker="w")


def completed(work: AnalysisRequested) -> AnalysisReportCompleted:
    return AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result={"status": "success"})


def failed(work: AnalysisRequested, reason: str = "audio_too_large", message: str = "너무 커요") -> AnalysisReportFailed:
    return AnalysisReportFailed(
        job_id=work.job_id, lease=work.lease, worker="w", reason=reason, message=message, temporary=False
    )


async def view(house: House, job_id: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await house.client.get(f"/api/jobs/{job_id}", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def post(house: House, job_id: str, action: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return await house.client.post(f"/api/jobs/{job_id}/{action}", headers=headers)


# --- See --------------------------------------------------------------------------------------------------------------


async def test_a_job_shows_all_that_its_owner_may_ask(house: House) -> None:
    work = await house.dispatched(headers=bearer(1))
    body = await view(house, work.job_id, bearer(1))
    times = {name: body.pop(name) for name in ("created_at", "deadline")}
    assert body == {
        "job_id": work.job_id,
        "kind": "line",
        "token_id": 3,
        "script_id": 7,
        "state": "queued",
        "progress": 70,
        "message": "분석 순서를 기다리고 있습니다.",
        "reason": None,
        "attempt": 1,
        "max_attempts": 3,
        "queue_position": 1,
        "estimated_wait_seconds": None,
        "started_at": None,
        "finished_at": None,
        "retry_of": None,
        "retried_as": None,
    }
    created, deadline = (datetime.fromisoformat(times[name]) for name in ("created_at", "deadline"))
    assert deadline - created == timedelta(seconds=600)


async def test_a_recording_of_a_whole_scene_is_a_job_like_others(house: House) -> None:
    await house.tell(token())
    work = await house.dispatched_scene()
    body = await view(house, work.job_id, bearer(1))
    assert (body["kind"], body["script_id"], body["state"]) == ("token", None, "queued")
    assert datetime.fromisoformat(body["deadline"]) - datetime.fromisoformat(body["created_at"]) == timedelta(minutes=30)


async def test_a_job_is_followed_from_queue_to_end(house: House) -> None:
    work = await house.dispatched()
    await house.tell(started(work))
    running = await view(house, work.job_id)
    assert (running["state"], running["queue_position"], running["message"]) == ("processing", None, "분석하고 있습니다.")
    assert running["started_at"] is not None
    await house.tell(completed(work))
    done = await view(house, work.job_id)
    assert (done["state"], done["progress"], done["message"]) == ("completed", 100, "분석이 완료되었습니다.")
    assert done["finished_at"] >= done["started_at"] == running["started_at"]


async def test_the_queue_position_counts_who_goes_first_and_the_wait_follows_from_the_pace(open_house: Open) -> None:
    async with open_house(unclaimed=1) as house:
        first = await house.dispatched(headers=bearer(1))
        await house.tell(started(first))
        await house.tell(completed(first))
        await house.rows("UPDATE jobs SET started_at = finished_at - interval '8 seconds'")
        second = await house.dispatched(headers=bearer(1))
        await house.tell(started(second))
        third = await house.dispatched(headers=bearer(1))  # in the work queue
        waiting = [(await house.upload(headers=bearer(user))).json()["job_id"] for user in (1, 1, 2)]
        seen = [await view(house, job_id, bearer(9, admin=True)) for job_id in (third.job_id, *waiting)]
    # one server, eight seconds a job; the other user's first goes before this one's second
    assert [each["queue_position"] for each in seen] == [1, 2, 4, 3]
    assert [each["estimated_wait_seconds"] for each in seen] == [8.0, 16.0, 32.0, 24.0]


async def test_who_waits_in_a_lower_priority_waits_for_the_higher_ones_too(open_house: Open) -> None:
    async with open_house(unclaimed=1) as house:
        await house.tell(token())
        first = await house.dispatched()
        await house.tell(started(first))
        await house.tell(completed(first))
        await house.rows("UPDATE jobs SET started_at = finished_at - interval '8 seconds'")
        running = await house.dispatched()
        await house.tell(started(running))
        await house.dispatched()
        scene = await house.dispatched_scene()
        seen = await view(house, scene.job_id, bearer(1))
    assert (seen["queue_position"], seen["estimated_wait_seconds"]) == (1, 16.0)


@pytest.mark.parametrize(
    ("reason", "shown", "korean", "english"),
    [
        ("audio_too_large", "audio_too_large", "녹음 파일이 너무 큽니다.", "The recording is too large."),
        ("made_up_by_a_server", "analysis_error", texts.GAVE_UP, "The analysis server had a problem"),
        ("http://10.0.0.1/x", "analysis_error", texts.GAVE_UP, "The analysis server had a problem"),
    ],
)
async def test_a_failure_is_told_in_two_languages_and_tells_nothing_internal(
    house: House, reason: str, shown: str, korean: str, english: str
) -> None:
    work = await house.dispatched()
    await house.tell(failed(work, reason, "Traceback: http://10.0.0.1"))
    body = await view(house, work.job_id)
    assert (body["state"], body["reason"], body["progress"]) == ("failed", shown, 0)
    assert body["message"].startswith(korean)
    assert (await view(house, work.job_id, ENGLISH))["message"].startswith(english)


async def test_every_text_exists_in_both_languages(house: House) -> None:
    work = await house.dispatched()
    answer = await house.client.get(f"/api/jobs/{work.job_id}", headers=ENGLISH)
    assert (answer.headers["content-language"], answer.headers["vary"]) == ("en", "Accept-Language")
    assert answer.json()["message"] == "Waiting for its turn to be analysed."
    missing = await house.client.get(f"/api/jobs/{'0' * 32}", headers=ENGLISH)
    assert missing.json()["detail"] == "There is no such analysis."
    too_early = await post(house, work.job_id, "retry", ENGLISH)
    assert too_early.json()["detail"] == "Only an analysis that failed or was cancelled can be started again."


# --- Who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "action"), [("GET", ""), ("POST", "/cancel"), ("POST", "/retry")])
async def test_an_owned_job_is_its_owners_and_the_administrators(house: House, method: str, action: str) -> None:
    work = await house.dispatched(headers=bearer(1))
    if action == "/retry":
        await house.tell(failed(work))
    path = f"/api/jobs/{work.job_id}{action}"
    statuses = [
        (await house.client.request(method, path, headers=headers)).status_code
        for headers in ({}, bearer(2), {"Authorization": "Bearer nonsense"}, bearer(1), bearer(9, admin=True))
    ]
    allowed = 201 if action == "/retry" else 200
    assert statuses == [404, 404, 404, allowed, 200]


@pytest.mark.parametrize(("method", "action"), [("GET", ""), ("POST", "/cancel"), ("POST", "/retry")])
async def test_an_unknown_job_is_not_found(house: House, method: str, action: str) -> None:
    for job_id in ("0" * 32, "00000000-0000-0000-0000-000000000000", "x", "%00", "a" * 5000, "%ED%A0%80", "'"):
        answer = await house.client.request(method, f"/api/jobs/{job_id}{action}")
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
        assert answer.json()["detail"] == "분석 작업을 찾을 수 없습니다."


# --- Cancel -----------------------------------------------------------------------------------------------------------


async def test_a_cancelled_job_has_ended_and_everybody_is_told(house: House) -> None:
    work = await house.dispatched()
    answer = await post(house, work.job_id, "cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    fact = await house.facts.until(AnalysisCancelled)
    assert (fact.job_id, fact.sequence, fact.message) == (work.job_id, 2, "분석이 취소되었습니다.")
    assert (await house.state(work.job_id))["status"] == "failed"
    again = await post(house, work.job_id, "cancel")
    assert (again.status_code, again.json()) == (200, answer.json())
    await house.tell(completed(work))
    assert (await view(house, work.job_id))["state"] == "cancelled"


async def test_the_server_that_works_on_a_cancelled_job_is_told_to_stop(house: House) -> None:
    work = await house.dispatched()
    await house.tell(started(work))
    stopped = asyncio.Event()

    async def hear(_: int, body: bytes) -> None:
        if HEARD.validate_json(body) == stop_frame(work.lease):
            stopped.set()

    listener = await house.bus.listen_frames(hear)
    await listener.bind(partition_of(lease_channel(work.lease), PARTITIONS))
    assert (await post(house, work.job_id, "cancel")).status_code == 200
    await asyncio.wait_for(stopped.wait(), 10)
    await listener.close()


async def test_a_job_that_waits_for_its_turn_can_be_cancelled_and_is_never_ordered(open_house: Open) -> None:
    async with open_house(unclaimed=1) as house:
        first = await house.dispatched()
        waiting, last = [(await house.upload()).json()["job_id"] for _ in range(2)]
        assert (await post(house, waiting, "cancel")).json()["state"] == "cancelled"
        await house.tell(completed(first))
        assert (await house.work.until(AnalysisRequested, 2)).job_id == last


async def test_a_job_that_ended_otherwise_cannot_be_cancelled(house: House) -> None:
    for end, state in ((completed, "completed"), (failed, "failed")):
        work = await house.dispatched()
        await house.tell(end(work))
        answer = await post(house, work.job_id, "cancel")
        assert (answer.status_code, answer.json()["code"], answer.json()["state"]) == (409, "job_ended", state)


async def test_of_a_cancel_and_a_result_at_once_one_counts(house: House) -> None:
    for _ in range(5):
        work = await house.dispatched()
        answer, _ = await asyncio.gather(post(house, work.job_id, "cancel"), house.tell(completed(work)))
        state = (await view(house, work.job_id))["state"]
        assert (answer.status_code, state) in ((200, "cancelled"), (409, "completed"))
    ends = [*house.facts.of(AnalysisCancelled), *house.facts.of(AnalysisCompleted)]
    assert len({fact.job_id for fact in ends}) == len(ends)


# --- Do over ----------------------------------------------------------------------------------------------------------


async def test_a_failed_job_is_done_over_as_a_new_one_with_the_same_recording(house: House) -> None:
    work = await house.dispatched(headers=bearer(1))
    await house.tell(failed(work))
    await house.facts.until(AnalysisFailed)
    answer = await post(house, work.job_id, "retry", bearer(1))
    again = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/jobs/{again['job_id']}")
    assert (again["retry_of"], again["state"], again["attempt"]) == (work.job_id, "queued", 0)
    second = await house.work.until(AnalysisRequested, 2)
    assert (second.job_id, second.audio_uri, second.attempt) == (again["job_id"], work.audio_uri, 1)
    assert second.deadline > work.deadline
    first_fact, fact = house.facts.of(AudioUploaded)
    assert (fact.job_id, fact.sequence, fact.take_id, fact.user_id) == (again["job_id"], 1, first_fact.take_id, 1)
    old = await view(house, work.job_id, bearer(1))
    assert (old["state"], old["retried_as"]) == ("failed", again["job_id"])
    await house.tell(completed(second))
    assert (await view(house, again["job_id"], bearer(1)))["state"] == "completed"


async def test_whoever_asks_twice_gets_the_same_job(house: House) -> None:
    work = await house.dispatched()
    await post(house, work.job_id, "cancel")
    answers = await asyncio.gather(*(post(house, work.job_id, "retry") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    late = await post(house, work.job_id, "retry")
    assert (late.status_code, late.json()["job_id"]) == (200, answers[0].json()["job_id"])
    assert len(await house.rows("SELECT id FROM jobs")) == 2


async def test_what_was_done_over_can_be_done_over_again(house: House) -> None:
    work, chain = await house.dispatched(), []
    for _ in range(3):
        await house.tell(failed(work))
        chain.append((await post(house, work.job_id, "retry")).json())
        work = await house.work.until(AnalysisRequested, len(chain) + 1)
    assert [each["retry_of"] for each in chain[1:]] == [each["job_id"] for each in chain[:-1]]


async def test_a_scene_is_done_over_as_a_scene(house: House) -> None:
    await house.tell(token())
    work = await house.dispatched_scene()
    await house.tell(failed(work))
    again = (await post(house, work.job_id, "retry", bearer(1))).json()
    assert (again["kind"], len(again["job_id"]), again["script_id"]) == ("token", 36, None)
    second = await house.work.until(AnalysisRequested, 2)
    assert (second.priority, second.audio_uri) == (work.priority, work.audio_uri)


async def test_a_job_that_is_open_or_has_its_result_is_not_done_over(house: House) -> None:
    work = await house.dispatched()
    answer = await post(house, work.job_id, "retry")
    assert (answer.status_code, answer.json()["code"], answer.json()["state"]) == (409, "not_to_be_done_over", "queued")
    await house.tell(started(work))
    assert (await post(house, work.job_id, "retry")).json()["state"] == "processing"
    await house.tell(completed(work))
    assert (await post(house, work.job_id, "retry")).json()["state"] == "completed"
    assert len(await house.rows("SELECT id FROM jobs")) == 1


async def test_a_recording_that_is_gone_cannot_be_analysed_again(house: House) -> None:
    work = await house.dispatched()
    await house.tell(failed(work))
    [recording] = [file for file in house.objects() if file.read_bytes() == wav()]
    recording.unlink()
    answer = await post(house, work.job_id, "retry", ENGLISH)
    assert (answer.status_code, answer.json()["code"]) == (404, "recording_gone")
    assert answer.json()["detail"] == "The recording cannot be found any more. Please record it again."


async def test_the_endpoints_are_documented(house: House) -> None:
    paths = (await house.client.get("/openapi.json")).json()["paths"]
    assert "/api/jobs/{job_id}" in paths
    assert {"200", "201", "404", "409", "503"} <= set(paths["/api/jobs/{job_id}/retry"]["post"]["responses"])
    assert {"200", "404", "409"} <= set(paths["/api/jobs/{job_id}/cancel"]["post"]["responses"])
