"""The platform with an analysis server of the old kind, which knows only POSTs and webhooks, and prepares films as well."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.analysis_server import (
    AnalysisServer,
    Behaviour,
    FilmJob,
    LineJob,
    TokenJob,
    garbage,
    scores,
    status,
    webhook,
    webhook_first,
)
from tests.e2e.flow import Take, follow, speak
from tests.e2e.platforms import TAKES, Embedded
from yousync.client import Client
from yousync.local.s3 import PrivateS3

MOST_JOBS = 4


@dataclass
class Bridged:
    """A platform, and the server that scores for it."""

    platform: Embedded
    server: AnalysisServer

    @property
    def url(self) -> str:
        return self.platform.url


@pytest.fixture(scope="module")
async def bridged(tmp_path_factory: pytest.TempPathFactory, s3: PrivateS3) -> AsyncIterator[Bridged]:
    async with AnalysisServer() as server:
        platform = Embedded(
            tmp_path_factory.mktemp("bridged") / "state",
            STORAGE_URL=s3.storage_url,
            ANALYSIS_MODE="http",
            ANALYSIS_HTTP_URL=server.token_url,
            SCRIPT_ANALYSIS_HTTP_URL=server.line_url,
            ANALYSIS_HTTP_CONCURRENCY=str(MOST_JOBS),
            YOUTUBE_PREPROCESSOR_HTTP_URL=server.film_url,
            AUDIO_PREPROCESSING="true",
            AUDIO_RETRY_SECONDS="[0]",
            **s3.environment,
        )
        await asyncio.to_thread(platform.start)
        try:
            await asyncio.to_thread(platform.import_samples)
            yield Bridged(platform, server)
        finally:
            await asyncio.to_thread(platform.stop)
        assert server.faults == []


async def test_an_answer_with_scores_reaches_the_learner(bridged: Bridged) -> None:
    bridged.server.plan(scores())
    take = await speak(bridged.url, 1)
    assert take.result["overall_score"] == 0.9
    job = bridged.server.asked[-1].job
    assert isinstance(job, LineJob)
    assert [word["word"] for word in take.result["word_analysis"]] == [word.word for word in job.script.words]


@pytest.mark.parametrize(
    ("behaviour", "times"),
    [(webhook(0.1), 1), (webhook(0.1, times=2), 2), (webhook_first(0.5), 1)],
    ids=["later", "twice", "before the answer"],
)
async def test_a_webhook_reaches_the_learner(bridged: Bridged, behaviour: Behaviour, times: int) -> None:
    bridged.server.plan(behaviour)
    take = await speak(bridged.url, 2)
    assert take.result["overall_score"] == 0.9
    assert await bridged.server.until_called_back(take.job_id, times) == [200] * times
    assert [frame["status"] for frame in take.frames].count("completed") == 1


async def test_a_recording_of_a_whole_scene_goes_the_same_way(bridged: Bridged) -> None:
    bridged.server.plan(webhook())
    async with Client(bridged.url) as client:
        await client.sign_in("learner@example.org")
        recording = TAKES / "script-1.flac"
        with recording.open("rb") as file:
            answer = await client._call("POST", "/api/tokens/1/upload-audio/", files={"file": (recording.name, file)})
        take = Take(answer["job_id"])
        await follow(client, take)
    assert take.result["overall_score"] == 0.9
    job = bridged.server.asked[-1].job
    assert isinstance(job, TokenJob)
    assert job.video_id == "1"


async def test_a_server_that_fails_twice_and_then_works_costs_the_learner_only_time(bridged: Bridged) -> None:
    bridged.server.plan(status(500), garbage(), scores())
    assert (await speak(bridged.url, 3)).final["status"] == "completed"


async def test_a_server_that_never_works_ends_the_job_and_the_learner_reads_nothing_of_it(bridged: Bridged) -> None:
    bridged.server.plan(status(500))
    final = (await speak(bridged.url, 3)).final
    assert final["status"] == "failed"
    assert final["message"]
    assert "10.0.0.7" not in final["message"]
    assert str(bridged.server.port) not in final["message"]


async def test_jobs_whose_server_was_away_are_done_when_it_is_back(bridged: Bridged) -> None:
    bridged.server.plan(scores())
    await bridged.server.stop()
    async with Client(bridged.url) as client:
        await client.sign_in("learner@example.org")
        takes = [Take(await client.upload(1, TAKES / "script-1.flac")) for _ in range(MOST_JOBS + 2)]
        following = asyncio.gather(*(follow(client, take) for take in takes))
        await asyncio.sleep(0.5)
        await bridged.server.start()
        await following
    assert [take.final["status"] for take in takes] == ["completed"] * len(takes)


async def test_a_film_is_prepared_and_its_scenes_are_told(bridged: Bridged) -> None:
    bridged.server.plan(webhook(0.2))
    async with Client(bridged.url) as client:
        headers = {"Authorization": f"Bearer {await client.sign_in('admin@example.org', admin=True)}"}
    film = {"youtube_url": "https://youtu.be/dQw4w9WgXcQ", "movie_name": "Inception", "actor_name": "Tom Hardy"}
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=bridged.url, timeout=30, trust_env=False) as http:
        accepted = await http.post("/api/youtube/process", json=film, headers=headers)
        assert accepted.status_code == 200, accepted.text
        job_id = accepted.json()["job_id"]
        async with http.stream("GET", f"/api/youtube/process-progress/{job_id}") as stream:
            lines = [line async for line in stream.aiter_lines() if line.startswith("data:")]
        state = (await http.get(f"/api/youtube/process-status/{job_id}/", headers=headers)).json()
        assert (await http.get(f"/api/youtube/process-progress/{job_id}/")).text.count("data:") == 1
    frames = [json.loads(line.removeprefix("data:")) for line in lines]
    assert frames[-1] == state
    assert (state["status"], state["token_id"], state["token_ids"]) == ("completed", 1, [1, 2])
    assert all(frame.keys() == state.keys() and frame["token_ids"] is None for frame in frames[:-1])
    assert await bridged.server.until_called_back(job_id) == [200]
    job = bridged.server.asked[-1].job
    assert isinstance(job, FilmJob)
    assert (job.job_id, job.movie_name) == (job_id, "Inception")
    told = await asyncio.to_thread(bridged.platform.yousync, "trace", job_id)
    assert "scenes of Tom Hardy in Inception" in told
    assert "completed in" in told.splitlines()[-1]
    assert "Nothing is lost, stuck or twice." in await asyncio.to_thread(bridged.platform.yousync, "audit")
