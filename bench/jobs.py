"""Takes at once, from the upload to the score on the screen: the fleet through the bridge, an analysis that takes 0.5 s.

Each of `at once` learners uploads a recording of 10 s, follows its stream to the end, and begins again. The analysis server
is the stand-in of the tests, in a process of its own, behind as many slots as the row says. All share this machine's cores:
services, broker, database, object store, stand-in and learners. What each of them takes of the processor for a job is told in
the end: of all figures that one depends least on what else the machine does.

`--kill-broker SECONDS` instead takes the broker away in the middle of 16 takes at once, for that long.
"""

import argparse
import asyncio
import json
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop

from bench import cpu
from bench.upload import peak, process, reset_peak
from tests.e2e.platforms import Fleet
from yousync.client import Client
from yousync.environment import SERVICES
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.samples import load_catalog

SAMPLE_RATE: Final = 16_000
TAKE_SECONDS: Final = 10
ANALYSIS_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 300.0
CALM_SECONDS: Final = 5.0  # before the broker goes and after it is back
BROWSER_SECONDS: Final = 3.0  # until a browser takes up a broken stream again
BOUNDARY: Final = "bench"
SCRIPT: Final = 1

MONOLITH: Final = {
    1: "1.0 jobs/s, answer 13/43/47, notice 434/443/444, 121 MB, 20/20",
    16: "9.5 jobs/s, answer 146/703/1048, notice 486/592/614, 159 MB, 128/128",
    64: "0 jobs/s, answer 1082/1321/61346, frozen, 243 MB, 0/128",
    200: "0 jobs/s, answer 1499/2418/62498, frozen, 401 MB, 0/200",
}
"""By takes at once: one process, the same analysis, on a machine of this kind (November 2026)."""
MONOLITH_JOBS: Final = {1: 1.0, 16: 9.5, 64: 0.0, 200: 0.0}


@dataclass(frozen=True, slots=True)
class Load:
    """One row: `takes` in all, `at_once` of them, `slots` for the analysis."""

    at_once: int
    takes: int
    slots: int

    @property
    def possible(self) -> float:
        """Jobs per second if nothing but the analysis took time."""
        return min(self.at_once, self.slots) / ANALYSIS_SECONDS


LOADS: Final = (
    Load(1, 20, 16),
    Load(16, 128, 16),
    Load(64, 800, 16),
    Load(64, 256, 50),
    Load(200, 800, 16),
    Load(200, 400, 50),
)


@dataclass
class Seen:
    """What the learners of one row saw. Times are milliseconds, but `seconds` from the first upload to the last score."""

    answers: list[float] = field(default_factory=list)
    notices: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)  # of takes that finished: seconds of the clock
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def finished(self) -> int:
        """Takes whose score was seen."""
        return len(self.ends)

    @property
    def middle(self) -> float:
        """Jobs per second from the 10th to the 90th hundredth of them: while slots neither wait for the first uploads nor are
        left over by the last."""
        tenth = len(self.ends) // 10
        return 8 * tenth / (self.ends[9 * tenth - 1] - self.ends[tenth - 1]) if tenth else 0.0


def recording() -> bytes:
    """A multipart body with 10 s of 16-bit mono WAV."""
    sound = os.urandom(2 * SAMPLE_RATE * TAKE_SECONDS)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="script_{SCRIPT}.wav"\r\n'
    wave = (36 + len(sound), b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16, b"data", len(sound))
    header = b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", *wave)
    return f"{head}Content-Type: audio/wav\r\n\r\n".encode() + header + sound + f"\r\n--{BOUNDARY}--\r\n".encode()


class Learner:
    """One client, signed in, with connections of its own."""

    def __init__(self, url: str, token: str, body: bytes) -> None:
        self._url = url
        self._body = body
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS),
            connector=aiohttp.TCPConnector(limit=0),
        )

    async def close(self) -> None:
        await self._session.close()

    async def practise(self, seen: Seen) -> None:
        """One take."""
        started = time.perf_counter()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        path = f"{self._url}/api/scripts/{SCRIPT}/upload-audio"
        async with self._session.post(path, data=self._body, headers=headers) as answer:
            if answer.status != 200:
                seen.errors.append(f"upload: {answer.status} {(await answer.text())[:200]}")
                return
            job_id = (await answer.json())["job_id"]
        seen.answers.append((time.perf_counter() - started) * 1e3)
        final = await self._follow(job_id)
        heard = time.time()
        if final["status"] == "completed":
            seen.ends.append(time.perf_counter())
            seen.notices.append((heard - final["result"]["answered_at"]) * 1e3)
        else:
            seen.errors.append(f"job {job_id}: {final['message']}")

    async def _follow(self, job_id: str) -> dict[str, Any]:
        """The final frame. A stream that breaks is taken up again, as a browser does."""
        while True:
            try:
                async with self._session.get(f"{self._url}/api/scripts/analysis-progress/{job_id}") as stream:
                    async for line in stream.content:
                        if line.startswith(b"data:") and b'"processing"' not in line[:120]:
                            frame: dict[str, Any] = json.loads(line[5:])
                            if frame.get("status") in ("completed", "failed"):
                                return frame
            except aiohttp.ClientError as error:
                print(f"the stream of {job_id} broke: {error!r}", file=sys.stderr)
            await asyncio.sleep(BROWSER_SECONDS)


async def carry(load: Load, learners: list[Learner]) -> Seen:
    """Put `load` on the fleet and wait until all of it is done."""
    seen = Seen()
    left = iter(range(load.takes))

    async def lesson(learner: Learner) -> None:
        for _ in left:
            await learner.practise(seen)

    started = time.perf_counter()
    await asyncio.gather(*(lesson(learner) for learner in learners[: load.at_once]))
    seen.seconds = time.perf_counter() - started
    return seen


@asynccontextmanager
async def stand_in(reports: str) -> AsyncIterator[tuple[str, str, int]]:
    """The analysis server in a process of its own; its addresses for lines and for scenes, and its process id."""
    command = [sys.executable, "-m", "tests.analysis_server", "--after", str(ANALYSIS_SECONDS), "--reports", reports]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    try:
        line, token = (await server.stdout.readline()).decode().split()
        yield line, token, server.pid
    finally:
        server.terminate()
        await server.wait()


@asynccontextmanager
async def platform(folder: Path, reports: str) -> AsyncIterator[tuple[Fleet, int]]:
    """A fleet that works through the bridge, with the sample catalogue; and the process id of the analysis stand-in."""
    async with stand_in(reports) as (line, token, pid):
        fleet = Fleet(
            folder / "state",
            ANALYSIS_MODE="http",
            SCRIPT_ANALYSIS_HTTP_URL=line,
            ANALYSIS_HTTP_URL=token,
            ANALYSIS_HTTP_CONCURRENCY="16",
            LOG_LEVEL="WARNING",
        )
        try:
            await asyncio.to_thread(fleet.start)
            async with Client(fleet.url) as admin:
                await admin.sign_in("admin@example.org", admin=True)
                await admin.import_catalog(load_catalog())
            yield fleet, pid
        finally:
            await asyncio.to_thread(fleet.stop)


@asynccontextmanager
async def classroom(url: str, size: int) -> AsyncIterator[list[Learner]]:
    """`size` learners, each a user of their own, who have all been heard once."""
    body = recording()
    learners = []
    for number in range(size):
        async with Client(url) as client:
            learners.append(Learner(url, await client.sign_in(f"learner-{number}@example.org"), body))
    try:
        await carry(Load(min(8, size), 16, 16), learners)  # connections, caches, lazy imports
        yield learners
    finally:
        for learner in learners:
            await learner.close()


async def with_slots(fleet: Fleet, slots: int) -> None:
    """Start the bridge anew with so many slots."""
    if fleet.environment["ANALYSIS_HTTP_CONCURRENCY"] != str(slots):
        fleet.environment["ANALYSIS_HTTP_CONCURRENCY"] = str(slots)
        fleet.kill("analysis")
        await asyncio.to_thread(fleet.start)


def quantiles(values: Iterable[float]) -> str:
    """p50/p95/p99."""
    values = list(values)
    if len(values) < 2:
        return "-"
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return "/".join(f"{cuts[n - 1]:.0f}" for n in (50, 95, 99))


def processor_time(fleet: Fleet, helpers: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds so far, by process; `helpers` are processes that are no part of a fleet."""
    return cpu.used({**cpu.servers(fleet.state_dir), **helpers}) | {"learners": cpu.own()}


async def measure(fleet: Fleet, loads: Iterable[Load], helpers: Mapping[str, int]) -> None:
    """Print a row for each load, then what they took of the processor."""
    loads = tuple(loads)
    prices: list[dict[str, float]] = []
    print("at once  slots  jobs/s  of possible  in the middle  answer p50/95/99 ms  notice p50/95/99 ms  finished  peak MB")
    async with classroom(fleet.url, max(load.at_once for load in loads)) as learners:
        for load in loads:
            await with_slots(fleet, load.slots)
            for service in SERVICES:
                reset_peak(process(fleet, service))
            before = processor_time(fleet, helpers)
            seen = await carry(load, learners)
            after = processor_time(fleet, helpers)
            prices.append({name: (after[name] - before[name]) / load.takes for name in after})
            rate, possible = seen.finished / seen.seconds, load.possible
            peaks = ", ".join(f"{name} {peak(process(fleet, name)):.0f}" for name in SERVICES)
            print(
                f"{load.at_once:>7}  {load.slots:>5}  {rate:>6.1f}  {rate / possible:>10.0%}  {seen.middle / possible:>13.0%}  "
                f" {quantiles(seen.answers):>19}  {quantiles(seen.notices):>19}  {seen.finished:>4}/{load.takes:<4} {peaks}"
            )
            monolith = MONOLITH_JOBS[load.at_once]
            ratio = f"{rate / monolith:.1f} times as many jobs" if monolith else "it finishes none"
            print(f"         the monolith: {MONOLITH[load.at_once]}; {ratio}")
            for error in seen.errors[:5]:
                print(f"         {error}")
    show_prices(loads, prices)


def show_prices(loads: Iterable[Load], prices: Iterable[Mapping[str, float]]) -> None:
    """Print who took how much of the processor for a job."""
    for number, (load, price) in enumerate(zip(loads, prices, strict=True)):
        if number == 0:
            print("\nms of CPU a job, by process (with its descendants)\nat once  slots    all  " + "  ".join(price))
        each = "  ".join(f"{value:>{len(name)}.1f}" for name, value in price.items())
        print(f"{load.at_once:>7}  {load.slots:>5}  {sum(price.values()):>5.1f}  {each}")


async def kill_broker(fleet: Fleet, seconds: float) -> None:
    """Take the broker away under load: every upload is accepted meanwhile, and every job ends."""
    node = PrivateRabbitMQ(fleet.state_dir / "rabbitmq")
    await asyncio.to_thread(node.start)  # it runs: this adopts it
    seen = Seen()
    async with classroom(fleet.url, 16) as learners:
        over = time.perf_counter() + seconds + 2 * CALM_SECONDS
        takes: list[asyncio.Task[None]] = []

        async def come_and_go() -> None:
            """Four takes a second, whether or not the earlier ones are done: nobody waits for a broker to record the next."""
            while time.perf_counter() < over:
                takes.append(asyncio.create_task(learners[len(takes) % len(learners)].practise(seen)))
                await asyncio.sleep(0.25)

        coming = asyncio.create_task(come_and_go())
        await asyncio.sleep(CALM_SECONDS)
        await asyncio.to_thread(node.kill)
        before = len(seen.answers)
        await asyncio.sleep(seconds)
        meanwhile = len(seen.answers) - before
        await asyncio.to_thread(node.start)
        await coming
        await asyncio.gather(*takes)
    print(f"uploads accepted: {len(seen.answers)} of {len(takes)}, {meanwhile} of them in {seconds:.0f} s without a broker")
    print(f"answer p50/95/99 {quantiles(seen.answers)} ms; {seen.finished} jobs finished, {len(seen.errors)} errors")
    for error in seen.errors[:5]:
        print(error)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", choices=["answer", "webhook"], default="answer", help="how the analysis server reports")
    parser.add_argument("--only", type=int, nargs="*", help="rows with so many takes at once")
    parser.add_argument("--kill-broker", type=float, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yousync-bench-") as folder:
        async with platform(Path(folder), options.reports) as (fleet, scorer):
            if options.kill_broker:
                await kill_broker(fleet, options.kill_broker)
            else:
                loads = [load for load in LOADS if not options.only or load.at_once in options.only]
                await measure(fleet, loads, {"stand-in": scorer})


if __name__ == "__main__":
    uvloop.run(main())
