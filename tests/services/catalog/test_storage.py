"""Objects of scenes, and what a page is like without them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from libs.common.storage.base import StorageUnavailable, StoredObject
from libs.common.storage.disk import DiskStorage
from services.catalog import storage
from services.catalog.remembering import Remembered
from services.catalog.storage import SceneObjects, object_key


class Store(DiskStorage):
    """A store that counts what it is asked for, and hangs or refuses when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, signing_key=b"k" * 32, public_url="http://127.0.0.1")
        self.asked: list[str] = []
        self.hangs = False
        self.refuses = False

    async def _meet(self, key: str) -> None:
        self.asked.append(key)
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            raise StorageUnavailable("refused")

    async def stat(self, key: str) -> StoredObject:
        await self._meet(key)
        return await super().stat(key)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        await self._meet(key)
        async for chunk in super().read(key):
            yield chunk

    async def keep(self, key: str, content: bytes) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield content

        await self.put(key, once(), media_type="application/json")


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    await store.start()
    return store


@pytest.fixture
def objects(store: Store) -> SceneObjects:
    return SceneObjects(store, pitch_cache_bytes=1000)


def missing(what: str, reason: str) -> float:
    """How many are counted so far."""
    labels = {"object": what, "reason": reason}
    return REGISTRY.get_sample_value("yousync_scene_objects_missing_total", labels) or 0.0


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("a/b.wav", "a/b.wav"),
        ("s3://bucket/a/b.wav", "a/b.wav"),
        ("https://bucket.s3.ap-northeast-2.amazonaws.com/a/%ED%86%B0.wav", "a/톰.wav"),
        ("https://cdn.example.org/a.wav", None),
        ("http://[", None),
    ],
)
def test_a_key_is_found_in_what_scenes_hold(url: str, key: str | None) -> None:
    assert object_key(url) == key


async def test_what_is_missing_is_nothing_and_counted(store: Store, objects: SceneObjects) -> None:
    before = missing("pitch", "absent"), missing("bgvoice", "absent"), missing("pitch", "unreadable")
    assert await objects.pitch("gone.json") is None
    assert await objects.link("gone.wav") is None
    await store.keep("broken.json", b"{")
    assert await objects.pitch("broken.json") is None
    after = missing("pitch", "absent"), missing("bgvoice", "absent"), missing("pitch", "unreadable")
    assert after == tuple(count + 1 for count in before)


async def test_a_store_that_hangs_costs_one_wait_and_the_melody_but_not_the_link(
    store: Store, objects: SceneObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "OBJECT_SECONDS", 0.01)
    before = missing("pitch", "unavailable")
    store.hangs = True
    assert await objects.pitch("a.json") is None
    link = await objects.link("a.wav")
    assert link is not None
    assert link.startswith("http://127.0.0.1/objects/a.wav?")
    assert await objects.pitch("b.json") is None
    assert store.asked == ["a.json"]  # nobody else waited for it
    assert missing("pitch", "unavailable") == before + 2


async def test_it_is_asked_again_after_a_while(store: Store, objects: SceneObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.keep("a.json", b"[1]")
    store.refuses = True
    monkeypatch.setattr(storage, "RECOVERY_SECONDS", 0.0)
    assert await objects.pitch("a.json") is None
    store.refuses = False
    assert await objects.pitch("a.json") == b"[1]"


async def test_a_melody_is_read_once_however_many_look(store: Store, objects: SceneObjects) -> None:
    await store.keep("a.json", b'[{"time": 1, "hz": NaN}]')
    shown = await asyncio.gather(*(objects.pitch("a.json") for _ in range(20)))
    assert shown == [b'[{"time":1,"hz":null}]'] * 20
    assert await objects.pitch("s3://bucket/a.json") == shown[0]
    assert store.asked == ["a.json"]


async def test_a_melody_that_was_replaced_is_shown_at_once(objects: SceneObjects) -> None:
    await objects.keep_pitch("a.json", b"[1]")
    assert await objects.pitch("a.json") == b"[1]"
    await objects.keep_pitch("a.json", b"[2]")
    assert await objects.pitch("a.json") == b"[2]"


async def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    read: list[str] = []

    async def find(key: str) -> bytes:
        read.append(key)
        return key.encode() * 40

    kept = Remembered(max_bytes=100, seconds=60)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert await kept.get(key, find) == key.encode() * 40
    assert read == ["a", "b", "c", "b"]


async def test_what_is_forgotten_while_it_is_read_is_not_kept() -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    answers = iter((b"old", b"new"))

    async def find(key: str) -> bytes:
        answer = next(answers)
        if answer == b"old":
            begun.set()
            await go.wait()
        return answer

    kept = Remembered(max_bytes=100, seconds=60)
    reading = asyncio.create_task(kept.get("a", find))
    await begun.wait()
    kept.forget("a")
    assert await kept.get("a", find) == b"new"
    go.set()
    assert await reading == b"old"
    assert await kept.get("a", find) == b"new"


async def test_time_and_size_end_what_is_kept() -> None:
    read: list[str] = []

    async def find(key: str) -> bytes:
        read.append(key)
        return b"x" * 101

    at_once, too_small = Remembered(max_bytes=1000, seconds=0), Remembered(max_bytes=100, seconds=60)
    for kept in (at_once, at_once, too_small, too_small):
        await kept.get("a", find)
    assert len(read) == 4
