"""Use cases of auth."""

from dataclasses import dataclass
from typing import Any

from libs.common.acts import Act, Origin, Place
from libs.common.contracts.auth import UserRegistered
from libs.common.db import Database, Transaction, move_identity_past
from libs.common.web.auth import Principal
from services.auth import account_repository, repository, session_repository
from services.auth.acts import record
from services.auth.errors import AccountConflict, SessionEnded
from services.auth.models import MAX_ID, USERS
from services.auth.repository import Account
from services.auth.sessions import Sessions
from services.auth.tokens import AccessTokens, active

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


class Accounts:
    """Who people are."""

    def __init__(self, database: Database, tokens: AccessTokens, sessions: Sessions) -> None:
        self._database = database
        self._tokens = tokens
        self._sessions = sessions

    async def sign_in_unproven(self, email: str, place: Place, *, admin: bool, full_name: str | None) -> str:
        """An access token for whoever says to be `email`; makes the account at the first time. For development only.

        `admin` makes the account an administrator's; without it the account stays what it is. Raises `Deactivated`.
        """
        async with self._database.transaction() as tx:
            account = await repository.create(tx.connection, email=email, full_name=full_name, login_type=DEVELOPMENT)
            if account is not None:
                await tell_of_new(tx, account, place)
            else:
                account = await repository.account_of_email(tx.connection, email)
            account = active(account)
            wanted = {
                "is_admin": admin or account.is_admin,
                "full_name": full_name if full_name is not None else account.full_name,
            }
            if any(getattr(account, column) != value for column, value in wanted.items()):
                account = active(await repository.change(tx.connection, account.id, **wanted))
            account, session_id = await self._sessions.begin(tx, account.id, place)
        return await self._tokens.issue(account, session_id)

    async def account(self, caller: Principal) -> Account:
        """The caller's account; raises `UnknownUser`, `Deactivated` or `SessionEnded`."""
        async with self._database.reading() as connection:
            account = active(await repository.account(connection, caller.user_id))
            if await session_repository.live(connection, caller.session_id, account.id) is None:
                raise SessionEnded
        return account

    async def people(self, user_ids: list[int]) -> list[Account]:
        """The accounts with these ids, switched off or not, by id."""
        async with self._database.reading() as connection:
            return await repository.accounts(connection, [each for each in user_ids if 0 < each <= MAX_ID])

    async def import_accounts(self, accounts: list[NewAccount]) -> ImportCounts:
        """Bring accounts with their ids, all or none. Running it twice changes nothing.

        Somebody who signed in before the import has an id here already, and keeps it: other services know it. An account that
        was deleted does not come back. Raises `AccountConflict` when an id of the document belongs to another address here.
        """
        created = updated = 0
        async with self._database.transaction() as tx:
            for index, wanted in enumerate(accounts):
                there = await repository.account_of_email(tx.connection, wanted.email)
                if there is None:
                    if await account_repository.was_deleted(tx.connection, wanted.id):
                        continue
                    account = await repository.create(
                        tx.connection, id=wanted.id, email=wanted.email, login_type=DEVELOPMENT, **wanted.columns
                    )
                    if account is None:
                        raise AccountConflict(f"users[{index}]: the id {wanted.id} belongs to another address here")
                    await tell_of_new(tx, account, Place())
                    created += 1
                elif any(getattr(there, column) != value for column, value in wanted.columns.items()):
                    await repository.change(tx.connection, there.id, **wanted.columns)
                    updated += 1
            if created:
                await move_identity_past(tx.connection, USERS)
        return ImportCounts(created, updated, len(accounts) - created - updated)


async def tell_of_new(tx: Transaction, account: Account, place: Place) -> None:
    """Tell the others, and the log, of a new account."""
    await record(tx, Act.ACCOUNT_CREATED, Origin(place, account.id))
    tx.publish(
        UserRegistered(user_id=account.id, email=account.email, full_name=account.full_name),
        subject=f"user:{account.id}",
    )
