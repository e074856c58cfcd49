"""SQL of what is remembered of ended sessions while their tokens are valid."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.auth import RevokedSession
from services.auth.models import REVOKED_SESSIONS


async def add(connection: AsyncConnection, session_ids: Collection[str], tokens_until: datetime) -> None:
    """These sessions ended."""
    rows = [{"session_id": session_id, "tokens_until": tokens_until} for session_id in session_ids]
    if rows:
        await connection.execute(insert(REVOKED_SESSIONS).on_conflict_do_nothing(), rows)


async def page(connection: AsyncConnection, *, after: str, limit: int, within_seconds: int | None) -> list[RevokedSession]:
    """Those of which tokens may be valid, by id, behind `after`; only such as ended in the last seconds, if these are given."""
    wanted = sa.select(REVOKED_SESSIONS.c.session_id, REVOKED_SESSIONS.c.tokens_until).where(
        REVOKED_SESSIONS.c.session_id > after, REVOKED_SESSIONS.c.tokens_until > sa.func.now()
    )
    if within_seconds is not None:
        since = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, within_seconds)
        wanted = wanted.where(REVOKED_SESSIONS.c.revoked_at > since)
    rows = await connection.execute(wanted.order_by(REVOKED_SESSIONS.c.session_id).limit(limit))
    return [RevokedSession(**row._mapping) for row in rows]


async def forget(connection: AsyncConnection) -> None:
    """Those of which no token is valid any more are gone."""
    await connection.execute(sa.delete(REVOKED_SESSIONS).where(REVOKED_SESSIONS.c.tokens_until < sa.func.now()))
