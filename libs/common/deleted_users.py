"""Whose accounts are gone: a table of numbers in the database of each service that keeps something of people.

An access token outlives its account by minutes, and an upload may be on its way while the account goes. So whoever writes
something of a person holds that person's lock, together with others, and looks here, in the transaction of the write; whoever
erases them has the lock alone. Whichever comes first, nothing is left.

The numbers stay for ever. They name nobody: `auth` gives none of them out again.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.auth import UserDeleted
from libs.common.errors import Unauthenticated
from libs.common.statement import Rows, Statement

LOCK = 0x676F6E65  # "gone"; of two-part advisory locks, any constant that no other user of the database takes

_metadata = sa.MetaData()
DELETED_USERS = sa.Table(
    "deleted_users",
    _metadata,
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
)


class DeletedUser(Unauthenticated):
    """The token is still valid, its account is gone."""

    code = "unknown_user"

    def __init__(self) -> None:
        super().__init__("사용자를 찾을 수 없습니다")


_USER = sa.bindparam("user_id", type_=sa.Integer)
_LOCK_SHARED = Statement(sa.select(sa.func.pg_advisory_xact_lock_shared(sa.literal_column(str(LOCK)), _USER)))
_FIND = Statement(sa.select(DELETED_USERS.c.user_id).where(DELETED_USERS.c.user_id == _USER))


async def hold(tx: Rows, user_id: int) -> None:
    """Have nobody erase this person before the transaction ends; raises `DeletedUser` when it has happened.

    Before any row of theirs is locked: who erases them takes this lock first, too.
    """
    await tx.rows(_LOCK_SHARED, {"user_id": user_id})
    # A statement of its own: it must see what was committed while the first one waited.
    if await tx.rows(_FIND, {"user_id": user_id}):
        raise DeletedUser


async def bury(connection: AsyncConnection, user: UserDeleted) -> None:
    """From now on nobody writes anything of this person; who is about to has finished when this returns."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK, user.user_id)))
    known = insert(DELETED_USERS).values(user_id=user.user_id, deleted_at=user.deleted_at).on_conflict_do_nothing()
    await connection.execute(known)
