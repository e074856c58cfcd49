"""Somebody erases what they recorded: it is gone wherever anybody looks."""

import asyncio

import httpx

from tests.e2e.flow import speak
from tests.e2e.platforms import Embedded, Fleet
from tests.e2e.test_mypage import page_of, signed_in
from yousync.samples import load_catalog

LEARNER = {"email": "eraser@example.org"}
PATIENCE = 30.0  # seconds


async def streamed(client: httpx.AsyncClient, job_id: str) -> str:
    """Everything that a stream of the job says."""
    answer = await client.get(f"/api/scripts/analysis-progress/{job_id}", timeout=PATIENCE)
    return answer.text


async def test_nothing_of_an_erased_recording_is_told_or_shown(platform: Embedded | Fleet) -> None:
    line = load_catalog()["scripts"][0]
    scene = f"/api/mypage/tokens/{line['token_id']}"
    take = await speak(platform.url, line["id"], email=LEARNER["email"])
    async with signed_in(platform.url, **LEARNER) as learner, httpx.AsyncClient(trust_env=False) as anybody:
        [recording] = (await learner.get(f"/api/tokens/{line['token_id']}/user-audios")).json()["audios"]
        assert (await anybody.get(recording["url"])).status_code == 200
        assert (await learner.get(f"{scene}/analysis-status")).json()["has_analysis"]
        assert "word_analysis" in await streamed(learner, take.job_id)

        assert (await learner.delete(f"{scene}/my-results")).status_code == 204
        assert not (await learner.get(f"{scene}/analysis-status")).json()["has_analysis"]
        assert (await page_of(learner))["total_practice_count"] == 0
        for path in ("scripts/analysis-result", "tokens/analysis-result", "jobs"):
            assert (await learner.get(f"/api/{path}/{take.job_id}")).status_code == 404
        async with asyncio.timeout(PATIENCE):  # the rest follows by events
            while "word_analysis" in (told := await streamed(learner, take.job_id)):
                await asyncio.sleep(0.05)
            while (await anybody.get(recording["url"])).status_code != httpx.codes.NOT_FOUND:
                await asyncio.sleep(0.05)
        assert "삭제된 분석입니다." in told
