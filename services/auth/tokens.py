"""Access tokens: who gets one, and what it says."""

import secrets
import time

from joserfc import jwt

from libs.common.settings import MAX_LEEWAY
from libs.common.web.auth import AUDIENCE
from services.auth.errors import Deactivated, UnknownUser
from services.auth.keys import ALGORITHM, SigningKeys
from services.auth.repository import Account


class AccessTokens:
    """Issues the signed tokens (RFC 9068 in spirit: short-lived, audience-bound) that every service checks by itself."""

    def __init__(self, keys: SigningKeys, *, issuer: str, seconds: int, admin_emails: frozenset[str]) -> None:
        self._keys = keys
        self._issuer = issuer
        self._seconds = seconds
        self._admin_emails = admin_emails

    @property
    def outlive_seconds(self) -> int:
        """Seconds after which no token that exists now is accepted anywhere."""
        return self._seconds + MAX_LEEWAY

    async def issue(self, account: Account, session_id: str) -> str:
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
            "sid": session_id,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def active(account: Account | None) -> Account:
    """`account`, if it is there and not switched off; raises `UnknownUser`, `Deactivated`."""
    if account is None:
        raise UnknownUser
    if not account.is_active:
        raise Deactivated(account.id)
    return account
