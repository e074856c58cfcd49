"""Use cases of people with their own account: what it shows of them, and its end.

Deleting it takes whatever is theirs along, everywhere, for good. So it is done by who has signed in lately: not by a machine
that was left open, and not by who has stolen a token from one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from libs.common.acts import Act, Origin, Place
from libs.common.contracts.auth import UserDeleted
from libs.common.db import Database, Transaction
from libs.common.deleted_users import bury
from libs.common.web.auth import Principal
from services.auth import account_repository, administration_repository, repository, session_repository
from services.auth.acts import record
from services.auth.errors import LastAdministrator, SessionEnded, SignInAgain
from services.auth.repository import Account
from services.auth.revoking import DELETED, end_sessions
from services.auth.session_repository import Session
from services.auth.tokens import active

# Enough to sign in, come back to the page, read what will be gone, and press the button.
LATELY = timedelta(minutes=10)
_OWN = {"full_name": "own_name", "profile_picture": "own_picture"}


class OwnAccount:
    """What people do to their own account. `admin_emails` are those of the settings.

    Any call may raise `UnknownUser`, `Deactivated` or `SessionEnded`.
    """

    def __init__(self, database: Database, *, outlive_seconds: int, admin_emails: frozenset[str]) -> None:
        self._database = database
        self._outlive_seconds = outlive_seconds
        self._admin_emails = admin_emails

    async def change_profile(self, caller: Principal, shown: Mapping[str, str | None]) -> Account:
        """Set `full_name`, `profile_picture` or both, None for none. The next sign-in leaves alone what was set here."""
        async with self._database.transaction() as tx:
            account, _ = await self._caller(tx, caller)
            if shown:
                own = {_OWN[name]: True for name in shown}
                account = active(await repository.change(tx.connection, account.id, **shown, **own))
        return account

    async def delete(self, caller: Principal, place: Place) -> None:
        """Erase the account, and have all others erase what they keep of the person.

        Raises `SignInAgain`, and `LastAdministrator` when nobody would be left to let anybody in.
        """
        async with self._database.transaction() as tx:
            await administration_repository.lock(tx.connection)  # before any account, as administrators do
            account, session = await self._caller(tx, caller)
            now = datetime.now(UTC)
            if now - session.created_at > LATELY:
                raise SignInAgain
            let_in = self._admin_emails or await administration_repository.another_one(tx.connection, account.id, ())
            if account.is_admin and not let_in:
                raise LastAdministrator
            await end_sessions(tx, account.id, DELETED, outlive_seconds=self._outlive_seconds)
            await record(tx, Act.ACCOUNT_DELETED, Origin(place, account.id, session.id))
            await account_repository.erase(tx.connection, account.id)
            gone = UserDeleted(user_id=account.id, deleted_at=now)
            await bury(tx.connection, gone)
            tx.publish(gone, subject=f"user:{account.id}")

    @staticmethod
    async def _caller(tx: Transaction, caller: Principal) -> tuple[Account, Session]:
        account = active(await account_repository.lock(tx.connection, caller.user_id))
        session = await session_repository.live(tx.connection, caller.session_id, account.id)
        if session is None:
            raise SessionEnded
        return account, session
