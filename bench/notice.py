"""How long after an analysis server's report does the learner's stream tell it? At rest: one job after the other.

The clock starts when the worker makes its report (the message's own CloudEvents `time`) and stops when the client has read
the final frame's bytes. All processes are on this machine, so there is one clock.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from unittest import mock

import aio_pika
import uvloop

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import EVENTS_EXCHANGE
from libs.common.contracts.audio import AnalysisReportCompleted
from tests.e2e.platforms import TAKES, Fleet, free_port
from yousync.client import Client
from yousync.embedded import embedded_platform
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.options import Options
from yousync.samples import load_catalog

# job id -> when its worker reported, seconds since the epoch
Reported = defaultdict[str, "asyncio.Future[float]"]


async def measure(url: str, reported: Reported, jobs: int) -> list[float]:
    """Milliseconds from report to final frame for each of `jobs` takes."""
    lags = []
    async with Client(url) as client:
        await client.sign_in("bench@example.org")
        for _ in range(jobs):
            job_id = await client.upload(1, TAKES / "script-1.flac")
            async for frame in client.progress(job_id):
                heard = time.time()
                final = frame
            if final["status"] != "completed":
                raise RuntimeError(f"job {job_id} ended as {final}")
            lags.append((heard - await reported[job_id]) * 1e3)
    return lags


async def import_samples(url: str) -> None:
    async with Client(url) as admin:
        await admin.sign_in("admin@example.org", admin=True)
        await admin.import_catalog(load_catalog())


async def embedded(state: Path, jobs: int) -> list[float]:
    """The embedded platform inside this process, so that its bus can be listened to."""
    reported: Reported = defaultdict(asyncio.get_running_loop().create_future)
    publish = MemoryBus.publish

    async def noting(bus: MemoryBus, message: Message) -> None:
        note(reported, message.type, message.body, message.time.timestamp())
        await publish(bus, message)

    options = Options(state_dir=state, port=free_port(), environment="development")
    with mock.patch.object(MemoryBus, "publish", noting):
        async with embedded_platform(options) as url:
            await import_samples(url)
            return await measure(url, reported, jobs)


async def fleet(state: Path, jobs: int) -> list[float]:
    """A fleet, with a queue of our own beside the real ones on the events exchange."""
    reported: Reported = defaultdict(asyncio.get_running_loop().create_future)
    platform = Fleet(state)
    async with AsyncExitStack() as stack:
        stack.callback(platform.stop)
        await asyncio.to_thread(platform.start)
        await import_samples(platform.url)
        broker = PrivateRabbitMQ(state / "rabbitmq")
        await asyncio.to_thread(broker.start)  # it runs: this adopts it and knows its address
        connection = await stack.enter_async_context(await aio_pika.connect(broker.amqp_url))
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS_EXCHANGE, AnalysisReportCompleted.name)

        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            when = datetime.fromisoformat(str(message.headers["ce-time"])).timestamp()
            note(reported, str(message.headers["ce-type"]), message.body, when)

        await queue.consume(hear, no_ack=True)
        return await measure(platform.url, reported, jobs)


def note(reported: Reported, message_type: str, body: bytes, when: float) -> None:
    if message_type == AnalysisReportCompleted.name:
        reported[AnalysisReportCompleted.model_validate_json(body).job_id].set_result(when)


def show(name: str, lags: list[float]) -> None:
    cuts = statistics.quantiles(lags, n=100)
    figures = f"p50 {cuts[49]:.1f}, p90 {cuts[89]:.1f}, p99 {cuts[98]:.1f}, max {max(lags):.1f} ms"
    print(f"{name:<9} {len(lags)} jobs, report to frame: {figures}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--only", choices=["embedded", "fleet"])
    options = parser.parse_args()
    for run in (embedded, fleet):
        if options.only in (None, run.__name__):
            with tempfile.TemporaryDirectory(prefix="yousync-bench-") as folder:
                show(run.__name__, await run(Path(folder) / "state", options.jobs))


if __name__ == "__main__":
    uvloop.run(main())
