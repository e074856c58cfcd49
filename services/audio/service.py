"""The use cases of analysis jobs: show, dispatch, hear reports, and move on what time has run out for.

Every change goes through `transition` and is committed together with its event. Uploads are in `uploads`.
"""

import json
import logging
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from libs.common.bus.base import Bus, BusUnavailable, Message
from libs.common.contracts.audio import JobFact
from libs.common.contracts.notifier import frame_of, job_channel
from libs.common.db import Database, Outgoing, Transaction
from libs.common.frames import send
from libs.common.web.auth import Principal
from services.audio import repository, texts
from services.audio.errors import JobBusy, JobNotFound
from services.audio.facts import fact_of
from services.audio.jobs import (
    Completed,
    Dispatch,
    Failed,
    Ignored,
    Job,
    JobEvent,
    Report,
    Rules,
    State,
    Tick,
    transition,
)
from services.audio.metrics import FINISHED_JOBS, OPEN_JOBS, OVERDUE, REPORTS, SERVICE
from services.audio.orders import Orders, Parcel

log = logging.getLogger(__name__)

# Of a line 32 hex digits, of a whole scene a UUID with dashes.
JOB_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
SWEEP_BATCH = 100
# Looks at a job before a report is left to the bus to bring again. One server reports on a job, one report after the other.
LOOKS = 5
REMEMBERED = 1_000  # more jobs than servers work on at a time; each is a few hundred bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A job after an event, and what the others hear of it."""

    job: Job
    outgoing: tuple[Outgoing, ...]


class JobService:
    """Use cases of jobs. `max_result_bytes` is the size of a result as JSON."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        orders: Orders,
        rules: Rules,
        *,
        max_result_bytes: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._bus = bus
        self._orders = orders
        self._rules = rules
        self._max_result_bytes = max_result_bytes
        self._clock = clock
        self._left_as: dict[str, Job] = {}  # open jobs as this process' last report on them left them, oldest first

    async def visible(self, job_id: str, viewer: Principal | None, *, missing: str) -> Job:
        """The job for its owner, for an administrator, and for anybody when it has no owner.

        Raises JobNotFound with the text `missing` otherwise, so that nobody learns which ids exist.
        """
        job = await self.find(job_id)
        if job is None or not _may_see(viewer, job):
            raise JobNotFound(missing)
        return job

    async def visible_among(self, job_ids: Collection[str], viewer: Principal | None) -> dict[str, Job]:
        """Those of the jobs that `visible` would show, by id."""
        possible = [job_id for job_id in job_ids if JOB_ID.fullmatch(job_id)]
        async with self._database.autocommit() as connection:
            jobs = await repository.find_jobs(connection, possible)
        return {job.id: job for job in jobs if _may_see(viewer, job)}

    async def waiting_and_running(self) -> tuple[int, int]:
        """How many jobs wait for an analysis server, and how many one works on."""
        async with self._database.autocommit() as connection:
            counts = await repository.count_open_jobs(connection)
        return counts[State.QUEUED] + counts[State.DISPATCHED], counts[State.RUNNING]

    async def find(self, job_id: str) -> Job | None:
        """The job, for callers who may see all."""
        if not JOB_ID.fullmatch(job_id):
            return None
        async with self._database.autocommit() as connection:
            return await repository.find_job(connection, job_id)

    async def dispatch(self, job_id: str, message: Message) -> None:
        """Give the new job to the analysis servers; `message` said that it is there."""
        parcel = (await self._orders.parcels([job_id])).get(job_id)
        async with self._database.transaction() as tx:
            if not await tx.first_time(message, "audio.dispatch"):
                return
            job = await repository.lock_job(tx.connection, job_id)
            if job is None or parcel is None:
                log.error("there is no job to dispatch", extra={"job_id": job_id})
                return
            await self._apply(tx, job, Dispatch(_new_lease()), parcel)

    async def report(self, job_id: str, kind: str, report: Report) -> str:
        """An analysis server claims something (`kind` names it in metrics). What does not fit the job changes nothing.

        What became of it: `accepted`, `unknown_job`, or why nothing changed (`jobs.Why`).

        No inbox row is needed for "once": a second delivery finds its lease gone or its change made. Nothing is locked, for
        a learner waits: one round trip if this process made the job's last change, else two, and two more whenever somebody
        else changes the job meanwhile.
        Raises JobBusy, DatabaseUnavailable.
        """
        if not JOB_ID.fullmatch(job_id):
            REPORTS.labels(SERVICE, kind, "unknown_job").inc()
            return "unknown_job"
        report = self._presentable(report)
        may_go_out_again = isinstance(report, Failed) and report.temporary
        parcel = (await self._orders.parcels([job_id])).get(job_id) if may_go_out_again else None
        outcome = await self._hear(job_id, report, parcel)
        REPORTS.labels(SERVICE, kind, outcome).inc()
        if outcome != "accepted":
            log.info("a report changed nothing", extra={"job_id": job_id, "kind": kind, "outcome": outcome})
        return outcome

    async def _hear(self, job_id: str, report: Report, parcel: Parcel | None) -> str:
        """What became of the report, as metrics name it."""
        for _ in range(LOOKS):
            remembered = self._left_as.pop(job_id, None)
            job = remembered or await self.find(job_id)
            if job is None:
                return "unknown_job"
            change = self._decide(job, report, parcel)
            if isinstance(change, Ignored):
                if remembered:
                    continue  # what is remembered may be outdated: only what is committed refuses a report
                return change.why.value
            if await repository.save_job(self._database, job, change.job, change.outgoing):
                _count(change.job)
                self._remember(change.job)
                await self._send_ahead(change)
                return "accepted"
        raise JobBusy

    def _remember(self, job: Job) -> None:
        """What a report is written upon needs no reading when nobody changed it since; its version tells."""
        if job.state.is_open:
            self._left_as[job.id] = job
            if len(self._left_as) > REMEMBERED:
                del self._left_as[next(iter(self._left_as))]

    async def _send_ahead(self, change: Change) -> None:
        """Somebody waits live for what a report says: its frame goes out now that it is committed.

        Notifier makes the same frame of the same fact some milliseconds later, and gateways know it by its sequence: so one
        that gets lost here only comes later.
        """
        for each in change.outgoing:
            if isinstance(each.event, JobFact):
                with suppress(BusUnavailable):
                    await send(self._bus, frame_of(each.event))

    async def sweep(self) -> None:
        """Move on every job that something is due for by the clock. Any number of processes may do this at once."""
        while True:
            async with self._database.reading() as connection:
                due = await repository.overdue_jobs(connection, self._clock(), SWEEP_BATCH)
            if due:
                await self._move_on(due)
            if len(due) < SWEEP_BATCH:
                return

    async def measure(self) -> None:
        """Bring the gauge of open jobs up to date."""
        async with self._database.reading() as connection:
            counts = await repository.count_open_jobs(connection)
        for state, number in counts.items():
            OPEN_JOBS.labels(SERVICE, state.value).set(number)

    async def _move_on(self, job_ids: Collection[str]) -> None:
        parcels = await self._orders.parcels(job_ids)
        moved = 0
        async with self._database.transaction() as tx:
            for job in await repository.lock_idle_jobs(tx.connection, job_ids):
                now = self._clock()
                waits = job.state is State.QUEUED and job.dispatch_at <= now < job.deadline
                event = Dispatch(_new_lease()) if waits else Tick()
                moved += await self._apply(tx, job, event, parcels[job.id]) is None
        if moved:
            OVERDUE.labels(SERVICE).inc(moved)
            log.warning("time ran out for some jobs and they were moved on", extra={"jobs": moved})

    async def _apply(self, tx: Transaction, job: Job, event: JobEvent, parcel: Parcel | None) -> Ignored | None:
        """Change the locked `job`, write what follows from it into the same transaction; why not, if nothing changed."""
        change = self._decide(job, event, parcel)
        if isinstance(change, Ignored):
            return change
        await repository.save_locked_job(tx.connection, job, change.job)
        for each in change.outgoing:
            tx.publish(each.event, subject=each.subject, routing_key=each.routing_key)
        _count(change.job)
        return None

    def _decide(self, job: Job, event: JobEvent, parcel: Parcel | None) -> Change | Ignored:
        """What `event` makes of `job`. With a `parcel` a job that may be dispatched now is."""
        now = self._clock()
        changed = transition(job, event, now, self._rules)
        if isinstance(changed, Ignored):
            return changed
        if parcel is not None and changed.state is State.QUEUED and changed.dispatch_at <= now:
            again = transition(changed, Dispatch(_new_lease()), now, self._rules)
            assert isinstance(again, Job)
            changed = again
        outgoing = []
        if parcel is not None and changed.state is State.DISPATCHED:
            request = self._orders.request(changed, parcel)
            # Its own ordering key: the facts of a job must not wait until a server has time for the job.
            outgoing.append(Outgoing(request, f"work:{job.id}", f"{request.name}.{changed.priority.value}"))
        fact = fact_of(job, changed)
        if fact is not None:
            outgoing.append(Outgoing(fact, job_channel(job.id)))
        return Change(changed, tuple(outgoing))

    def _presentable(self, report: Report) -> Report:
        """The report without anything that the database or a learner's screen could not take."""
        match report:
            case Completed(lease, result) if not _is_storable(result, self._max_result_bytes):
                return Failed(lease, "invalid_result", texts.GAVE_UP, temporary=False)
            case Failed(lease, reason, message, temporary):
                return Failed(lease, _code(reason), texts.cleaned(message) or texts.GAVE_UP, temporary)
        return report


def _new_lease() -> str:
    return uuid4().hex


def _count(job: Job) -> None:
    if not job.state.is_open:
        FINISHED_JOBS.labels(SERVICE, job.state.value, job.reason or "").inc()


def _may_see(viewer: Principal | None, job: Job) -> bool:
    return job.user_id is None or (viewer is not None and (viewer.is_admin or viewer.user_id == job.user_id))


def _is_storable(result: dict[str, Any], max_bytes: int) -> bool:
    """Whether PostgreSQL takes it as JSON: no NaN, no infinity, no number beyond all digits, no U+0000, no abyss."""
    try:
        document = json.dumps(result, allow_nan=False, ensure_ascii=False)
        size = len(document.encode())
    except (ValueError, RecursionError):  # also of half a surrogate pair, which has no bytes
        return False
    return size <= max_bytes and not _holds_nul(document)


def _holds_nul(document: str) -> bool:
    # json.dumps writes U+0000 as \u0000; behind an even number of backslashes more it would be mere text
    return any(len(found[0]) % 2 == 1 for found in re.finditer(r"\\+(?=u0000)", document))


def _code(reason: str) -> str:
    """A failure's reason, if it is a code as we expect one; metrics carry it."""
    return reason if re.fullmatch(r"[a-z][a-z0-9_]{0,39}", reason, re.ASCII) else "analysis_error"
