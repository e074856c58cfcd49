"""The SQL of archives of somebody's data, on the connection of the caller's transaction. What is in them: `export_contents`.

The row is the work as well: whoever makes an archive has a lease on it until `due_at`; when that has passed it is due again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audio.models import EXPORTS


class ExportState(StrEnum):
    """Of an archive."""

    REQUESTED = "requested"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """A row. `size` in bytes, of a completed one."""

    id: UUID
    user_id: int
    object_key: str
    state: ExportState
    size: int | None
    attempt: int  # begun so far
    lease: UUID | None  # of who makes it
    due_at: datetime  # when an attempt may begin; from then on nobody writes the object whose lease it was
    requested_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None  # of one that has ended


_COLUMNS = tuple(EXPORTS.c[name] for name in Export.__dataclass_fields__)
_REQUESTED = EXPORTS.c.state == sa.literal_column("'requested'")  # so that PostgreSQL sees which index covers it


async def lock(connection: AsyncConnection, user_id: int) -> Export | None:
    """The user's, which nobody else changes before the transaction ends."""
    row = await connection.execute(sa.select(*_COLUMNS).where(EXPORTS.c.user_id == user_id).with_for_update())
    return _one(row)


async def add(connection: AsyncConnection, export: Export) -> bool:
    """Insert it; False when the user has one, who asked twice at once."""
    values = {name: getattr(export, name) for name in Export.__dataclass_fields__}
    new = insert(EXPORTS).values(values).on_conflict_do_nothing(index_elements=[EXPORTS.c.user_id])
    return (await connection.execute(new)).rowcount == 1


async def claim(connection: AsyncConnection, *, lease: UUID, now: datetime, until: datetime) -> Export | None:
    """The one that has been due for longest, which is nobody else's until then."""
    due = sa.select(EXPORTS.c.id).where(_REQUESTED, EXPORTS.c.due_at <= now).order_by(EXPORTS.c.due_at).limit(1)
    claimed = sa.update(EXPORTS).where(EXPORTS.c.id == due.with_for_update(skip_locked=True).scalar_subquery())
    values = {"lease": lease, "due_at": until, "attempt": EXPORTS.c.attempt + 1}
    return _one(await connection.execute(claimed.values(values).returning(*_COLUMNS)))


async def prolong(connection: AsyncConnection, export: Export, until: datetime) -> bool:
    """Have it until then; False when it is no longer whose lease it was."""
    return await _change(connection, export, due_at=until)


async def give_back(connection: AsyncConnection, export: Export, *, due_at: datetime, attempt: int) -> bool:
    """It may be begun again then, after so many attempts."""
    return await _change(connection, export, due_at=due_at, attempt=attempt, lease=None)


async def finish(
    connection: AsyncConnection,
    export: Export,
    state: ExportState,
    *,
    now: datetime,
    expires_at: datetime,
    size: int | None = None,
) -> bool:
    """It has ended; False when it was no longer whose lease it was."""
    return await _change(
        connection, export, state=state, size=size, lease=None, due_at=now, finished_at=now, expires_at=expires_at
    )


async def exists(connection: AsyncConnection, export_id: UUID) -> bool:
    """Whether it was not erased."""
    return (await connection.execute(sa.select(EXPORTS.c.id).where(EXPORTS.c.id == export_id))).first() is not None


async def erase(connection: AsyncConnection, user_id: int) -> list[tuple[str, datetime]]:
    """Delete the user's; the key of its object and from when on nobody writes that."""
    gone = sa.delete(EXPORTS).where(EXPORTS.c.user_id == user_id).returning(EXPORTS.c.object_key, EXPORTS.c.due_at)
    return [(row.object_key, row.due_at) for row in await connection.execute(gone)]


async def erase_expired(connection: AsyncConnection, now: datetime, most: int) -> list[str]:
    """Delete what has expired, `most` at most; keys of the objects."""
    old = sa.select(EXPORTS.c.id).where(EXPORTS.c.expires_at <= now).limit(most).with_for_update(skip_locked=True)
    gone = sa.delete(EXPORTS).where(EXPORTS.c.id.in_(old)).returning(EXPORTS.c.object_key)
    return list((await connection.execute(gone)).scalars())


async def _change(connection: AsyncConnection, export: Export, **values: object) -> bool:
    held = sa.update(EXPORTS).where(EXPORTS.c.id == export.id, EXPORTS.c.lease == export.lease)
    return (await connection.execute(held.values(values))).rowcount == 1


def _one(rows: sa.CursorResult[tuple[object, ...]]) -> Export | None:
    row = rows.mappings().first()
    return None if row is None else Export(**{**row, "state": ExportState(row["state"])})
