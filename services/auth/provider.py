"""The OpenID provider that people sign in with: where its endpoints are, and what its id_tokens prove.

Google unless the settings name another. Sources: OpenID Connect Core 1.0 (3.1.3.7), Discovery 1.0 (4.3), RFC 8725.
"""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from libs.common.web.auth import jwt_header
from services.auth.attempts import Attempt
from services.auth.errors import CodeRefused, InvalidIdToken, ProviderUnreachable, SignInNotConfigured
from services.auth.freshness import Kept

log = logging.getLogger(__name__)

GOOGLE = "https://accounts.google.com"
# Google's tokens may name it without the scheme: developers.google.com/identity/openid-connect, "iss".
ALSO_CALLED = {GOOGLE: "accounts.google.com"}

# Asymmetric only: with a symmetric one the public key would be the secret.
ALGORITHMS = ["RS256", "PS256", "ES256", "Ed25519"]
# Google's have about 1.2 KB; headers as large as those of web servers are no reason to parse more.
MAX_TOKEN_BYTES = 16 * 1024
# Characters of a subject: OpenID Connect Core, section 2.
MAX_SUBJECT = 255
MAX_EMAIL, MAX_NAME, MAX_PICTURE = 254, 200, 2048

# Google announces a new key about a day before it signs with it, so an hour is soon enough; a week of its silence ends sign-in.
FRESH_SECONDS = 3600.0
STALE_SECONDS = 7 * 24 * 3600.0
# Between two fetches: an unknown key id asks for one, and anybody can invent key ids.
PAUSE_SECONDS = 10.0
# Seconds: for each step of a request, and for all of it however slowly an answer trickles.
TIMEOUT = httpx.Timeout(5.0, connect=3.0)
TOTAL_SECONDS = 8.0
# Google's documents have 2 KB.
MAX_DOCUMENT_BYTES = 256 * 1024
# What may come of asking.
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError, RecursionError)


class Endpoints(BaseModel):
    """What we use of a discovery document."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for. What it does not say of name and picture is None."""

    subject: str
    email: str
    full_name: str | None
    profile_picture: str | None


class Provider:
    """One OpenID provider. `client_ids` are those of ours whose tokens count, `leeway` seconds that clocks may differ.

    Our own server is the client with the first id and `client_secret`, if the provider gave it one.
    """

    def __init__(
        self,
        *,
        issuer: str,
        discovery_url: str,
        client_ids: tuple[str, ...],
        leeway: int,
        client_secret: SecretStr | None = None,
        fresh: float = FRESH_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self._issuer = issuer
        self._discovery_url = discovery_url
        self._client_ids = client_ids
        self._client_secret = client_secret
        # Proxies of the environment count: the provider is outside.
        self._http = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
        self._endpoints = Kept(self._discover, fresh=fresh, stale=STALE_SECONDS, pause=pause)
        self._keys = Kept(self._fetch_keys, fresh=fresh, stale=STALE_SECONDS, pause=pause)
        self._claims = jwt.JWTClaimsRegistry(
            leeway=leeway,
            iss={"essential": True, "values": [issuer, *([ALSO_CALLED[issuer]] if issuer in ALSO_CALLED else [])]},
            aud={"essential": True},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def authorization_url(self, attempt: Attempt, *, redirect_uri: str) -> str:
        """Where the browser goes to sign in. Raises `SignInNotConfigured`, `ProviderUnreachable`."""
        self._require_client()
        url: str = prepare_grant_uri(
            (await self._endpoints.get()).authorization_endpoint,
            client_id=self._client_ids[0],
            response_type="code",
            redirect_uri=redirect_uri,
            scope="openid email profile",
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return url

    async def redeem(self, code: str, attempt: Attempt, *, redirect_uri: str) -> Identity:
        """Whom `code` proves, which the provider gave the browser of `attempt`.

        Raises `CodeRefused`, and what `identity` raises.
        """
        self._require_client()
        url = (await self._endpoints.get()).token_endpoint
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_ids[0],
            "code_verifier": attempt.verifier,
        }
        try:
            answer = await self._json_object("POST", url, data=form, auth=self._credentials())
            id_token = answer["id_token"]
            if not isinstance(id_token, str):
                raise ValueError("the id_token is no text")
        except httpx.HTTPStatusError as error:
            if error.response.is_client_error:
                log.warning("the provider refuses a code", extra={"url": url, "status": error.response.status_code})
                raise CodeRefused from error
            raise self._unreachable(url, error) from error
        except (*NO_ANSWER, KeyError) as error:
            raise self._unreachable(url, error) from error
        return await self.identity(id_token, nonce=attempt.nonce)

    def names(self, issuer: str) -> bool:
        """Whether an answer that says to be of `issuer` is this provider's (RFC 9207)."""
        return issuer == self._issuer

    async def identity(self, id_token: str, *, nonce: str | None = None) -> Identity:
        """Whom `id_token` proves; with `nonce` it must carry that one.

        Raises `InvalidIdToken`, `ProviderUnreachable`, `SignInNotConfigured`.
        """
        self._require_client()
        if len(id_token) > MAX_TOKEN_BYTES:
            raise InvalidIdToken("너무 깁니다")
        try:
            keys = await self._keys_for(jwt_header(id_token).get("kid"))
            claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
            self._claims.validate(claims)
        except ExpiredTokenError as error:
            raise InvalidIdToken("만료되었습니다") from error
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.info("an id_token was refused", extra={"error": repr(error)[:200]})
            raise InvalidIdToken("확인할 수 없습니다") from error
        self._require_meant_for_us(claims)
        if nonce is not None and claims.get("nonce") != nonce:
            raise InvalidIdToken("이 로그인의 토큰이 아닙니다")
        return _identity(claims)

    def _require_client(self) -> None:
        if not self._client_ids:
            raise SignInNotConfigured

    def _require_meant_for_us(self, claims: dict[str, Any]) -> None:
        """All audiences, not one of several, and whoever asked for the token, are ours: else another site could replay it."""
        named = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if "azp" in claims:
            named = [*named, claims["azp"]]
        if not all(name in self._client_ids for name in named):
            raise InvalidIdToken("다른 서비스의 토큰입니다")

    async def _keys_for(self, kid: object) -> KeySet:
        keys = await self._keys.get()
        if any(key.kid == kid for key in keys.keys):
            return keys
        return await self._keys.refreshed()

    async def _discover(self) -> Endpoints:
        document = await self._document(self._discovery_url)
        try:
            endpoints = Endpoints.model_validate(document)
        except ValidationError as error:
            raise self._unreachable(self._discovery_url, error) from error
        if endpoints.issuer != self._issuer:
            raise self._unreachable(self._discovery_url, ValueError(f"issuer {endpoints.issuer!r} is not {self._issuer!r}"))
        if urlsplit(self._discovery_url).scheme == "https":
            for url in (endpoints.authorization_endpoint, endpoints.token_endpoint, endpoints.jwks_uri):
                if urlsplit(url).scheme != "https":
                    raise self._unreachable(self._discovery_url, ValueError(f"{url} is not https"))
        return endpoints

    async def _fetch_keys(self) -> KeySet:
        url = (await self._endpoints.get()).jwks_uri
        document = await self._document(url)
        try:
            return KeySet.import_key_set(document)  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._unreachable(url, error) from error

    async def _document(self, url: str) -> dict[str, Any]:
        try:
            return await self._json_object("GET", url)
        except NO_ANSWER as error:
            raise self._unreachable(url, error) from error

    def _credentials(self) -> httpx.BasicAuth | None:
        """What shows that we are the client: RFC 6749, 2.3.1."""
        if self._client_secret is None:
            return None
        return httpx.BasicAuth(*map(quote_plus, (self._client_ids[0], self._client_secret.get_secret_value())))

    async def _json_object(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        """What the provider answers, read with a limit on its size and on all of its time."""
        content = bytearray()
        async with asyncio.timeout(TOTAL_SECONDS):
            request = self._http.stream(method, url, headers={"Accept": "application/json"}, **arguments)
            async with request as answer:
                answer.raise_for_status()
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_DOCUMENT_BYTES:
                        raise ValueError(f"more than {MAX_DOCUMENT_BYTES} bytes")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
        return document

    @staticmethod
    def _unreachable(url: str, error: Exception) -> ProviderUnreachable:
        log.warning("the sign-in provider does not answer as it should", extra={"url": url, "error": repr(error)[:300]})
        return ProviderUnreachable()


def _identity(claims: dict[str, Any]) -> Identity:
    subject, email = claims["sub"], claims.get("email")
    if not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise InvalidIdToken("확인할 수 없습니다")
    if not isinstance(email, str) or not 3 <= len(email) <= MAX_EMAIL or "@" not in email or not email.isprintable():
        raise InvalidIdToken("이메일이 없습니다")
    verified = claims.get("email_verified")
    if verified is not True and verified != "true":  # some providers write it as a word
        raise InvalidIdToken("이메일이 인증되지 않은 계정입니다")
    return Identity(subject, email, _text(claims.get("name"), MAX_NAME), _picture(claims.get("picture")))


def _text(value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(filter(str.isprintable, value)).strip()[:limit] or None


def _picture(value: object) -> str | None:
    """The address of a picture that may stand in a page: nothing that a browser would run."""
    fits = isinstance(value, str) and len(value) <= MAX_PICTURE and value.isprintable()
    return value if fits and isinstance(value, str) and value.startswith(("https://", "http://")) else None
