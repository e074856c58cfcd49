"""Use cases of administrators: who is one, and whose account is on.

One at a time, whoever they are and wherever they come from: two who demote each other at the same moment would else leave
nobody. Who calls is looked up again behind that lock; the token only says what was true when it was made.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from libs.common.acts import Act, Origin
from libs.common.db import Database, Transaction
from libs.common.errors import Forbidden
from libs.common.web.rights import NOT_AN_ADMIN
from services.auth import administration_repository as sql
from services.auth import repository, session_repository
from services.auth.acts import SERVICE, record
from services.auth.errors import AccountNotFound, AdminBySettings, LastAdministrator, NotOneself, SessionEnded
from services.auth.repository import Account
from services.auth.revoking import DEACTIVATED, DEMOTED, end_sessions
from services.auth.tokens import active


@dataclass(frozen=True, slots=True)
class ManagedAccount:
    """An account as administrators see it, and what makes it one of theirs: a grant, the settings, or nothing."""

    account: Account
    admin_by: Literal["grant", "settings"] | None


class Administration:
    """What administrators do to accounts. `admin_emails` are those of the settings, `service` is where they do it.

    Who does it is an `Origin`; one without a person is an operator, who has the database itself at hand. Any call may raise
    `Forbidden`, `SessionEnded`, `UnknownUser` or `Deactivated` about whoever makes it.
    """

    def __init__(
        self, database: Database, *, outlive_seconds: int, admin_emails: frozenset[str], service: str = SERVICE
    ) -> None:
        self._database = database
        self._outlive_seconds = outlive_seconds
        self._admin_emails = admin_emails
        self._service = service

    async def search(self, query: str, by: Origin, *, skip: int, limit: int, after: int) -> Sequence[ManagedAccount]:
        """Accounts whose address or name contains `query`, in whatever case, with ids above `after`, by id."""
        async with self._administering(by, lock=False) as tx:
            found = await sql.accounts_like(tx.connection, query, skip=skip, limit=limit, after=after)
            await self._record(tx, Act.ACCOUNTS_SEARCHED, by)
        return [self._managed(account) for account in found]

    async def administrators(self) -> Sequence[ManagedAccount]:
        """All administrators, those that are switched off too, by id."""
        async with self._database.reading() as connection:
            return [self._managed(account) for account in await sql.administrators(connection, self._admin_emails)]

    async def deactivate(self, user_id: int, reason: str, by: Origin) -> ManagedAccount:
        """Switch an account off, and end its sessions. Raises `AccountNotFound`, `NotOneself`, `LastAdministrator`."""
        async with self._administering(by) as tx:
            account = await self._account(tx, user_id)
            if account.is_active:
                await self._spare(tx, account, by)
                account = await self._change(tx, account, is_active=False)
                await end_sessions(tx, account.id, DEACTIVATED, outlive_seconds=self._outlive_seconds)
                await self._record(tx, Act.ACCOUNT_DEACTIVATED, by, account_id=account.id, reason=reason)
        return self._managed(account)

    async def activate(self, user_id: int, reason: str, by: Origin) -> ManagedAccount:
        """Switch an account on again. Raises `AccountNotFound`."""
        async with self._administering(by) as tx:
            account = await self._account(tx, user_id)
            if not account.is_active:
                account = await self._change(tx, account, is_active=True)
                await self._record(tx, Act.ACCOUNT_ACTIVATED, by, account_id=account.id, reason=reason)
        return self._managed(account)

    async def grant(self, user_id: int, by: Origin) -> ManagedAccount:
        """Make somebody an administrator: their next access token says so. Raises `AccountNotFound`."""
        async with self._administering(by) as tx:
            account = await self._account(tx, user_id)
            if not account.is_admin:
                account = await self._change(tx, account, is_admin=True)
                await self._record(tx, Act.ADMIN_GRANTED, by, account_id=account.id)
        return self._managed(account)

    async def revoke(self, user_id: int, by: Origin) -> ManagedAccount:
        """Make somebody an administrator no more, and end their sessions, whose tokens would say so for minutes.

        Raises `AccountNotFound`, `AdminBySettings`, `NotOneself`, `LastAdministrator`.
        """
        async with self._administering(by) as tx:
            account = await self._account(tx, user_id)
            if self._by_settings(account):
                raise AdminBySettings
            if account.is_admin:
                await self._spare(tx, account, by)
                account = await self._change(tx, account, is_admin=False)
                await end_sessions(tx, account.id, DEMOTED, outlive_seconds=self._outlive_seconds)
                await self._record(tx, Act.ADMIN_REVOKED, by, account_id=account.id)
        return self._managed(account)

    @asynccontextmanager
    async def _administering(self, by: Origin, *, lock: bool = True) -> AsyncIterator[Transaction]:
        async with self._database.transaction() as tx:
            if lock:
                await sql.lock(tx.connection)
            if by.user_id is not None:
                caller = active(await repository.account(tx.connection, by.user_id))
                if await session_repository.live(tx.connection, by.session_id or "", caller.id) is None:
                    raise SessionEnded
                if not (caller.is_admin or self._by_settings(caller)):
                    raise Forbidden(NOT_AN_ADMIN)
            yield tx

    @staticmethod
    async def _account(tx: Transaction, user_id: int) -> Account:
        account = await repository.account(tx.connection, user_id)
        if account is None:
            raise AccountNotFound
        return account

    @staticmethod
    async def _change(tx: Transaction, account: Account, **values: Any) -> Account:
        changed = await repository.change(tx.connection, account.id, **values)
        if changed is None:  # deleted by its owner since
            raise AccountNotFound
        return changed

    async def _spare(self, tx: Transaction, account: Account, by: Origin) -> None:
        """Nobody locks themself out, nor the last one who could let anybody in again."""
        if account.id == by.user_id:
            raise NotOneself
        is_admin = account.is_admin or self._by_settings(account)
        if is_admin and account.is_active and not await sql.another_one(tx.connection, account.id, self._admin_emails):
            raise LastAdministrator

    async def _record(
        self, tx: Transaction, act: Act, by: Origin, *, account_id: int | None = None, reason: str | None = None
    ) -> None:
        await record(tx, act, by, account_id=account_id, reason=reason, service=self._service)

    def _by_settings(self, account: Account) -> bool:
        return account.email.casefold() in self._admin_emails

    def _managed(self, account: Account) -> ManagedAccount:
        return ManagedAccount(account, "settings" if self._by_settings(account) else "grant" if account.is_admin else None)
