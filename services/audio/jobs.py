"""A job's life, as one pure function. Nothing else changes a job's state.

    queued ──dispatch──> dispatched ──report──> running ──completed──> completed
      ^                      │                    │  │
      ├─ nobody claimed it ──┘                    │  └──permanent failure, deadline, attempts used up──> failed
      └──── temporary failure, lease ran out ─────┘

(`cancelled` is the third end: on request, from any open state. While it is queued a job also ages: one priority up.)

A dispatch hands out a lease. Only reports that carry it count, so an analysis server that was given up cannot disturb
the one that took over, and a message that is delivered twice finds nothing to change the second time.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from libs.common.contracts.audio import JobKind, Priority
from services.audio import texts
from services.audio.results import overall_score, token_ids


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  # to be dispatched at `dispatch_at`
    DISPATCHED = "dispatched"  # in a work queue; the lease runs out when nobody claims it there
    RUNNING = "running"  # an analysis server has it; the lease must be prolonged by reports
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to the job."""
        return self not in (State.COMPLETED, State.FAILED, State.CANCELLED)

    @property
    def public(self) -> str:
        """As people and programs outside are told it: whether a request is in a table or a work queue is our own business."""
        return {State.DISPATCHED: "queued", State.RUNNING: "processing"}.get(self, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One take's way to its score, or one film's to its scenes.

    `version` grows by one with every change, so that nobody overwrites a change that he has not seen. `sequence` is how
    many facts the others were told of the job so far.
    """

    id: str  # a UUID, unguessable: of a line 32 hex digits, else with dashes, as clients know them
    kind: JobKind = JobKind.LINE
    take_id: UUID | None  # None of a film
    film_id: UUID | None = None  # None of a take
    user_id: int | None  # None: of a take without sign-in, shown to whoever knows the id; of a film, shown to administrators
    token_id: int | None  # None of a film
    script_id: int | None  # None for a whole scene
    retry_of: str | None = None  # the ended job that this one does over
    owner_key: str = ""  # who shares the servers fairly with others: `user:<id>`, or what is known of a caller without sign-in
    turn: int = 0  # in the queue of its priority, lowest first; see the dispatcher
    state: State = State.QUEUED
    version: int = 1
    sequence: int = 1  # the upload is the first fact
    progress: int = texts.STORED_PROGRESS  # 0..100, never falls while the job is open
    message: str = texts.STEPS[JobKind.LINE].stored
    attempt: int = 0  # dispatches so far, without those that nobody claimed
    lease: str | None = None  # fencing token of the current attempt
    worker: str | None = None  # who has it, or had it last, for operators
    lease_expires_at: datetime | None = None
    dispatch_at: datetime  # while queued: not to be dispatched earlier; it waits since then
    deadline: datetime
    started_at: datetime | None = None  # of the current attempt, or the last one that was begun
    result: dict[str, Any] | None = None
    score: float | None = None  # 0..1, of the result
    reason: str | None = None  # of a failure, a stable code for programs
    priority: Priority = Priority.HIGH
    traceparent: str | None = None  # of the request that began it: the trace that everything about it goes on with
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long after its beginning nobody waits for a job any more."""

    line: timedelta = timedelta(minutes=10)
    token: timedelta = timedelta(minutes=30)
    batch: timedelta = timedelta(hours=6)
    film: timedelta = timedelta(hours=2)

    def of(self, kind: JobKind, priority: Priority) -> timedelta:
        """Of a job of this kind that begins with this priority."""
        if priority is Priority.LOW:
            return self.batch
        return {JobKind.LINE: self.line, JobKind.TOKEN: self.token, JobKind.FILM: self.film}[kind]


def new_job(
    *,
    kind: JobKind,
    take_id: UUID | None,
    user_id: int | None,
    token_id: int | None,
    script_id: int | None,
    owner_key: str,
    priority: Priority,
    lifetimes: Lifetimes,
    now: datetime,
    traceparent: str | None = None,
    retry_of: str | None = None,
    film_id: UUID | None = None,
) -> Job:
    """A job that begins now. Its turn is given to it when it is written."""
    job_id = uuid4()
    return Job(
        id=job_id.hex if kind is JobKind.LINE else str(job_id),
        kind=kind,
        take_id=take_id,
        film_id=film_id,
        user_id=user_id,
        token_id=token_id,
        script_id=script_id,
        retry_of=retry_of,
        owner_key=owner_key,
        dispatch_at=now,
        deadline=now + lifetimes.of(kind, priority),
        priority=priority,
        progress=texts.STEPS[kind].stored_progress,
        message=texts.STEPS[kind].stored,
        traceparent=traceparent,
        created_at=now,
        updated_at=now,
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient the state machine is. Times are seconds."""

    lease_seconds: float = 30.0
    claim_seconds: float = 120.0
    ageing_seconds: float = 300.0
    max_attempts: int = 3
    # until attempt 2, 3..; the last one holds for all later ones
    retry_seconds: tuple[float, ...] = (0.0, 15.0)

    def claim_until(self, job: "Job", now: datetime) -> datetime:
        """Until when a job that is dispatched now has to be claimed.

        A film may lie behind others that take an hour each; taking its order back would not bring it nearer.
        """
        return job.deadline if job.kind is JobKind.FILM else min(now + timedelta(seconds=self.claim_seconds), job.deadline)

    def lease_until(self, job: "Job", now: datetime) -> datetime:
        """Until when whoever has the job now must be heard of.

        A film is nobody else's once a preprocessor has it: asked again, one that is only silent would make the scenes twice.
        """
        return job.deadline if job.kind is JobKind.FILM else now + timedelta(seconds=self.lease_seconds)

    def retry_at(self, now: datetime, attempt: int) -> datetime:
        """When the attempt after `attempt` is due."""
        return now + timedelta(seconds=self.retry_seconds[min(attempt, len(self.retry_seconds)) - 1])


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The job goes to the work queue under a fresh lease."""

    lease: str


@dataclass(frozen=True, slots=True)
class Started:
    """The holder of the lease begins. `worker` is who that is, for operators."""

    lease: str
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Progressed:
    """The holder of the lease is alive and this far (0..100 of the analysis)."""

    lease: str
    percent: int
    step: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """The holder of the lease has the result."""

    lease: str
    result: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The holder of the lease could not do it. `message` is for the learner and shown when the failure is permanent."""

    lease: str
    reason: str
    message: str
    temporary: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Age:
    """The job has waited so long that it moves one priority up, where it gets this turn."""

    turn: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants the job any more."""


Report: TypeAlias = Started | Progressed | Completed | Failed
JobEvent: TypeAlias = Dispatch | Report | Tick | Age | Cancel


class Why(StrEnum):
    """Why an event changed nothing."""

    FINISHED = "finished"  # the job has ended
    STALE_LEASE = "stale_lease"  # the lease is of an earlier attempt, or made up
    DUPLICATE = "duplicate"  # it is so already
    NOT_DUE = "not_due"


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event changes nothing."""

    why: Why


def transition(job: Job, event: JobEvent, now: datetime, rules: Rules) -> Job | Ignored:
    """The job after `event`, or why there is no change. Pure."""
    if not job.state.is_open:
        return Ignored(Why.FINISHED)
    match event:
        case Dispatch(lease):
            return _dispatch(job, lease, now, rules)
        case Tick():
            return _time_passed(job, now, rules)
        case Age(turn):
            return _age(job, turn, now, rules)
        case Cancel():
            return _end(job, State.CANCELLED, texts.STEPS[job.kind].cancelled, now, reason="cancelled")
    if job.lease is None or event.lease != job.lease:
        return Ignored(Why.STALE_LEASE)
    match event:
        case Started(worker=worker):
            return Ignored(Why.DUPLICATE) if job.state is State.RUNNING else _run(job, worker, now, rules)
        case Progressed():
            return _progress(job, event, now, rules)
        case Completed(result=result) if job.kind is JobKind.FILM and token_ids(result) is None:
            return _end(job, State.FAILED, texts.STEPS[job.kind].gave_up, now, reason="invalid_result")
        case Completed(result=result):
            score = overall_score(result)
            return replace(
                _end(job, State.COMPLETED, texts.STEPS[job.kind].completed, now), progress=100, result=result, score=score
            )
        case Failed(temporary=True):
            return _try_again(job, event.reason, now, rules)
        case Failed():
            return _end(job, State.FAILED, event.message, now, reason=event.reason)


def _dispatch(job: Job, lease: str, now: datetime, rules: Rules) -> Job | Ignored:
    if job.state is not State.QUEUED:
        return Ignored(Why.DUPLICATE)
    return _changed(
        job,
        now,
        state=State.DISPATCHED,
        attempt=job.attempt + 1,
        lease=lease,
        lease_expires_at=rules.claim_until(job, now),
        progress=max(job.progress, texts.STEPS[job.kind].dispatched_progress),
        message=texts.STEPS[job.kind].dispatched,
    )


def _run(job: Job, worker: str | None, now: datetime, rules: Rules) -> Job:
    return _told(
        job,
        now,
        state=State.RUNNING,
        worker=worker,
        started_at=now,
        lease_expires_at=rules.lease_until(job, now),
        message=texts.STEPS[job.kind].running,
    )


def _progress(job: Job, report: Progressed, now: datetime, rules: Rules) -> Job:
    """A report that shows nothing new still proves life: the lease grows, and nobody is told."""
    expires = rules.lease_until(job, now)
    progress = texts.progress_while_running(job.kind, report.percent)
    if job.state is State.RUNNING and progress <= job.progress:
        return _changed(job, now, lease_expires_at=expires)
    # Not yet running: the report of the start got lost, or this one overtook it.
    return _told(
        job,
        now,
        state=State.RUNNING,
        started_at=job.started_at if job.state is State.RUNNING else now,
        lease_expires_at=expires,
        progress=max(job.progress, progress),
        message=texts.step(job.kind, report.step),
    )


def _time_passed(job: Job, now: datetime, rules: Rules) -> Job | Ignored:
    if now >= job.deadline:
        if job.kind is JobKind.FILM and job.started_at is None:
            return _end(job, State.FAILED, texts.NO_PREPROCESSOR, now, reason="no_preprocessor")
        return _end(job, State.FAILED, texts.STEPS[job.kind].too_late, now, reason="deadline")
    if job.lease_expires_at is not None and now >= job.lease_expires_at:
        if job.state is State.DISPATCHED:  # no server's fault: it waited behind others, or there is no server
            return _queue(replace(job, attempt=job.attempt - 1), now, due=now)
        return _try_again(job, "worker_lost", now, rules)
    return Ignored(Why.NOT_DUE)


def _age(job: Job, turn: int, now: datetime, rules: Rules) -> Job | Ignored:
    if job.state is not State.QUEUED or job.priority is Priority.HIGH:
        return Ignored(Why.DUPLICATE)
    if now < job.dispatch_at + timedelta(seconds=rules.ageing_seconds):
        return Ignored(Why.NOT_DUE)
    up = Priority.HIGH if job.priority is Priority.NORMAL else Priority.NORMAL
    return _changed(job, now, priority=up, turn=turn, dispatch_at=now)


def _try_again(job: Job, reason: str, now: datetime, rules: Rules) -> Job:
    if job.attempt >= rules.max_attempts:
        return _end(job, State.FAILED, texts.STEPS[job.kind].gave_up, now, reason=reason)
    return _queue(job, now, due=rules.retry_at(now, job.attempt))


def _queue(job: Job, now: datetime, *, due: datetime) -> Job:
    """It keeps its turn, and so is ahead of all that came later."""
    return _changed(
        job,
        now,
        state=State.QUEUED,
        lease=None,
        lease_expires_at=None,
        dispatch_at=due,
        message=texts.STEPS[job.kind].dispatched,
    )


def _end(job: Job, state: State, message: str, now: datetime, *, reason: str | None = None) -> Job:
    return _told(
        job,
        now,
        state=state,
        progress=0,  # a failed job shows 0; a completed one is set to 100 by the caller
        message=message,
        reason=reason,
        lease=None,
        lease_expires_at=None,
        finished_at=now,
    )


def _told(job: Job, now: datetime, **changes: Any) -> Job:
    """A change that the others are told of. Queueing and dispatching are not: what they change shows with the next start."""
    return _changed(job, now, sequence=job.sequence + 1, **changes)


def _changed(job: Job, now: datetime, **changes: Any) -> Job:
    return replace(job, version=job.version + 1, updated_at=now, **changes)
