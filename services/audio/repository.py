"""All SQL of this service. Functions take the connection of their caller's transaction; `save_job` is one of its own."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.audio import JobKind, Priority
from libs.common.contracts.catalog import ScriptSnapshot, Word
from libs.common.db import Database, Outgoing
from libs.common.outbox.writer import Change
from services.audio.jobs import Job, State
from services.audio.models import JOBS, SCRIPTS, TAKES, TOKENS, UPLOAD_KEYS


@dataclass(frozen=True, slots=True)
class Take:
    """An uploaded recording. `size` in bytes."""

    id: UUID
    user_id: int | None
    token_id: int
    script_id: int | None  # None for a recording of the whole scene
    object_key: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime

    @property
    def target(self) -> str:
        """What was recorded."""
        return f"token:{self.token_id}" if self.script_id is None else f"script:{self.script_id}"


@dataclass(frozen=True, slots=True)
class Line:
    """What an upload needs to know of a script line."""

    script_id: int
    token_id: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an analysis server needs to know of a job: where the recording lies and what was to be said.

    `textgrid` and `pitch` are the scene's reference objects as the catalogue names them. Times as the words' ones.
    """

    deadline: datetime
    object_key: str
    media_type: str
    line_start: float
    line_end: float
    words: tuple[Word, ...]
    textgrid: str | None
    pitch: str | None


# Statements of the hot path are built once: building one anew costs as much time as PostgreSQL needs to run it.
_FIND_LINE = sa.select(SCRIPTS.c.id, SCRIPTS.c.token_id, SCRIPTS.c.deleted).where(SCRIPTS.c.id == sa.bindparam("script_id"))
_ADD_TAKE = sa.insert(TAKES)
_ADD_JOB = sa.insert(JOBS)
_FIND_JOB = sa.select(JOBS).where(JOBS.c.id == sa.bindparam("job_id"))
_LOCK_JOB = _FIND_JOB.with_for_update()
_TAKE_FIELDS = tuple(field.name for field in fields(Take))
_JOB_FIELDS = tuple(field.name for field in fields(Job))
_CHANGING = (
    *("state", "version", "sequence", "progress", "message", "attempt", "lease", "lease_expires_at", "dispatch_at"),
    *("worker", "priority", "turn", "result", "reason", "updated_at", "finished_at"),
)
_SAVE_JOB = (
    sa.update(JOBS)
    .where(JOBS.c.id == sa.bindparam("job_id"), JOBS.c.version == sa.bindparam("seen_version"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGING})
)
_CHANGE_JOB = Change(_SAVE_JOB)
_OF_LINE = JOBS.c.script_id.is_not(None)
_ASSIGNMENTS = (
    sa.select(
        *(JOBS.c.id.label("job_id"), JOBS.c.deadline, JOBS.c.token_id, JOBS.c.script_id),
        *(TAKES.c.object_key, TAKES.c.media_type),
        sa.case((_OF_LINE, SCRIPTS.c.start_time), else_=TOKENS.c.start_time).label("start_time"),
        sa.case((_OF_LINE, SCRIPTS.c.end_time), else_=TOKENS.c.end_time).label("end_time"),
        *(SCRIPTS.c.words, TOKENS.c.s3_textgrid_url, TOKENS.c.s3_pitch_url),
    )
    .select_from(
        JOBS.join(TAKES).outerjoin(SCRIPTS, SCRIPTS.c.id == JOBS.c.script_id).outerjoin(TOKENS, TOKENS.c.id == JOBS.c.token_id)
    )
    .where(JOBS.c.id == sa.func.any(sa.bindparam("job_ids", type_=sa.ARRAY(sa.Text))))
)
# A line that is gone is no part of its scene; those of a scene that is gone itself are, for takes under way.
_LINES_OF_SCENES = (
    sa.select(SCRIPTS.c.token_id, SCRIPTS.c.words)
    .join(TOKENS, TOKENS.c.id == SCRIPTS.c.token_id)
    .where(
        SCRIPTS.c.token_id == sa.func.any(sa.bindparam("token_ids", type_=sa.ARRAY(sa.Integer))),
        sa.or_(~SCRIPTS.c.deleted, TOKENS.c.deleted),
    )
    .order_by(SCRIPTS.c.token_id, SCRIPTS.c.start_time, SCRIPTS.c.id)
)


# --- Scripts ----------------------------------------------------------------------------------------------------------


async def find_line(connection: AsyncConnection, script_id: int) -> Line | None:
    """Our own copy of a line, without its words."""
    row = (await connection.execute(_FIND_LINE, {"script_id": script_id})).first()
    return None if row is None else Line(row.id, row.token_id, row.deleted)


async def keep_script(connection: AsyncConnection, script: ScriptSnapshot) -> None:
    """Insert or update the copy, unless it is of the same version or newer."""
    new = {
        "token_id": script.token_id,
        "version": script.version,
        "deleted": False,
        "start_time": script.start_time,
        "end_time": script.end_time,
        "script": script.script,
        "words": [word.model_dump(exclude_none=True) for word in script.words],
    }
    await _upsert_script(connection, script.script_id, new, changed=new)


async def bury_script(connection: AsyncConnection, script_id: int, token_id: int, version: int) -> None:
    """Mark the copy as deleted and keep the rest; a tombstone is made when there is no copy."""
    tombstone = {
        "token_id": token_id,
        "version": version,
        "deleted": True,
        "start_time": 0.0,
        "end_time": 0.0,
        "script": "",
        "words": [],
    }
    await _upsert_script(connection, script_id, tombstone, changed={"version": version, "deleted": True})


async def _upsert_script(
    connection: AsyncConnection, script_id: int, new: Mapping[str, Any], *, changed: Mapping[str, Any]
) -> None:
    await connection.execute(
        insert(SCRIPTS)
        .values(id=script_id, **new)
        .on_conflict_do_update(index_elements=[SCRIPTS.c.id], set_=dict(changed), where=SCRIPTS.c.version < new["version"])
    )


# --- Takes and jobs ---------------------------------------------------------------------------------------------------


async def add(connection: AsyncConnection, take: Take, job: Job) -> None:
    """Insert a take and its job."""
    await connection.execute(_ADD_TAKE, {name: getattr(take, name) for name in _TAKE_FIELDS})
    await connection.execute(_ADD_JOB, {name: getattr(job, name) for name in _JOB_FIELDS})


async def remember_upload(
    connection: AsyncConnection,
    key: str,
    *,
    user_id: int | None,
    target: str,
    job_id: str,
    now: datetime,
    since: datetime,
) -> bool:
    """Note that the upload with this idempotency key made `job_id`.

    False when an upload with the key made another job after `since`; one that is being made at this moment is waited for.
    """
    new = {"job_id": job_id, "created_at": now}
    noted = await connection.execute(
        insert(UPLOAD_KEYS)
        .values(key=key, user_id=user_id or 0, target=target, **new)
        .on_conflict_do_update(index_elements=list(UPLOAD_KEYS.primary_key), set_=new, where=UPLOAD_KEYS.c.created_at <= since)
        .returning(UPLOAD_KEYS.c.job_id)
    )
    return noted.first() is not None


async def earlier_upload(connection: AsyncConnection, key: str, *, user_id: int | None, target: str) -> tuple[str, str] | None:
    """(job id, SHA-256 of the take) of the upload with this idempotency key."""
    row = (
        await connection.execute(
            sa.select(JOBS.c.id, TAKES.c.sha256)
            .select_from(UPLOAD_KEYS.join(JOBS, JOBS.c.id == UPLOAD_KEYS.c.job_id).join(TAKES))
            .where(UPLOAD_KEYS.c.key == key, UPLOAD_KEYS.c.user_id == (user_id or 0), UPLOAD_KEYS.c.target == target)
        )
    ).first()
    return None if row is None else (row.id, row.sha256)


async def forget_uploads(connection: AsyncConnection, *, before: datetime) -> None:
    """Delete idempotency keys older than `before`."""
    await connection.execute(sa.delete(UPLOAD_KEYS).where(UPLOAD_KEYS.c.created_at <= before))


async def find_job(connection: AsyncConnection, job_id: str) -> Job | None:
    """The job as it was committed last."""
    row = (await connection.execute(_FIND_JOB, {"job_id": job_id})).mappings().first()
    return None if row is None else _job(row)


async def find_jobs(connection: AsyncConnection, job_ids: Collection[str]) -> list[Job]:
    """Those of the jobs that there are."""
    return [_job(row) for row in (await connection.execute(sa.select(JOBS).where(JOBS.c.id.in_(job_ids)))).mappings()]


async def lock_job(connection: AsyncConnection, job_id: str) -> Job | None:
    """The job, which nobody else can change until this transaction ends."""
    row = (await connection.execute(_LOCK_JOB, {"job_id": job_id})).mappings().first()
    return None if row is None else _job(row)


async def lock_idle_jobs(connection: AsyncConnection, job_ids: Collection[str]) -> list[Job]:
    """Those of the jobs that nobody else is changing at this moment, locked."""
    chosen = sa.select(JOBS).where(JOBS.c.id.in_(job_ids)).with_for_update(skip_locked=True)
    return [_job(row) for row in (await connection.execute(chosen)).mappings()]


async def save_locked_job(connection: AsyncConnection, before: Job, after: Job) -> None:
    """Write all that can change of a job that this transaction has locked."""
    await connection.execute(_SAVE_JOB, _saved(before, after))


async def save_job(database: Database, before: Job, after: Job, outgoing: Collection[Outgoing]) -> bool:
    """Commit a change of a job together with what the others hear of it, if it is still as it was `before`."""
    return await database.change(_CHANGE_JOB, _saved(before, after), *outgoing)


def _saved(before: Job, after: Job) -> dict[str, object]:
    new = {f"new_{name}": getattr(after, name) for name in _CHANGING}
    return {"job_id": before.id, "seen_version": before.version, **new}


async def overdue_jobs(connection: AsyncConnection, now: datetime, limit: int) -> list[str]:
    """Ids of open jobs for which something is due by the clock, oldest first."""
    due = (
        sa.select(JOBS.c.id)
        .where(
            JOBS.c.finished_at.is_(None),
            sa.or_(
                JOBS.c.deadline <= now,
                JOBS.c.lease_expires_at <= now,
                sa.and_(JOBS.c.state == State.QUEUED, JOBS.c.dispatch_at <= now),
            ),
        )
        .order_by(JOBS.c.created_at)
        .limit(limit)
    )
    return list((await connection.execute(due)).scalars())


async def assignments(connection: AsyncConnection, job_ids: Collection[str]) -> dict[str, Assignment]:
    """What to give to analysis servers, by job id; of unknown jobs nothing."""
    rows = (await connection.execute(_ASSIGNMENTS, {"job_ids": list(job_ids)})).all()
    scenes = {row.token_id for row in rows if row.script_id is None}
    words = await _words_of_scenes(connection, scenes) if scenes else {}
    return {
        row.job_id: Assignment(
            deadline=row.deadline,
            object_key=row.object_key,
            media_type=row.media_type,
            line_start=row.start_time,
            line_end=row.end_time,
            words=words.get(row.token_id, ()) if row.script_id is None else _words(row.words),
            textgrid=row.s3_textgrid_url,
            pitch=row.s3_pitch_url,
        )
        for row in rows
        if row.start_time is not None
    }


async def _words_of_scenes(connection: AsyncConnection, token_ids: Collection[int]) -> dict[int, tuple[Word, ...]]:
    """The words of all lines of these scenes, line by line as they are spoken."""
    found: dict[int, tuple[Word, ...]] = {}
    for row in await connection.execute(_LINES_OF_SCENES, {"token_ids": list(token_ids)}):
        found[row.token_id] = (*found.get(row.token_id, ()), *_words(row.words))
    return found


def _words(stored: Iterable[dict[str, Any]]) -> tuple[Word, ...]:
    return tuple(map(Word.model_validate, stored))


async def count_open_jobs(connection: AsyncConnection) -> dict[State, int]:
    """How many jobs are in each of the states that are not an end."""
    count = sa.select(JOBS.c.state, sa.func.count()).where(JOBS.c.finished_at.is_(None)).group_by(JOBS.c.state)
    found = {State(state): number for state, number in await connection.execute(count)}
    return {state: found.get(state, 0) for state in State if state.is_open}


def _job(row: sa.RowMapping) -> Job:
    columns: dict[str, Any] = {
        **row,
        "kind": JobKind(row["kind"]),
        "state": State(row["state"]),
        "priority": Priority(row["priority"]),
    }
    return Job(**columns)
