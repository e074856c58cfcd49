"""The SQL of erasing: recordings with all that hangs on them, and the objects that are left to be deleted."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.statement import Rows, Statement
from services.audio.models import JOB_LOG, JOBS, OBJECTS_TO_ERASE, TAKES, UPLOAD_KEYS

RETRY_SECONDS = 10.0  # after the first failure; twice as long after each further one
DOUBLINGS = 8  # then it stays: at 43 minutes

# Each upload runs these.
_NOTE_UPLOAD = Statement(
    sa.insert(OBJECTS_TO_ERASE).values(object_key=sa.bindparam("object_key"), due_at=sa.bindparam("due_at"), attempts=0)
)
_KEEP_OBJECTS = Statement(
    sa.delete(OBJECTS_TO_ERASE)
    .where(
        OBJECTS_TO_ERASE.c.object_key == sa.func.any(sa.bindparam("object_keys", type_=sa.ARRAY(sa.Text))),
        OBJECTS_TO_ERASE.c.attempts == 0,
    )
    .returning(OBJECTS_TO_ERASE.c.object_key)
)


@dataclass(frozen=True, slots=True)
class LockedTake:
    """A recording for which no job can begin before the transaction ends."""

    id: UUID
    object_key: str


@dataclass(frozen=True, slots=True)
class JobOfTake:
    """A job, and how many facts were told of it."""

    id: str
    sequence: int
    is_open: bool


async def lock_takes(connection: AsyncConnection, user_id: int, token_id: int) -> list[LockedTake]:
    """The user's recordings of the scene and of its lines."""
    of_user = sa.select(TAKES.c.id, TAKES.c.object_key).where(TAKES.c.user_id == user_id, TAKES.c.token_id == token_id)
    rows = await connection.execute(of_user.order_by(TAKES.c.id).with_for_update())
    return [LockedTake(row.id, row.object_key) for row in rows]


async def lock_takes_of(connection: AsyncConnection, user_id: int, most: int) -> list[LockedTake]:
    """Recordings of the user, `most` at most; those that others lock are waited for."""
    of_user = sa.select(TAKES.c.id, TAKES.c.object_key).where(TAKES.c.user_id == user_id)
    rows = await connection.execute(of_user.order_by(TAKES.c.id).limit(most).with_for_update())
    return [LockedTake(row.id, row.object_key) for row in rows]


async def lock_anonymous(connection: AsyncConnection, ended_before: datetime, most: int) -> list[LockedTake]:
    """Recordings of nobody all of whose jobs had ended by then, the oldest first, `most` at most; none that others lock.

    A job may have begun on one between the look at its jobs and the lock: see `later_jobs`.
    """
    later = JOBS.alias("later")
    due = (
        sa.select(TAKES.c.id, TAKES.c.object_key)
        .join_from(JOBS, TAKES, JOBS.c.take_id == TAKES.c.id)
        .where(JOBS.c.user_id.is_(None), JOBS.c.finished_at <= ended_before, TAKES.c.user_id.is_(None))
        .where(~sa.exists().where(later.c.take_id == TAKES.c.id, _not_ended(later, ended_before)))
        .order_by(JOBS.c.finished_at)
        .limit(most)
        .with_for_update(of=TAKES, skip_locked=True)
    )
    # One that was done over is found by each of its jobs.
    return list({row.id: LockedTake(row.id, row.object_key) for row in await connection.execute(due)}.values())


async def later_jobs(connection: AsyncConnection, takes: Collection[LockedTake], ended_before: datetime) -> set[UUID]:
    """The takes with a job that had not ended by then."""
    of_takes = sa.select(JOBS.c.take_id).where(JOBS.c.take_id.in_([take.id for take in takes]))
    return set((await connection.execute(of_takes.where(_not_ended(JOBS, ended_before)))).scalars())


def _not_ended(jobs: sa.FromClause, by: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(jobs.c.finished_at.is_(None), jobs.c.finished_at > by)


async def jobs_of(connection: AsyncConnection, takes: Collection[LockedTake]) -> list[JobOfTake]:
    """All that ever were begun for these takes."""
    of_takes = sa.select(JOBS.c.id, JOBS.c.sequence, JOBS.c.finished_at).where(JOBS.c.take_id.in_([take.id for take in takes]))
    return [JobOfTake(row.id, row.sequence, row.finished_at is None) for row in await connection.execute(of_takes)]


async def erase_takes(connection: AsyncConnection, takes: Collection[LockedTake]) -> None:
    """Delete the takes with their jobs, which have ended, and all that is noted of these."""
    take_ids = [take.id for take in takes]
    of_takes = sa.select(JOBS.c.id).where(JOBS.c.take_id.in_(take_ids))
    await connection.execute(sa.delete(JOB_LOG).where(JOB_LOG.c.job_id.in_(of_takes)))
    await connection.execute(sa.delete(UPLOAD_KEYS).where(UPLOAD_KEYS.c.job_id.in_(of_takes)))
    await connection.execute(sa.delete(JOBS).where(JOBS.c.take_id.in_(take_ids)))
    await connection.execute(sa.delete(TAKES).where(TAKES.c.id.in_(take_ids)))


async def note_objects(connection: AsyncConnection, object_keys: Collection[str], now: datetime) -> None:
    """Have these objects deleted once the transaction has committed."""
    if object_keys:
        rows = [{"object_key": key, "due_at": now, "attempts": 0} for key in object_keys]
        await connection.execute(insert(OBJECTS_TO_ERASE).on_conflict_do_nothing(), rows)


async def note_upload(where: Rows, object_key: str, *, until: datetime) -> None:
    """An object that is about to be: unless it is kept before then, it is erased."""
    await where.rows(_NOTE_UPLOAD, {"object_key": object_key, "due_at": until})


async def keep_objects(tx: Rows, object_keys: Collection[str]) -> bool:
    """They belong to somebody now; False when one of them is erased already, or about to be."""
    return len(await tx.rows(_KEEP_OBJECTS, {"object_keys": list(object_keys)})) == len(object_keys)


async def erase_now(connection: AsyncConnection, object_keys: Collection[str], now: datetime) -> None:
    """Nobody will keep them."""
    due = sa.update(OBJECTS_TO_ERASE).where(OBJECTS_TO_ERASE.c.object_key.in_(object_keys))
    await connection.execute(due.values(due_at=now))


async def claim_objects(connection: AsyncConnection, now: datetime, most: int) -> list[str]:
    """Keys of objects that are due, oldest first. They are nobody else's until their next attempt is due."""
    due = (
        sa.select(OBJECTS_TO_ERASE.c.object_key)
        .where(OBJECTS_TO_ERASE.c.due_at <= now)
        .order_by(OBJECTS_TO_ERASE.c.due_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    attempts = OBJECTS_TO_ERASE.c.attempts
    seconds = RETRY_SECONDS * sa.func.power(2, attempts)
    claimed = (
        sa.update(OBJECTS_TO_ERASE)
        .where(OBJECTS_TO_ERASE.c.object_key.in_(due))
        .values(
            due_at=sa.literal(now, sa.DateTime(timezone=True)) + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds),
            attempts=sa.func.least(attempts + 1, DOUBLINGS),
        )
        .returning(OBJECTS_TO_ERASE.c.object_key)
    )
    return list((await connection.execute(claimed)).scalars())


async def forget_objects(connection: AsyncConnection, object_keys: Collection[str]) -> None:
    """They are gone from the store."""
    await connection.execute(sa.delete(OBJECTS_TO_ERASE).where(OBJECTS_TO_ERASE.c.object_key.in_(object_keys)))


async def count_objects(connection: AsyncConnection, now: datetime) -> int:
    """How many objects are left to be deleted."""
    left = sa.or_(OBJECTS_TO_ERASE.c.due_at <= now, OBJECTS_TO_ERASE.c.attempts > 0)
    return (await connection.execute(sa.select(sa.func.count()).select_from(OBJECTS_TO_ERASE).where(left))).scalar_one()
