"""The SQL of dubbings, on the connection of the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audio.dubbing_plan import Plan, Take
from services.audio.models import DUBBINGS, SCRIPTS, TAKES, TOKENS


class DubbingState(StrEnum):
    """Of a dubbing."""

    REQUESTED = "requested"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Dubbing:
    """A row. `reason` is a code, of a failed one; `script_id` the line that it is about, if it is about one."""

    id: UUID
    user_id: int
    token_id: int
    plan: Plan
    object_key: str
    state: DubbingState
    background: bool
    reason: str | None
    script_id: int | None
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of a scene and of what the learner recorded of it. Times are seconds."""

    start: float
    end: float
    background: str | None  # as the catalogue names it
    takes: tuple[Take, ...]


_COLUMNS = tuple(DUBBINGS.c[name] for name in Dubbing.__dataclass_fields__)
_OF_SCENE = (DUBBINGS.c.user_id == sa.bindparam("user_id"), DUBBINGS.c.token_id == sa.bindparam("token_id"))
_LOCK = 0x647562  # "dub", beside the learner's id
_OPEN = DUBBINGS.c.state == DubbingState.REQUESTED.value


async def find_scene(connection: AsyncConnection, user_id: int, token_id: int) -> Scene | None:
    """The scene with the learner's latest take of each of its lines, and of the whole of it."""
    found = await connection.execute(
        sa.select(TOKENS.c.start_time, TOKENS.c.end_time, TOKENS.c.s3_bgvoice_url).where(TOKENS.c.id == token_id)
    )
    token = found.first()
    if token is None:
        return None
    of_line = TAKES.c.script_id.is_not(None)
    rows = await connection.execute(
        sa.select(
            *(TAKES.c.script_id, TAKES.c.object_key, TAKES.c.created_at),
            sa.case((of_line, SCRIPTS.c.start_time), else_=token.start_time).label("start"),
            sa.case((of_line, SCRIPTS.c.end_time), else_=token.end_time).label("end"),
        )
        .ext(distinct_on(TAKES.c.script_id))
        .select_from(TAKES.outerjoin(SCRIPTS, SCRIPTS.c.id == TAKES.c.script_id))
        # a line that is gone is no part of its scene
        .where(TAKES.c.user_id == user_id, TAKES.c.token_id == token_id, sa.or_(~of_line, ~SCRIPTS.c.deleted))
        .order_by(TAKES.c.script_id, TAKES.c.created_at.desc(), TAKES.c.id)
    )
    takes = tuple(Take(row.script_id, row.object_key, row.created_at, row.start, row.end) for row in rows)
    return Scene(token.start_time, token.end_time, token.s3_bgvoice_url, takes)


async def latest_recordings(connection: AsyncConnection, user_id: int, token_id: int) -> list[tuple[int, str]]:
    """(script id, object key) of the learner's latest take of each line, by script id."""
    rows = await connection.execute(
        sa.select(TAKES.c.script_id, TAKES.c.object_key)
        .ext(distinct_on(TAKES.c.script_id))
        .where(TAKES.c.user_id == user_id, TAKES.c.token_id == token_id, TAKES.c.script_id.is_not(None))
        .order_by(TAKES.c.script_id, TAKES.c.created_at.desc(), TAKES.c.id)
    )
    return [(row.script_id, row.object_key) for row in rows]


async def add(connection: AsyncConnection, dubbing: Dubbing) -> None:
    """Insert it as requested; who adds holds `lock_learner` and has seen that there is none of the same plan."""
    values = {
        "id": dubbing.id,
        "user_id": dubbing.user_id,
        "token_id": dubbing.token_id,
        "fingerprint": dubbing.plan.fingerprint,
        "plan": dubbing.plan.as_json(),
        "object_key": dubbing.object_key,
        "state": DubbingState.REQUESTED.value,
        "background": dubbing.background,
        "created_at": dubbing.requested_at,
        "requested_at": dubbing.requested_at,
    }
    await connection.execute(sa.insert(DUBBINGS).values(values))


async def lock_learner(connection: AsyncConnection, user_id: int) -> None:
    """Whoever asks for a dubbing of the same learner waits until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK, user_id)))


async def lock_same(connection: AsyncConnection, user_id: int, token_id: int, plan: Plan) -> Dubbing | None:
    """The learner's dubbing of the same plan, which nobody else changes before the transaction ends."""
    same = sa.select(*_COLUMNS).where(*_OF_SCENE, DUBBINGS.c.fingerprint == plan.fingerprint).with_for_update()
    return _one(await connection.execute(same, {"user_id": user_id, "token_id": token_id}))


async def request_again(connection: AsyncConnection, dubbing_id: UUID, now: datetime) -> None:
    """From now on it waits to be mixed once more."""
    again = {"state": DubbingState.REQUESTED.value, "reason": None, "script_id": None, "requested_at": now}
    await connection.execute(sa.update(DUBBINGS).where(DUBBINGS.c.id == dubbing_id).values(**again, finished_at=None))


async def count_open(connection: AsyncConnection, user_id: int, *, since: datetime) -> int:
    """How many dubbings of the learner, asked for after `since`, wait or are being mixed."""
    open_ones = sa.select(sa.func.count()).where(DUBBINGS.c.user_id == user_id, _OPEN, DUBBINGS.c.requested_at > since)
    return (await connection.execute(open_ones)).scalar_one()


async def find(connection: AsyncConnection, dubbing_id: UUID) -> Dubbing | None:
    """The dubbing, unless it was erased."""
    return _one(await connection.execute(sa.select(*_COLUMNS).where(DUBBINGS.c.id == dubbing_id)))


async def latest(connection: AsyncConnection, user_id: int, token_id: int) -> Dubbing | None:
    """The newest that can be heard."""
    ready = sa.select(*_COLUMNS).where(*_OF_SCENE, DUBBINGS.c.state == DubbingState.COMPLETED.value)
    newest = ready.order_by(DUBBINGS.c.created_at.desc(), DUBBINGS.c.id).limit(1)
    return _one(await connection.execute(newest, {"user_id": user_id, "token_id": token_id}))


async def finish(
    connection: AsyncConnection,
    dubbing_id: UUID,
    state: DubbingState,
    now: datetime,
    *,
    background: bool = False,
    reason: str | None = None,
    script_id: int | None = None,
) -> bool:
    """It is no longer requested; False when it was not, or was erased meanwhile."""
    end = {"state": state.value, "finished_at": now, "background": background, "reason": reason, "script_id": script_id}
    done = await connection.execute(sa.update(DUBBINGS).where(DUBBINGS.c.id == dubbing_id, _OPEN).values(**end))
    return done.rowcount == 1


async def erase(connection: AsyncConnection, user_id: int, token_id: int, *, keep: int = 0) -> list[str]:
    """Delete the learner's dubbings of the scene, but for the `keep` newest and those being mixed; keys of their objects.

    With nothing to keep all of them go: what is still being mixed finds that out when it is done.
    """
    newest = sa.select(DUBBINGS.c.id).where(*_OF_SCENE).order_by(DUBBINGS.c.created_at.desc(), DUBBINGS.c.id).limit(keep)
    too_many = sa.delete(DUBBINGS).where(*_OF_SCENE)
    if keep:
        too_many = too_many.where(DUBBINGS.c.id.not_in(newest), ~_OPEN)
    rows = await connection.execute(too_many.returning(DUBBINGS.c.object_key), {"user_id": user_id, "token_id": token_id})
    return list(rows.scalars())


async def erase_of(connection: AsyncConnection, user_id: int, most: int) -> list[str]:
    """Delete dubbings of the user, `most` at most, as `erase` does when nothing is kept; keys of their objects."""
    some = sa.select(DUBBINGS.c.id).where(DUBBINGS.c.user_id == user_id).limit(most)
    rows = await connection.execute(sa.delete(DUBBINGS).where(DUBBINGS.c.id.in_(some)).returning(DUBBINGS.c.object_key))
    return list(rows.scalars())


def _one(rows: sa.CursorResult[Any]) -> Dubbing | None:
    row = rows.mappings().first()
    if row is None:
        return None
    return Dubbing(**{**row, "plan": Plan.of_json(row["plan"]), "state": DubbingState(row["state"])})
