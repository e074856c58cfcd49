"""What the gateway's look at a bearer costs in processor time, against the bare verification of its signature in the same run.

`first` is a token that was not seen before, `again` one that was: each the whole way through the middleware, with the look
whether its session ended among 10,000 that did. `none` is a request without a bearer, `forged` one with another's signature.
"""

import argparse
import asyncio
import base64
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jwt
from joserfc.jwk import OKPKey
from starlette.types import Receive, Scope, Send

from libs.common.bus.memory import MemoryBus
from libs.common.web.auth import AUDIENCE, TokenVerifier
from services.gateway.callers import Callers
from services.gateway.revocations import Revocations
from services.gateway.routes import Service

ENDED = 10_000
ROUNDS = 5  # of each, in turns; the middle one counts


class Auth:
    """Says which sessions ended."""

    async def get_json(self, service: Service, path: str, *, query: str = "") -> Any:
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"sessions": [{"session_id": secrets.token_hex(16), "tokens_until": until} for _ in range(ENDED)]}


def signed(key: OKPKey, count: int) -> list[str]:
    """Tokens as `auth` issues them."""
    now = int(time.time())
    claims = {"iss": "yousync", "aud": AUDIENCE, "email": "learner@example.org", "admin": False, "iat": now, "exp": now + 900}
    return [
        jwt.encode(
            {"alg": "Ed25519", "kid": key.kid},
            {**claims, "sub": str(number), "sid": secrets.token_hex(16), "jti": secrets.token_hex(16)},
            key,
            algorithms=["Ed25519"],
        )
        for number in range(count)
    ]


async def gateway(key: OKPKey) -> Callable[[str | None], Awaitable[None]]:
    """What looks at a bearer, and passes on to nothing."""

    async def keys() -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False)]}

    async def passed_on(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    async def unused(*_: Any) -> Any:
        raise RuntimeError("nobody is refused here")

    revocations = Revocations(MemoryBus(), Auth(), on_revoked=lambda _: None)
    keeping = asyncio.create_task(revocations.keep_current())
    await revocations.settled()
    keeping.cancel()
    callers = Callers(passed_on, verifier=TokenVerifier(keys, issuer="yousync", leeway=5), revocations=revocations)

    async def look(token: str | None) -> None:
        headers = [(b"host", b"localhost"), (b"accept", b"application/json"), (b"user-agent", b"bench")]
        if token is not None:
            headers.append((b"authorization", b"Bearer " + token.encode()))
        await callers({"type": "http", "path": "/api/tokens/1", "headers": headers}, unused, unused)

    return look


async def timed(look: Callable[[str | None], Awaitable[None]], tokens: list[str] | list[None]) -> float:
    """Microseconds for one of them."""
    began = time.process_time()
    for token in tokens:
        await look(token)
    return (time.process_time() - began) / len(tokens) * 1e6


def bare(key: OKPKey, tokens: list[str]) -> float:
    """Microseconds for the signature of one of them, and nothing else."""
    halves = [token.rsplit(".", 1) for token in tokens]
    raw = [(base64.urlsafe_b64decode(signature + "=="), said.encode()) for said, signature in halves]
    public = key.public_key
    if not isinstance(public, Ed25519PublicKey):
        raise TypeError("no Ed25519 key")
    began = time.process_time()
    for signature, said in raw:
        public.verify(signature, said)
    return (time.process_time() - began) / len(raw) * 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=2000, help="of each kind and round")
    count = parser.parse_args().tokens
    key = OKPKey.generate_key("Ed25519", private=True, auto_kid=True)
    figures: dict[str, list[float]] = {name: [] for name in ("bare", "first", "again", "forged", "none")}
    for _ in range(ROUNDS):
        look, tokens = await gateway(key), signed(key, count)
        forged = [f"{token.rsplit('.', 1)[0]}.{other.rsplit('.', 1)[1]}" for token, other in pairwise(tokens)]
        await look(signed(key, 1)[0])  # which fetches the keys
        figures["bare"].append(bare(key, tokens))
        figures["first"].append(await timed(look, tokens))
        figures["again"].append(await timed(look, tokens))
        figures["forged"].append(await timed(look, forged))
        figures["none"].append(await timed(look, [None] * count))
    middle = {name: statistics.median(each) for name, each in figures.items()}
    for name, microseconds in middle.items():
        print(f"{name:<7} {microseconds:7.1f} us   {microseconds / middle['bare']:5.2f} of bare")


if __name__ == "__main__":
    asyncio.run(main())
