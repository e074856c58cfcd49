"""The job's owner and the work queues, as the tests of workers play them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from libs.common.background import background
from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import AUDIO_REPORTS
from libs.common.contracts.audio import AnalysisReport, AnalysisRequested, JobKind, Priority
from libs.common.contracts.base import event_type
from libs.common.contracts.catalog import Word
from libs.common.contracts.notifier import stop_frame
from libs.common.frames import send
from services.analysis.worker import Analyst, AnyOrder, Worker

R = TypeVar("R", bound=AnalysisReport)

PATIENCE = 10.0  # seconds until a test gives up waiting; nothing is measured with it


class Desk:
    """The job's owner, who hears the reports, and the queues that the work is put into."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.reports: list[AnalysisReport] = []
        self._news = asyncio.Condition()
        self._sending: set[asyncio.Task[None]] = set()

    async def hear(self, message: Message) -> None:
        model = event_type(message.type)
        assert model is not None
        report = model.model_validate_json(message.body)
        assert isinstance(report, AnalysisReport)
        async with self._news:
            self.reports.append(report)
            self._news.notify_all()

    async def until(self, kind: type[R], count: int = 1) -> R:
        """The `count`th report of this kind, when it has come."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def of(self, kind: type[R]) -> list[R]:
        return [report for report in self.reports if isinstance(report, kind)]

    async def settled(self) -> None:
        """Every publish has ended, however."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def say_stop(self, lease: str) -> None:
        """Tell whoever holds the lease that it runs no more."""
        await send(self.bus, stop_frame(lease))

    def give(self, request: AnalysisRequested) -> "asyncio.Task[None]":
        """Put work into its queue; the task ends when a worker has claimed it."""
        key = f"analysis.requested.{request.priority.value}"
        message = Message.of(request, source="/test", subject=request.job_id, routing_key=key)
        task = asyncio.create_task(self.bus.publish(message))
        self._sending.add(task)
        return task


def work(priority: Priority = Priority.HIGH, **changes: Any) -> AnalysisRequested:
    values: dict[str, Any] = {
        "job_id": uuid4().hex,
        "kind": JobKind.LINE,
        "priority": priority,
        "attempt": 1,
        "lease": uuid4().hex,
        "lease_seconds": 30,
        "claim_before": datetime.now(UTC) + timedelta(minutes=10),
        "deadline": datetime.now(UTC) + timedelta(minutes=10),
        "audio_url": "http://127.0.0.1/take.wav",
        "audio_uri": "file:///take.wav",
        "media_type": "audio/wav",
        "token_id": 3,
        "script_id": 7,
        "line_start": 10.0,
        "line_end": 12.0,
        "words": (Word(id=1, word="you", start_time=10.0, end_time=11.0, probability=0.8, mfcc=((1.0,) * 13,)),),
    }
    return AnalysisRequested(**{**values, **changes})


@asynccontextmanager
async def employed(analyst: Analyst[AnyOrder], *, shutdown_seconds: float = 0.1) -> AsyncIterator[Desk]:
    """A running worker with this analyst; leaving the block stops it."""
    bus = MemoryBus(retry_ladder=(0.05,))
    await bus.start()
    desk = Desk(bus)
    await bus.consume(AUDIO_REPORTS, desk.hear)
    worker = Worker(bus, analyst, name="w", progress_seconds=0.01, shutdown_seconds=shutdown_seconds)
    await analyst.start()
    async with background(worker.run()):
        yield desk
    await analyst.close()
    await bus.close()
    await desk.settled()
