"""A recording of a whole scene, from the upload to the scores, through both kinds of platform."""

import asyncio
import io
import json

import httpx
import numpy as np
import pytest
import soundfile

from tests.e2e.platforms import TAKES, Embedded, Fleet
from yousync.client import Client
from yousync.samples import load_catalog

SCENE = 1
RATE = 16_000


@pytest.fixture
def recording() -> bytes:
    """The takes of all lines of the scene, each at its time."""
    catalog = load_catalog()
    scene = next(token for token in catalog["tokens"] if token["id"] == SCENE)
    samples = np.zeros(round((scene["end_time"] - scene["start_time"] + 2) * RATE), np.float32)
    for line in (script for script in catalog["scripts"] if script["token_id"] == SCENE):
        spoken, _ = soundfile.read(TAKES / f"script-{line['id']}.flac", dtype="float32")
        start = round((line["start_time"] - scene["start_time"]) * RATE)
        samples[start : start + len(spoken)] += spoken
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


async def test_a_whole_scene_is_scored_and_told(platform: Embedded | Fleet, recording: bytes) -> None:
    async with Client(platform.url) as client:
        headers = {"Authorization": f"Bearer {await client.sign_in('learner@example.org')}"}
    async with (
        asyncio.timeout(90),
        httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=30, trust_env=False) as http,
    ):
        answer = await http.post(f"/api/tokens/{SCENE}/upload-audio/", files={"file": recording})
        assert answer.status_code == 200, answer.text
        job_id = answer.json()["job_id"]
        async with http.stream("GET", f"/api/tokens/analysis-progress/{job_id}/") as stream:
            lines = [line async for line in stream.aiter_lines() if line.startswith("data:")]
        frames = [json.loads(line.removeprefix("data:")) for line in lines]
        state = (await http.get(f"/api/tokens/analysis-result/{job_id}/")).json()
        assert (await http.get(f"/api/tokens/analysis-progress/{job_id}")).text.count("data:") == 1
    assert (frames[-1]["status"], frames[-1]["message"]) == ("completed", "분석 완료")
    assert all(frame["message"].startswith(("S3 업로드 중", "분석 서버 요청 중", "분석 중...")) for frame in frames[:-1])
    assert state["result"] == frames[-1]["result"]
    result = state["result"]["result"]
    catalog = load_catalog()
    lines_of_scene = {script["id"] for script in catalog["scripts"] if script["token_id"] == SCENE}
    words = [word["word"] for word in catalog["words"] if word["script_id"] in lines_of_scene]
    assert [word["word"] for word in result["word_analysis"]] == words
    assert result["overall_score"] > 0.8
    assert result["summary"]["time_accuracy"] > 0.9


async def test_an_unknown_job_is_told_as_this_section_does(platform: Embedded | Fleet) -> None:
    async with httpx.AsyncClient(base_url=platform.url, trust_env=False) as http:
        answer = await http.get("/api/tokens/analysis-progress/00000000-0000-4000-8000-000000000000/")
    assert answer.text == 'data: {"error": "Job not found"}\n\n'
