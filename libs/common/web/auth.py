"""Who is calling: the bearer token, checked against the public keys of `auth` without asking anybody per request.

Every service checks for itself; no header set by the gateway is believed. The texts are those of the service that this one
replaces, because its web client shows and handles them; a missing token is 401 (it was 403, which the client cannot handle).
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from libs.common.errors import Forbidden, Unauthenticated
from libs.common.settings import VerifierSettings
from libs.common.web.internal import ServiceUnavailable, service_client

log = logging.getLogger(__name__)

ALGORITHMS = ["Ed25519"]
AUDIENCE = "yousync"
# A token of ours has about 400 bytes; anything much longer is not worth parsing.
MAX_TOKEN_BYTES = 4096
# An unknown key id makes us ask for the keys again, but strangers must not make us ask more often than this.
REFETCH_SECONDS = 5.0

NO_LOGIN, EXPIRED, INVALID = "Not authenticated", "토큰이 만료되었습니다", "유효하지 않은 토큰입니다"
NOT_AN_ADMIN = "관리자만 사용할 수 있습니다"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as the token says."""

    user_id: int
    email: str
    is_admin: bool
    session_id: str = ""  # what ends with `session.revoked`
    token_id: str = ""


class SignInUnavailable(ServiceUnavailable):
    """Nobody can be believed before `auth` has answered once."""

    def __init__(self) -> None:
        super().__init__("sign-in is not available at the moment, please try again")


class TokenVerifier:
    """Checks access tokens. Keys are fetched once, and again when a token names an unknown one; old ones outlive a failure."""

    def __init__(self, fetch_keys: Callable[[], Awaitable[dict[str, Any]]], *, issuer: str, leeway: int) -> None:
        self._fetch_keys = fetch_keys
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._failures = 0
        self._lock = asyncio.Lock()
        self._claims = jwt.JWTClaimsRegistry(
            leeway=leeway,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The caller that `token` proves. Raises `Unauthenticated` with the text that clients show."""
        invalid = Unauthenticated(INVALID)
        if len(token) > MAX_TOKEN_BYTES:
            raise invalid
        try:
            claims = jwt.decode(token, await self._keys_for(token), algorithms=ALGORITHMS).claims
            if "sub" not in claims:
                raise Unauthenticated("토큰에서 사용자 정보를 찾을 수 없습니다")
            self._claims.validate(claims)
            session_id, token_id = (str(claims.get(name, "")) for name in ("sid", "jti"))
            email, is_admin = str(claims.get("email", "")), claims.get("admin") is True
            return Principal(int(claims["sub"]), email, is_admin, session_id, token_id)
        except ExpiredTokenError as error:
            raise Unauthenticated(EXPIRED) from error
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise invalid from error

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
                self._keys = KeySet.import_key_set(await self._fetch_keys())  # type: ignore[arg-type]
                self._fetched_at = time.monotonic()
            except Exception as error:
                self._failures += 1
                log.warning("the signing keys could not be fetched", extra={"error": repr(error)})


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
        async with service_client(settings.auth_url) as client:
            answer = await client.get("/.well-known/jwks.json")
            answer.raise_for_status()
            keys: dict[str, Any] = answer.json()
            return keys

    return TokenVerifier(fetch, issuer=settings.token_issuer, leeway=settings.token_leeway)


def bearer_of(request: Request) -> str:
    """The token that a request carries; raises `Unauthenticated`."""
    header = request.headers.get("authorization")
    if not header:
        raise Unauthenticated(NO_LOGIN)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Invalid authentication credentials")
    return token.strip()


# Only tell the API document who may call (`openapi.py` makes one bearer of them): their own answers are not those that
# clients know.
USER_SCHEME, OPTIONAL_SCHEME, ADMIN_SCHEME = "user", "optional user", "administrator"
_user, _optional, _admin = (
    Security(HTTPBearer(auto_error=False, scheme_name=name)) for name in (USER_SCHEME, OPTIONAL_SCHEME, ADMIN_SCHEME)
)


async def require_user(request: Request, _: Annotated[object, _user]) -> Principal:
    """FastAPI dependency: a valid token, or 401."""
    verifier: TokenVerifier = request.app.state.verifier
    return await verifier.verify(bearer_of(request))


async def optional_user(request: Request, _: Annotated[object, _optional]) -> Principal | None:
    """FastAPI dependency: the caller if there is a valid token; a bad one counts as none."""
    try:
        return await require_user(request, _)
    except Unauthenticated:
        return None


async def require_admin(user: Annotated[Principal, Depends(require_user)], _: Annotated[object, _admin]) -> Principal:
    """FastAPI dependency: an administrator, or 401/403."""
    if not user.is_admin:
        raise Forbidden(NOT_AN_ADMIN)
    return user


User = Annotated[Principal, Depends(require_user)]
OptionalUser = Annotated[Principal | None, Depends(optional_user)]
Admin = Annotated[Principal, Depends(require_admin)]
