"""The SQL of what people do to their own account."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.auth import UserRegistered
from libs.common.deleted_users import DELETED_USERS
from libs.common.outbox.table import OUTBOX
from services.auth.models import MAX_ID, SESSIONS, USERS
from services.auth.repository import Account
from services.auth.session_repository import Session


async def lock(connection: AsyncConnection, user_id: int) -> Account | None:
    """The account as it is after everybody else's change; until the end nobody signs in to it."""
    if not 0 < user_id <= MAX_ID:
        return None
    row = (await connection.execute(sa.select(USERS).where(USERS.c.id == user_id).with_for_update())).first()
    return Account(**row._mapping) if row else None


async def erase(connection: AsyncConnection, user_id: int) -> None:
    """The account is gone, with its sessions and whatever continues them or begins one."""
    # Nobody needs the address that it was told with, and the outbox would keep it for days. Sent or not: it stays an event.
    told = sa.update(OUTBOX).where(OUTBOX.c.type == UserRegistered.name, OUTBOX.c.subject == f"user:{user_id}")
    await connection.execute(told.values(body=UserRegistered(user_id=user_id, email="").model_dump_json().encode()))
    await connection.execute(sa.delete(USERS).where(USERS.c.id == user_id))


async def was_deleted(connection: AsyncConnection, user_id: int) -> bool:
    """Whether this number was an account's that is gone."""
    gone = sa.select(sa.exists().where(DELETED_USERS.c.user_id == user_id))
    return bool((await connection.execute(gone)).scalar_one())


async def sessions(connection: AsyncConnection, user_id: int) -> list[Session]:
    """All sessions that are remembered of a person, those that ended too, the newest first."""
    wanted = sa.select(SESSIONS).where(SESSIONS.c.user_id == user_id).order_by(SESSIONS.c.created_at.desc(), SESSIONS.c.id)
    return [Session(**row._mapping) for row in await connection.execute(wanted)]
