"""Uploads over a real server and real sockets: what only shows there."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.services.audio.house import PATIENCE, FakeCatalog, House, Open, script, served, wav

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
MEGABYTE = 1024 * 1024


async def test_too_much_is_refused_before_the_body_has_ended(open_house: Open) -> None:
    """The client of this test never ends its body: only an early answer ends the test."""
    async with open_house(max_upload_bytes=MEGABYTE) as house, served_again(house) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /api/scripts/7/upload-audio HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n")
        writer.write(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        for piece in (HEAD, wav(), *[bytes(MEGABYTE // 4)] * 5):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).split()[1] == b"413"
        writer.close()
        assert house.objects() == []


async def test_a_declared_length_over_the_limit_is_refused_before_any_of_the_body(open_house: Open) -> None:
    async with open_house(max_upload_bytes=MEGABYTE) as house, served_again(house) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /api/scripts/7/upload-audio HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n")
        writer.write(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).split()[1] == b"413"
        writer.close()


async def test_a_client_that_goes_away_leaves_nothing_behind(house: House) -> None:
    async with served_again(house) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /api/scripts/7/upload-audio HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n")
        writer.write(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        writer.write(HEAD + wav() + bytes(2 * MEGABYTE))
        await writer.drain()
        async with asyncio.timeout(PATIENCE):
            while not house.objects():
                await asyncio.sleep(0.01)
            writer.close()
            while house.objects():
                await asyncio.sleep(0.01)
    assert await house.rows("SELECT 1 FROM jobs") == []


async def test_uploads_at_the_same_time_do_not_mix(house: House) -> None:
    recordings = [wav() + bytes([number]) * 300_000 for number in range(8)]
    async with served_again(house) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:

        async def form(recording: bytes) -> AsyncIterator[bytes]:
            whole = HEAD + recording + TAIL
            for start in range(0, len(whole), 7_001):
                yield whole[start : start + 7_001]
                await asyncio.sleep(0)

        answers = await asyncio.gather(
            *(client.post("/api/scripts/7/upload-audio", content=form(each), headers=FORM) for each in recordings)
        )
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(file.read_bytes() for file in house.objects()) == sorted(recordings)


async def test_the_memory_of_an_upload_does_not_grow_with_the_file(
    database_url: str, tmp_path: Path, catalog: FakeCatalog
) -> None:
    """The service as its own process: the peak of its memory after 2 MB, and after 100 MB more."""
    catalog.scripts[7] = script().model_dump(mode="json")
    listen = tmp_path / "audio.sock"
    service = subprocess.Popen(  # noqa: ASYNC220  (it only forks)
        [sys.executable, "-m", "services.audio"],
        env={
            "PATH": os.environ["PATH"],
            "LISTEN_UDS": str(listen),
            "DATABASE_URL": database_url,
            "STORAGE_URL": (tmp_path / "objects").as_uri(),
            "CATALOG_URL": catalog.url,
            "BROKER_URL": "amqp://127.0.0.1:1/",  # an upload needs no broker
            "AUDIO_MAX_UPLOAD_BYTES": str(200 * MEGABYTE),
        },
        cwd=Path(__file__).parents[3],
    )
    try:
        transport = httpx.AsyncHTTPTransport(uds=str(listen), retries=0)
        async with httpx.AsyncClient(transport=transport, base_url="http://audio", timeout=60) as client:
            await _until_storage_is_ready(client)
            for _ in range(3):
                await _upload_zeros(client, megabytes=2)
            small = _peak_kib(service.pid)
            await _upload_zeros(client, megabytes=100)
            large = _peak_kib(service.pid)
    finally:
        service.send_signal(signal.SIGTERM)
        await asyncio.to_thread(service.wait, 10)
    assert large - small < 8 * 1024, f"peak {small} KiB after 2 MB, {large} KiB after 100 MB"
    assert service.returncode == 0


async def _until_storage_is_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await client.get("/health/ready")).json()["checks"]["storage"] == "ok":
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)


async def _upload_zeros(client: httpx.AsyncClient, *, megabytes: int) -> None:
    async def form() -> AsyncIterator[bytes]:
        yield HEAD + wav()
        for _ in range(megabytes):
            yield bytes(MEGABYTE)
        yield TAIL

    answer = await client.post("/api/scripts/7/upload-audio", content=form(), headers=FORM)
    assert answer.status_code == 200, answer.text


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@asynccontextmanager
async def served_again(house: House) -> AsyncIterator[tuple[str, int]]:
    """Host and port of a real server for the app of `house`, whose lifespan runs already."""
    async with served(house.app, lifespan="off") as address:
        url = httpx.URL(address)
        assert url.port is not None
        yield url.host, url.port
