"""Results that are posted: the answers that existing servers know, and nobody else's results."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from prometheus_client import REGISTRY

from libs.common.contracts.audio import AnalysisCompleted, AnalysisReportFailed, AnalysisRequested, JobKind
from libs.common.db import DatabaseUnavailable
from services.audio import texts
from services.audio.jobs import Job
from services.audio.tickets import WebhookSigner
from tests.services.audio.house import House, Open, token

RESULT = {"status": "success", "result": {"overall_score": 0.82, "word_analysis": [{"word": "you", "text_status": "pass"}]}}
LINE, SCENE = "/api/scripts/webhook/analysis-complete", "/api/tokens/webhook/analysis-complete/"


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows scene 3."""
    await house.tell(token())
    return house


@pytest.fixture(params=["line", "scene"])
async def work(scene: House, request: pytest.FixtureRequest) -> AnalysisRequested:
    """Work of either kind."""
    return await (scene.dispatched() if request.param == "line" else scene.dispatched_scene())


def link(work: AnalysisRequested) -> str:
    assert work.webhook_url is not None
    return work.webhook_url


def path(work: AnalysisRequested) -> str:
    return urlsplit(link(work)).path


def ticket(work: AnalysisRequested) -> str:
    return parse_qs(urlsplit(link(work)).query)["ticket"][0]


async def post(house: House, url: str, body: Any = RESULT) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await house.client.post(url, content=content, headers={"Content-Type": "application/json"})


def counted(outcome: str) -> float:
    labels = {"service": "audio", "kind": "webhook", "outcome": outcome}
    return REGISTRY.get_sample_value("yousync_audio_reports_total", labels) or 0.0


# --- As existing servers know it --------------------------------------------------------------------------------------


async def test_a_line_is_completed_with_the_whole_body(scene: House) -> None:
    work = await scene.dispatched()
    assert link(work).startswith(f"http://127.0.0.1:8000{LINE}?job_id={work.job_id}&ticket=")
    answer = await post(scene, link(work), {**RESULT, "analysis_results": {"x": 1}})
    assert (answer.status_code, answer.json()) == (200, {"received": True, "job_id": work.job_id})
    state = await scene.state(work.job_id)
    assert (state["status"], state["progress"], state["message"]) == ("completed", 100, "분석 완료")
    assert state["result"] == {**RESULT, "analysis_results": {"x": 1}}
    assert (await scene.facts.until(AnalysisCompleted)).result == state["result"]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"analysis_results": RESULT, "task_id": "7"}, RESULT),
        (RESULT, RESULT),
        ({"analysis_results": [1, 2]}, {"analysis_results": [1, 2]}),
    ],
)
async def test_a_scene_is_completed_with_the_results_in_the_body_or_else_with_the_whole(
    scene: House, body: dict[str, Any], kept: dict[str, Any]
) -> None:
    work = await scene.dispatched_scene()
    assert link(work).startswith(f"http://127.0.0.1:8000{SCENE}?job_id={work.job_id}&ticket=")
    answer = await post(scene, link(work), body)
    assert (answer.status_code, answer.json()) == (200, {"received": True, "job_id": work.job_id, "task_id": None})
    assert (await scene.state(work.job_id))["result"] == kept


async def test_a_task_id_is_given_back(scene: House) -> None:
    work = await scene.dispatched_scene()
    assert (await post(scene, f"{link(work)}&task_id=t-1")).json()["task_id"] == "t-1"


async def test_a_second_post_changes_nothing_and_is_answered_as_before(scene: House, work: AnalysisRequested) -> None:
    await post(scene, link(work))
    again = await post(scene, link(work), {"forged": True})
    expected = {"received": True, "job_id": work.job_id}
    if work.kind is JobKind.TOKEN:
        expected["message"] = "이미 완료된 작업"
    assert (again.status_code, again.json()) == (200, expected)
    assert (await scene.state(work.job_id))["result"] == RESULT
    assert len(scene.facts.of(AnalysisCompleted)) == 1


async def test_two_posts_at_once_complete_the_job_once(scene: House, work: AnalysisRequested) -> None:
    answers = await asyncio.gather(*(post(scene, link(work), {"number": number}) for number in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    await scene.facts.until(AnalysisCompleted)
    assert len(await scene.rows("SELECT 1 FROM outbox WHERE type = 'analysis.completed'")) == 1


@pytest.mark.parametrize("query", ["", "?job_id=", "?ticket=x"])
async def test_a_post_for_no_job_is_refused_in_the_old_words(house: House, query: str) -> None:
    line, scene = await post(house, LINE + query), await post(house, SCENE + query)
    assert (line.status_code, line.json()["detail"]) == (400, "job_id missing")
    assert (scene.status_code, scene.json()) == (400, {"error": "job_id is required"})


@pytest.mark.parametrize("with_slash", [True, False])
async def test_both_forms_of_the_path_are_served(scene: House, work: AnalysisRequested, with_slash: bool) -> None:
    url = link(work).replace(path(work), path(work).rstrip("/") + "/" * with_slash)
    assert (await post(scene, url)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "error": "connection to 10.0.0.7 refused"},
        {"status": "failed", "analysis_results": {}},
        {"analysis_results": {"status": "failed"}, "status": "failed"},
    ],
)
async def test_a_server_that_says_it_failed_is_asked_again_and_its_words_are_shown_to_nobody(
    open_house: Open, body: dict[str, Any]
) -> None:
    async with open_house(max_attempts=2, retry_seconds=(0.0,)) as house:
        first = await house.dispatched()
        assert (await post(house, link(first), body)).status_code == 200
        second = await house.work.until(AnalysisRequested, 2)
        assert (second.job_id, second.attempt) == (first.job_id, 2)
        assert (await post(house, link(second), body)).status_code == 200
        state = await house.state(first.job_id)
        assert (state["status"], state["message"], state["result"]) == ("failed", texts.GAVE_UP, None)


async def test_what_was_not_measured_is_null(scene: House, work: AnalysisRequested) -> None:
    assert (await post(scene, link(work), b'{"score": NaN, "pitch": [1, Infinity]}')).status_code == 200
    assert (await scene.state(work.job_id))["result"] == {"score": None, "pitch": [1, None]}


@pytest.mark.parametrize("body", [b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b'{"a": 1e999}'])
async def test_a_result_that_cannot_be_kept_ends_the_job(scene: House, body: bytes) -> None:
    work = await scene.dispatched()
    assert (await post(scene, link(work), body)).status_code == 200
    assert (await scene.state(work.job_id))["status"] == "failed"


async def test_the_address_for_posts_can_be_another_than_the_public_one(open_house: Open) -> None:
    async with open_house(webhook_base_url="http://gateway:8000/") as house:
        assert link(await house.dispatched()).startswith(f"http://gateway:8000{LINE}?job_id=")


# --- Nobody else's results --------------------------------------------------------------------------------------------


async def refused(house: House, work: AnalysisRequested, url: str, status: int, code: str) -> None:
    """The post is refused with this code, is counted, and changes nothing."""
    before = counted(code)
    answer = await post(house, url, {"forged": True})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert counted(code) == before + 1
    state = await house.state(work.job_id)
    assert (state["status"], state["result"]) == ("processing", None)


async def test_without_a_ticket_nothing_is_taken(scene: House, work: AnalysisRequested) -> None:
    for query in ("", "&ticket="):
        await refused(scene, work, f"{path(work)}?job_id={work.job_id}{query}", 401, "webhook_unsigned")


async def test_a_made_up_ticket_is_refused(scene: House, work: AnalysisRequested) -> None:
    lease, expires, signature = ticket(work).split(".")
    for forged in (
        "x",
        f"{lease}.{expires}.{'0' * 64}",
        f"{lease}.{int(expires) + 9999}.{signature}",
        f"{uuid4().hex}.{expires}.{signature}",
        f"{lease}.{expires}.{signature.upper()}",
        f"{lease}.{expires}.{signature}0",
        f"{lease}.{expires}",
        f"{lease}.٣.{signature}",
        "a" * 5000,
    ):
        await refused(scene, work, f"{path(work)}?job_id={work.job_id}&ticket={forged}", 403, "webhook_forged")


async def test_a_ticket_of_another_job_is_refused(scene: House) -> None:
    mine, other = await scene.dispatched(), await scene.dispatched()
    await refused(scene, other, f"{LINE}?job_id={other.job_id}&ticket={ticket(mine)}", 403, "webhook_forged")
    await refused(scene, other, f"{LINE}?job_id={uuid4().hex}&ticket={ticket(mine)}", 403, "webhook_forged")


async def test_a_ticket_of_a_line_opens_nothing_for_scenes(scene: House, work: AnalysisRequested) -> None:
    other = SCENE if work.kind is JobKind.LINE else LINE
    await refused(scene, work, f"{other}?job_id={work.job_id}&ticket={ticket(work)}", 403, "webhook_forged")


async def test_a_ticket_that_another_key_signed_is_refused(scene: House, work: AnalysisRequested) -> None:
    lease, expires, _ = ticket(work).split(".")
    moment = datetime.fromtimestamp(int(expires), UTC)
    job = Job(
        id=work.job_id,
        kind=work.kind,
        take_id=uuid4(),
        user_id=None,
        token_id=3,
        script_id=None,
        lease=lease,
        dispatch_at=moment,
        deadline=moment,
        created_at=moment,
        updated_at=moment,
    )
    forged = WebhookSigner(b"another secret of the same length", "").url(job)
    await refused(scene, work, forged, 403, "webhook_forged")
    secret = scene.app.state.settings.webhook_secret
    assert WebhookSigner(secret, "http://127.0.0.1:8000").url(job) == link(work)


async def test_a_ticket_expires_with_its_job(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        work = await house.dispatched()
        later = work.deadline + timedelta(seconds=2)
        monkeypatch.setattr(house.app.state.webhooks, "_clock", lambda: later)
        await refused(house, work, link(work), 403, "webhook_expired")


async def test_the_ticket_of_an_earlier_attempt_changes_nothing(open_house: Open) -> None:
    async with open_house(retry_seconds=(0.0,)) as house:
        first = await house.dispatched()
        failed = AnalysisReportFailed(
            job_id=first.job_id, lease=first.lease, worker="w", reason="hung", message="", temporary=True
        )
        await house.tell(failed)
        second = await house.work.until(AnalysisRequested, 2)
        before = counted("stale_lease")
        assert (await post(house, link(first), {"late": True})).status_code == 200
        assert counted("stale_lease") == before + 1
        assert (await house.state(first.job_id))["status"] == "processing"
        assert (await post(house, link(second))).status_code == 200
        assert (await house.state(first.job_id))["result"] == RESULT


async def test_a_job_that_is_gone_is_answered_as_before(scene: House, work: AnalysisRequested) -> None:
    await scene.rows("TRUNCATE job_log, upload_keys, jobs")
    answer = await post(scene, link(work))
    assert (answer.status_code, answer.json()["received"]) == (200, True)


# --- Bad input and bad days -------------------------------------------------------------------------------------------


async def test_a_body_that_is_no_json_object_is_refused(scene: House, work: AnalysisRequested) -> None:
    for body in (b"", b"scores", b"{", b"[1]", b'"x"', b"null", b"\xff", b"[" * 100_000, b"1" * 5000):
        answer = await post(scene, link(work), body)
        assert (answer.status_code, answer.json()["code"]) == (400, "result_unreadable")
    assert (await scene.state(work.job_id))["status"] == "processing"
    assert (await post(scene, link(work))).status_code == 200


async def test_a_body_that_is_too_long_is_refused_where_that_is_seen(open_house: Open) -> None:
    async with open_house(max_result_bytes=10_000) as house:
        work = await house.dispatched()
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1000):
                sent += 1000
                yield b" " * 1000

        answer = await house.client.post(link(work), content=endless())
        assert (answer.status_code, answer.json()["code"]) == (413, "result_too_large")
        assert sent < 100_000
        assert (await house.state(work.job_id))["status"] == "processing"


async def test_nothing_of_a_strangers_body_is_read(house: House) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"{}"

    answer = await house.client.post(f"{LINE}?job_id={uuid4().hex}&ticket=x", content=body())
    assert (answer.status_code, read) == (403, [])


async def test_a_database_that_is_away_asks_the_server_to_come_again(
    scene: House, work: AnalysisRequested, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*arguments: object) -> None:
        raise DatabaseUnavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("services.audio.job_repository.save_job", away)
        answer = await post(scene, link(work))
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"]
    assert (await post(scene, link(work))).status_code == 200
    assert (await scene.state(work.job_id))["result"] == RESULT


async def test_no_log_and_no_metric_holds_a_ticket(
    scene: House, work: AnalysisRequested, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = ticket(work).split(".")[2]
    wrong = link(work).replace(f"job_id={work.job_id}", f"job_id={uuid4().hex}")
    for url in (link(work), link(work), wrong):
        await post(scene, url)
    await post(scene, link(work), b"{")
    logged = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert any(getattr(record, "route", None) == path(work).rstrip("/") for record in logged)
    assert not any(secret in str(value) for record in logged for value in vars(record).values())
    assert secret not in (await scene.client.get("/metrics")).text
