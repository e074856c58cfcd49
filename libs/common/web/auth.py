"""Who is calling: the bearer token, checked against the public keys of `auth` without asking anybody per request.

Every service checks for itself; no header set by the gateway is believed. The texts are those of the service that this one
replaces, because its web client shows and handles them; a missing token is 401 (it was 403, which the client cannot handle).
"""

import asyncio
import base64
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ConflictAlgorithmError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingAlgorithmError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import KeySet

from libs.common.errors import Forbidden, Unauthenticated
from libs.common.settings import VerifierSettings
from libs.common.web.internal import ServiceUnavailable, open_client
from libs.common.web.rights import NOT_AN_ADMIN

log = logging.getLogger(__name__)

ALGORITHMS = ["Ed25519"]
AUDIENCE = "yousync"
# A token of ours has about 400 bytes; anything much longer is not worth parsing.
MAX_TOKEN_BYTES = 4096
# An unknown key id makes us ask for the keys again, but strangers must not make us ask more often than this.
REFETCH_SECONDS = 5.0
# Beside requests they are asked for this often, so that a key that `auth` took away is not believed for ever.
KEYS_SECONDS = 300.0
# Tokens that are remembered as verified, some 600 bytes each. Nothing is refused when they are more: those cost the full check.
REMEMBERED = 8192

NO_LOGIN, EXPIRED, INVALID = "Not authenticated", "토큰이 만료되었습니다", "유효하지 않은 토큰입니다"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as the token says."""

    user_id: int
    email: str
    is_admin: bool
    session_id: str = ""  # what ends with `session.revoked`
    token_id: str = ""
    expires_at: float = field(default=0.0, compare=False)  # seconds since 1970; who is calling does not depend on it


class SessionEnded(Unauthenticated):
    """The session ended, or what should continue it was used before: only signing in helps."""

    code = "session_ended"

    def __init__(self) -> None:
        super().__init__("세션이 종료되었습니다. 다시 로그인해 주세요.")


class SignInUnavailable(ServiceUnavailable):
    """Nobody can be believed before `auth` has answered once."""

    def __init__(self) -> None:
        super().__init__("sign-in is not available at the moment, please try again")


class TokenVerifier:
    """Checks access tokens. Keys are fetched once, again when a token names an unknown one, and beside requests every
    `KEYS_SECONDS`; old ones outlive a failure.

    A client sends the same token again and again, and 95 of the 140 microseconds of a check are the signature's: what was
    verified is remembered, as long as the keys stay the same. Under its SHA-256, so that memory holds no bearer. Whether
    the session goes on is nothing that a token proves, and not looked at here.
    """

    def __init__(self, fetch_keys: Callable[[], Awaitable[dict[str, Any]]], *, issuer: str, leeway: int) -> None:
        self._fetch_keys = fetch_keys
        self._keys: KeySet | None = None
        self._fetched_at = self._renewed_at = float("-inf")
        self._renewing: asyncio.Task[None] | None = None
        self._verified: OrderedDict[bytes, Principal] = OrderedDict()  # the one used last comes last
        self._failures = 0
        self._lock = asyncio.Lock()
        self._leeway = leeway
        self._claims = jwt.JWTClaimsRegistry(
            leeway=leeway,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The caller that `token` proves. Raises `Unauthenticated` with the text that clients show."""
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated(INVALID, why="too_long")
        self._renew_old_keys()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if (principal := self._verified.get(digest)) is not None:
            if principal.expires_at <= int(time.time()) - self._leeway:
                raise Unauthenticated(EXPIRED, why="expired")
            self._verified.move_to_end(digest)
            return principal
        try:
            keys = await self._keys_for(token)
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            if "sub" not in claims:
                raise Unauthenticated("토큰에서 사용자 정보를 찾을 수 없습니다", why="bad_claims")
            self._claims.validate(claims)
            session_id, token_id = (str(claims.get(name, "")) for name in ("sid", "jti"))
            email, is_admin = str(claims.get("email", "")), claims.get("admin") is True
            principal = Principal(int(claims["sub"]), email, is_admin, session_id, token_id, float(claims["exp"]))
        except ExpiredTokenError as error:
            raise Unauthenticated(EXPIRED, why="expired") from error
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise Unauthenticated(INVALID, why=_why(error)) from error
        if len(self._verified) >= REMEMBERED:
            self._verified.popitem(last=False)
        self._verified[digest] = principal
        return principal

    async def _keys_for(self, token: str) -> KeySet:
        if self._keys is None or not self._knows_key_of(token, self._keys):
            await self._refetch()
        if self._keys is None:
            raise SignInUnavailable
        return self._keys

    @staticmethod
    def _knows_key_of(token: str, keys: KeySet) -> bool:
        kid = jwt_header(token).get("kid")
        return any(key.kid == kid for key in keys.keys)

    async def _refetch(self) -> None:
        failures = self._failures
        async with self._lock:
            if failures != self._failures:
                return  # one failed while this caller waited for it: if each tried anew, the last would wait for all
            if time.monotonic() - self._fetched_at < REFETCH_SECONDS and self._keys is not None:
                return
            try:
                keys = KeySet.import_key_set(await self._fetch_keys())  # type: ignore[arg-type]
            except Exception as error:
                self._failures += 1
                log.warning("the signing keys could not be fetched", extra={"error": repr(error)})
                return
            if self._keys is None or keys.as_dict(private=False) != self._keys.as_dict(private=False):
                self._verified.clear()
            self._keys = keys
            self._fetched_at = self._renewed_at = time.monotonic()

    def _renew_old_keys(self) -> None:
        """Nobody waits for it: meanwhile the keys are those from before."""
        if self._keys is not None and self._renewing is None and time.monotonic() - self._renewed_at > KEYS_SECONDS:
            self._renewed_at = time.monotonic()  # begun; after a failure the next one has time, too
            self._renewing = asyncio.create_task(self._refetch())
            self._renewing.add_done_callback(self._renewed)

    def _renewed(self, _: "asyncio.Task[None]") -> None:
        self._renewing = None


def _why(error: Exception) -> str:
    """What is wrong with a token, in one word. Which issuer or audience is often a deployment's mistake, the rest no one's."""
    match error:
        case BadSignatureError():
            return "bad_signature"
        case ClaimError(claim="iss"):
            return "wrong_issuer"
        case ClaimError(claim="aud"):
            return "wrong_audience"
        case ClaimError():
            return "bad_claims"
        case InvalidKeyIdError():
            return "unknown_key"
        case UnsupportedAlgorithmError() | ConflictAlgorithmError() | MissingAlgorithmError():
            return "wrong_algorithm"
        case _:
            return "garbage"


def jwt_header(token: str) -> dict[str, Any]:
    """The protected header of a compact JWS, not verified. Raises ValueError when it is none."""
    head = token.split(".", 1)[0]
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header


def verifier_for(settings: VerifierSettings) -> TokenVerifier:
    """A verifier that gets the keys from `auth`."""

    async def fetch() -> dict[str, Any]:
        async with open_client(settings.auth_url) as client:
            answer = await client.get("/.well-known/jwks.json")
            answer.raise_for_status()
            keys: dict[str, Any] = answer.json()
            return keys

    return TokenVerifier(fetch, issuer=settings.token_issuer, leeway=settings.token_leeway)


def bearer_of(request: Request) -> str:
    """The token that a request carries; raises `Unauthenticated`."""
    return bearer_in(request.headers.get("authorization"))


def bearer_in(header: str | None) -> str:
    """The token in an `Authorization` header, which may be missing; raises `Unauthenticated`."""
    if not header:
        raise Unauthenticated(NO_LOGIN, why="no_token")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Invalid authentication credentials", why="other_scheme")
    return token.strip()


async def calling_user(request: Request) -> Principal:
    """FastAPI dependency: who has called. That they may was found before the endpoint runs (`guard.py`)."""
    caller: Principal | None = request.state.admitted
    if caller is None:
        raise Unauthenticated(NO_LOGIN, why="no_token")
    return caller


async def calling_anybody(request: Request) -> Principal | None:
    """FastAPI dependency: who has called, if they have signed in; a bad token counts as none."""
    caller: Principal | None = request.state.admitted
    return caller


async def calling_admin(caller: Annotated[Principal, Depends(calling_user)]) -> Principal:
    """FastAPI dependency: the administrator who has called."""
    if not caller.is_admin:
        raise Forbidden(NOT_AN_ADMIN, why="not_an_admin")
    return caller


User = Annotated[Principal, Depends(calling_user)]
OptionalUser = Annotated[Principal | None, Depends(calling_anybody)]
Admin = Annotated[Principal, Depends(calling_admin)]
