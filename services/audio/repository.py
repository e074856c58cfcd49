"""The SQL about lines, takes and uploads; that about jobs is in `job_repository`, which says where it runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.catalog import ScriptSnapshot, Word
from libs.common.statement import Rows, Statement
from services.audio.errors import RecordingGone
from services.audio.job_repository import add_job_of_take
from services.audio.jobs import Job
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
_FIND_LINE = Statement(
    sa.select(SCRIPTS.c.id, SCRIPTS.c.token_id, SCRIPTS.c.deleted).where(SCRIPTS.c.id == sa.bindparam("script_id"))
)
_FIND_TAKE = sa.select(TAKES).where(TAKES.c.id == sa.bindparam("take_id"))
_TAKE_FIELDS = tuple(field.name for field in fields(Take))
_OF_LINE = JOBS.c.script_id.is_not(None)
# As text: with features they are 3 KB each, and pydantic reads and checks a text in less than half the time of a document.
_WORDS = sa.cast(SCRIPTS.c.words, sa.Text).label("words")
_STORED_WORDS = TypeAdapter(tuple[Word, ...])
_ASSIGNMENTS = Statement(
    sa.select(
        *(JOBS.c.id.label("job_id"), JOBS.c.deadline, JOBS.c.token_id, JOBS.c.script_id),
        *(TAKES.c.object_key, TAKES.c.media_type),
        sa.case((_OF_LINE, SCRIPTS.c.start_time), else_=TOKENS.c.start_time).label("start_time"),
        sa.case((_OF_LINE, SCRIPTS.c.end_time), else_=TOKENS.c.end_time).label("end_time"),
        *(_WORDS, TOKENS.c.s3_textgrid_url, TOKENS.c.s3_pitch_url),
    )
    .select_from(
        JOBS.join(TAKES).outerjoin(SCRIPTS, SCRIPTS.c.id == JOBS.c.script_id).outerjoin(TOKENS, TOKENS.c.id == JOBS.c.token_id)
    )
    .where(JOBS.c.id == sa.func.any(sa.bindparam("job_ids", type_=sa.ARRAY(sa.Text))))
)
# A line that is gone is no part of its scene; those of a scene that is gone itself are, for takes under way.
_LINES_OF_SCENES = Statement(
    sa.select(SCRIPTS.c.token_id, _WORDS)
    .join(TOKENS, TOKENS.c.id == SCRIPTS.c.token_id)
    .where(
        SCRIPTS.c.token_id == sa.func.any(sa.bindparam("token_ids", type_=sa.ARRAY(sa.Integer))),
        sa.or_(~SCRIPTS.c.deleted, TOKENS.c.deleted),
    )
    .order_by(SCRIPTS.c.token_id, SCRIPTS.c.start_time, SCRIPTS.c.id)
)


# --- Scripts ----------------------------------------------------------------------------------------------------------


async def find_line(where: Rows, script_id: int) -> Line | None:
    """Our own copy of a line, without its words."""
    rows = await where.rows(_FIND_LINE, {"script_id": script_id})
    return Line(rows[0]["id"], rows[0]["token_id"], rows[0]["deleted"]) if rows else None


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


async def add(where: Rows, take: Take, job: Job) -> None:
    """Insert a take and its job."""
    await add_job_of_take(where, job, {name: getattr(take, name) for name in _TAKE_FIELDS})


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


async def find_take(connection: AsyncConnection, take_id: UUID) -> Take:
    """The recording of a job. Raises RecordingGone when both were erased."""
    row = (await connection.execute(_FIND_TAKE, {"take_id": take_id})).mappings().first()
    if row is None:
        raise RecordingGone
    return Take(**row)


async def assignments(where: Rows, job_ids: Collection[str]) -> dict[str, Assignment]:
    """What to give to analysis servers, by job id; of unknown jobs nothing."""
    rows = await where.rows(_ASSIGNMENTS, {"job_ids": list(job_ids)})
    scenes = {row["token_id"] for row in rows if row["script_id"] is None}
    words = await _words_of_scenes(where, scenes) if scenes else {}
    return {
        row["job_id"]: Assignment(
            deadline=row["deadline"],
            object_key=row["object_key"],
            media_type=row["media_type"],
            line_start=row["start_time"],
            line_end=row["end_time"],
            words=words.get(row["token_id"], ()) if row["script_id"] is None else _STORED_WORDS.validate_json(row["words"]),
            textgrid=row["s3_textgrid_url"],
            pitch=row["s3_pitch_url"],
        )
        for row in rows
        if row["start_time"] is not None
    }


async def _words_of_scenes(where: Rows, token_ids: Collection[int]) -> dict[int, tuple[Word, ...]]:
    """The words of all lines of these scenes, line by line as they are spoken."""
    found: dict[int, tuple[Word, ...]] = {}
    for row in await where.rows(_LINES_OF_SCENES, {"token_ids": list(token_ids)}):
        found[row["token_id"]] = (*found.get(row["token_id"], ()), *_STORED_WORDS.validate_json(row["words"]))
    return found
