"""Takes jobs from the work queues, has them scored, reports. Holds nothing that another worker would miss.

A message is acknowledged when its job is claimed, not when it is done: from then on the lease, kept by reports, says that
somebody works on it. A worker that dies loses its leases, and the job's owner gives the jobs to others.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol

from libs.common.background import background
from libs.common.bus.base import Bus, Message
from libs.common.bus.router import Router
from libs.common.bus.topology import WORK
from libs.common.contracts.audio import AnalysisReport, AnalysisReportCompleted, AnalysisRequested
from libs.common.errors import YouSyncError
from libs.common.telemetry import log_context
from services.analysis import texts
from services.analysis.errors import AudioError
from services.analysis.metrics import OUTCOMES, RUNNING, SECONDS, SERVICE
from services.analysis.reporting import Reporter
from services.analysis.scoring.script import ScriptWord
from services.analysis.slots import Slots
from services.analysis.unheard import unheard

log = logging.getLogger(__name__)

CLAIM_SECONDS: Final = 0.5
"""At the end: for claims that are being published. One that waits for a slot goes back to its queue."""


class Scorer(Protocol):
    """What scores: `services.analysis.pool.ScoringPool`."""

    @property
    def size(self) -> int:
        """Takes at a time."""

    async def score(
        self,
        audio: Path,
        words: Sequence[ScriptWord],
        on_progress: Callable[[int, str], None],
        *,
        line_start: float | None,
    ) -> dict[str, Any]:
        """The result as JSON data. A YouSyncError that is not retryable is the recording's fault."""


class Fetcher(Protocol):
    """What gets recordings: `services.analysis.fetch.Recordings`."""

    def fetched(self, url: str) -> AbstractAsyncContextManager[Path]:
        """The recording as a file that exists within the block."""


class Worker:
    """One consumer per work queue, `scorer.size` jobs at a time. Times are seconds."""

    def __init__(
        self,
        bus: Bus,
        scorer: Scorer,
        recordings: Fetcher,
        *,
        name: str,
        progress_seconds: float,
        shutdown_seconds: float,
    ) -> None:
        self._bus = bus
        self._scorer = scorer
        self._recordings = recordings
        self._name = name
        self._progress_seconds = progress_seconds
        self._shutdown_seconds = shutdown_seconds
        self._slots = Slots(scorer.size)
        self._running: dict[str, asyncio.Task[None]] = {}  # by lease

    async def run(self) -> None:
        """Work until cancelled; then finish what is nearly done, give the rest back."""
        router = Router()
        router.on(AnalysisRequested, self._claim)
        # One message of each queue in hand at most: the others stay where another worker can take them.
        subscriptions = [await self._bus.consume(queue, router, concurrency=1) for queue in WORK.values()]
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(subscription.drain(CLAIM_SECONDS) for subscription in subscriptions))
            await self._stop()

    async def _claim(self, request: AnalysisRequested, _: Message) -> None:
        """Wait for a slot, claim the job, begin it in a task of its own."""
        if request.lease in self._running:
            return  # delivered twice
        await self._slots.take(request.priority)
        try:
            if datetime.now(UTC) >= request.deadline:
                log.info("nobody waits for this job any more", extra={"job_id": request.job_id})
                self._slots.release()
                return
            reporter = Reporter(self._bus, request, worker=self._name, pause=self._progress_seconds)
            await reporter.started()
        except BaseException:
            self._slots.release()
            raise
        task = asyncio.create_task(self._work(request, reporter))
        self._running[request.lease] = task
        task.add_done_callback(lambda _: self._running.pop(request.lease))

    async def _work(self, request: AnalysisRequested, reporter: Reporter) -> None:
        began = perf_counter()
        with log_context(job_id=request.job_id), RUNNING.labels(SERVICE).track_inprogress():
            try:
                async with background(reporter.keep_alive()):
                    report = await self._outcome(request, reporter)
            except asyncio.CancelledError:
                OUTCOMES.labels(SERVICE, "given_back").inc()
                await reporter.give_back()
                raise
            finally:
                self._slots.release()
            SECONDS.labels(SERVICE).observe(perf_counter() - began)
            await reporter.finish(report)

    async def _outcome(self, request: AnalysisRequested, reporter: Reporter) -> AnalysisReport:
        words = [ScriptWord(**word.model_dump(include=_WORD_FIELDS)) for word in request.words]
        try:
            async with self._recordings.fetched(request.audio_url) as recording:
                result = await self._score(recording, words, reporter, request)
        except YouSyncError as error:
            log.info("the analysis failed", extra={"reason": error.code, "detail": error.detail})
            OUTCOMES.labels(SERVICE, error.code).inc()
            message = texts.FAILURES.get(error.code, texts.FAILURE)
            return reporter.failed(error.code, message, temporary=error.retryable)
        except Exception:
            log.exception("the analysis failed unexpectedly")
            OUTCOMES.labels(SERVICE, "internal").inc()
            return reporter.failed("internal", texts.FAILURE, temporary=True)
        OUTCOMES.labels(SERVICE, "completed").inc()
        return AnalysisReportCompleted(
            job_id=request.job_id,
            lease=request.lease,
            worker=self._name,
            result={"status": "success", "result": result},
        )

    async def _score(
        self, recording: Path, words: Sequence[ScriptWord], reporter: Reporter, request: AnalysisRequested
    ) -> dict[str, Any]:
        """The engine's result, or that nothing was heard when the recording is what it fails on."""
        try:
            return await self._scorer.score(recording, words, reporter.progress, line_start=request.line_start)
        except AudioError as error:
            log.info("nothing can be heard in this recording", extra={"reason": error.code, "detail": error.detail})
            return unheard(words, error).to_json()

    async def _stop(self) -> None:
        running = list(self._running.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self._shutdown_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


_WORD_FIELDS: Final = {"id", "word", "start_time", "end_time", "mfcc"}
