"""What one service shows another: that it is itself, to this one service, for a minute.

Each service that calls has an Ed25519 key of its own and signs its tokens; who answers knows the public keys of all callers.
So nobody can pass for another service, whoever is called least of all, and it works while `auth` is down. The tokens
travel in a header of their own: what people show (`Authorization`) opens nothing internal, and this opens nothing else.
"""

import base64
import hashlib
import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

log = logging.getLogger(__name__)

HEADER: Final = "X-Service-Token"
ALGORITHM: Final = "Ed25519"
TYPE: Final = "service+jwt"
# Seconds that a token is valid: so long it is of use to whoever steals it from the memory of the one service that it is for.
LIFETIME: Final = 60
# Seconds before its end in which it is not sent any more: longer than a call may take to be read, and clocks differ.
SPARE: Final = 15
# A token has about 300 bytes; anything much longer is not worth parsing.
MAX_BYTES: Final = 1024
# Verified tokens that are remembered: one is used for 45 s, by each process of each caller.
REMEMBERED: Final = 256

_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # what comes before the 32 bytes of a private key: RFC 8410, 7


class KeyUnusable(ValueError):
    """Not the base64 body of an Ed25519 key as `openssl genpkey -algorithm ed25519` writes it in PEM."""


class CallerRefused(Exception):
    """A service token that proves nothing; the message says why, for the log."""


def new_key() -> str:
    """A private key: its PKCS#8 form in base64, the body of a PEM file."""
    return _body(OKPKey.generate_key(ALGORITHM), private=True)


def development_key(service: str) -> str:
    """The private key of `service` where none is set, the same everywhere. Production refuses it."""
    return base64.b64encode(_PKCS8 + hashlib.sha256(f"development only: {service}".encode()).digest()).decode()


def public_key(private: str) -> str:
    """The public half of a private key: its SubjectPublicKeyInfo in base64. Raises `KeyUnusable`."""
    return _body(read_key(private, private=True), private=False)


def read_key(body: str, *, private: bool) -> OKPKey:
    """A key from the body of a PEM file. Raises `KeyUnusable`, also for the other half of a pair."""
    label = "PRIVATE" if private else "PUBLIC"
    try:
        key = OKPKey.import_key(f"-----BEGIN {label} KEY-----\n{body}\n-----END {label} KEY-----\n")
    except (JoseError, ValueError, TypeError) as error:
        raise KeyUnusable(f"is no Ed25519 {label.lower()} key in base64") from error
    if key.curve_name != ALGORITHM or key.is_private is not private:
        raise KeyUnusable(f"is no Ed25519 {label.lower()} key in base64")
    return key


def _body(key: OKPKey, *, private: bool) -> str:
    return "".join(key.as_pem(private=private).decode().splitlines()[1:-1])


class Identity:
    """The service that calls, by name and private key."""

    def __init__(self, service: str, private: str) -> None:
        self._service = service
        self._key = read_key(private, private=True)
        self._kid = self._key.thumbprint()
        self._tokens: dict[str, tuple[float, str]] = {}  # by audience, with the time until which they are sent

    def header(self, audience: str) -> dict[str, str]:
        """What a request to the service `audience` shows. A token is made once and used until shortly before its end."""
        until, token = self._tokens.get(audience, (0.0, ""))
        now = time.time()
        if not now < until <= now + LIFETIME:  # a clock that was set back must not keep it for longer
            token = self._signed(audience, int(now))
            self._tokens[audience] = (now + LIFETIME - SPARE, token)
        return {HEADER: token}

    def _signed(self, audience: str, now: int) -> str:
        claims = {"iss": self._service, "aud": audience, "iat": now, "exp": now + LIFETIME}
        return jwt.encode({"alg": ALGORITHM, "typ": TYPE, "kid": self._kid}, claims, self._key, algorithms=[ALGORITHM])


class ServiceVerifier:
    """Says which service a token is of. `keys` are names with public keys; one with two of them is changing its key."""

    def __init__(self, keys: Iterable[tuple[str, str]], *, audience: str, leeway: int) -> None:
        named = [(name, read_key(body, private=False)) for name, body in keys]
        self._keys = {key.thumbprint(): (name, key) for name, key in named}
        self._audience = audience
        self._leeway = leeway
        self._verified: dict[str, tuple[int, str]] = {}  # with the second in which they end
        self._claims = jwt.JWTClaimsRegistry(leeway=leeway, iat={"essential": True}, exp={"essential": True})

    def caller(self, token: str) -> str:
        """The name of the service that signed `token` for this one. Raises `CallerRefused`."""
        ends, name = self._verified.get(token, (0, ""))
        if not name:
            ends, name = self._verify(token)
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[token] = ends, name
        if ends + self._leeway < time.time():
            raise CallerRefused("it has expired")
        return name

    def _verify(self, token: str) -> tuple[int, str]:
        if not token:
            raise CallerRefused("there is none")
        if len(token) > MAX_BYTES:
            raise CallerRefused("it is too long")
        try:
            signed = jwt.decode(token, self._key_of, algorithms=[ALGORITHM])
            self._claims.validate(signed.claims)
            return self._trusted(signed.header, signed.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise CallerRefused(repr(error)[:200]) from error

    def _key_of(self, token: Any) -> OKPKey:
        return self._keys[token.headers()["kid"]][1]

    def _trusted(self, header: dict[str, Any], claims: dict[str, Any]) -> tuple[int, str]:
        name, _ = self._keys[header["kid"]]
        if header.get("typ") != TYPE or claims.get("iss") != name:
            raise ValueError("it is no token of this service")
        if claims.get("aud") != self._audience:
            raise ValueError("it is for another service")
        if claims["exp"] - claims["iat"] > LIFETIME:
            raise ValueError("it is valid for too long")
        return int(claims["exp"]), name
