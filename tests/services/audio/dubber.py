"""A scene that takes are mixed for, and learners who ask for that."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from libs.common.contracts.catalog import ScriptUpdated
from libs.common.storage.factory import open_storage
from services.audio.mixer import Mixed, Mixer
from tests.services.audio.house import PATIENCE, House, bearer, script, token
from tests.services.audio.tones import file_of, noise, tone

SYNTHESIZE, LATEST, RECORDINGS = "/api/synthesize/3", "/api/tokens/3/latest-dubbing/", "/api/tokens/3/user-audios"
BACKGROUND = "Tom Hardy/vid1/1/bgvoice.wav"
VOICES = {script_id: noise(1.5, script_id) for script_id in (5, 7)}

_TONE = file_of(tone(7.0))
_LINES = {script_id: file_of(voice) for script_id, voice in VOICES.items()}


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """As a store takes it."""
    yield data


async def store(house: House, key: str, data: bytes) -> None:
    """Put an object where the scenes' objects are, as a studio does."""
    storage = open_storage(house.app.state.settings.storage_url, signing_key=bytes(32), public_url="")
    await storage.start()
    await storage.put(key, pieces(data), media_type="audio/wav")
    await storage.close()


async def know_scene(house: House, **changes: Any) -> None:
    """Scene 3 from 9 s to 16 s with a background; its lines 7 (10 to 12 s) and 5 (13 to 15 s)."""
    await house.tell(token(**{"s3_bgvoice_url": BACKGROUND, **changes}))
    await house.tell(ScriptUpdated(**{**script(5).model_dump(), "start_time": 13.0, "end_time": 15.0}))
    await store(house, BACKGROUND, _TONE)


async def record(house: House, *script_ids: int, user_id: int = 1) -> None:
    """The user reads lines, each with a voice of its own."""
    for script_id in script_ids:
        answer = await house.upload(_LINES[script_id], script_id=script_id, headers=bearer(user_id))
        assert answer.status_code == 200, answer.text


async def ask(house: House, user_id: int = 1) -> httpx.Response:
    """Have the scene mixed."""
    return await house.client.post(SYNTHESIZE, headers=bearer(user_id))


async def get(house: House, url: str) -> bytes:
    """What lies behind a signed link of the local store."""
    answer = await house.client.get(url.removeprefix(house.app.state.settings.public_url))
    assert answer.status_code == 200, answer.text
    return answer.content


def key_of(answer: httpx.Response) -> str:
    """The object of the dubbing that was answered."""
    assert answer.status_code == 200, answer.text
    return unquote(urlsplit(answer.json()["dubbing_audio_url"]).path.removeprefix("/objects/"))


async def dubbings_are(house: House, *keys: str) -> None:
    """Returns when these are the dubbings in the store."""
    storage = open_storage(house.app.state.settings.storage_url, signing_key=bytes(32), public_url="")
    expected = {storage.uri(key).rpartition("/")[2] for key in keys}
    async with asyncio.timeout(PATIENCE):
        while {file.name for file in house.objects() if file.suffix == ".m4a"} != expected:
            await asyncio.sleep(0.01)


class FakeMixer:
    """In the place of the mixing processes: begins when it may (`let`), fails as it is told to, and mixes nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.let = asyncio.Event(), asyncio.Event()
        self.failures: list[Exception] = []
        self.calls = 0
        self.let.set()
        monkeypatch.setattr(Mixer, "mix", self._mix)

    async def _mix(self, seconds: float, background: object | None, voices: object) -> Mixed:
        self.began.set()
        await self.let.wait()
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return Mixed(b"a dubbing", background is not None)
