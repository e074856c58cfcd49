"""The same take through the embedded platform and through the fleet."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.flow import speak
from tests.e2e.platforms import TAKES, Embedded, Fleet
from yousync.client import Client, ClientError
from yousync.samples import load_catalog


async def test_the_right_words_score_high_and_every_word_comes_back_in_order(platform: Embedded | Fleet) -> None:
    catalog = load_catalog()
    for script in catalog["scripts"]:
        words = [word["word"] for word in catalog["words"] if word["script_id"] == script["id"]]
        take = await speak(platform.url, script["id"])
        assert take.result["overall_score"] > 0.8, f"{script['script']}: {take.result['overall_score']}"
        assert [word["word"] for word in take.result["word_analysis"]] == words


async def test_other_words_silence_and_noise_score_low(platform: Embedded | Fleet) -> None:
    assert (await speak(platform.url, 1, TAKES / "script-2.flac")).result["overall_score"] < 0.3
    assert (await speak(platform.url, 1, TAKES / "silence.flac")).result["overall_score"] < 0.05
    assert (await speak(platform.url, 1, TAKES / "noise.flac")).result["overall_score"] < 0.05


async def test_the_stream_tells_a_growing_progress_and_ends_with_one_final_frame(platform: Embedded | Fleet) -> None:
    take = await speak(platform.url, 1)
    for frame in take.frames:
        assert list(frame) == ["job_id", "status", "progress", "message", "result"]
    progress = [frame["progress"] for frame in take.frames]
    assert progress == sorted(progress)
    assert [frame["status"] for frame in take.frames[:-1]] == ["processing"] * (len(take.frames) - 1)
    assert (take.final["status"], take.final["progress"], take.final["message"]) == ("completed", 100, "분석 완료")


async def test_who_comes_late_gets_exactly_the_final_frame(platform: Embedded | Fleet) -> None:
    take = await speak(platform.url, 1)
    async with Client(platform.url) as client:
        assert [frame async for frame in client.progress(take.job_id)] == [take.final]


async def test_the_result_is_the_owners_and_what_the_stream_told(platform: Embedded | Fleet) -> None:
    take = await speak(platform.url, 1, email="owner@example.org")
    async with Client(platform.url) as owner:
        await owner.sign_in("owner@example.org")
        state = await owner.result(take.job_id)
    assert state["result"] == take.final["result"]
    assert (state["status"], state["progress"], state["job_id"]) == ("completed", 100, take.job_id)
    async with httpx.AsyncClient(base_url=platform.url, trust_env=False) as stranger:
        assert (await stranger.get(f"/api/scripts/analysis-result/{take.job_id}")).status_code == 404
        assert (await stranger.get(f"/api/tokens/analysis-result/{take.job_id}/")).status_code == 404


async def test_a_take_without_sign_in_is_scored_and_kept(platform: Embedded | Fleet) -> None:
    take = await speak(platform.url, 1, email=None)
    assert take.result["overall_score"] > 0.8
    async with Client(platform.url) as client:
        assert (await client.result(take.job_id))["status"] == "completed"


async def test_an_unknown_job_is_told_in_the_stream(platform: Embedded | Fleet) -> None:
    async with Client(platform.url) as client:
        assert [frame async for frame in client.progress("0" * 32)] == [{"error": "Job not found"}]


def test_importing_the_samples_again_changes_nothing(platform: Embedded | Fleet) -> None:
    counts = platform.import_samples()
    assert counts.pop("ignored") == []
    assert {"users", "urls", "actors", "tokens", "scripts", "words", "pitch"} <= counts.keys()
    for kind, count in counts.items():
        assert isinstance(count, dict)
        changed = {what: number for what, number in count.items() if what != "unchanged" and number}
        assert not changed, kind


def test_token_prints_a_bearer_that_the_platform_accepts(platform: Embedded | Fleet) -> None:
    bearer = platform.yousync("token", "--email", "alice@example.org", "--url", platform.url).strip()
    me = httpx.get(f"{platform.url}/api/auth/me", headers={"Authorization": f"Bearer {bearer}"}, trust_env=False)
    assert (me.status_code, me.json()["email"]) == (200, "alice@example.org")


async def test_a_recording_that_breaks_off_in_its_head_ends_as_a_result_not_as_a_spinner(
    platform: Embedded | Fleet, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.flac"
    broken.write_bytes((TAKES / "script-1.flac").read_bytes()[:60])
    take = await speak(platform.url, 1, broken)
    assert take.result["overall_score"] == 0.0
    assert take.result["quality"]["flags"] == ["unreadable"]


async def test_what_is_no_recording_is_refused_with_a_reason(platform: Embedded | Fleet, tmp_path: Path) -> None:
    text = tmp_path / "take.wav"
    text.write_text("To be, or not to be")
    with pytest.raises(ClientError, match=r"415 .*WAV, FLAC"):
        await speak(platform.url, 1, text)
