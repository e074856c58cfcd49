"""One change of a job: what an event makes of it, who hears of it, and what is counted."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from libs.common.contracts.notifier import job_channel
from libs.common.db import Outgoing
from services.audio.facts import fact_of
from services.audio.job_repository import Saved
from services.audio.jobs import Failed, Ignored, Job, JobEvent, Rules, State, Tick, transition
from services.audio.metrics import CLAIM_SECONDS, FINISHED_JOBS, RUN_SECONDS, SERVICE, WAIT_SECONDS

Clock: TypeAlias = Callable[[], datetime]

REMEMBERED = 1_000  # more jobs than servers work on at a time; each is a few hundred bytes


def utc_now() -> datetime:
    """The clock of every use case, unless a test has its own."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Change:
    """A job before and after an event, and what the others hear of it beside the orders of analysis servers."""

    before: Job
    after: Job
    event: JobEvent
    facts: tuple[Outgoing, ...]

    @property
    def saved(self) -> Saved:
        """As it is written."""
        return Saved(self.before, self.after, type(self.event).__name__.lower(), self._reason)

    @property
    def given_up(self) -> str | None:
        """The lease that the change took from whoever holds it; None if it took none."""
        return self.before.lease if self.after.lease is None else None

    @property
    def _reason(self) -> str | None:
        """Why the attempt or the job ended, for the log."""
        match self.event:
            case Failed(reason=reason):
                return reason
            case Tick() if self.after.state is State.QUEUED:
                return "worker_lost" if self.before.state is State.RUNNING else "unclaimed"
        return self.after.reason

    @property
    def makes_room(self) -> bool:
        """Whether another job, or this one, may be dispatched because of it."""
        return self.after.state is not self.before.state and self.after.state is not State.DISPATCHED


def change_of(job: Job, event: JobEvent, now: datetime, rules: Rules) -> Change | Ignored:
    """What `event` makes of `job`, or why nothing. Pure."""
    after = transition(job, event, now, rules)
    if isinstance(after, Ignored):
        return after
    fact = fact_of(job, after)
    outgoing = () if fact is None else (Outgoing(fact, job_channel(job.id), traceparent=job.traceparent),)
    return Change(job, after, event, outgoing)


def count(change: Change) -> None:
    """Count a change that is committed, and how long the job was in the state that it left."""
    before, after = change.before, change.after
    if after.state is before.state:
        return
    labels, now = (SERVICE, before.priority.value), after.updated_at
    if after.state is State.DISPATCHED:
        WAIT_SECONDS.labels(*labels).observe((now - before.dispatch_at).total_seconds())
    elif before.state is State.DISPATCHED and after.state is State.RUNNING:
        CLAIM_SECONDS.labels(*labels).observe((now - before.updated_at).total_seconds())
    elif before.state is State.RUNNING and before.started_at is not None:
        RUN_SECONDS.labels(*labels, after.state.value).observe((now - before.started_at).total_seconds())
    if not after.state.is_open:
        FINISHED_JOBS.labels(SERVICE, after.state.value, after.reason or "").inc()


class LastSeen:
    """Open jobs as this process left them, so that the next report is written upon them without reading.

    It only saves a read: the version tells whether somebody else changed the job since.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}  # oldest first

    def keep(self, jobs: Collection[Job]) -> None:
        """Remember those that have not ended."""
        for job in jobs:
            if job.state.is_open:
                self._jobs[job.id] = job
        while len(self._jobs) > REMEMBERED:
            del self._jobs[next(iter(self._jobs))]

    def take(self, job_id: str) -> Job | None:
        """The job, which is forgotten with that."""
        return self._jobs.pop(job_id, None)
