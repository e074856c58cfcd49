"""Use cases of sessions: a sign-in begins one, refreshing keeps it alive, and its end is told to whoever checks tokens.

An access token lives for minutes and names its session. What outlives it can be used once: a refresh token (opaque, hashed
here, replaced at each use), or, for the web client that knows nothing else, the expired access token itself. Something that
is used twice is in two hands, and nobody can tell whose are the owner's: the session ends (RFC 9700, 4.14.2).
"""

import hashlib
import ipaddress
import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.common.contracts.auth import SessionRevoked
from libs.common.db import Database, Transaction
from libs.common.errors import Unauthenticated
from libs.common.web.auth import EXPIRED, Principal
from services.auth import repository, session_repository
from services.auth.errors import SessionEnded, SessionNotFound
from services.auth.models import MAX_ID
from services.auth.repository import Account
from services.auth.session_repository import Session
from services.auth.tokens import AccessTokens, active

log = logging.getLogger(__name__)

LOGOUT, ENDED, REPLAYED, LINKED = "logout", "ended", "replayed", "linked"
# Days that sessions are kept after the last moment at which they could have been continued, for questions after a theft.
KEPT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is used from: what the browser calls itself, and the address without its last part."""

    device: str | None
    network: str | None

    @classmethod
    def of(cls, user_agent: str, address: str) -> "Place":
        """Of what a request says; what is no text or no address is left out."""
        device = "".join(filter(str.isprintable, user_agent))[:200].strip()
        return cls(device or None, _coarse(address))


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

    async def begin(self, tx: Transaction, account: Account, place: Place) -> str:
        """The id of a new session of `account`."""
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
        return session_id

    async def begin_refreshable(self, tx: Transaction, account: Account, place: Place) -> tuple[str, str]:
        """A new session, and the first refresh token of it."""
        session_id = await self.begin(tx, account, place)
        return session_id, await self._new_refresh_token(tx, session_id)

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
                await self._end(tx, account.id, REPLAYED, session.id)
            else:
                await self._use(tx, session.id, place)
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
                await self._end(tx, taken.user_id, REPLAYED, taken.session_id)
            else:
                account = active(await repository.account(tx.connection, taken.user_id))
                if await session_repository.live(tx.connection, taken.session_id, account.id) is None:
                    raise SessionEnded
                await self._use(tx, taken.session_id, place)
                replacement = await self._new_refresh_token(tx, taken.session_id)
        if replacement is None:
            raise SessionEnded
        return Grant(await self._tokens.issue(account, taken.session_id), replacement)

    async def of(self, user_id: int) -> list[Session]:
        """The live sessions of a person."""
        async with self._database.reading() as connection:
            return await session_repository.live_of(connection, user_id)

    async def log_out(self, caller: Principal) -> None:
        """End the caller's session; nothing happens when it has ended."""
        if 0 < caller.user_id <= MAX_ID:
            async with self._database.transaction() as tx:
                await self._end(tx, caller.user_id, LOGOUT, caller.session_id)

    async def end(self, user_id: int, session_id: str) -> None:
        """End a session of this person; raises `SessionNotFound` when they have no such live one."""
        async with self._database.transaction() as tx:
            if not await self._end(tx, user_id, ENDED, session_id):
                raise SessionNotFound

    async def end_all(self, user_id: int) -> None:
        """End all sessions of this person."""
        async with self._database.transaction() as tx:
            await self._end(tx, user_id, ENDED)

    async def end_unproven(self, tx: Transaction, user_id: int) -> None:
        """End what began before somebody proved to own the account: it may be of whoever waited for its owner to come."""
        await self._end(tx, user_id, LINKED)

    async def forget_old(self) -> None:
        """Delete what was over `KEPT_DAYS` ago."""
        async with self._database.transaction() as tx:
            await session_repository.forget(tx.connection, days=KEPT_DAYS)

    async def _use(self, tx: Transaction, session_id: str, place: Place) -> None:
        await session_repository.use(
            tx.connection, session_id, device=place.device, network=place.network, idle=self._rules.idle
        )

    async def _end(self, tx: Transaction, user_id: int, reason: str, session_id: str | None = None) -> bool:
        ended = await session_repository.end(tx.connection, user_id=user_id, reason=reason, session_id=session_id)
        for session in ended:
            tx.publish(
                SessionRevoked(
                    session_id=session.id,
                    user_id=user_id,
                    reason=reason,
                    tokens_until=datetime.now(UTC) + timedelta(seconds=self._tokens.outlive_seconds),
                ),
                subject=f"session:{session.id}",
            )
            if reason == REPLAYED:
                log.warning("a token was used twice, its session ends", extra={"user_id": user_id, "session_id": session.id})
        return bool(ended)

    @staticmethod
    async def _new_refresh_token(tx: Transaction, session_id: str) -> str:
        token = secrets.token_urlsafe(32)
        await session_repository.add_refresh_token(tx.connection, _hash(token), session_id)
        return token


def _hash(token: str) -> bytes:
    """SHA-256 is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _coarse(address: str) -> str | None:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
