"""Dubbings as learners ask for them and hear them."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from libs.common.contracts.catalog import ScriptDeleted, TokenDeleted
from libs.common.storage.factory import open_storage
from services.audio.backgrounds import reference_url
from services.audio.mixing import RATE
from tests.services.audio.dubber import (
    BACKGROUND,
    LATEST,
    RECORDINGS,
    SYNTHESIZE,
    VOICES,
    FakeMixer,
    ask,
    get,
    key_of,
    know_scene,
    pieces,
    record,
    store,
)
from tests.services.audio.house import FakeCatalog, House, Open, bearer, token
from tests.services.audio.tones import file_of, heard, level_of_tone, noise, place_of, tone
from yousync.local.s3 import PrivateS3


@pytest.fixture
async def scene(open_house: Open) -> AsyncIterator[House]:
    """A running service that knows the scene, and waits for a mixing process however slow the machine is."""
    async with open_house(dubbing_wait_seconds=100) as house:
        await know_scene(house)
        yield house


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> FakeMixer:
    """Mixes nothing, for who does not listen."""
    return FakeMixer(monkeypatch)


async def test_takes_are_heard_at_their_lines_over_the_background(scene: House) -> None:
    await record(scene, 7, 5)
    answer = await ask(scene)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    url = body["dubbing_audio_url"]
    assert body == {"status": "success", "message": "합성 및 업로드 완료", "dubbing_audio_url": url, "background": True}
    mix = heard(await get(scene, url))
    assert mix.shape[1] / 48_000 == pytest.approx(7.0, abs=0.03)
    for script_id, begin in ((7, 1.0), (5, 4.0)):
        place, whole = place_of(VOICES[script_id], mix)
        assert place == pytest.approx(begin, abs=0.005)
        assert whole == pytest.approx(1.0, abs=0.05)
    for begin, end in ((0.0, 0.9), (2.6, 3.9), (5.6, 7.0)):
        assert level_of_tone(mix, begin, end) == pytest.approx(0.2, rel=0.05)


async def test_the_newest_dubbing_is_found_again_by_its_owner_alone(scene: House, quick: FakeMixer) -> None:
    missing = await scene.client.get(LATEST, headers=bearer(1))
    assert (missing.status_code, missing.json()["detail"]) == (404, "해당 토큰에 대한 더빙 기록을 찾을 수 없습니다.")
    await record(scene, 7)
    await ask(scene)
    await record(scene, 5)
    newest = key_of(await ask(scene))
    answer = await scene.client.get(LATEST, headers=bearer(1))
    assert answer.status_code == 200
    assert list(answer.json()) == ["url"]
    assert newest in answer.json()["url"]
    assert await get(scene, answer.json()["url"]) == b"a dubbing"
    assert (await scene.client.get(LATEST, headers=bearer(2))).status_code == 404


async def test_of_each_line_the_latest_recording_is_listed(scene: House) -> None:
    await record(scene, 7, 5)
    newest = file_of(noise(0.5, 99))
    await scene.upload(newest, headers=bearer(1))
    await scene.upload_scene(newest, headers=bearer(1))
    await record(scene, 7, user_id=2)
    answer = await scene.client.get(RECORDINGS, headers=bearer(1))
    assert answer.status_code == 200
    audios = answer.json()["audios"]
    assert [list(audio) for audio in audios] == [["script_id", "url"]] * 2
    found = {audio["script_id"]: await get(scene, audio["url"]) for audio in audios}
    assert found == {5: file_of(VOICES[5]), 7: newest}


async def test_of_a_scene_that_does_not_exist_there_is_nothing(house: House) -> None:
    headers = bearer(1)
    for token_id in (4, 0, -1, 2**31, 10**30):
        assert (await house.client.get(f"/api/tokens/{token_id}/user-audios", headers=headers)).json() == {"audios": []}
        assert (await house.client.get(f"/api/tokens/{token_id}/latest-dubbing", headers=headers)).status_code == 404


async def test_a_scene_that_does_not_exist_is_not_mixed(open_house: Open, catalog: FakeCatalog) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        for token_id in (4, 0, 2**31, 10**30):
            answer = await house.client.post(f"/api/synthesize/{token_id}", headers=bearer(1))
            assert (answer.status_code, answer.json()["detail"]) == (404, "Token not found")
        await know_scene(house)
        await record(house, 7)
        await house.tell(TokenDeleted(token_id=3, version=2))
        assert (await ask(house)).json()["detail"] == "Token not found"


async def test_nothing_recorded_is_nothing_to_mix(scene: House) -> None:
    await record(scene, 7, user_id=2)
    answer = await ask(scene)
    assert (answer.status_code, answer.json()["code"]) == (404, "no_takes")
    assert answer.json()["detail"] == "이 영상에 녹음한 음성이 없습니다. 먼저 녹음해 주세요."
    await record(scene, 5)
    await scene.tell(ScriptDeleted(script_id=5, token_id=3, version=2))
    assert (await ask(scene)).json()["code"] == "no_takes"


async def test_a_recording_of_the_whole_scene_is_mixed_and_a_later_line_takes_its_place(scene: House) -> None:
    all_of_it = noise(7.0, 1)
    await scene.upload_scene(file_of(all_of_it), headers=bearer(1))
    mix = heard(await get(scene, (await ask(scene)).json()["dubbing_audio_url"]))
    assert place_of(all_of_it, mix)[0] == pytest.approx(0.0, abs=0.005)
    await record(scene, 7)
    mix = heard(await get(scene, (await ask(scene)).json()["dubbing_audio_url"]))
    assert place_of(VOICES[7], mix)[0] == pytest.approx(1.0, abs=0.005)
    within = slice(round(1.2 * RATE), round(2.8 * RATE))
    assert place_of(all_of_it[:, within], mix[:, within])[1] == pytest.approx(0.0, abs=0.1)
    assert place_of(all_of_it[:, 4 * RATE :], mix)[0] == pytest.approx(4.0, abs=0.005)


async def test_without_a_background_the_voices_are_heard_alone_and_the_answer_says_so(scene: House) -> None:
    await scene.tell(token(version=2, s3_bgvoice_url=None))
    await record(scene, 7)
    body = (await ask(scene)).json()
    assert body["background"] is False
    mix = heard(await get(scene, body["dubbing_audio_url"]))
    assert place_of(VOICES[7], mix)[0] == pytest.approx(1.0, abs=0.005)
    assert level_of_tone(mix, 3.0, 7.0) == pytest.approx(0.0, abs=1e-3)


async def test_a_background_that_is_not_in_our_store_is_none(scene: House, quick: FakeMixer) -> None:
    await record(scene, 7)
    named = ("", "missing.wav", "s3://other/bgvoice.wav", "http://127.0.0.1:1/x.wav", "../../x", "a\nb")
    for version, each in enumerate(named, start=2):
        await scene.tell(token(version=version, s3_bgvoice_url=each))
        assert (await ask(scene)).json()["background"] is False
    await scene.tell(token(version=9, s3_bgvoice_url=BACKGROUND))
    assert (await ask(scene)).json()["background"] is True


async def test_a_background_that_comes_later_is_mixed_in_when_asked_again(house: House, quick: FakeMixer) -> None:
    await know_scene(house, s3_bgvoice_url="later.wav")
    await record(house, 7)
    assert (await ask(house)).json()["background"] is False
    await store(house, "later.wav", file_of(tone(7.0)))
    assert (await ask(house)).json()["background"] is True


async def test_nobody_hears_anything_without_signing_in(scene: House) -> None:
    for method, path in (("POST", SYNTHESIZE), ("GET", LATEST), ("GET", RECORDINGS)):
        assert (await scene.client.request(method, path)).status_code == 401
        unknown = await scene.client.request(method, path.replace("3", "x"), headers=bearer(1))
        assert unknown.status_code == 422


async def test_texts_are_english_for_who_asks_for_it(scene: House, quick: FakeMixer) -> None:
    english = {**bearer(1), "Accept-Language": "en"}
    assert "record it first" in (await scene.client.post(SYNTHESIZE, headers=english)).json()["detail"]
    assert "no dubbing" in (await scene.client.get(LATEST, headers=english)).json()["detail"]
    await record(scene, 7)
    answer = await scene.client.post(SYNTHESIZE, headers=english)
    assert answer.json()["message"] == "The dubbing is ready."
    assert (answer.headers["Content-Language"], answer.headers["Vary"]) == ("en", "Accept-Language")


async def test_in_s3_links_are_for_browsers_and_backgrounds_may_lie_in_a_bucket_of_their_own(
    open_house: Open, s3: PrivateS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    public = s3.endpoint_url.replace("127.0.0.1", "localhost")
    browsers = f"{s3.storage_url}&public_endpoint_url={quote(public, safe='')}"
    references = open_storage(f"{reference_url(s3.storage_url, 'scenes')}&create_bucket=true", signing_key=b"", public_url="")
    await references.start()
    await references.put(BACKGROUND, pieces(file_of(tone(7.0))), media_type="audio/wav")
    await references.close()
    settings = {"public_storage_url": browsers, "reference_bucket": "scenes", "dubbing_wait_seconds": 100}
    async with open_house(storage=s3.storage_url, **settings) as house:
        await house.tell(token(s3_bgvoice_url=f"s3://scenes/{BACKGROUND}"))
        await record(house, 7)
        body = (await ask(house)).json()
        assert body["background"] is True
        assert body["dubbing_audio_url"].startswith(f"{public}/")
        assert "X-Amz-Expires=3600" in body["dubbing_audio_url"]
        async with httpx.AsyncClient() as client:
            answer = await client.get(body["dubbing_audio_url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mp4")
        mix = heard(answer.content)
        assert place_of(VOICES[7], mix)[0] == pytest.approx(1.0, abs=0.005)
        assert level_of_tone(mix, 3.0, 7.0) == pytest.approx(0.2, rel=0.05)
