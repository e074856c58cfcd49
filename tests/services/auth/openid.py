"""An OpenID provider of our own on this machine: real documents over HTTP, real signed tokens."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "yousync-web.apps.example.org"
CLIENT_SECRET = "the provider knows it"


class OpenIdProvider:
    """One provider; `fetched` counts what was asked of it, `down` makes it fail, it is silent while `answers` is not set."""

    def __init__(self) -> None:
        self.url = ""
        self.answers = asyncio.Event()
        self.reset()
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self._discovery)
        self.app.get("/keys")(self._keys)
        self.app.post("/token")(self._token)

    def reset(self) -> None:
        """As at the beginning."""
        self.keys = [new_key("first")]
        self.fetched: dict[str, int] = {"discovery": 0, "keys": 0, "token": 0}
        self.down = False
        self.document: dict[str, Any] = {}  # members that differ from what they should be
        self.said: dict[str, Any] = {}  # claims that differ in the tokens that codes are exchanged for
        self._codes: dict[str, dict[str, str]] = {}
        self.answers.set()

    def authorize(self, url: str) -> dict[str, str]:
        """Somebody signs in where `url` led them: what the browser brings back to the callback."""
        address, _, query = url.partition("?")
        assert address == f"{self.url}/authorize"
        asked = dict(parse_qsl(query, strict_parsing=True))
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT_ID, "S256")
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What Google says of somebody; a change to None leaves the claim out."""
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "sub": "g-1",
            "email": "alice@example.org",
            "email_verified": True,
            "name": "Alice Kim",
            "picture": "https://pics.example.org/a.png",
            "iat": now,
            "exp": now + 3600,
        }
        return {name: value for name, value in {**usual, **changes}.items() if value is not None}

    def token(self, key: RSAKey | None = None, **changes: Any) -> str:
        """An id_token of this provider, or of whoever has `key`."""
        signed_with = key or self.keys[0]
        header = {"alg": "RS256", "kid": str(signed_with.kid)}
        return jwt.encode(header, self.claims(**changes), signed_with, algorithms=["RS256"])

    async def _discovery(self) -> Response:
        return await self._answer(
            "discovery",
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                **self.document,
            },
        )

    async def _keys(self) -> Response:
        return await self._answer("keys", {"keys": [key.as_dict(private=False) for key in self.keys]})

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), strict_parsing=True))
        asked = self._codes.pop(form["code"], None)
        credentials = base64.b64encode(f"{CLIENT_ID}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
        if (
            asked is None
            or form["grant_type"] != "authorization_code"
            or form["redirect_uri"] != asked["redirect_uri"]
            or create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"]
            or request.headers.get("authorization") != f"Basic {credentials}"
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        token = self.token(**{"nonce": asked["nonce"], **self.said})
        return await self._answer("token", {"access_token": "opaque", "token_type": "Bearer", "id_token": token})

    async def _answer(self, what: str, document: dict[str, Any]) -> Response:
        self.fetched[what] += 1
        await self.answers.wait()
        return Response(status_code=500) if self.down else JSONResponse(document)


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Signals are pytest's."""
        return nullcontext()


@cache
def new_key(kid: str) -> RSAKey:
    """A key as Google's: RSA, 2048 bits; the same one for the same `kid`."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}, private=True)


@asynccontextmanager
async def running(provider: OpenIdProvider) -> AsyncIterator[OpenIdProvider]:
    """`provider` on a free port of the loopback."""
    server = _Server(uvicorn.Config(provider.app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    provider.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        provider.answers.set()
        server.should_exit = True
        await serving
