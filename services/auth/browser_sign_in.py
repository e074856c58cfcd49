"""Use cases of the sign-in that leads a browser to the provider and back: authorization code with PKCE (RFC 9700, OIDC Core).

The token never stands in an address. The browser comes back to the web client's page with a code that counts once, for
seconds, and only together with the verifier of the page that began: a code in a history or a log is worth nothing, and a
page that did not begin a sign-in cannot be made to end one.
"""

import hashlib
import hmac
import logging
import secrets
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from libs.common.acts import Place
from libs.common.db import Database
from libs.common.errors import YouSyncError
from libs.common.web.auth import Principal
from services.auth import repository
from services.auth.acts import Refusals
from services.auth.attempts import Attempt, Sealing
from services.auth.errors import InvalidSignInCode, SignInInterrupted, SignInNotConfigured, UnknownReturnUrl
from services.auth.provider import Provider
from services.auth.repository import Account
from services.auth.sessions import Grant, Sessions
from services.auth.signing_in import GoogleSignIn
from services.auth.tokens import AccessTokens, active

log = logging.getLogger(__name__)

# Seconds for a page to load and ask; RFC 6749 (4.1.2) wants ten minutes at most.
CODE_SECONDS = 60
DENIED = "access_denied"  # the one error of the provider (RFC 6749, 4.1.2.1) that a person causes


class BrowserSignIn:
    """Sign-in that begins with a link. `callback_url` is where the provider sends browsers back to."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        sign_in: GoogleSignIn,
        tokens: AccessTokens,
        sessions: Sessions,
        sealing: Sealing,
        refusals: Refusals,
        *,
        callback_url: str,
        return_urls: tuple[str, ...],
    ) -> None:
        self._database = database
        self._provider = provider
        self._sign_in = sign_in
        self._tokens = tokens
        self._sessions = sessions
        self._sealing = sealing
        self._refusals = refusals
        self._callback_url = callback_url
        self._return_urls = return_urls

    async def begin(self, *, challenge: str, return_url: str | None) -> tuple[str, str]:
        """Where the browser goes, and what it keeps meanwhile. `return_url` is the first of the settings' by default.

        Raises `SignInNotConfigured`, `UnknownReturnUrl`, `ProviderUnreachable`.
        """
        if not self._return_urls:
            raise SignInNotConfigured
        if return_url is None:
            return_url = self._return_urls[0]
        elif return_url not in self._return_urls:
            raise UnknownReturnUrl
        attempt = Attempt.begin(challenge=challenge, return_url=return_url)
        where = await self._provider.authorization_url(attempt, redirect_uri=self._callback_url)
        return where, self._sealing.seal(attempt)

    async def come_back(
        self, cookie: str | None, place: Place, *, state: str | None, code: str | None, error: str | None, issuer: str | None
    ) -> str:
        """Where the browser goes that the provider sent back: the page it began at, with `#code=` or `#error=`.

        Raises `SignInInterrupted` when this browser did not begin what it wants to end.
        """
        with self._refusals.noticed(place):
            if cookie is None or state is None:
                raise SignInInterrupted
            attempt = self._sealing.open(cookie)
            if not attempt.is_of(state) or (issuer is not None and not self._provider.names(issuer)):
                raise SignInInterrupted
        if error is not None or code is None:
            return _back_to(attempt, error=DENIED if error == DENIED else "provider_error")
        try:
            with self._refusals.noticed(place):
                identity = await self._provider.redeem(code, attempt, redirect_uri=self._callback_url)
                account = await self._sign_in.account_of(identity, place)
            return _back_to(attempt, code=await self._new_code(account.id, attempt))
        except YouSyncError as failure:
            log.info("a sign-in failed", extra={"code": failure.code})
            return _back_to(attempt, error=failure.code)

    async def redeem(self, code: str, verifier: str, place: Place, *, previous: Principal | None = None) -> Grant:
        """A session for `code`, which counts once whether or not `verifier` fits; the one of `previous` ends.

        A second use ends the session of the first (RFC 6749, 4.1.2). Raises `InvalidSignInCode`, `UnknownUser`, `Deactivated`.
        """
        challenge = create_s256_code_challenge(verifier)
        grant: tuple[Account, str, str] | None = None
        with self._refusals.noticed(place):
            async with self._database.transaction() as tx:
                kept = await repository.take_code(tx.connection, _hash(code))
                if kept is not None and kept.session_id is not None:
                    await self._sessions.end_replayed(tx, kept.user_id, kept.session_id, place)
                elif kept is not None and not kept.used and hmac.compare_digest(challenge.encode(), kept.challenge.encode()):
                    grant = await self._sessions.begin_refreshable(tx, kept.user_id, place)
                    await repository.note_session_of_code(tx.connection, _hash(code), grant[1])
                    await self._sessions.end_replaced(tx, previous, place)
            if grant is None:
                raise InvalidSignInCode
        account, session_id, refresh_token = grant
        return Grant(await self._tokens.issue(account, session_id), refresh_token)

    async def _new_code(self, user_id: int, attempt: Attempt) -> str:
        code = secrets.token_urlsafe(32)
        async with self._database.transaction() as tx:
            active(await repository.account(tx.connection, user_id, hold=True))  # it may just have been deleted
            await repository.keep_code(tx.connection, _hash(code), user_id, attempt.challenge, seconds=CODE_SECONDS)
        return code


def _back_to(attempt: Attempt, **fragment: str) -> str:
    """In the fragment: browsers send it to no server, and name it to no other page."""
    return f"{attempt.return_url}#{urlencode(fragment)}"


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
