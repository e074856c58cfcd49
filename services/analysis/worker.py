"""Takes jobs from the work queues, has them analysed, reports. Holds nothing that another worker would miss.

A message is acknowledged when its job is claimed, not when it is done: from then on the lease, kept by reports, says that
somebody works on it. A worker that dies loses its leases, and the job's owner gives the jobs to others.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any, Final, Generic, Protocol, TypeVar

from libs.common.background import background
from libs.common.bus.base import Bus, Message
from libs.common.bus.router import Router
from libs.common.bus.topology import Queue
from libs.common.contracts.audio import AnalysisReport, AnalysisReportCompleted
from libs.common.errors import YouSyncError
from libs.common.telemetry import log_context
from libs.common.web.health import Check
from services.analysis import texts
from services.analysis.metrics import OUTCOMES, RUNNING, SECONDS, SERVICE
from services.analysis.orders import Order, priority_of
from services.analysis.reporting import Reporter
from services.analysis.slots import Slot, Slots
from services.analysis.stops import Stops

log = logging.getLogger(__name__)

CLAIMS: Final = 4
"""Of as many jobs as this that it works on at a time, a worker has one more of each queue in hand. Jobs that end together make
room together; claims take some milliseconds each on their way to the broker, and one after the other they would leave the last
slot empty for long. What is in hand begins, on average, within a quarter of the time that a job takes."""
CLAIM_SECONDS: Final = 0.5
"""At the end: for claims that are being published. One that waits for a slot goes back to its queue."""


AnyOrder = TypeVar("AnyOrder", bound=Order)


class Obstacle(Protocol):
    """Why no job of some kind can be begun for now."""

    async def gone(self) -> None:
        """Returns when it is worth another look."""


class Analyst(Protocol[AnyOrder]):
    """What does the work: `reference.Reference`, `bridge.Bridge`, of films `film_bridge.FilmBridge`."""

    @property
    def orders(self) -> type[AnyOrder]:
        """What it is asked."""

    @property
    def queues(self) -> Collection[Queue]:
        """Where that comes from."""

    @property
    def size(self) -> int:
        """Jobs at a time."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """What it needs, for `/health/ready`."""

    async def start(self) -> None:
        """Make ready."""

    async def close(self) -> None:
        """Let go of everything."""

    def obstacle(self, request: AnyOrder) -> Obstacle | None:
        """What stands against beginning this job now; it then stays in its queue, where another worker can take it."""

    async def analyse(self, request: AnyOrder, progress: Callable[[int, str], None]) -> dict[str, Any]:
        """The result as it is stored. `progress` takes 0..100 and the name of the step.

        A YouSyncError that is not retryable ends the job, any other exception is a temporary failure. Cancelled when nobody
        wants the result any more, and when this worker stops.
        """

    def entrusted(self, request: AnyOrder) -> bool:
        """Of one that was cancelled: whether somebody else works on it and will report, so that nobody else may be asked."""


class Worker(Generic[AnyOrder]):
    """One consumer per work queue, `analyst.size` jobs at a time. Times are seconds."""

    def __init__(
        self,
        bus: Bus,
        analyst: Analyst[AnyOrder],
        *,
        name: str,
        progress_seconds: float,
        shutdown_seconds: float,
    ) -> None:
        self._bus = bus
        self._analyst = analyst
        self._name = name
        self._progress_seconds = progress_seconds
        self._shutdown_seconds = shutdown_seconds
        self._slots = Slots(analyst.size)
        self._stops = Stops(bus, self._drop)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, asyncio.Task[None]] = {}  # by lease
        self._dropped: set[str] = set()  # leases of those that nobody wants any more
        self._unclaimed: set[str] = set()  # leases of those whose claim did not get through

    async def run(self) -> None:
        """Work until cancelled; then finish what is nearly done, give the rest back."""
        await self._stops.start()
        try:
            async with asyncio.TaskGroup() as group:
                for queue in self._analyst.queues:
                    group.create_task(self._serve(queue))
        finally:
            await self._stop()
            await self._stops.close()

    async def _serve(self, queue: Queue) -> None:
        while True:
            obstacle = await self._take_from(queue)
            await obstacle.gone()

    async def _take_from(self, queue: Queue) -> Obstacle:
        """Claim what comes, until there is a job that cannot be begun: it goes back."""
        met: asyncio.Future[Obstacle] = asyncio.get_running_loop().create_future()
        router = Router()
        router.on(self._analyst.orders, partial(self._claim, met))
        # Few messages in hand: the others stay where another worker can take them.
        subscription = await self._bus.consume(queue, router, concurrency=max(1, self._analyst.size // CLAIMS))
        patience = CLAIM_SECONDS
        try:
            obstacle = await met
            patience = 0.0
            return obstacle
        finally:
            await subscription.drain(patience)

    async def _claim(self, met: "asyncio.Future[Obstacle]", request: AnyOrder, _: Message) -> None:
        """Wait for a slot, claim the job, begin it in a task of its own."""
        if request.lease in self._running:
            return  # delivered twice
        slot = await self._slots.take(priority_of(request))
        try:
            if request.lease in self._running:
                return  # delivered twice, while both waited
            if datetime.now(UTC) >= min(request.claim_before, request.deadline):
                log.info("this job is no longer to be claimed", extra={"job_id": request.job_id})
                return
            obstacle = self._analyst.obstacle(request)
            if obstacle is None:
                await self._begin(request, slot.hand_over())
        finally:
            slot.free()
        if obstacle is not None:
            if not met.done():
                met.set_result(obstacle)
            await asyncio.Event().wait()  # the drain ends this and gives the message back

    async def _begin(self, request: AnyOrder, slot: Slot) -> None:
        """Claim the job, and work on it meanwhile: a slot would stand still for as long as the claim is on its way.

        When it does not get through the work was for nothing, and ends; whoever gets the job next begins anew.
        """
        reporter = Reporter(self._bus, request, worker=self._name, pause=self._progress_seconds)
        claim = asyncio.gather(self._stops.listen(request.lease), reporter.started())
        task = self._running[request.lease] = asyncio.create_task(self._work(request, reporter, slot))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, request.lease, slot))
        try:
            await claim
        except BaseException:
            self._unclaimed.add(request.lease)
            task.cancel()
            raise

    def _over(self, lease: str, slot: Slot, task: "asyncio.Task[None]") -> None:
        """Also of a task that was cancelled before it began."""
        slot.free()
        self._tasks.discard(task)
        del self._running[lease]
        self._unclaimed.discard(lease)
        self._dropped.discard(lease)
        self._stops.forget(lease)

    async def _work(self, request: AnyOrder, reporter: Reporter, slot: Slot) -> None:
        began = perf_counter()
        with log_context(job_id=request.job_id), RUNNING.labels(SERVICE).track_inprogress():
            try:
                async with background(reporter.keep_alive()):
                    report = await self._outcome(request, reporter)
                slot.free()
                SECONDS.labels(SERVICE).observe(perf_counter() - began)
                await reporter.finish(report)
            except asyncio.CancelledError:
                await self._ended_early(request, reporter)
                raise

    async def _ended_early(self, request: AnyOrder, reporter: Reporter) -> None:
        entrusted = self._analyst.entrusted(request)
        if request.lease in self._unclaimed:
            log.info("this job could not be claimed")
            OUTCOMES.labels(SERVICE, "unclaimed").inc()
        elif request.lease in self._dropped:
            log.info("nobody wants this job's result any more")
            OUTCOMES.labels(SERVICE, "dropped").inc()
        elif entrusted:
            log.info("this job goes on without this worker")
            OUTCOMES.labels(SERVICE, "entrusted").inc()
        else:
            OUTCOMES.labels(SERVICE, "given_back").inc()
            await reporter.give_back()

    async def _outcome(self, request: AnyOrder, reporter: Reporter) -> AnalysisReport:
        try:
            result = await self._analyst.analyse(request, reporter.progress)
        except YouSyncError as error:
            log.info("the analysis failed", extra={"reason": error.code, "detail": error.detail})
            OUTCOMES.labels(SERVICE, error.code).inc()
            return reporter.failed(error.code, texts.failure(request, error.code), temporary=error.retryable)
        except Exception:
            log.exception("the analysis failed unexpectedly")
            OUTCOMES.labels(SERVICE, "internal").inc()
            return reporter.failed("internal", texts.failure(request, "internal"), temporary=True)
        OUTCOMES.labels(SERVICE, "completed").inc()
        return AnalysisReportCompleted(job_id=request.job_id, lease=request.lease, worker=self._name, result=result)

    def _drop(self, lease: str) -> None:
        """The job's owner says that whatever we report changes nothing."""
        if lease in self._running:
            self._dropped.add(lease)
            self._running[lease].cancel()

    async def _stop(self) -> None:
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=self._shutdown_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
