# ruff: noqa: ASYNC240  # a test may wait for its own small files
import os
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
import pytest

from libs.common.storage.base import ObjectNotFound, StorageUnavailable
from libs.common.storage.disk import ABANDONED_AFTER, DiskStorage
from tests.libs.common.storage.conformance import HOUR, MIB, Leftovers, StorageConformance, noise, stream, whole


@pytest.fixture
def storage(disk: DiskStorage) -> DiskStorage:
    return disk


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    return (tmp_path / "root").as_uri()


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    return tmp_path / "root" / "incoming"


class TestDiskStorage(StorageConformance):
    @pytest.fixture
    def leftovers(self, incoming: Path) -> Leftovers:
        async def unfinished() -> list[str]:
            return os.listdir(incoming)  # noqa: PTH208  # names are wanted

        return unfinished


async def test_the_uri_is_a_file_with_exactly_the_bytes(storage: DiskStorage) -> None:
    await storage.put("이순신/a b.wav", stream(b"RIFF...."), media_type="audio/wav")
    path = Path(url2pathname(urlsplit(storage.uri("이순신/a b.wav")).path))
    assert path.read_bytes() == b"RIFF...."
    assert path.suffix == ".wav"


async def test_recordings_are_private_to_the_user_that_runs_the_service(storage: DiskStorage, tmp_path: Path) -> None:
    await storage.put("k", stream(b"x"), media_type="audio/wav")
    for entry in [tmp_path / "root", *(tmp_path / "root").rglob("*")]:
        assert entry.stat().st_mode & 0o077 == 0, entry


async def test_objects_survive_a_restart(storage: DiskStorage, tmp_path: Path) -> None:
    stored = await storage.put("k", stream(b"x"), media_type="audio/wav")
    again = DiskStorage(tmp_path / "root", signing_key=b"k" * 32, public_url="http://127.0.0.1")
    await again.start()
    assert await again.stat("k") == stored


async def test_start_removes_what_a_crash_left_long_ago_but_no_running_upload(storage: DiskStorage, incoming: Path) -> None:
    old, young = incoming / "old", incoming / "young"
    old.touch()
    young.touch()
    long_ago = time.time() - ABANDONED_AFTER - 60
    os.utime(old, (long_ago, long_ago))
    await storage.start()
    assert list(incoming.iterdir()) == [young]


async def test_a_link_inside_the_folder_shows_nothing_outside(
    storage: DiskStorage, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    await storage.put("k", stream(b"mine"), media_type="audio/wav")
    path = Path(url2pathname(urlsplit(storage.uri("k")).path))
    secret = outside / path.name
    path.rename(secret)
    path.symlink_to(secret)
    await _shows_nothing(storage, http)
    path.unlink()
    (path.parent / f"{path.name}.json").rename(outside / f"{path.name}.json")
    path.parent.rmdir()
    path.parent.symlink_to(outside, target_is_directory=True)
    await _shows_nothing(storage, http)


async def _shows_nothing(storage: DiskStorage, http: httpx.AsyncClient) -> None:
    with pytest.raises(ObjectNotFound):
        await whole(storage, "k")
    with pytest.raises(ObjectNotFound):
        await storage.stat("k")
    assert (await http.get(await storage.signed_url("k", expires_in=HOUR))).status_code == 404


async def test_a_reader_finishes_its_object_while_it_is_replaced(storage: DiskStorage) -> None:
    data = noise(2 * MIB)
    await storage.put("k", stream(data), media_type="audio/wav")
    reading = storage.read("k")
    read = await anext(reading)
    await storage.put("k", stream(b"other"), media_type="audio/flac")
    assert read + b"".join([chunk async for chunk in reading]) == data


async def test_a_folder_that_cannot_be_used_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = DiskStorage(tmp_path / "file" / "root", signing_key=b"k" * 32, public_url="http://127.0.0.1")
    with pytest.raises(StorageUnavailable) as caught:
        await storage.start()
    assert str(tmp_path) not in caught.value.detail


async def test_a_folder_that_disappears_is_noticed(storage: DiskStorage, tmp_path: Path) -> None:
    (tmp_path / "root").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        await storage.check()
    with pytest.raises(StorageUnavailable):
        await storage.put("k", stream(b"x"), media_type="audio/wav")
    with pytest.raises(StorageUnavailable):
        await storage.stat("k")


async def test_a_full_disk_leaves_nothing_and_is_an_unavailable_store(
    storage: DiskStorage, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable):
        await storage.put("k", stream(b"x" * MIB), media_type="audio/wav")
    assert list(incoming.iterdir()) == []
