"""SQL of what administrators do."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth.models import USERS
from services.auth.repository import Account

# Any constant that no other user of this database takes.
ADMINISTRATION_LOCK = 0x61646D696E  # "admin"


async def lock(connection: AsyncConnection) -> None:
    """Until the end of the transaction nobody else changes who is an administrator, or whose account is on."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADMINISTRATION_LOCK)))


async def accounts_like(connection: AsyncConnection, query: str, *, skip: int, limit: int, after: int) -> list[Account]:
    """Accounts whose address or name contains `query`, by id: a scan, which 100,000 accounts make 50 ms long."""
    wanted = sa.func.lower(query)
    found = sa.select(USERS).where(
        USERS.c.id > after,
        (sa.func.strpos(sa.func.lower(USERS.c.email), wanted) > 0)
        | (sa.func.strpos(sa.func.lower(USERS.c.full_name), wanted) > 0),
    )
    return await _accounts(connection, found.order_by(USERS.c.id).offset(skip).limit(limit))


async def administrators(connection: AsyncConnection, emails: Iterable[str]) -> list[Account]:
    """All administrators, by grant or because their address is one of `emails`, by id."""
    return await _accounts(connection, sa.select(USERS).where(_is_admin(emails)).order_by(USERS.c.id))


async def another_one(connection: AsyncConnection, user_id: int, emails: Iterable[str]) -> bool:
    """Whether anybody but this person is an administrator whose account is on."""
    others = sa.select(USERS.c.id).where(USERS.c.id != user_id, USERS.c.is_active, _is_admin(emails))
    return bool((await connection.execute(sa.select(sa.exists(others)))).scalar_one())


def _is_admin(emails: Iterable[str]) -> sa.ColumnElement[bool]:
    return USERS.c.is_admin | sa.func.lower(USERS.c.email).in_(sorted(emails))


async def _accounts(connection: AsyncConnection, wanted: sa.Select[tuple[object, ...]]) -> list[Account]:
    return [Account(**row._mapping) for row in await connection.execute(wanted)]
