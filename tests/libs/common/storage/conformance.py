"""What every object store promises (`libs/common/storage/base.py`), as tests. A store passes by giving it its fixtures."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from libs.common.storage.base import InvalidKey, InvalidMediaType, ObjectNotFound, Storage, StoredObject

MIB = 1024 * 1024
SEVERAL_PARTS = 20 * MIB  # of S3: two full ones and a rest
HOUR = timedelta(hours=1)

KEYS = [
    "plain.wav",
    "takes/1/2/3.webm",
    "이순신 장군/장면 01.wav",
    'Tom Hardy/it\'s "quoted" & 100% + #1?.wav',
    "a:b@c,d;e=f~g(h)[i]{j}\\k.wav",
    "%2e%2e/not-escaped",
    "...",
    "가" * 170,
]

BAD_KEYS = ["", "/", "/etc/passwd", "..", "../up", "a/../../b", "a/./b", "a//b", "a/", "a\0b", "a\nb", "\ud800", "x" * 513]

Leftovers = Callable[[], Awaitable[list[str]]]

MEMORY_PROBE = """
import asyncio, sys
from libs.common.storage.factory import open_storage

def peak() -> int:
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

async def chunks(size):
    for _ in range(size // 65536):
        yield bytes(65536)

async def main():
    storage = open_storage(sys.argv[1], signing_key=b"k" * 32, public_url="http://127.0.0.1")
    await storage.start()
    for size in (24 << 20, 64 << 20):
        await storage.put("probe", chunks(size), media_type="audio/wav")
        read = 0
        async for chunk in storage.read("probe"):
            read += len(chunk)
        assert read == size
        print(peak())
    await storage.close()

asyncio.run(main())
"""


async def stream(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def whole(storage: Storage, key: str) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key)])


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes of which no two parts are equal, so that a part in a wrong place shows."""
    return b"".join(((seed << 40) + i).to_bytes(16, "big") for i in range(size // 16 + 1))[:size]


class StorageConformance:
    """Fixtures to give: `storage` (started), `storage_url` (of the same store), `leftovers` (names of what is unfinished)."""

    @pytest.mark.parametrize("key", KEYS)
    async def test_what_was_put_is_read_back_under_any_key(self, storage: Storage, key: str) -> None:
        data = noise(100_000)
        stored = await storage.put(key, stream(data), media_type="audio/webm;codecs=opus")
        assert stored == StoredObject(key, len(data), "audio/webm;codecs=opus")
        assert await storage.stat(key) == stored
        assert await whole(storage, key) == data

    @pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, SEVERAL_PARTS])
    async def test_every_size_survives(self, storage: Storage, leftovers: Leftovers, size: int) -> None:
        data = noise(size)
        stored = await storage.put("size", stream(data, 1_000_003), media_type="audio/wav")
        assert stored.size == size
        assert await storage.stat("size") == stored
        assert await whole(storage, "size") == data
        assert await leftovers() == []

    async def test_one_huge_chunk_is_stored_like_many_small_ones(self, storage: Storage) -> None:
        data = noise(SEVERAL_PARTS)
        await storage.put("huge", stream(data, len(data)), media_type="audio/wav")
        assert await whole(storage, "huge") == data

    async def test_an_overwrite_replaces_bytes_and_media_type(self, storage: Storage) -> None:
        await storage.put("k", stream(b"a longer first"), media_type="audio/wav")
        await storage.put("k", stream(b"second"), media_type="audio/flac")
        assert await storage.stat("k") == StoredObject("k", 6, "audio/flac")
        assert await whole(storage, "k") == b"second"

    async def test_a_key_may_be_the_beginning_of_another(self, storage: Storage) -> None:
        await storage.put("a", stream(b"1"), media_type="audio/wav")
        await storage.put("a/b", stream(b"2"), media_type="audio/wav")
        assert (await whole(storage, "a"), await whole(storage, "a/b")) == (b"1", b"2")

    async def test_an_unknown_key_is_not_found(self, storage: Storage) -> None:
        with pytest.raises(ObjectNotFound):
            await storage.stat("nothing")
        with pytest.raises(ObjectNotFound):
            await whole(storage, "nothing")

    async def test_a_deleted_object_is_gone_and_deleting_again_is_fine(self, storage: Storage) -> None:
        await storage.put("k", stream(b"x"), media_type="audio/wav")
        await storage.delete("k")
        with pytest.raises(ObjectNotFound):
            await storage.stat("k")
        await storage.delete("k")

    async def test_keys_are_found_by_their_beginning(self, storage: Storage) -> None:
        keys = {"takes/1/a.wav", "takes/1/b", "takes/11/c.wav", "exports/1/이름.zip"}
        for key in keys | {"takes/1/gone.wav"}:
            await storage.put(key, stream(b"x"), media_type="audio/wav")
        await storage.delete("takes/1/gone.wav")
        for prefix in ("takes/1/", "takes/1", "exports/", "", "takes/2/"):
            found = [key async for key in storage.keys(prefix)]
            assert sorted(found) == sorted(key for key in keys if key.startswith(prefix))

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_a_key_that_could_name_something_else_is_refused(self, storage: Storage, key: str) -> None:
        with pytest.raises(InvalidKey):
            await storage.put(key, stream(b"x"), media_type="audio/wav")
        with pytest.raises(InvalidKey):
            await whole(storage, key)
        with pytest.raises(InvalidKey):
            await storage.stat(key)
        with pytest.raises(InvalidKey):
            await storage.delete(key)
        with pytest.raises(InvalidKey):
            await storage.signed_url(key, expires_in=HOUR)
        with pytest.raises(InvalidKey):
            storage.uri(key)

    @pytest.mark.parametrize("media_type", ["", "audio", "audio/wav\r\nSet-Cookie: a=b", "오디오/wav", "a/" + "b" * 300])
    async def test_what_is_no_media_type_is_refused(self, storage: Storage, media_type: str) -> None:
        with pytest.raises(InvalidMediaType):
            await storage.put("k", stream(b"x"), media_type=media_type)

    @pytest.mark.parametrize("size", [0, 100, SEVERAL_PARTS])
    async def test_a_stream_that_raises_leaves_nothing(self, storage: Storage, leftovers: Leftovers, size: int) -> None:
        async def broken() -> AsyncIterator[bytes]:
            async for chunk in stream(noise(size)):
                yield chunk
            raise ConnectionResetError("the client is gone")

        with pytest.raises(ConnectionResetError, match="the client is gone"):
            await storage.put("k", broken(), media_type="audio/wav")
        assert await leftovers() == []
        with pytest.raises(ObjectNotFound):
            await storage.stat("k")

    async def test_a_stream_that_raises_leaves_the_object_before_it(self, storage: Storage) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield noise(SEVERAL_PARTS)
            raise ConnectionResetError

        await storage.put("k", stream(b"before"), media_type="audio/wav")
        with pytest.raises(ConnectionResetError):
            await storage.put("k", broken(), media_type="audio/flac")
        assert await storage.stat("k") == StoredObject("k", 6, "audio/wav")
        assert await whole(storage, "k") == b"before"

    async def test_a_put_cancelled_while_it_waits_for_bytes_leaves_nothing(
        self, storage: Storage, leftovers: Leftovers
    ) -> None:
        stalled = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield noise(SEVERAL_PARTS)
            stalled.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(storage.put("k", slow(), media_type="audio/wav"))
        await asyncio.wait([putting, asyncio.ensure_future(stalled.wait())], return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await leftovers() == []
        with pytest.raises(ObjectNotFound):
            await storage.stat("k")

    async def test_a_put_cancelled_at_any_moment_leaves_the_whole_object_or_nothing(
        self, storage: Storage, leftovers: Leftovers
    ) -> None:
        data, steps = noise(9 * MIB), 12
        began = time.perf_counter()
        await storage.put("k", stream(data, MIB), media_type="audio/wav")
        usual = time.perf_counter() - began
        for step in range(steps):
            putting = asyncio.create_task(storage.put(f"k{step}", stream(data, MIB), media_type="audio/wav"))
            await asyncio.sleep(usual * step / steps)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
            assert await leftovers() == []
            try:
                assert await whole(storage, f"k{step}") == data
            except ObjectNotFound:
                assert putting.cancelled()

    async def test_concurrent_puts_of_one_key_end_as_one_whole_object(self, storage: Storage, leftovers: Leftovers) -> None:
        versions = {f"audio/v{i}": noise(MIB + i, seed=i) for i in range(8)}
        await asyncio.gather(*(storage.put("k", stream(data), media_type=kind) for kind, data in versions.items()))
        stored = await storage.stat("k")
        assert await whole(storage, "k") == versions[stored.media_type]
        assert stored.size == len(versions[stored.media_type])
        assert await leftovers() == []

    async def test_size_and_media_type_are_always_of_the_same_version(self, storage: Storage) -> None:
        async def write(size: int) -> None:
            for _ in range(30):
                await storage.put("k", stream(bytes(size)), media_type=f"audio/size-{size}")

        async def look(writing: "asyncio.Future[Any]") -> None:
            while not writing.done():
                stored = await storage.stat("k")
                assert stored.media_type == f"audio/size-{stored.size}"

        await write(1)
        writing = asyncio.gather(write(1), write(2), write(3))
        await asyncio.gather(writing, look(writing), look(writing))

    async def test_memory_does_not_grow_with_the_object(self, storage: Storage, storage_url: str) -> None:
        # A process of its own: the peak of this one would be that of another test, or of the S3 server in it.
        probe = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", MEMORY_PROBE, storage_url], capture_output=True, text=True, check=False
        )
        assert probe.returncode == 0, probe.stderr
        peak_of_24, peak_of_64 = map(int, probe.stdout.split())
        assert peak_of_64 - peak_of_24 < 10 * MIB

    async def test_the_store_says_that_it_answers(self, storage: Storage) -> None:
        await storage.check()

    @pytest.mark.parametrize("key", KEYS)
    async def test_a_signed_url_gives_the_object_to_anyone(self, storage: Storage, http: httpx.AsyncClient, key: str) -> None:
        data = noise(300_000)
        await storage.put(key, stream(data), media_type="audio/webm;codecs=opus")
        answer = await http.get(await storage.signed_url(key, expires_in=HOUR))
        assert answer.status_code == 200
        assert answer.content == data
        assert answer.headers["content-type"] == "audio/webm;codecs=opus"
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["etag"]

    async def test_a_signed_url_answers_the_range_that_a_player_seeks(self, storage: Storage, http: httpx.AsyncClient) -> None:
        data = noise(300_000)
        await storage.put("k", stream(data), media_type="audio/wav")
        url = await storage.signed_url("k", expires_in=HOUR)
        for asked, start, end in (("bytes=0-0", 0, 1), ("bytes=1000-70999", 1000, 71000), ("bytes=299990-", 299990, 300000)):
            answer = await http.get(url, headers={"Range": asked})
            assert answer.status_code == 206
            assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/300000"
            assert answer.content == data[start:end]

    async def test_a_signed_url_of_nothing_is_404(self, storage: Storage, http: httpx.AsyncClient) -> None:
        answer = await http.get(await storage.signed_url("nothing", expires_in=HOUR))
        assert answer.status_code == 404
