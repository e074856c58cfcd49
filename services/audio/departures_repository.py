"""The SQL of accounts that are gone, beside that of what they left: which they are, and what keeps their number only."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.audio import AnalysisCancelled
from libs.common.outbox.table import OUTBOX
from services.audio.models import DEPARTURES, DUBBINGS, JOBS, TAKES

NOBODY = "departed"  # in the place of an `owner_key`


async def add(connection: AsyncConnection, user_id: int, deleted_at: datetime) -> None:
    """Everything of the account is to be erased."""
    new = insert(DEPARTURES).values(user_id=user_id, deleted_at=deleted_at)
    await connection.execute(new.on_conflict_do_nothing())


async def messages_wait(connection: AsyncConnection, user_id: int) -> bool:
    """Whether something of the user's recordings or dubbings is still to be sent, beside the end of their jobs."""
    to_send = sa.select(OUTBOX.c.id).where(OUTBOX.c.sent_at.is_(None), OUTBOX.c.subject.in_(_about(user_id)))
    return (await connection.execute(to_send.where(OUTBOX.c.type != AnalysisCancelled.name).limit(1))).first() is not None


async def erase_messages(connection: AsyncConnection, user_id: int) -> bool:
    """Delete what was sent about the user's recordings and dubbings, results among it; False when that is done already.

    The outbox has no index for this and needs none: it is read through once for each account.
    """
    to_do = sa.update(DEPARTURES).where(DEPARTURES.c.user_id == user_id, ~DEPARTURES.c.messages_erased)
    if (await connection.execute(to_do.values(messages_erased=True))).rowcount == 0:
        return False
    sent = (OUTBOX.c.sent_at.is_not(None), OUTBOX.c.subject.in_(_about(user_id)))
    await connection.execute(sa.delete(OUTBOX).where(*sent))
    return True


def _about(user_id: int) -> sa.CompoundSelect[tuple[str]]:
    """The subjects of these messages."""
    jobs = sa.select(JOBS.c.id).join(TAKES, TAKES.c.id == JOBS.c.take_id).where(TAKES.c.user_id == user_id).cte("own_jobs")
    return sa.union_all(
        *(sa.select(sa.literal(kind, sa.Text).concat(jobs.c.id)) for kind in ("job:", "work:")),
        sa.select(sa.literal("dubbing:", sa.Text).concat(sa.cast(DUBBINGS.c.id, sa.Text))).where(DUBBINGS.c.user_id == user_id),
    )


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
