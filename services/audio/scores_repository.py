"""The SQL of means and ranks: index-only, no result is read for it."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audio.models import JOBS, TAKES


@dataclass(frozen=True, slots=True)
class Recorder:
    """Somebody and how many recordings are theirs."""

    user_id: int
    recordings: int


_COUNT = sa.func.count()
MEAN_SCORE = sa.select(sa.func.avg(JOBS.c.score)).where(
    JOBS.c.user_id == sa.bindparam("user_id", type_=sa.Integer),
    JOBS.c.state == sa.literal_column("'completed'"),  # a literal, so that PostgreSQL sees that a partial index covers it
)
TOP_RECORDERS = (
    sa.select(TAKES.c.user_id, _COUNT.label("recordings"))
    .where(TAKES.c.user_id.is_not(None))
    .group_by(TAKES.c.user_id)
    .order_by(_COUNT.desc(), TAKES.c.user_id)
    .limit(sa.bindparam("most", type_=sa.BigInteger))
)


async def mean_score(connection: AsyncConnection, user_id: int) -> float | None:
    """Of all results of the user that have a score, 0..1; None without any."""
    mean: float | None = (await connection.execute(MEAN_SCORE, {"user_id": user_id})).scalar_one()
    return mean


async def top_recorders(connection: AsyncConnection, most: int) -> list[Recorder]:
    """Those with the most recordings, who was there first before who came later."""
    return [Recorder(row.user_id, row.recordings) for row in await connection.execute(TOP_RECORDERS, {"most": most})]
