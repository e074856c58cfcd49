"""All SQL of auth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth.models import MAX_ID, SIGN_IN_CODES, SIGNING_KEYS, USERS

# Any constant that no other user of this database takes.
SIGNING_KEYS_LOCK = 0x6B657973  # "keys"


@dataclass(frozen=True, slots=True)
class Account:
    """One person. Times are aware, in UTC."""

    id: int
    email: str
    google_id: str | None
    full_name: str | None
    profile_picture: str | None
    is_active: bool
    is_admin: bool
    login_type: str
    created_at: datetime
    updated_at: datetime
    own_name: bool  # set by its owner here, as is
    own_picture: bool


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key as it lies in the database; `private_pem` is encrypted."""

    kid: str
    public_jwk: dict[str, Any]
    private_pem: str


async def account(connection: AsyncConnection, user_id: int, *, hold: bool = False) -> Account | None:
    """The account with this id, whatever number it is; with `hold` nobody changes it until the end."""
    if not 0 < user_id <= MAX_ID:
        return None
    wanted = sa.select(USERS).where(USERS.c.id == user_id)
    return await _one(connection, wanted.with_for_update(read=True) if hold else wanted)


async def accounts(connection: AsyncConnection, user_ids: Sequence[int]) -> list[Account]:
    """The accounts with these ids, by id."""
    wanted = USERS.c.id == sa.func.any(sa.cast(user_ids, sa.ARRAY(sa.Integer)))
    return [Account(**row._mapping) for row in await connection.execute(sa.select(USERS).where(wanted).order_by(USERS.c.id))]


async def account_of_email(connection: AsyncConnection, email: str, *, lock: bool = False) -> Account | None:
    """The account with this address, in whatever case it is written; with `lock` nobody else changes it until the end."""
    wanted = sa.select(USERS).where(_same_email(email))
    return await _one(connection, wanted.with_for_update() if lock else wanted)


async def account_of_subject(connection: AsyncConnection, subject: str) -> Account | None:
    """The account that this person signs in to, by the provider's id of them."""
    return await _one(connection, sa.select(USERS).where(USERS.c.google_id == subject))


async def create(connection: AsyncConnection, **values: Any) -> Account | None:
    """A new account, or None when another one has this id or address already."""
    return await _one(connection, insert(USERS).values(**values).on_conflict_do_nothing().returning(USERS))


async def change(connection: AsyncConnection, user_id: int, **values: Any) -> Account | None:
    """Set columns of an account; None when there is no such account."""
    changed = sa.update(USERS).where(USERS.c.id == user_id).values(**values, updated_at=sa.func.now()).returning(USERS)
    return await _one(connection, changed)


@dataclass(frozen=True, slots=True)
class SignInCode:
    """What a web client's code stands for."""

    user_id: int
    challenge: str
    used: bool
    session_id: str | None  # which began with it


async def keep_code(connection: AsyncConnection, code_hash: bytes, user_id: int, challenge: str, *, seconds: int) -> None:
    """Keep a code for so many seconds; those whose time is over go."""
    await connection.execute(sa.delete(SIGN_IN_CODES).where(SIGN_IN_CODES.c.expires_at < sa.func.now()))
    expires_at = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    await connection.execute(
        sa.insert(SIGN_IN_CODES).values(code_hash=code_hash, user_id=user_id, challenge=challenge, expires_at=expires_at)
    )


async def take_code(connection: AsyncConnection, code_hash: bytes) -> SignInCode | None:
    """What the code stands for in its time, and whether it was used; it is now. Whoever comes second waits for the first."""
    alive = (SIGN_IN_CODES.c.code_hash == code_hash) & (SIGN_IN_CODES.c.expires_at > sa.func.now())
    row = (await connection.execute(sa.select(SIGN_IN_CODES).where(alive).with_for_update())).first()
    if row is None:
        return None
    await connection.execute(sa.update(SIGN_IN_CODES).where(alive).values(used_at=sa.func.now()))
    return SignInCode(row.user_id, row.challenge, row.used_at is not None, row.session_id)


async def note_session_of_code(connection: AsyncConnection, code_hash: bytes, session_id: str) -> None:
    """What began with the code."""
    await connection.execute(
        sa.update(SIGN_IN_CODES).where(SIGN_IN_CODES.c.code_hash == code_hash).values(session_id=session_id)
    )


async def key_in_use(connection: AsyncConnection) -> StoredKey | None:
    """The key to sign with: the oldest that is not retired yet. None when there is none without an end: one has to be made."""
    usable = sa.select(SIGNING_KEYS).where(SIGNING_KEYS.c.retired_at.is_(None) | (SIGNING_KEYS.c.retired_at > sa.func.now()))
    rows = (await connection.execute(usable.order_by(SIGNING_KEYS.c.created_at, SIGNING_KEYS.c.kid))).all()
    if all(row.retired_at is not None for row in rows):
        return None
    return StoredKey(rows[0].kid, rows[0].public_jwk, rows[0].private_pem)


async def retire_keys(connection: AsyncConnection, *, seconds: float) -> list[str]:
    """Let every key that has no end yet sign for so many seconds more; their ids."""
    at = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    retired = sa.update(SIGNING_KEYS).where(SIGNING_KEYS.c.retired_at.is_(None)).values(retired_at=at)
    return list((await connection.execute(retired.returning(SIGNING_KEYS.c.kid))).scalars())


async def lock_keys(connection: AsyncConnection) -> None:
    """Until the end of the transaction no other replica makes a key."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SIGNING_KEYS_LOCK)))


async def add_key(connection: AsyncConnection, key: StoredKey) -> None:
    """Keep a new key."""
    await connection.execute(
        sa.insert(SIGNING_KEYS).values(kid=key.kid, public_jwk=key.public_jwk, private_pem=key.private_pem)
    )


async def public_keys(connection: AsyncConnection, *, retired_within: float) -> Iterable[dict[str, Any]]:
    """Public halves of the keys that are not retired, or were in the last `retired_within` seconds."""
    recently = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, retired_within)
    wanted = sa.select(SIGNING_KEYS.c.public_jwk).where(
        SIGNING_KEYS.c.retired_at.is_(None) | (SIGNING_KEYS.c.retired_at > recently)
    )
    return (await connection.execute(wanted.order_by(SIGNING_KEYS.c.created_at.desc()))).scalars().all()


def _same_email(email: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(USERS.c.email) == sa.func.lower(email)


async def _one(connection: AsyncConnection, statement: sa.Executable) -> Account | None:
    row = (await connection.execute(statement)).first()
    return Account(**row._mapping) if row else None
