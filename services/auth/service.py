"""Use cases of auth."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from joserfc import jwt

from libs.common.contracts.auth import UserRegistered
from libs.common.db import Database, Transaction, move_identity_past
from libs.common.web.auth import AUDIENCE, Principal
from services.auth import repository
from services.auth.errors import AccountConflict, Deactivated, UnknownUser
from services.auth.keys import ALGORITHM, SigningKeys
from services.auth.models import USERS
from services.auth.repository import Account

MAX_ID = 2**31 - 1  # PostgreSQL's integer
DEVELOPMENT = "development"  # login_type of accounts that nobody proved to own


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account of an import document, which keeps its id."""

    id: int
    email: str
    columns: dict[str, Any]  # what the document says besides; of what it does not mention, nothing changes


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did to the accounts."""

    created: int
    updated: int
    unchanged: int


class AccessTokens:
    """Issues the signed tokens (RFC 9068 in spirit: short-lived, audience-bound) that every service checks by itself."""

    def __init__(self, keys: SigningKeys, *, issuer: str, seconds: int, admin_emails: frozenset[str]) -> None:
        self._keys = keys
        self._issuer = issuer
        self._seconds = seconds
        self._admin_emails = admin_emails

    async def issue(self, account: Account) -> str:
        """A token that says who `account` is, from now on for the configured number of seconds."""
        key = await self._keys.current()
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(account.id),
            "email": account.email,
            "admin": account.is_admin or account.email.casefold() in self._admin_emails,
            "iat": now,
            "exp": now + self._seconds,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


class Accounts:
    """Who people are."""

    def __init__(self, database: Database, tokens: AccessTokens) -> None:
        self._database = database
        self._tokens = tokens

    async def sign_in_unproven(self, email: str, *, admin: bool, full_name: str | None) -> str:
        """An access token for whoever says to be `email`; makes the account at the first time. For development only.

        `admin` makes the account an administrator's; without it the account stays what it is. Raises `Deactivated`.
        """
        async with self._database.transaction() as tx:
            account = await repository.create(tx.connection, email=email, full_name=full_name, login_type=DEVELOPMENT)
            if account is not None:
                publish_registered(tx, account)
            else:
                account = await repository.account_of_email(tx.connection, email)
            account = active(account)
            wanted = {
                "is_admin": admin or account.is_admin,
                "full_name": full_name if full_name is not None else account.full_name,
            }
            if any(getattr(account, column) != value for column, value in wanted.items()):
                account = active(await repository.change(tx.connection, account.id, **wanted))
        return await self._tokens.issue(account)

    async def account(self, caller: Principal) -> Account:
        """The caller's account; raises `UnknownUser` or `Deactivated`."""
        if not 0 < caller.user_id <= MAX_ID:
            raise UnknownUser
        async with self._database.reading() as connection:
            return active(await repository.account(connection, caller.user_id))

    async def people(self, user_ids: list[int]) -> list[Account]:
        """The accounts with these ids, switched off or not, by id."""
        async with self._database.reading() as connection:
            return await repository.accounts(connection, [each for each in user_ids if 0 < each <= MAX_ID])

    async def refresh(self, caller: Principal) -> str:
        """A new token with what is true of the account now; raises `UnknownUser` or `Deactivated`."""
        return await self._tokens.issue(await self.account(caller))

    async def import_accounts(self, accounts: list[NewAccount]) -> ImportCounts:
        """Bring accounts with their ids, all or none. Running it twice changes nothing.

        Somebody who signed in before the import has an id here already, and keeps it: other services know it. Raises
        `AccountConflict` when an id of the document belongs to another address here.
        """
        created = updated = 0
        async with self._database.transaction() as tx:
            for index, wanted in enumerate(accounts):
                there = await repository.account_of_email(tx.connection, wanted.email)
                if there is None:
                    account = await repository.create(
                        tx.connection, id=wanted.id, email=wanted.email, login_type=DEVELOPMENT, **wanted.columns
                    )
                    if account is None:
                        raise AccountConflict(f"users[{index}]: the id {wanted.id} belongs to another address here")
                    publish_registered(tx, account)
                    created += 1
                elif any(getattr(there, column) != value for column, value in wanted.columns.items()):
                    await repository.change(tx.connection, there.id, **wanted.columns)
                    updated += 1
            if created:
                await move_identity_past(tx.connection, USERS)
        return ImportCounts(created, updated, len(accounts) - created - updated)


def active(account: Account | None) -> Account:
    """`account`, if it is there and not switched off; raises `UnknownUser`, `Deactivated`."""
    if account is None:
        raise UnknownUser
    if not account.is_active:
        raise Deactivated
    return account


def publish_registered(tx: Transaction, account: Account) -> None:
    """Tell the others of a new account."""
    tx.publish(
        UserRegistered(user_id=account.id, email=account.email, full_name=account.full_name),
        subject=f"user:{account.id}",
    )
