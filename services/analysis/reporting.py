"""What one attempt at one job tells the job's owner."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from libs.common.bus.base import Bus, BusUnavailable, Message, Unroutable
from libs.common.contracts.audio import (
    AnalysisReport,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
)
from libs.common.contracts.notifier import job_channel
from libs.common.telemetry import child_traceparent, current
from services.analysis import texts
from services.analysis.orders import Order

log = logging.getLogger(__name__)

SOURCE: Final = "analysis"
BEATS_PER_LEASE: Final = 3
"""Two reports may get lost before the lease does."""
RETRY_SECONDS: Final = 0.5
LAST_WORD_SECONDS: Final = 1.0


class Reporter:
    """Reports under the lease of `request`. `pause` is the least time between two reports of progress, in seconds."""

    def __init__(self, bus: Bus, request: Order, *, worker: str, pause: float) -> None:
        self._bus = bus
        self._request = request
        self._worker = worker
        self._pause = pause
        self._beat = request.lease_seconds / BEATS_PER_LEASE
        self._percent, self._step = 0, ""
        self._news = asyncio.Event()
        self._claimed = asyncio.Event()  # nothing else is said before
        self._traceparent = current("traceparent")

    async def started(self) -> None:
        """Claim the job. Raises what the bus raises: then it is not ours."""
        await self._publish(AnalysisReportStarted(job_id=self._request.job_id, lease=self._request.lease, worker=self._worker))
        self._claimed.set()

    def progress(self, percent: int, step: str) -> None:
        """The attempt is this far; told when the next report is due, unless it is further by then."""
        self._percent, self._step = percent, texts.STEPS.get(step, step)
        self._news.set()

    async def keep_alive(self) -> None:
        """Report progress as it comes, and the same again often enough to keep the lease; until cancelled."""
        await self._claimed.wait()
        while True:
            try:
                async with asyncio.timeout(self._beat):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            report = AnalysisReportProgressed(
                job_id=self._request.job_id,
                lease=self._request.lease,
                worker=self._worker,
                progress=self._percent,
                step=self._step,
            )
            try:
                await self._publish(report)
            except (BusUnavailable, Unroutable) as error:
                log.warning("progress could not be reported", extra={"error": error.detail})
            await asyncio.sleep(self._pause)

    async def finish(self, report: AnalysisReport) -> None:
        """Report how the attempt ended, trying for as long as anybody waits for it."""
        await self._claimed.wait()
        while True:
            try:
                return await self._publish(report)
            except (BusUnavailable, Unroutable) as error:
                if datetime.now(UTC) >= self._request.deadline:
                    log.error("a result could not be reported in time and is lost", extra={"error": error.detail})
                    return None
            await asyncio.sleep(RETRY_SECONDS)

    async def give_back(self) -> None:
        """This worker stops: somebody else may have the job at once. If nobody hears, the lease runs out instead."""
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                message = texts.failure(self._request, "worker_stopping")
                await self._publish(self.failed("worker_stopping", message, temporary=True))
        except (BusUnavailable, Unroutable, TimeoutError):
            log.warning("a job could not be given back, its lease has to run out")

    def failed(self, reason: str, message: str, *, temporary: bool) -> AnalysisReportFailed:
        """The report of a failure; `message` is for the learner."""
        return AnalysisReportFailed(
            job_id=self._request.job_id,
            lease=self._request.lease,
            worker=self._worker,
            reason=reason,
            message=message,
            temporary=temporary,
        )

    async def _publish(self, report: AnalysisReport) -> None:
        await self._bus.publish(
            Message.of(
                report,
                source=SOURCE,
                subject=job_channel(self._request.job_id),
                traceparent=child_traceparent(self._traceparent),
            )
        )
