"""SQL of sessions and of what refreshes them."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth.models import REFRESH_TOKENS, SESSIONS, SPENT_TOKENS


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one person on one device. Times are aware, in UTC; `network` is coarse, such as 203.0.113.0/24."""

    id: str
    user_id: int
    device: str | None
    network: str | None
    created_at: datetime
    last_used_at: datetime
    idle_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None


_LIVE = SESSIONS.c.ended_at.is_(None) & (SESSIONS.c.idle_at > sa.func.now()) & (SESSIONS.c.expires_at > sa.func.now())


async def add(
    connection: AsyncConnection,
    session_id: str,
    user_id: int,
    *,
    device: str | None,
    network: str | None,
    idle: int,
    lifetime: int,
) -> None:
    """A new session, which ends after `idle` seconds without a refresh, and `lifetime` seconds from now at the latest."""
    await connection.execute(
        sa.insert(SESSIONS).values(
            id=session_id,
            user_id=user_id,
            device=device,
            network=network,
            idle_at=_from_now(idle),
            expires_at=_from_now(lifetime),
        )
    )


async def live(connection: AsyncConnection, session_id: str, user_id: int, *, lock: bool = False) -> Session | None:
    """This session of this person, if it goes on; with `lock` nobody else changes it until the end."""
    wanted = sa.select(SESSIONS).where(SESSIONS.c.id == session_id, SESSIONS.c.user_id == user_id, _LIVE)
    row = (await connection.execute(wanted.with_for_update() if lock else wanted)).first()
    return Session(**row._mapping) if row else None


async def live_of(connection: AsyncConnection, user_id: int) -> list[Session]:
    """All sessions of a person that go on, the last used first."""
    wanted = sa.select(SESSIONS).where(SESSIONS.c.user_id == user_id, _LIVE)
    rows = await connection.execute(wanted.order_by(SESSIONS.c.last_used_at.desc(), SESSIONS.c.id))
    return [Session(**row._mapping) for row in rows]


async def use(connection: AsyncConnection, session_id: str, *, device: str | None, network: str | None, idle: int) -> None:
    """The session was used, by this device from there."""
    changed = sa.update(SESSIONS).where(SESSIONS.c.id == session_id)
    await connection.execute(
        changed.values(last_used_at=sa.func.now(), idle_at=_from_now(idle), device=device, network=network)
    )


async def end(connection: AsyncConnection, *, user_id: int, reason: str, session_id: str | None = None) -> list[Session]:
    """End one or all live sessions of a person; those that ended by this."""
    wanted = [SESSIONS.c.user_id == user_id, _LIVE, *([SESSIONS.c.id == session_id] if session_id is not None else [])]
    ended = sa.update(SESSIONS).where(*wanted).values(ended_at=sa.func.now(), end_reason=reason).returning(SESSIONS)
    return [Session(**row._mapping) for row in await connection.execute(ended)]


async def forget(connection: AsyncConnection, *, days: int) -> None:
    """Sessions that nobody could have continued for so many days are gone, with what belongs to them."""
    await connection.execute(
        sa.delete(SESSIONS).where(SESSIONS.c.idle_at < sa.func.now() - sa.func.make_interval(0, 0, 0, days))
    )


async def spend(connection: AsyncConnection, token_id: str, session_id: str) -> float | None:
    """Note that an access token was refreshed; how many seconds ago it was before, None for the first time."""
    noted = insert(SPENT_TOKENS).values(token_id=token_id, session_id=session_id).on_conflict_do_nothing()
    if (await connection.execute(noted.returning(SPENT_TOKENS.c.token_id))).first() is not None:
        return None
    age = sa.extract("epoch", sa.func.now() - SPENT_TOKENS.c.spent_at)
    return float((await connection.execute(sa.select(age).where(SPENT_TOKENS.c.token_id == token_id))).scalar_one())


async def add_refresh_token(connection: AsyncConnection, token_hash: bytes, session_id: str) -> None:
    """Keep the hash of a new refresh token."""
    await connection.execute(sa.insert(REFRESH_TOKENS).values(token_hash=token_hash, session_id=session_id))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Whose session a refresh token belongs to, and whether it was used."""

    session_id: str
    user_id: int
    used: bool


async def take_refresh_token(connection: AsyncConnection, token_hash: bytes) -> RefreshToken | None:
    """A refresh token as it was until now; it is used from now on. Its session is locked first, as everywhere."""
    wanted = sa.select(REFRESH_TOKENS.c.session_id).where(REFRESH_TOKENS.c.token_hash == token_hash)
    session = (await connection.execute(sa.select(SESSIONS).where(SESSIONS.c.id.in_(wanted)).with_for_update())).first()
    if session is None:
        return None
    unused = sa.update(REFRESH_TOKENS).where(REFRESH_TOKENS.c.token_hash == token_hash, REFRESH_TOKENS.c.used_at.is_(None))
    taken = (await connection.execute(unused.values(used_at=sa.func.now()).returning(REFRESH_TOKENS.c.session_id))).first()
    return RefreshToken(session.id, session.user_id, used=taken is None)


def _from_now(seconds: int) -> sa.ColumnElement[datetime]:
    return sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
