"""The same dubbing through the embedded platform and through the fleet, as the web client asks for it."""

import io

import av
import httpx
import pytest

from tests.e2e.platforms import TAKES, Embedded, Fleet
from tests.e2e.test_mypage import signed_in
from yousync.samples import load_catalog


def seconds_of(file: bytes) -> float:
    with av.open(io.BytesIO(file), mode="r") as opened:
        return sum(frame.samples / frame.sample_rate for frame in opened.decode(audio=0))


async def test_lines_are_mixed_and_can_be_heard(platform: Embedded | Fleet) -> None:
    catalog = load_catalog()
    scene = catalog["tokens"][0]
    lines = [line["id"] for line in catalog["scripts"] if line["token_id"] == scene["id"]]
    async with signed_in(platform.url, email="dubber@example.org") as learner:
        assert (await learner.post(f"/api/synthesize/{scene['id']}")).status_code == 404
        for line in lines:
            take = TAKES / f"script-{line}.flac"
            answer = await learner.post(f"/api/scripts/{line}/upload-audio", files={"file": take.read_bytes()})
            assert answer.status_code == 200, answer.text
        dubbing = await learner.post(f"/api/synthesize/{scene['id']}")
        assert dubbing.status_code == 200, dubbing.text
        latest = await learner.get(f"/api/tokens/{scene['id']}/latest-dubbing/")
        recordings = (await learner.get(f"/api/tokens/{scene['id']}/user-audios")).json()["audios"]
    assert [each["script_id"] for each in recordings] == lines
    async with httpx.AsyncClient(trust_env=False) as browser:
        for url in (dubbing.json()["dubbing_audio_url"], latest.json()["url"]):
            heard = await browser.get(url)
            assert heard.headers["content-type"] == "audio/mp4"
            assert seconds_of(heard.content) == pytest.approx(scene["end_time"] - scene["start_time"], abs=0.05)
            part = await browser.get(url, headers={"Range": "bytes=0-99"})
            assert (part.status_code, part.content) == (206, heard.content[:100])
        recording = await browser.get(recordings[0]["url"])
        assert recording.content == (TAKES / f"script-{lines[0]}.flac").read_bytes()
