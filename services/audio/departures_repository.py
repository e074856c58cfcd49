"""The SQL of accounts that are gone, beside that of what they left: which they are, and what keeps their number only."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audio.models import DEPARTURES, JOBS

NOBODY = "departed"  # in the place of an `owner_key`


async def add(connection: AsyncConnection, user_id: int, deleted_at: datetime) -> None:
    """Everything of the account is to be erased."""
    new = insert(DEPARTURES).values(user_id=user_id, deleted_at=deleted_at)
    await connection.execute(new.on_conflict_do_nothing())


async def first(connection: AsyncConnection) -> int | None:
    """The number that has waited longest."""
    waiting = sa.select(DEPARTURES.c.user_id).order_by(DEPARTURES.c.deleted_at, DEPARTURES.c.user_id).limit(1)
    found: int | None = (await connection.execute(waiting)).scalar_one_or_none()
    return found


async def count(connection: AsyncConnection) -> int:
    """How many accounts something may be left of."""
    return (await connection.execute(sa.select(sa.func.count()).select_from(DEPARTURES))).scalar_one()


async def finish(connection: AsyncConnection, user_id: int) -> None:
    """Nothing is left of the account."""
    await connection.execute(sa.delete(DEPARTURES).where(DEPARTURES.c.user_id == user_id))


async def disown_films(connection: AsyncConnection, user_id: int) -> None:
    """Films and their jobs stay, for they are the catalogue's; who asked for them is forgotten."""
    asked = (JOBS.c.film_id.is_not(None), JOBS.c.owner_key == f"user:{user_id}")
    await connection.execute(sa.update(JOBS).where(*asked).values(owner_key=NOBODY))
