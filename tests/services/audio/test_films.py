"""Films that scenes are made of: who may ask, what preprocessors are asked for, and what they may say."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import REGISTRY

from libs.common.bus.topology import PREPROCESS
from libs.common.contracts.audio import (
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
    FilmCancelled,
    FilmCompleted,
    FilmFailed,
    FilmProgressed,
    FilmRequested,
    FilmStarted,
    JobKind,
    PreprocessRequested,
    Priority,
)
from services.audio.film_schemas import NAME_LENGTH, URL_LENGTH
from services.audio.films import canonical_url
from services.audio.jobs import (
    Dispatch,
    Ignored,
    Job,
    Lifetimes,
    Progressed,
    Rules,
    Started,
    State,
    Tick,
    Why,
    new_job,
    transition,
)
from services.audio.results import MAX_TOKENS
from tests.callers import as_service
from tests.services.audio.house import House, Open, bearer

ADMIN = bearer(9, admin=True)
JSON = {"Content-Type": "application/json"}
URL = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
FILM = {"youtube_url": URL, "movie_name": "Inception", "actor_name": "Tom Hardy"}
WEBHOOK = "/api/youtube/webhook/process-complete"
MADE = {"token_ids": [4, 5], "status": "completed", "message": "2 scenes"}


@pytest.fixture
async def studio(open_house: Open) -> AsyncIterator[House]:
    """A running service with a preprocessor, which a test plays."""
    async with open_house(preprocessing=True) as house:
        await house.bus.consume(PREPROCESS, house.work)
        yield house


async def process(house: House, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    return await house.client.post("/api/youtube/process", json={**FILM, **changes}, headers=headers or ADMIN)


async def dispatched(house: House, **changes: Any) -> PreprocessRequested:
    """Ask for a film, and the work that comes of it."""
    before = len(house.work.of(PreprocessRequested))
    answer = await process(house, **changes)
    assert answer.status_code == 200, answer.text
    return await house.work.until(PreprocessRequested, before + 1)


async def status(house: House, job_id: str) -> dict[str, Any]:
    answer = await house.client.get(f"/api/youtube/process-status/{job_id}", headers=ADMIN)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def path(work: PreprocessRequested) -> str:
    """The webhook without the gateway's address."""
    return work.webhook_url.removeprefix("http://127.0.0.1:8000")


def counted(outcome: str) -> float:
    labels = {"service": "audio", "kind": "webhook", "outcome": outcome}
    return REGISTRY.get_sample_value("yousync_audio_reports_total", labels) or 0.0


# --- Asking -----------------------------------------------------------------------------------------------------------


async def test_a_film_is_given_to_a_preprocessor_and_to_no_analysis_server(studio: House) -> None:
    answer = await process(studio)
    job_id = answer.json()["job_id"]
    expected = {"job_id": job_id, "status": "processing", "message": "영상 처리를 기다리고 있습니다.", "token_id": None}
    assert (answer.status_code, answer.json()) == (200, expected)
    work = await studio.work.until(PreprocessRequested)
    assert {key: getattr(work, key) for key in FILM} == FILM
    assert (work.job_id, work.attempt) == (job_id, 1)
    assert work.webhook_url.startswith(f"http://127.0.0.1:8000{WEBHOOK}?job_id={job_id}&ticket=")
    told = await studio.facts.until(FilmRequested)
    assert (told.job_id, told.sequence, told.movie_name) == (job_id, 1, "Inception")
    assert studio.work.of(AnalysisRequested) == []


async def test_only_administrators_may_spend_money(studio: House) -> None:
    assert (await process(studio, {"X-None": "1"})).status_code == 401
    assert (await process(studio, bearer(1))).status_code == 403
    assert await studio.rows("SELECT 1 FROM jobs") == []


async def test_a_film_that_nobody_could_prepare_is_refused(house: House) -> None:
    answer = await process(house)
    assert (answer.status_code, answer.json()["code"]) == (503, "preprocessing_unavailable")
    assert await house.rows("SELECT 1 FROM jobs") == []


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://youtube.com/watch?v=dQw4w9WgXcQ",
        "https://m.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ&t=42s",
        "https://WWW.YouTube.com/watch/?v=dQw4w9WgXcQ#x",
        "https://youtu.be/dQw4w9WgXcQ?si=abc",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube.com/embed/dQw4w9WgXcQ/",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
    ],
)
def test_a_video_has_one_address_however_it_is_written(url: str) -> None:
    assert canonical_url(url) == URL


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dQw4w9WgXcQ",
        "www.youtube.com/watch?v=dQw4w9WgXcQ",
        "ftp://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/",
        "https://www.youtube.com/watch",
        "https://www.youtube.com/watch?v=",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ1",
        "https://www.youtube.com/watch?v=dQw4w9WgX%00Q",
        "https://www.youtube.com/watch/x?v=dQw4w9WgXcQ",
        "https://www.youtube.com.evil.example/watch?v=dQw4w9WgXcQ",
        "https://evil.example/?https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://user@www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com:8080/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com:x/watch?v=dQw4w9WgXcQ",
        "https://[/watch?v=dQw4w9WgXcQ",
        "https://youtu.be/",
        "http://127.0.0.1/watch?v=dQw4w9WgXcQ",
    ],
)
def test_what_is_no_video_on_youtube_has_none(url: str) -> None:
    assert canonical_url(url) is None


async def test_a_name_is_one_line_that_says_something(studio: House) -> None:
    for field in ("movie_name", "actor_name"):
        for name in ("", "  ", None, 7, "a" * (NAME_LENGTH + 1), "a\x00b", "a\nb", "a\u2028b", "\ud800"):
            body = json.dumps({**FILM, field: name})
            answer = await studio.client.post("/api/youtube/process", content=body, headers=ADMIN | JSON)
            assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field]), repr(name)
    assert await studio.rows("SELECT 1 FROM jobs") == []


async def test_all_fields_are_needed_and_the_address_is_of_a_video(studio: House) -> None:
    missing = await studio.client.post("/api/youtube/process", json={"url": URL}, headers=ADMIN)
    assert missing.status_code == 422
    assert {tuple(each["loc"]) for each in missing.json()["detail"]} == {("body", field) for field in FILM}
    for url in ("https://evil.example/watch?v=dQw4w9WgXcQ", URL + "&" + "x" * URL_LENGTH, None, "\x00"):
        answer = await process(studio, youtube_url=url)
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "youtube_url"])


async def test_the_same_film_asked_for_twice_is_one_job_until_it_has_ended(studio: House) -> None:
    answers = await asyncio.gather(*(process(studio) for _ in range(6)))
    [job_id] = {answer.json()["job_id"] for answer in answers}
    again = await process(studio, bearer(10, admin=True), youtube_url="https://youtu.be/dQw4w9WgXcQ", movie_name=" Inception ")
    assert again.json()["job_id"] == job_id
    other = (await process(studio, actor_name="Elliot Page")).json()["job_id"]
    assert other != job_id
    await studio.client.post(f"/api/jobs/{job_id}/cancel", headers=ADMIN)
    assert (await process(studio)).json()["job_id"] not in (job_id, other)
    assert len(await studio.rows("SELECT 1 FROM films WHERE movie_name = 'Inception'")) == 2


async def test_films_wait_beside_takes_and_not_before_them(open_house: Open) -> None:
    async with open_house(preprocessing=True, unclaimed=1) as house:
        for number in range(3):
            assert (await process(house, movie_name=f"Part {number}")).status_code == 200
        await house.dispatched()
        shown = (await house.client.get("/api/tokens/queue/status")).json()["queue_info"]
        assert (shown["messages_available"], shown["messages_in_flight"]) == (1, 0)


async def test_who_works_on_films_makes_no_room_for_takes_nor_the_other_way_round(open_house: Open) -> None:
    async with open_house(preprocessing=True, unclaimed=1) as house:
        await house.bus.consume(PREPROCESS, house.work)
        for number in range(4):
            assert (await process(house, movie_name=f"Part {number}")).status_code == 200
        for number in (1, 2):
            film = await house.work.until(PreprocessRequested, number)
            await house.tell(AnalysisReportStarted(job_id=film.job_id, lease=film.lease, worker="p"))
        await house.work.until(PreprocessRequested, 4)  # two of them run, so two may wait to be claimed
        for _ in range(3):
            assert (await house.upload()).status_code == 200
        await house.work.until(AnalysisRequested)
        assert await house.jobs._dispatcher.admit() == 0
        assert len(house.work.of(AnalysisRequested)) == 1


# --- Hearing of it ----------------------------------------------------------------------------------------------------


async def test_what_was_made_is_posted_and_told(studio: House) -> None:
    work = await dispatched(studio)
    answer = await studio.client.post(path(work), json=MADE)
    assert (answer.status_code, answer.json()) == (200, {"received": True, "job_id": work.job_id})
    assert await status(studio, work.job_id) == {
        "job_id": work.job_id,
        "status": "completed",
        "progress": 100,
        "message": "영상 처리 완료",
        "token_id": 4,
        "token_ids": [4, 5],
        "result": MADE,
    }
    told = await studio.facts.until(FilmCompleted)
    assert (told.token_ids, told.result, told.sequence) == ((4, 5), MADE, 2)


async def test_a_second_post_changes_nothing(studio: House) -> None:
    work = await dispatched(studio)
    await studio.client.post(path(work), json=MADE)
    before = counted("finished")
    again = await studio.client.post(path(work) + "&", json={"token_ids": [666]})
    assert (again.status_code, again.json()) == (200, {"received": True, "job_id": work.job_id})
    assert counted("finished") == before + 1
    assert (await status(studio, work.job_id))["token_ids"] == [4, 5]


async def test_what_strangers_post_changes_nothing_and_is_counted(studio: House) -> None:
    take, work = await studio.dispatched(), await dispatched(studio)
    assert take.webhook_url is not None
    line_ticket = take.webhook_url.partition("ticket=")[2]
    for query, code, kind in (
        (f"job_id={work.job_id}", 401, "webhook_unsigned"),
        (f"job_id={work.job_id}&ticket=x", 403, "webhook_forged"),
        (f"job_id={take.job_id}&ticket={line_ticket}", 403, "webhook_forged"),
        (f"job_id={uuid4()}&{path(work).partition('&')[2]}", 403, "webhook_forged"),
    ):
        before = counted(kind)
        answer = await studio.client.post(f"{WEBHOOK}?{query}", json=MADE)
        assert (answer.status_code, answer.json()["code"], counted(kind)) == (code, kind, before + 1)
    assert (await status(studio, work.job_id))["status"] == "processing"


async def test_a_post_for_no_job_is_refused(studio: House) -> None:
    answer = await studio.client.post(WEBHOOK, json=MADE)
    assert (answer.status_code, answer.json()["detail"]) == (400, "job_id missing")


async def test_what_are_no_scenes_is_refused_and_can_be_sent_again(studio: House) -> None:
    work = await dispatched(studio)
    no_scenes: list[Any] = [None, 1, "1", {}, ["1"], [0], [-1], [2**31], [1.0], [True], [None], list(range(1, MAX_TOKENS + 2))]
    for ids in no_scenes:
        answer = await studio.client.post(path(work), json={"token_ids": ids, "status": "completed"})
        assert (answer.status_code, answer.json()["code"]) == (400, "result_unreadable"), ids
    assert (await status(studio, work.job_id))["token_ids"] is None
    assert (await studio.client.post(path(work), json={"token_ids": [1, 1]})).status_code == 200
    assert (await status(studio, work.job_id))["token_ids"] == [1]


async def test_a_film_without_scenes_is_completed_with_none(studio: House) -> None:
    work = await dispatched(studio)
    assert (await studio.client.post(path(work), json={"token_ids": []})).status_code == 200
    shown = await status(studio, work.job_id)
    assert (shown["status"], shown["token_id"], shown["token_ids"]) == ("completed", None, [])


@pytest.mark.parametrize("word", ["failed", "error"])
async def test_a_preprocessor_that_says_it_failed_is_not_asked_again_and_its_words_are_shown_to_nobody(
    studio: House, word: str
) -> None:
    work = await dispatched(studio)
    posted = {"token_ids": [1], "status": word, "message": "at 10.0.0.7: out of disk"}
    assert (await studio.client.post(path(work), json=posted)).status_code == 200
    shown = await status(studio, work.job_id)
    assert (shown["status"], shown["progress"], shown["token_ids"]) == ("failed", 0, None)
    assert shown["message"] == "영상을 처리하지 못했습니다. 잠시 후 다시 시도해 주세요."
    told = await studio.facts.until(FilmFailed)
    assert (told.reason, told.message) == ("preprocessing_failed", shown["message"])
    assert len(studio.work.of(PreprocessRequested)) == 1


async def test_a_preprocessor_at_the_queue_reports_like_an_analysis_server(studio: House) -> None:
    work = await dispatched(studio)
    own = {"job_id": work.job_id, "lease": work.lease, "worker": "p"}
    await studio.tell(AnalysisReportStarted(**own))
    assert (await studio.facts.until(FilmStarted)).attempt == 1
    await studio.tell(AnalysisReportProgressed(**own, progress=50, step="cutting"))
    told = await studio.facts.until(FilmProgressed)
    assert (told.progress, told.message) == (52, "영상 처리 중... cutting")
    assert (await status(studio, work.job_id))["progress"] == 52
    await studio.tell(AnalysisReportCompleted(**own, result={"token_ids": [7]}))
    assert (await status(studio, work.job_id))["token_id"] == 7


async def test_a_report_that_names_no_scenes_ends_the_job(studio: House) -> None:
    work = await dispatched(studio)
    own = {"job_id": work.job_id, "lease": work.lease, "worker": "p"}
    await studio.tell(AnalysisReportCompleted(**own, result={"token_ids": ["x"]}))
    assert (await studio.facts.until(FilmFailed)).reason == "invalid_result"


async def test_a_preprocessor_that_could_not_be_asked_is_asked_again(open_house: Open) -> None:
    async with open_house(preprocessing=True, retry_seconds=(0.0,)) as house:
        await house.bus.consume(PREPROCESS, house.work)
        first = await dispatched(house)
        report = {"reason": "analysis_server_unreachable", "message": "x", "temporary": True}
        await house.tell(AnalysisReportFailed(job_id=first.job_id, lease=first.lease, worker="p", **report))
        second = await house.work.until(PreprocessRequested, 2)
        assert (second.job_id, second.attempt) == (first.job_id, 2)


def test_who_has_taken_a_film_has_it_until_the_deadline_and_so_long_it_may_lie_in_the_queue() -> None:
    now, rules = datetime.now(UTC), Rules(lease_seconds=1, claim_seconds=1)
    film = new_job(
        kind=JobKind.FILM,
        take_id=None,
        film_id=uuid4(),
        user_id=None,
        token_id=None,
        script_id=None,
        owner_key="user:9",
        priority=Priority.FILM,
        lifetimes=Lifetimes(film=timedelta(hours=2)),
        now=now,
    )
    later, end = now + timedelta(hours=1), now + timedelta(hours=2)
    dispatched = transition(film, Dispatch("lease"), now, rules)
    assert isinstance(dispatched, Job)
    assert dispatched.lease_expires_at == film.deadline == end
    assert transition(dispatched, Tick(), later, rules) == Ignored(Why.NOT_DUE)
    unclaimed = transition(dispatched, Tick(), end, rules)
    assert isinstance(unclaimed, Job)
    assert (unclaimed.state, unclaimed.reason) == (State.FAILED, "no_preprocessor")
    for report in (Started("lease"), Progressed("lease", 50)):
        taken = transition(dispatched, report, now, rules)
        assert isinstance(taken, Job)
        assert (taken.state, taken.lease_expires_at) == (State.RUNNING, end)
        assert transition(taken, Tick(), later, rules) == Ignored(Why.NOT_DUE)
        silent = transition(taken, Tick(), end, rules)
        assert isinstance(silent, Job)
        assert (silent.state, silent.reason) == (State.FAILED, "deadline")
        assert silent.message == "영상 처리가 제한 시간 안에 끝나지 않았습니다."


async def test_a_film_that_no_preprocessor_takes_fails_and_says_so(open_house: Open) -> None:
    async with open_house(preprocessing=True, lease_seconds=0.05, film_job_seconds=0.3) as house:
        job_id = (await process(house)).json()["job_id"]
        told = await house.facts.until(FilmFailed)
        assert (told.reason, told.message) == ("no_preprocessor", "영상을 처리할 서버가 제한 시간 안에 나타나지 않았습니다.")
        shown = (await house.client.get(f"/api/jobs/{job_id}", headers={**ADMIN, "Accept-Language": "en"})).json()
        assert shown["message"] == "No server that processes films turned up in time."
        assert (shown["reason"], shown["kind"], shown["token_id"]) == ("no_preprocessor", "film", None)


# --- Seeing, stopping and doing over ----------------------------------------------------------------------------------


async def test_a_film_is_shown_to_administrators_only(studio: House) -> None:
    job_id = (await process(studio, bearer(1, admin=True))).json()["job_id"]
    for url in (f"/api/youtube/process-status/{job_id}", f"/api/jobs/{job_id}"):
        for headers, code in ((None, 404), (bearer(1), 404), (ADMIN, 200)):
            assert (await studio.client.get(url, headers=headers)).status_code == code
    for who in (bearer(1), {"X-None": "1"}):
        assert (await studio.client.post(f"/api/jobs/{job_id}/cancel", headers=who)).status_code == 404


async def test_neither_is_shown_for_the_other(studio: House) -> None:
    film, take = (await process(studio)).json()["job_id"], (await studio.upload()).json()["job_id"]
    answer = await studio.client.get(f"/api/youtube/process-status/{take}", headers=ADMIN)
    assert (answer.status_code, answer.json()["detail"]) == (404, "영상 처리 작업을 찾을 수 없습니다.")
    for flow in ("scripts", "tokens"):
        assert (await studio.client.get(f"/api/{flow}/analysis-result/{film}", headers=ADMIN)).status_code == 404


async def test_a_stream_begins_with_the_scenes_too(studio: House) -> None:
    work = await dispatched(studio)
    await studio.client.post(path(work), json=MADE)
    gateway = as_service("gateway", "audio")
    shown = (await studio.client.get(f"/internal/jobs/{work.job_id}", headers=gateway)).json()
    assert (shown["status"], shown["token_id"], shown["token_ids"], shown["sequence"]) == ("completed", 4, [4, 5], 2)


async def test_a_film_can_be_stopped_and_what_its_preprocessor_posts_then_changes_nothing(studio: House) -> None:
    work = await dispatched(studio)
    answer = await studio.client.post(f"/api/jobs/{work.job_id}/cancel", headers={**ADMIN, "Accept-Language": "en"})
    assert (answer.json()["state"], answer.json()["message"]) == ("cancelled", "Processing the film was cancelled.")
    assert (await studio.facts.until(FilmCancelled)).message == "영상 처리가 취소되었습니다."
    assert (await studio.client.post(path(work), json=MADE)).status_code == 200
    assert (await status(studio, work.job_id))["token_ids"] is None


async def test_a_film_that_failed_is_done_over_on_request_unless_it_is_being_prepared(studio: House) -> None:
    work = await dispatched(studio)
    await studio.client.post(path(work), json={"status": "failed"})
    retry = f"/api/jobs/{work.job_id}/retry"
    anew = (await process(studio)).json()["job_id"]
    joined = await studio.client.post(retry, headers=ADMIN)
    assert (joined.status_code, joined.json()["job_id"]) == (200, anew)
    await studio.client.post(f"/api/jobs/{anew}/cancel", headers=ADMIN)
    again = await studio.client.post(retry, headers=ADMIN)
    assert (again.status_code, again.json()["retry_of"]) == (201, work.job_id)
    order = await studio.work.until(PreprocessRequested, 3)
    assert (order.job_id, order.movie_name) == (again.json()["job_id"], "Inception")
    told = await studio.facts.until(FilmRequested, 3)
    assert told.job_id == order.job_id
