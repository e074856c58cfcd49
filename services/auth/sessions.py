"""Use cases of sessions: a sign-in begins one, refreshing keeps it alive, and its end is told to whoever checks tokens.

An access token lives for minutes and names its session. What outlives it can be used once: a refresh token (opaque, hashed
here, replaced at each use), or, for the web client that knows nothing else, the expired access token itself. Something that
is used twice is in two hands, and nobody can tell whose are the owner's: the session ends (RFC 9700, 4.14.2).
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass

from libs.common.acts import Act, Origin, Place
from libs.common.db import Database, Transaction
from libs.common.errors import Unauthenticated
from libs.common.web.auth import EXPIRED, Principal
from services.auth import repository, session_repository
from services.auth.acts import record
from services.auth.errors import SessionEnded, SessionNotFound
from services.auth.models import MAX_ID
from services.auth.repository import Account
from services.auth.revoking import ENDED, LOGOUT, REPLACED, REPLAYED, end_sessions
from services.auth.session_repository import Session
from services.auth.tokens import AccessTokens, active

log = logging.getLogger(__name__)

# Days that sessions are kept after the last moment at which they could have been continued, for questions after a theft.
KEPT_DAYS = 30


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long sessions go on, in seconds. `grace`: how long after its first use an expired token is still refreshed."""

    idle: int
    lifetime: int
    grace: int
    refresh_expired: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client gets to go on with."""

    access_token: str
    refresh_token: str


class Sessions:
    """Begins, continues and ends sessions."""

    def __init__(self, database: Database, tokens: AccessTokens, rules: SessionRules) -> None:
        self._database = database
        self._tokens = tokens
        self._rules = rules

    async def begin(self, tx: Transaction, user_id: int, place: Place) -> tuple[Account, str]:
        """The account as it is now, which does not change before the new session is there, and the session's id.

        So whoever switches the account off, or takes a right from it, ends this session too. Raises `UnknownUser`,
        `Deactivated`.
        """
        account = active(await repository.account(tx.connection, user_id, hold=True))
        session_id = secrets.token_hex(16)
        await session_repository.add(
            tx.connection,
            session_id,
            account.id,
            device=place.device,
            network=place.network,
            idle=self._rules.idle,
            lifetime=self._rules.lifetime,
        )
        await record(tx, Act.SIGNED_IN, Origin(place, account.id, session_id))
        return account, session_id

    async def begin_refreshable(self, tx: Transaction, user_id: int, place: Place) -> tuple[Account, str, str]:
        """A new session as above, and the first refresh token of it."""
        account, session_id = await self.begin(tx, user_id, place)
        return account, session_id, await self._new_refresh_token(tx, session_id)

    async def refresh(self, caller: Principal, place: Place, *, expired: bool) -> str:
        """A new access token for one of a live session, with what is true of the account now.

        Raises `UnknownUser`, `Deactivated`, `SessionEnded`; `Unauthenticated` for an expired one where that is switched off.
        """
        if expired and not (self._rules.refresh_expired and caller.session_id):
            raise Unauthenticated(EXPIRED)
        async with self._database.transaction() as tx:
            account = active(await repository.account(tx.connection, caller.user_id))
            session = await session_repository.live(tx.connection, caller.session_id, account.id, lock=True)
            if session is None:
                raise SessionEnded
            spent_before = await session_repository.spend(tx.connection, caller.token_id, session.id)
            replayed = expired and spent_before is not None and spent_before > self._rules.grace
            if replayed:
                await self.end_replayed(tx, account.id, session.id, place)
            else:
                await self._use(tx, session, place)
        if replayed:
            raise SessionEnded
        return await self._tokens.issue(account, session.id)

    async def rotate(self, refresh_token: str, place: Place) -> Grant:
        """New tokens for a refresh token, which is used up by it. Raises `SessionEnded`, `UnknownUser`, `Deactivated`."""
        replacement: str | None = None
        async with self._database.transaction() as tx:
            taken = await session_repository.take_refresh_token(tx.connection, _hash(refresh_token))
            if taken is None:
                raise SessionEnded
            if taken.used:
                await self.end_replayed(tx, taken.user_id, taken.session_id, place)
            else:
                account = active(await repository.account(tx.connection, taken.user_id))
                session = await session_repository.live(tx.connection, taken.session_id, account.id)
                if session is None:
                    raise SessionEnded
                await self._use(tx, session, place)
                replacement = await self._new_refresh_token(tx, taken.session_id)
        if replacement is None:
            raise SessionEnded
        return Grant(await self._tokens.issue(account, taken.session_id), replacement)

    async def of(self, user_id: int) -> list[Session]:
        """The live sessions of a person."""
        async with self._database.reading() as connection:
            return await session_repository.live_of(connection, user_id)

    async def log_out(self, caller: Principal, place: Place) -> None:
        """End the caller's session; nothing happens when it has ended."""
        if 0 < caller.user_id <= MAX_ID:
            async with self._database.transaction() as tx:
                if await self._end(tx, caller.user_id, LOGOUT, caller.session_id):
                    await record(tx, Act.LOGGED_OUT, Origin(place, caller.user_id, caller.session_id))

    async def end(self, caller: Principal, session_id: str, place: Place) -> None:
        """End a session of the caller; raises `SessionNotFound` when they have no such live one."""
        async with self._database.transaction() as tx:
            if not await self._end(tx, caller.user_id, ENDED, session_id):
                raise SessionNotFound
            origin = Origin(place, caller.user_id, caller.session_id)
            await record(tx, Act.SESSION_ENDED, origin, thing=f"session:{session_id}")

    async def end_all(self, caller: Principal, place: Place) -> None:
        """End all sessions of the caller."""
        async with self._database.transaction() as tx:
            if await self._end(tx, caller.user_id, ENDED):
                await record(tx, Act.SESSIONS_ENDED, Origin(place, caller.user_id, caller.session_id))

    async def end_replaced(self, tx: Transaction, previous: Principal | None, place: Place) -> None:
        """End the session of a bearer that came beside the proof of a new sign-in: who signed in goes on with the new one."""
        if previous is None or not 0 < previous.user_id <= MAX_ID:
            return
        if await self._end(tx, previous.user_id, REPLACED, previous.session_id):
            await record(tx, Act.LOGGED_OUT, Origin(place, previous.user_id, previous.session_id), reason=REPLACED)

    async def end_replayed(self, tx: Transaction, user_id: int, session_id: str, place: Place) -> None:
        """End the session of something that counts once and came twice: it is in two hands."""
        if await self._end(tx, user_id, REPLAYED, session_id):
            log.warning("a token was used twice, its session ends", extra={"user_id": user_id, "session_id": session_id})
            await record(tx, Act.REPLAY_NOTICED, Origin(place, user_id, session_id))

    async def end_because(self, tx: Transaction, user_id: int, reason: str) -> None:
        """End all sessions of this person for a `reason` of `session.revoked`; the act that it belongs to is the caller's."""
        await self._end(tx, user_id, reason)

    async def forget_old(self) -> None:
        """Delete what was over `KEPT_DAYS` ago."""
        async with self._database.transaction() as tx:
            await session_repository.forget(tx.connection, days=KEPT_DAYS)

    async def _use(self, tx: Transaction, session: Session, place: Place) -> None:
        if place != Place(session.device, session.network):
            await record(tx, Act.SESSION_MOVED, Origin(place, session.user_id, session.id))
        await session_repository.use(
            tx.connection, session.id, device=place.device, network=place.network, idle=self._rules.idle
        )

    async def _end(self, tx: Transaction, user_id: int, reason: str, session_id: str | None = None) -> bool:
        outlive = self._tokens.outlive_seconds
        return await end_sessions(tx, user_id, reason, outlive_seconds=outlive, session_id=session_id)

    @staticmethod
    async def _new_refresh_token(tx: Transaction, session_id: str) -> str:
        token = secrets.token_urlsafe(32)
        await session_repository.add_refresh_token(tx.connection, _hash(token), session_id)
        return token


def _hash(token: str) -> bytes:
    """SHA-256 is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
