"""Does an upload's memory grow with the file? Peak RSS of each process on its way, 2 MB against 200 MB, over a fleet."""

import asyncio
import http.client
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx

from tests.e2e.platforms import Fleet
from yousync.client import Client
from yousync.samples import load_catalog

MB = 1_000_000
ON_THE_WAY = ("gateway", "audio")
BOUNDARY = "bench"
LIMIT = 250 * MB


def wav(size: int) -> Iterator[bytes]:
    """A multipart body with a WAV of `size` bytes of silence."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="take.wav"\r\n\r\n'
    yield head.encode()
    yield struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", size - 44
    )
    rest = size - 44
    while rest:
        piece = min(rest, 65536)
        yield bytes(piece)
        rest -= piece
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def process(fleet: Fleet, service: str) -> Path:
    """The service's folder in proc(5)."""
    return Path("/proc", (fleet.state_dir / "run" / f"{service}.pid").read_text().strip())


def reset_peak(of: Path) -> None:
    """Let the kernel count the peak from now on (proc(5), clear_refs 5)."""
    (of / "clear_refs").write_text("5")


def peak(of: Path) -> float:
    """Peak resident memory in MB since `reset_peak`."""
    line = next(line for line in (of / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / MB


async def upload(url: str, size: int) -> tuple[int, float]:
    async def body() -> AsyncIterator[bytes]:
        for chunk in wav(size):
            yield chunk

    started = time.perf_counter()
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = await client.post(f"{url}/api/scripts/1/upload-audio", content=body(), headers=headers)
    return answer.status_code, time.perf_counter() - started


def over_the_limit(fleet: Fleet) -> str:
    """Announce a body over the limit, send 1 MB of it, and see what comes back before the rest is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=10)
    connection.putrequest("POST", "/api/scripts/1/upload-audio")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    connection.putheader("Content-Length", str(4 * LIMIT))
    connection.endheaders(bytes(MB))
    answer = connection.getresponse()
    return f"{answer.status} {answer.read().decode()}"


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="yousync-bench-") as folder:
        limits = {"AUDIO_MAX_UPLOAD_BYTES": str(LIMIT), "GATEWAY_MAX_UPLOAD_BYTES": str(LIMIT)}
        fleet = Fleet(Path(folder) / "state", **limits)
        try:
            await asyncio.to_thread(fleet.start)
            async with Client(fleet.url) as admin:
                await admin.sign_in("admin@example.org", admin=True)
                await admin.import_catalog(load_catalog())
            await upload(fleet.url, 2 * MB)  # connections, caches, lazy imports
            peaks: dict[int, dict[str, float]] = {}
            for size in (2 * MB, 200 * MB):
                for service in ON_THE_WAY:
                    reset_peak(process(fleet, service))
                status, seconds = await upload(fleet.url, size)
                peaks[size] = {service: peak(process(fleet, service)) for service in ON_THE_WAY}
                shown = ", ".join(f"{service} peak RSS {value:.0f} MB" for service, value in peaks[size].items())
                print(f"{size // MB:>4} MB: {status} in {seconds:.2f} s, {shown}")
            small, large = peaks.values()
            for service in ON_THE_WAY:
                print(f"{service}: {large[service] / small[service]:.2f} times the memory for 100 times the bytes")
            print(f"over the limit: {over_the_limit(fleet)}")
        finally:
            fleet.stop()


if __name__ == "__main__":
    asyncio.run(main())
