"""A sign-in on its way: what a browser keeps for us between leaving for the provider and coming back.

It is a cookie, encrypted and authenticated with a key made of AUTH_KEY_SECRET, so that nothing is stored for whoever never
comes back, and any replica can go on.
"""

import hashlib
import hmac
import secrets
import time
from dataclasses import asdict, dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey
from pydantic import SecretStr

from services.auth.errors import SignInInterrupted

# Seconds to choose an account, type a password and find the phone with the second factor.
ATTEMPT_SECONDS = 600
_HEADER = {"alg": "dir", "enc": "A256GCM"}
_REGISTRY = JWERegistry(algorithms=["dir", "A256GCM"])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in. `challenge` is the web client's (RFC 7636), `verifier` ours towards the provider."""

    state: str
    nonce: str
    verifier: str
    challenge: str
    return_url: str

    @classmethod
    def begin(cls, *, challenge: str, return_url: str) -> "Attempt":
        """A new one, with random values of 256 bits that nobody can guess."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), challenge, return_url)

    def is_of(self, state: str) -> bool:
        """Whether the provider answers this attempt."""
        return hmac.compare_digest(self.state.encode(), state.encode("utf-8", "replace"))


class Sealing:
    """Makes cookies of attempts and attempts of cookies."""

    def __init__(self, secret: SecretStr) -> None:
        derived = hmac.digest(secret.get_secret_value().encode(), b"yousync: sign-in attempts", hashlib.sha256)
        self._key = OctKey.import_key(derived)
        self._claims = jwt.JWTClaimsRegistry(exp={"essential": True})

    def seal(self, attempt: Attempt) -> str:
        """What the browser keeps."""
        claims = {**asdict(attempt), "exp": int(time.time()) + ATTEMPT_SECONDS}
        return jwt.encode(_HEADER, claims, self._key, registry=_REGISTRY)

    def open(self, cookie: str) -> Attempt:
        """The attempt in `cookie`; raises `SignInInterrupted` when it is none of ours, or too old."""
        try:
            claims = jwt.decode(cookie, self._key, registry=_REGISTRY).claims
            self._claims.validate(claims)
            del claims["exp"]
            return Attempt(**claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise SignInInterrupted from error
