"""The use cases of jobs: show, hear reports, cancel, do over.

Every change goes through `transition` and is committed together with its event. Uploads are in `uploads`, films in `films`,
what waits for its turn in `dispatch`, what waits for time to pass in `sweep`.
"""

import json
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from libs.common import deleted_users, inbox
from libs.common.acts import NOWHERE, Act, Origin, Place, performed, tell
from libs.common.bus.base import Bus, Message
from libs.common.contracts.audio import AudioUploaded, FilmRequested, JobKind, Priority
from libs.common.contracts.notifier import job_channel
from libs.common.db import Database, Outgoing
from libs.common.storage.base import ObjectNotFound, Storage
from libs.common.telemetry import current
from libs.common.web.auth import Principal
from services.audio import film_repository, job_repository, repository, texts
from services.audio.changes import Change, Clock, LastSeen, change_of, count, utc_now
from services.audio.dispatch import Dispatcher
from services.audio.errors import JobBusy, JobEnded, JobNotFound, NotToBeDoneOver, RecordingGone
from services.audio.facts import audio_uploaded, film_requested
from services.audio.job_repository import Ahead
from services.audio.jobs import (
    Cancel,
    Completed,
    Failed,
    Ignored,
    Job,
    JobEvent,
    Lifetimes,
    Report,
    Rules,
    Started,
    State,
    Why,
    new_job,
)
from services.audio.metrics import OPEN_JOBS, REPORTS, SERVICE
from services.audio.telling import send_ahead, stop_server

log = logging.getLogger(__name__)

# Of a line 32 hex digits, of a whole scene a UUID with dashes.
JOB_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# Looks at a job before a report is left to the bus to bring again. One server reports on a job, one report after the other.
LOOKS = 5
MISSING = "분석 작업을 찾을 수 없습니다."
_PRIORITIES = {JobKind.LINE: Priority.HIGH, JobKind.TOKEN: Priority.NORMAL, JobKind.FILM: Priority.FILM}
UNKNOWN_JOB = "unknown_job"  # what becomes of a report on a job that never was, or was erased
MAX_WORKER_LENGTH = 100  # characters of a server's name that are kept


@dataclass(frozen=True, slots=True)
class Outlook:
    """A job, where it stands in the queue, and which job does it over."""

    job: Job
    position: int | None  # 1 is the next; None when it does not wait
    wait_seconds: float | None  # until a server takes it; None when it does not wait or nobody can tell
    retried_as: str | None
    max_attempts: int


class JobService:
    """Use cases of jobs. `max_result_bytes` is the size of a result as JSON."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        storage: Storage,
        dispatcher: Dispatcher,
        rules: Rules,
        lifetimes: Lifetimes,
        seen: LastSeen,
        *,
        max_result_bytes: int,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._bus = bus
        self._storage = storage
        self._dispatcher = dispatcher
        self._rules = rules
        self._lifetimes = lifetimes
        self._seen = seen
        self._max_result_bytes = max_result_bytes
        self._clock = clock

    async def visible(self, job_id: str, viewer: Principal | None, *, missing: str = MISSING) -> Job:
        """The job for its owner, for an administrator, and for anybody when it has no owner; of films for administrators.

        Raises JobNotFound with the text `missing` otherwise, so that nobody learns which ids exist.
        """
        job = await self.find(job_id)
        if job is None or not _may_see(viewer, job):
            raise JobNotFound(missing, why="" if job is None else "not_owner")
        return job

    async def visible_take(self, job_id: str, viewer: Principal | None, *, missing: str) -> Job:
        """As `visible`, of jobs about recordings only."""
        job = await self.visible(job_id, viewer, missing=missing)
        if job.take_id is None:
            raise JobNotFound(missing)
        return job

    async def visible_among(self, job_ids: Collection[str], viewer: Principal | None) -> dict[str, Job]:
        """Those of the jobs that `visible` would show, by id."""
        possible = [job_id for job_id in job_ids if JOB_ID.fullmatch(job_id)]
        async with self._database.autocommit() as connection:
            jobs = await job_repository.find_jobs(connection, possible)
        return {job.id: job for job in jobs if _may_see(viewer, job)}

    async def waiting_and_running(self) -> tuple[int, int]:
        """How many jobs wait for an analysis server, and how many one works on."""
        async with self._database.autocommit() as connection:
            counts = await job_repository.count_open_jobs(connection, takes_only=True)
        return counts[State.QUEUED] + counts[State.DISPATCHED], counts[State.RUNNING]

    async def find(self, job_id: str) -> Job | None:
        """The job, for callers who may see all."""
        if not JOB_ID.fullmatch(job_id):
            return None
        return await job_repository.find_job(self._database, job_id)

    async def outlook(self, job_id: str, viewer: Principal | None) -> Outlook:
        """The job and what its owner has to expect. Raises JobNotFound as `visible` does."""
        return await self._outlook(await self.visible(job_id, viewer))

    async def begun(self, message: Message) -> None:
        """A job waits for its turn, says `message`."""
        self._dispatcher.wake()  # a hint: the job stands in the table since before the message was sent
        await inbox.remember(self._database, message, "audio.dispatch")

    async def report(self, job_id: str, kind: str, report: Report, *, by_holder: bool = True) -> str:
        """An analysis server claims something (`kind` names it in metrics). What does not fit the job changes nothing.

        `by_holder=False` when it comes by a way on which who holds the lease does not learn that it was accepted: then it
        is told to stop if the report ends the attempt. Answers what became of the report: "accepted", or why it changed
        nothing.

        No inbox row is needed for "once": a second delivery finds its lease gone or its change made. Nothing is locked, for
        a learner waits: one round trip if this process made the job's last change, else two, and two more whenever somebody
        else changes the job meanwhile.
        Raises JobBusy, DatabaseUnavailable.
        """
        outcome = UNKNOWN_JOB
        if JOB_ID.fullmatch(job_id):
            outcome = await self._hear(job_id, self._presentable(report), by_holder=by_holder)
        REPORTS.labels(SERVICE, kind, outcome).inc()
        if outcome != "accepted":
            log.info("a report changed nothing", extra={"job_id": job_id, "kind": kind, "outcome": outcome})
        if outcome in (Why.STALE_LEASE, Why.FINISHED, UNKNOWN_JOB):
            await stop_server(self._bus, report.lease)
        return outcome

    async def cancel(self, job_id: str, viewer: Principal | None, place: Place = NOWHERE) -> Outlook:
        """End an open job; nothing happens to one that is cancelled already. Somebody else's is cancelled from `place`.

        Raises JobNotFound as `visible` does, JobEnded, JobBusy, DatabaseUnavailable.
        """
        visible = await self.visible(job_id, viewer)
        told = []
        if (by := _stranger(viewer, visible, place)) is not None:
            act = performed(Act.JOB_CANCELLED, by, account_id=visible.user_id, thing=job_channel(job_id))
            told = [Outgoing(act, job_channel(job_id))]
        change = await self._change(job_id, Cancel(), *told)
        if isinstance(change, Change):
            await self._follow_up(change, by_holder=False)
            return await self._outlook(change.after)
        job = await self.find(job_id)
        if job is None:  # erased meanwhile
            raise JobNotFound(MISSING)
        if job.state is not State.CANCELLED:
            raise JobEnded(job.state.public)
        return await self._outlook(job)

    async def retry(
        self, job_id: str, viewer: Principal | None, *, client: str, place: Place = NOWHERE
    ) -> tuple[Outlook, bool]:
        """Begin a new job for the recording, or the film, of one that ended without a result; and whether it is new.

        Asked again, the job that was begun the first time; of a film that is being prepared, that job. Raises JobNotFound as
        `visible` does, NotToBeDoneOver, RecordingGone, DeletedUser, StorageUnavailable, DatabaseUnavailable.
        """
        job = await self.visible(job_id, viewer)
        if job.state not in (State.FAILED, State.CANCELLED):
            raise NotToBeDoneOver(job.state.public)
        async with self._database.autocommit() as connection:
            earlier = await job_repository.find_retry(connection, job_id)
        if earlier is None:
            first_fact = await self._first_fact(job)
            again = new_job(
                kind=job.kind,
                take_id=job.take_id,
                film_id=job.film_id,
                user_id=job.user_id,
                token_id=job.token_id,
                script_id=job.script_id,
                owner_key=client if job.user_id is None else f"user:{job.user_id}",
                priority=_PRIORITIES[job.kind],
                lifetimes=self._lifetimes,
                now=self._clock(),
                traceparent=current("traceparent"),
                retry_of=job.id,
            )
            async with self._database.transaction() as tx:
                if again.user_id is not None:
                    await deleted_users.hold(tx, again.user_id)
                if begun := await job_repository.add_retry(tx, again):
                    tx.publish(first_fact(again), subject=job_channel(again.id))
                    if (by := _stranger(viewer, job, place)) is not None:
                        tell(tx, Act.JOB_RETRIED, by, thing=job_channel(job.id), account_id=job.user_id)
            if begun:
                return await self._outlook(again), True
        async with self._database.autocommit() as connection:
            earlier = earlier or await job_repository.find_retry(connection, job_id)
            if earlier is None and job.film_id is not None:
                prepares = await job_repository.find_open_job_of_film(connection, job.film_id)
                earlier = None if prepares is None else prepares.id
        done_over = None if earlier is None else await self.find(earlier)
        if done_over is None:  # erased meanwhile
            raise JobNotFound(MISSING)
        return await self._outlook(done_over), False

    async def _first_fact(self, job: Job) -> Callable[[Job], AudioUploaded | FilmRequested]:
        """What is told of a job that does `job` over. Raises RecordingGone, StorageUnavailable."""
        async with self._database.autocommit() as connection:
            if job.take_id is None:
                return partial(film_requested, (await film_repository.films_of(connection, [job.id]))[job.id])
            take = await repository.find_take(connection, job.take_id)
        try:
            await self._storage.stat(take.object_key)
        except ObjectNotFound as error:
            raise RecordingGone from error
        return partial(audio_uploaded, take)

    async def measure(self) -> None:
        """Bring the gauge of open jobs up to date."""
        async with self._database.reading() as connection:
            counts = await job_repository.count_open_jobs(connection)
        for state, number in counts.items():
            OPEN_JOBS.labels(SERVICE, state.value).set(number)

    async def _hear(self, job_id: str, report: Report, *, by_holder: bool) -> str:
        """What became of the report, as metrics name it."""
        change = await self._change(job_id, report)
        if change is None:
            return UNKNOWN_JOB
        if isinstance(change, Ignored):
            return change.why.value
        await self._follow_up(change, by_holder=by_holder)
        return "accepted"

    async def _change(self, job_id: str, event: JobEvent, *told: Outgoing) -> Change | Ignored | None:
        """Commit what `event` makes of the job, and tell `told`; why nothing, or None if there is no job. Raises JobBusy."""
        for _ in range(LOOKS):
            remembered = self._seen.take(job_id)
            job = remembered or await self.find(job_id)
            if job is None:
                return None
            change = change_of(job, event, self._clock(), self._rules)
            if isinstance(change, Ignored):
                if remembered:
                    continue  # what is remembered may be outdated: only what is committed refuses an event
                return change
            if await job_repository.save_job(self._database, change.saved, (*change.facts, *told)):
                self._seen.keep([change.after])
                return change
        raise JobBusy

    async def _follow_up(self, change: Change, *, by_holder: bool) -> None:
        """What can wait until the change is committed: the learner's frame first."""
        count(change)
        await send_ahead(self._bus, change)
        if change.makes_room:
            self._dispatcher.wake()
            if change.after.state is State.QUEUED:
                self._dispatcher.wake(after=(change.after.dispatch_at - self._clock()).total_seconds())
        if change.given_up is not None and not by_holder:
            await stop_server(self._bus, change.given_up)

    async def _outlook(self, job: Job) -> Outlook:
        position = wait = retried_as = None
        async with self._database.autocommit() as connection:
            if job.state in (State.QUEUED, State.DISPATCHED):
                ahead = await job_repository.ahead_of(connection, job)
                position, wait = ahead.same + 1, _wait(ahead, job.dispatch_at - self._clock())
            elif not job.state.is_open:
                retried_as = await job_repository.find_retry(connection, job.id)
        return Outlook(job, position, wait, retried_as, self._rules.max_attempts)

    def _presentable(self, report: Report) -> Report:
        """The report without anything that the database or a learner's screen could not take."""
        match report:
            case Started(lease, str(worker)):
                return Started(lease, texts.cleaned(worker)[:MAX_WORKER_LENGTH])
            case Completed(lease, result) if not _is_storable(result, self._max_result_bytes):
                return Failed(lease, "invalid_result", texts.GAVE_UP, temporary=False)
            case Failed(lease, reason, message, temporary):
                return Failed(lease, _code(reason), texts.cleaned(message) or texts.GAVE_UP, temporary)
        return report


def _wait(ahead: Ahead, until_due: timedelta) -> float | None:
    """Seconds until a server is free, if those that work now go on as fast as lately."""
    if ahead.running == 0 or ahead.run_seconds is None:
        return None
    turn = (ahead.same + ahead.higher + 1) * ahead.run_seconds / ahead.running
    return round(max(turn, until_due.total_seconds()), 1)


def _may_see(viewer: Principal | None, job: Job) -> bool:
    if job.kind is JobKind.FILM:
        return viewer is not None and viewer.is_admin
    return job.user_id is None or (viewer is not None and (viewer.is_admin or viewer.user_id == job.user_id))


def _stranger(viewer: Principal | None, job: Job, place: Place) -> Origin | None:
    """An administrator with whose hands on somebody else's job the audit log is concerned."""
    if viewer is None or job.user_id in (None, viewer.user_id):
        return None
    return Origin(place, viewer.user_id, viewer.session_id)


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
