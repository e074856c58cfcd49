"""Use cases of signing in with proof: what the provider vouches for becomes an account here."""

from sqlalchemy.exc import IntegrityError

from libs.common.acts import Act, Origin, Place
from libs.common.db import Database, Transaction
from libs.common.web.auth import Principal
from services.auth import repository
from services.auth.acts import Refusals, record
from services.auth.errors import IdentityConflict
from services.auth.provider import Identity, Provider
from services.auth.repository import Account
from services.auth.revoking import LINKED
from services.auth.service import tell_of_new
from services.auth.sessions import Sessions
from services.auth.tokens import AccessTokens, active

GOOGLE = "google"  # login_type of accounts that the provider vouches for, as clients know it


class GoogleSignIn:
    """Signs in whom the provider knows."""

    def __init__(
        self, database: Database, provider: Provider, tokens: AccessTokens, sessions: Sessions, refusals: Refusals
    ) -> None:
        self._refusals = refusals
        self._database = database
        self._provider = provider
        self._tokens = tokens
        self._sessions = sessions

    async def with_id_token(self, id_token: str, place: Place, *, previous: Principal | None = None) -> str:
        """An access token for whom `id_token` proves; makes the account at the first time. The session of `previous` ends.

        Raises `InvalidIdToken`, `IdentityConflict`, `Deactivated`, `ProviderUnreachable`, `SignInNotConfigured`.
        """
        with self._refusals.noticed(place):
            identity = await self._provider.identity(id_token)
            async with self._database.transaction() as tx:
                account = active(await self._account_of(tx, identity, place))
                account, session_id = await self._sessions.begin(tx, account.id, place)
                await self._sessions.end_replaced(tx, previous, place)
        return await self._tokens.issue(account, session_id)

    async def account_of(self, identity: Identity, place: Place) -> Account:
        """The account of `identity`, made at the first time; raises `IdentityConflict`, `Deactivated`."""
        async with self._database.transaction() as tx:
            return active(await self._account_of(tx, identity, place))

    async def _account_of(self, tx: Transaction, identity: Identity, place: Place) -> Account | None:
        """The account of this subject, else the one with its address, which is linked from now on, else a new one."""
        shown = {"full_name": identity.full_name, "profile_picture": identity.profile_picture}
        # What the provider does not say stays as it is.
        columns: dict[str, str | bool] = {"google_id": identity.subject, "login_type": GOOGLE}
        columns |= {name: value for name, value in shown.items() if value is not None}
        account = await repository.account_of_subject(tx.connection, identity.subject)
        if account is None:
            account = await repository.create(tx.connection, email=identity.email, **columns)
            if account is not None:
                await tell_of_new(tx, account, place)
                return account
            # Somebody has the address, or the same person signed in twice at once. The row is locked: of two identities with
            # one address the first gets it.
            account = await repository.account_of_email(tx.connection, identity.email, lock=True)
            if account is None:  # then the subject is there since a moment ago, under another address
                account = await repository.account_of_subject(tx.connection, identity.subject)
            if account is None or account.google_id not in (None, identity.subject):
                raise IdentityConflict
            if account.google_id is None:
                # What began before may be of whoever waited for the owner to come, and so may what they called themself.
                columns |= {"own_name": False, "own_picture": False}
                await self._sessions.end_because(tx, account.id, LINKED)
                await record(tx, Act.ACCOUNT_LINKED, Origin(place, account.id))
        if account.own_name and "own_name" not in columns:
            columns.pop("full_name", None)
        if account.own_picture and "own_picture" not in columns:
            columns.pop("profile_picture", None)
        if not account.is_active or all(getattr(account, column) == value for column, value in columns.items()):
            return account
        try:
            return await repository.change(tx.connection, account.id, **columns)
        except IntegrityError as error:  # the same person signs in at this moment under two addresses
            raise IdentityConflict from error
