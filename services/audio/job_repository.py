"""All SQL about jobs. Every change of a job writes its row of the log in the same statement.

Functions take the connection of their caller's transaction, or, for the `Statement`s of the hot path, where to run them: in a
transaction or each for itself. `save_job` is one of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from asyncpg import ForeignKeyViolationError, Record
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.audio import JobKind, Priority
from libs.common.db import Database, Outgoing, Transaction
from libs.common.outbox.writer import Change
from libs.common.statement import Rows, Statement
from services.audio.errors import RecordingGone
from services.audio.jobs import Job, State
from services.audio.models import JOB_LOG, JOBS, TAKES, TURNS

LEASE_DIGITS = 8  # of a lease in the log
COUNTED = 10_000  # waiting jobs at most: who has that many ahead need not know it more exactly
RECENT = 50  # jobs that say how long one takes

QUEUE_LOCK = 0x7175657565  # "queue": any constant that no other user of advisory locks in this database takes
IDLE_SECONDS = 10  # a process that hangs while it holds the lock loses it after this long

# Written as literals, because PostgreSQL has to see that a partial index covers them.
_QUEUED = JOBS.c.state == sa.literal_column("'queued'")
_DISPATCHED = JOBS.c.state == sa.literal_column("'dispatched'")
_RUNNING = JOBS.c.state == sa.literal_column("'running'")
_OPEN = JOBS.c.finished_at.is_(None)
_OF_FILMS = JOBS.c.priority == Priority.FILM
_ONE: sa.ColumnElement[int] = sa.literal_column("1")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that may be dispatched now, and the turn that its priority has reached."""

    job: Job
    reached: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is known of the way ahead of a waiting job. The counts end at `COUNTED`."""

    same: int  # jobs of its priority that are to be claimed before it
    higher: int  # waiting jobs of higher priorities
    running: int  # jobs that servers work on now
    run_seconds: float | None  # that jobs took lately; None when none is known


@dataclass(frozen=True, slots=True)
class Saved:
    """A change as it is written: the job before and after it, and for the log what changed it and why something ended."""

    before: Job
    after: Job
    event: str
    reason: str | None

    @property
    def log_lease(self) -> str | None:
        """So much of the lease as the log has."""
        lease = self.after.lease or self.before.lease
        return None if lease is None else lease[:LEASE_DIGITS]


_JOB_FIELDS = tuple(field.name for field in fields(Job))
_CHANGING = (
    *("state", "version", "sequence", "progress", "message", "attempt", "lease", "lease_expires_at", "dispatch_at"),
    *("worker", "priority", "turn", "reason", "updated_at", "started_at", "finished_at"),
)
_RESULT = ("result", "score")
_LOGGED = ("id", "version", "updated_at", "state", "attempt", "worker")
_LOG_COLUMNS = ("job_id", "version", "at", "state", "attempt", "worker", "event", "lease", "reason")


def _next_turn(owner_key: sa.ColumnElement[str], priority: sa.ColumnElement[str]) -> sa.ScalarSelect[int]:
    """Start-time fair queueing: behind what this owner has in the queue, and not before what was dispatched last."""
    own = sa.select(sa.func.max(JOBS.c.turn) + 1).where(_QUEUED, JOBS.c.owner_key == owner_key, JOBS.c.priority == priority)
    reached = sa.select(sa.func.greatest(TURNS.c.turn, own.scalar_subquery()))  # greatest() leaves out what is NULL
    return reached.where(TURNS.c.priority == priority).scalar_subquery()


def _logged(changed: sa.CTE, *why: sa.ColumnElement[Any]) -> sa.Insert:
    """Log rows of changed jobs; `why` is event, lease, reason."""
    rows = sa.select(*(changed.c[name] for name in _LOGGED), *why)
    return sa.insert(JOB_LOG).from_select(list(_LOG_COLUMNS), rows)


_WHY = tuple(sa.bindparam(name, type_=sa.Text) for name in ("event", "log_lease", "log_reason"))
_ADDED = (
    insert(JOBS)
    .values(
        {name: sa.bindparam(name, type_=JOBS.c[name].type) for name in _JOB_FIELDS}
        | {"turn": _next_turn(sa.bindparam("owner_key", type_=sa.Text), sa.bindparam("priority", type_=sa.Text))}
    )
    .on_conflict_do_nothing()  # the same job over, or the same film
    .returning(*(JOBS.c[name] for name in _LOGGED))
    .cte("added")
)
_BEGUN = _logged(_ADDED, sa.literal_column("'uploaded'"), sa.null(), sa.null()).returning(JOB_LOG.c.job_id)
_ADD_JOB = Statement(_BEGUN)
# What both have is the same in both. That a job has a take PostgreSQL checks when both are written.
_TAKE = {column.name: sa.bindparam("take_id" if column.name == "id" else column.name, type_=column.type) for column in TAKES.c}
_ADD_TAKE_AND_JOB = Statement(_BEGUN.add_cte(sa.insert(TAKES).values(_TAKE).cte("take")))
_FIND_JOB = Statement(sa.select(JOBS).where(JOBS.c.id == sa.bindparam("job_id")))
_FIND_OPEN_OF_FILM = sa.select(JOBS).where(JOBS.c.film_id == sa.bindparam("film_id"), _OPEN)
_FIND_RETRY = sa.select(JOBS.c.id).where(JOBS.c.retry_of == sa.bindparam("job_id"))
_SAVE_JOB = Change(
    _logged(
        sa.update(JOBS)
        .where(JOBS.c.id == sa.bindparam("job_id"), JOBS.c.version == sa.bindparam("seen_version"))
        .values({name: sa.bindparam(f"new_{name}") for name in (*_CHANGING, *_RESULT)})
        .returning(*(JOBS.c[name] for name in _LOGGED))
        .cte("saved"),
        *_WHY,
    )
)

# Any number of jobs in one statement, as one array per column. Results are left alone: a job that gets one is saved alone.
_GIVEN_TYPES: dict[str, Any] = {
    **{name: JOBS.c[name].type for name in ("id", *_CHANGING)},
    "seen_version": JOBS.c.version.type,
    "event": sa.Text(),
    "log_lease": sa.Text(),
    "log_reason": sa.Text(),
}
_GIVEN = (
    sa.func.unnest(*(sa.bindparam(f"given_{name}", type_=sa.ARRAY(type_)) for name, type_ in _GIVEN_TYPES.items()))
    .table_valued(*(sa.column(name, type_) for name, type_ in _GIVEN_TYPES.items()), name="given")
    .render_derived()
)
_SAVED = (
    sa.update(JOBS)
    .where(JOBS.c.id == _GIVEN.c.id, JOBS.c.version == _GIVEN.c.seen_version)
    .values({name: _GIVEN.c[name] for name in _CHANGING})
    .returning(*(JOBS.c[name] for name in _LOGGED), _GIVEN.c.event, _GIVEN.c.log_lease, _GIVEN.c.log_reason)
    .cte("saved")
)
_SAVE_JOBS = Statement(_logged(_SAVED, _SAVED.c.event, _SAVED.c.log_lease, _SAVED.c.log_reason).returning(JOB_LOG.c.job_id))

_LOCK_QUEUE = Statement(
    sa.select(
        sa.func.set_config("idle_in_transaction_session_timeout", f"{IDLE_SECONDS}s", sa.true()),
        sa.func.pg_advisory_xact_lock(QUEUE_LOCK),
    )
)


def _waiting() -> sa.Select[Any]:
    """First the room that each priority has in its work queue, then so many jobs of it by their turns."""
    busy = sa.select(JOBS.c.priority, JOBS.c.state, sa.func.count().label("number")).where(_OPEN, _DISPATCHED | _RUNNING)
    busy_jobs = busy.group_by(JOBS.c.priority, JOBS.c.state).cte("busy")
    total = sa.select(sa.func.coalesce(sa.func.sum(busy_jobs.c.number), 0))
    same_servers = (busy_jobs.c.priority == Priority.FILM) == (TURNS.c.priority == Priority.FILM)
    running = total.where(busy_jobs.c.state == "running", same_servers).scalar_subquery()
    unclaimed = total.where(busy_jobs.c.state == "dispatched", busy_jobs.c.priority == TURNS.c.priority).scalar_subquery()
    room = sa.func.greatest(sa.bindparam("unclaimed", type_=sa.Integer), running) - unclaimed
    places = sa.func.greatest(sa.func.least(room, sa.bindparam("most", type_=sa.Integer)), 0)
    rooms = sa.select(TURNS.c.priority, TURNS.c.turn.label("reached"), sa.cast(places, sa.BigInteger).label("places")).cte(
        "rooms"
    )
    now = sa.bindparam("now", type_=sa.DateTime(timezone=True))
    chosen = (
        sa.select(JOBS)
        .where(_QUEUED, JOBS.c.priority == rooms.c.priority, JOBS.c.dispatch_at <= now, JOBS.c.deadline > now)
        .order_by(JOBS.c.turn, JOBS.c.created_at)
        .limit(rooms.c.places)
        .lateral("chosen")
    )
    return sa.select(rooms.c.reached, chosen).select_from(rooms.join(chosen, sa.true()))


WAITING = _waiting()
_WAITING = Statement(WAITING)
NEXT_TURN = sa.select(_next_turn(sa.bindparam("of_owner", type_=sa.Text), sa.bindparam("in_priority", type_=sa.Text)))
_REACHED = Statement(
    sa.update(TURNS)
    .where(TURNS.c.priority == sa.bindparam("of_priority"), TURNS.c.turn < sa.bindparam("new_turn"))
    .values(turn=sa.bindparam("new_turn"))
)
_BY_NOW = sa.bindparam("now", type_=sa.DateTime(timezone=True))
_OVERDUE = (
    sa.select(JOBS)
    .where(
        JOBS.c.id.in_(
            sa.union(
                sa.select(JOBS.c.id).where(_OPEN, _DISPATCHED | _RUNNING, JOBS.c.lease_expires_at <= _BY_NOW),
                sa.select(JOBS.c.id).where(_OPEN, _QUEUED | _DISPATCHED | _RUNNING, JOBS.c.deadline <= _BY_NOW),
            )
        )
    )
    .order_by(JOBS.c.created_at)
    .limit(sa.bindparam("most"))
)
_AGED = (
    sa.select(JOBS)
    .where(_QUEUED, JOBS.c.priority.in_([Priority.NORMAL, Priority.LOW]), JOBS.c.dispatch_at <= sa.bindparam("since"))
    .order_by(JOBS.c.dispatch_at)
    .limit(sa.bindparam("most"))
)


def _ahead(same: Sequence[sa.Select[Any]]) -> sa.Select[Any]:
    def number(*chosen: sa.Select[Any]) -> sa.ColumnElement[int]:
        counts = (sa.select(sa.func.count()).select_from(each.limit(COUNTED).subquery()).scalar_subquery() for each in chosen)
        first, *others = counts
        return sum(others, start=sa.cast(first, sa.BigInteger))

    higher = JOBS.c.priority == sa.func.any(sa.bindparam("higher", type_=sa.ARRAY(sa.Text)))
    took = sa.func.extract("epoch", JOBS.c.finished_at - JOBS.c.started_at).label("seconds")
    lately = sa.select(took).where(JOBS.c.state == sa.literal_column("'completed'"), JOBS.c.started_at.is_not(None), ~_OF_FILMS)
    recent = lately.order_by(JOBS.c.finished_at.desc()).limit(RECENT).subquery()
    return sa.select(
        number(*same).label("same"),
        number(sa.select(_ONE).where(_QUEUED, higher), sa.select(_ONE).where(_OPEN, _DISPATCHED, higher)).label("higher"),
        number(sa.select(_ONE).where(_OPEN, _RUNNING, ~_OF_FILMS)).label("running"),
        sa.select(sa.cast(sa.func.avg(recent.c.seconds), sa.Float)).scalar_subquery().label("run_seconds"),
    )


_OF_PRIORITY = JOBS.c.priority == sa.bindparam("own_priority", type_=sa.Text)
_AHEAD_OF_DISPATCHED = _ahead(
    [sa.select(_ONE).where(_OPEN, _DISPATCHED, _OF_PRIORITY, JOBS.c.updated_at < sa.bindparam("updated_at"))]
)
_EARLIER_TURN = sa.tuple_(JOBS.c.turn, JOBS.c.created_at) < sa.tuple_(
    sa.bindparam("turn", type_=sa.BigInteger), sa.bindparam("created_at", type_=sa.DateTime(timezone=True))
)
_AHEAD_OF_QUEUED = _ahead(
    [
        sa.select(_ONE).where(_QUEUED, _OF_PRIORITY, _EARLIER_TURN),
        sa.select(_ONE).where(_OPEN, _DISPATCHED, _OF_PRIORITY),
    ]
)


# --- One job ----------------------------------------------------------------------------------------------------------


async def add_job(where: Rows, job: Job) -> bool:
    """Insert a new job at the turn that is its owner's.

    False when there is one already that does the same job over, or an open one of the same film.
    """
    return bool(await where.rows(_ADD_JOB, {name: getattr(job, name) for name in _JOB_FIELDS}))


async def add_job_of_take(where: Rows, job: Job, take: Mapping[str, object]) -> None:
    """As `add_job`, with the columns of the take that it is about."""
    await where.rows(_ADD_TAKE_AND_JOB, {**take, **{name: getattr(job, name) for name in _JOB_FIELDS}})


async def add_retry(where: Rows, job: Job) -> bool:
    """As `add_job`. Raises RecordingGone when the take, and with it the job to do over, was erased meanwhile."""
    try:
        return await add_job(where, job)
    except ForeignKeyViolationError as error:
        raise RecordingGone from error


async def find_job(where: Rows, job_id: str) -> Job | None:
    """The job as it was committed last."""
    rows = await where.rows(_FIND_JOB, {"job_id": job_id})
    return _job(rows[0]) if rows else None


async def find_jobs(connection: AsyncConnection, job_ids: Collection[str]) -> list[Job]:
    """Those of the jobs that there are."""
    return [_job(row) for row in (await connection.execute(sa.select(JOBS).where(JOBS.c.id.in_(job_ids)))).mappings()]


async def find_open_job_of_film(connection: AsyncConnection, film_id: UUID) -> Job | None:
    """The job that prepares the film at the moment."""
    row = (await connection.execute(_FIND_OPEN_OF_FILM, {"film_id": film_id})).mappings().first()
    return None if row is None else _job(row)


async def find_retry(connection: AsyncConnection, job_id: str) -> str | None:
    """The id of the job that does this one over."""
    found: str | None = (await connection.execute(_FIND_RETRY, {"job_id": job_id})).scalar_one_or_none()
    return found


async def save_job(database: Database, saved: Saved, outgoing: Collection[Outgoing]) -> bool:
    """Commit a change of a job together with what the others hear of it, if it is still as it was before."""
    values = {
        **{f"new_{name}": getattr(saved.after, name) for name in (*_CHANGING, *_RESULT)},
        "job_id": saved.before.id,
        "seen_version": saved.before.version,
        "event": saved.event,
        "log_lease": saved.log_lease,
        "log_reason": saved.reason,
    }
    return await database.change(_SAVE_JOB, values, *outgoing)


# --- Many jobs --------------------------------------------------------------------------------------------------------


async def lock_queue(tx: Transaction) -> None:
    """Until the transaction ends nobody else changes many jobs at once. Single changes go on: versions tell."""
    await tx.rows(_LOCK_QUEUE, {})


async def save_jobs(tx: Transaction, saved: Sequence[Saved]) -> set[str]:
    """Write changes that make no result; the ids of the jobs that were still as they were before, and now are changed."""
    columns: dict[str, list[Any]] = {
        **{name: [getattr(each.after, name) for each in saved] for name in ("id", *_CHANGING)},
        "seen_version": [each.before.version for each in saved],
        "event": [each.event for each in saved],
        "log_lease": [each.log_lease for each in saved],
        "log_reason": [each.reason for each in saved],
    }
    found = await tx.rows(_SAVE_JOBS, {f"given_{name}": values for name, values in columns.items()})
    return {row["job_id"] for row in found}


async def waiting_jobs(where: Rows, *, unclaimed: int, most: int, now: datetime) -> list[Waiting]:
    """The jobs whose turn it is.

    Of each priority so many as its work queue has room for, at most `most`: there may be as many unclaimed requests as there
    are running jobs, and always `unclaimed`.
    """
    rows = await where.rows(_WAITING, {"unclaimed": unclaimed, "most": most, "now": now})
    return [Waiting(_job(row), row["reached"]) for row in rows]


async def reach(tx: Transaction, turns: Mapping[Priority, int]) -> None:
    """Note the turns that these priorities have got to."""
    for priority, turn in turns.items():
        await tx.rows(_REACHED, {"of_priority": priority, "new_turn": turn})


async def next_turns(connection: AsyncConnection, queues: Collection[tuple[str, Priority]]) -> dict[tuple[str, Priority], int]:
    """The turns that jobs of these owners would get if they came into these priorities now."""
    return {
        queue: (await connection.execute(NEXT_TURN, {"of_owner": queue[0], "in_priority": queue[1]})).scalar_one()
        for queue in queues
    }


async def overdue_jobs(connection: AsyncConnection, now: datetime, most: int) -> list[Job]:
    """Open jobs whose lease or deadline has passed, oldest first."""
    return [_job(row) for row in (await connection.execute(_OVERDUE, {"now": now, "most": most})).mappings()]


async def aged_jobs(connection: AsyncConnection, since: datetime, most: int) -> list[Job]:
    """Jobs of no high priority that have been waiting since then, the longest first."""
    return [_job(row) for row in (await connection.execute(_AGED, {"since": since, "most": most})).mappings()]


async def open_jobs_of(connection: AsyncConnection, user_id: int, most: int) -> list[Job]:
    """Jobs of the user that have not ended, `most` at most."""
    of_user = sa.select(JOBS).where(_OPEN, JOBS.c.user_id == user_id).limit(most)
    return [_job(row) for row in (await connection.execute(of_user)).mappings()]


async def ahead_of(connection: AsyncConnection, job: Job) -> Ahead:
    """What a queued or dispatched job has to wait for. Of films nobody knows how long they take: too few are prepared."""
    order = list(Priority)
    higher = [] if job.priority is Priority.FILM else order[: order.index(job.priority)]
    values: dict[str, Any] = {"own_priority": job.priority, "higher": higher}
    statement = _AHEAD_OF_DISPATCHED
    if job.state is State.QUEUED:
        statement, values = _AHEAD_OF_QUEUED, {**values, "turn": job.turn, "created_at": job.created_at}
    else:
        values["updated_at"] = job.updated_at
    ahead = Ahead(**(await connection.execute(statement, values)).mappings().one())
    return replace(ahead, run_seconds=None) if job.priority is Priority.FILM else ahead


async def count_open_jobs(connection: AsyncConnection, *, takes_only: bool = False) -> dict[State, int]:
    """How many jobs are in each of the states that are not an end."""
    count = sa.select(JOBS.c.state, sa.func.count()).where(_OPEN).group_by(JOBS.c.state)
    if takes_only:
        count = count.where(~_OF_FILMS)
    found = {State(state): number for state, number in await connection.execute(count)}
    return {state: found.get(state, 0) for state in State if state.is_open}


def _job(row: sa.RowMapping | Record) -> Job:
    columns: dict[str, Any] = {name: row[name] for name in _JOB_FIELDS}
    columns |= {
        "kind": JobKind(row["kind"]),
        "state": State(row["state"]),
        "priority": Priority(row["priority"]),
    }
    return Job(**columns)
