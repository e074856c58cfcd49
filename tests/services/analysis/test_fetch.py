"""Recordings come over real HTTP, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.analysis.errors import AudioTooLarge, RecordingGone, RecordingUnreachable
from services.analysis.fetch import Recordings

ANSWERS = {
    "/take": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nRIFF",
    "/large": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes(5000),
    "/endless": b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000),
    "/gone": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "/expired": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "/elsewhere": b"HTTP/1.1 302 Found\r\nLocation: /take\r\nContent-Length: 0\r\n\r\n",
    "/down": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nRIFF",
    "/nonsense": b"SSH-2.0-OpenSSH_9.2\r\n",
    "/silent": b"",
}


@asynccontextmanager
async def store() -> AsyncIterator[str]:
    """An object store that answers each path as `ANSWERS` says; its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        path = request.split()[1].decode()
        writer.write(ANSWERS[path])
        if path == "/silent":
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def recordings() -> AsyncIterator[Recordings]:
    recordings = Recordings(max_bytes=1000, timeout=0.3)
    yield recordings
    await recordings.close()


async def test_a_recording_is_a_file_for_as_long_as_it_is_needed(recordings: Recordings) -> None:
    async with store() as url:
        async with recordings.fetched(f"{url}/take") as path:
            assert path.read_bytes() == b"RIFF"
        assert not path.exists()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/large", AudioTooLarge),
        ("/endless", AudioTooLarge),
        ("/gone", RecordingGone),
        ("/expired", RecordingGone),
        ("/elsewhere", RecordingGone),
        ("/down", RecordingUnreachable),
        ("/cut", RecordingUnreachable),
        ("/nonsense", RecordingUnreachable),
        ("/silent", RecordingUnreachable),
    ],
)
async def test_what_is_no_recording_has_a_name(recordings: Recordings, path: str, error: type[Exception]) -> None:
    async with store() as url:
        with pytest.raises(error):
            async with recordings.fetched(url + path):
                pass


async def test_a_store_that_is_down_may_be_up_later(recordings: Recordings) -> None:
    async with store() as url:
        pass
    with pytest.raises(RecordingUnreachable):
        async with recordings.fetched(f"{url}/take"):
            pass


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/take", "", "http://", "data:,x"])
async def test_only_http_is_followed(recordings: Recordings, url: str) -> None:
    with pytest.raises(RecordingGone):
        async with recordings.fetched(url):
            pass
