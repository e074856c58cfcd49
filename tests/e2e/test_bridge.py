"""The platform with an analysis server of the old kind, which knows only form POSTs and webhooks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.analysis_server import AnalysisServer, Behaviour, LineJob, TokenJob, garbage, scores, status, webhook, webhook_first
from tests.e2e.flow import Take, follow, speak
from tests.e2e.platforms import TAKES, Embedded
from yousync.client import Client
from yousync.local.s3 import PrivateS3

MOST_JOBS = 4


@dataclass
class Bridged:
    """A platform, and the server that scores for it."""

    url: str
    server: AnalysisServer


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
            AUDIO_RETRY_SECONDS="[0]",
            **s3.environment,
        )
        await asyncio.to_thread(platform.start)
        try:
            await asyncio.to_thread(platform.import_samples)
            yield Bridged(platform.url, server)
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
