"""Ten thousand random and mutated tokens: none is accepted, and each is refused by its name."""

import base64
import json
import random
from typing import Any

import pytest

from libs.common.errors import Unauthenticated
from libs.common.web.auth import TokenVerifier
from services.auth.errors import InvalidIdToken
from services.auth.provider import Provider
from tests.services.auth.openid import CLIENT_ID, OpenIdProvider
from tests.services.auth.test_keys import JWKS, bearer

COUNT = 10_000
HEADERS: list[Any] = ["none", "HS256", "RS256", "ES256", "Ed25519", "EdDSA", None, 7, [], {}, "", "\x00", "x" * 2000]


def mutated(token: str, dice: random.Random) -> str:
    """A token that differs from the given one; by what it is taken to be it may be the same as before."""
    head, body, signature = token.split(".")
    match dice.randrange(8):
        case 0:  # one character more, less or other
            at = dice.randrange(len(token))
            return token[:at] + dice.choice(["", "A", "_", ".", "é", "\x00"]) + token[at + dice.randrange(2) :]
        case 1:  # a bit of the signature
            raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
            return f"{head}.{body}.{part(bytes(raw))}"
        case 2:  # another header over the same signature
            header = {"alg": dice.choice(HEADERS), "kid": dice.choice([json.loads(unpart(head))["kid"], *HEADERS])}
            return f"{part(json.dumps(header).encode())}.{body}.{dice.choice([signature, ''])}"
        case 3:  # other claims over the same signature
            claims = {
                **json.loads(unpart(body)),
                dice.choice(["sub", "admin", "exp", "aud", "email", "sid"]): dice.choice(HEADERS),
            }
            return f"{head}.{part(json.dumps(claims).encode())}.{signature}"
        case 4:  # parts in another order or number
            parts = [head, body, signature] * 2
            dice.shuffle(parts)
            return ".".join(parts[: dice.randrange(7)])
        case 5:  # bytes instead of a part
            parts = [head, body, signature]
            parts[dice.randrange(3)] = part(dice.randbytes(dice.randrange(200)))
            return ".".join(parts)
        case 6:  # deep or strange JSON instead of a header
            strange = dice.choice([b"[" * 900, b'{"alg":' * 90, b"null", b"1e999", b'"\\ud800"', b'{"kid":1e400}', b"\xff\xfe"])
            return f"{part(strange)}.{body}.{signature}"
        case _:
            return "".join(map(chr, (dice.randrange(0x250) for _ in range(dice.randrange(300)))))


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpart(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def meaning(token: str) -> object:
    """What a lenient reader of base64url takes a token for: of the last character of a part not all bits count."""
    try:
        return [unpart(each) for each in token.split(".")]
    except ValueError:
        return token


@pytest.fixture
def seed() -> int:
    """Printed when a test fails; put it here to take that way again."""
    chosen = random.SystemRandom().randrange(2**32)
    print(f"seed {chosen}")
    return chosen


async def test_no_mutated_access_token_is_accepted(client: Any, seed: int) -> None:
    token = await bearer(client)
    keys: dict[str, Any] = (await client.get(JWKS)).json()

    async def fetch() -> dict[str, Any]:
        return keys

    verifier = TokenVerifier(fetch, issuer="yousync", leeway=0)
    assert (await verifier.verify(token)).user_id
    dice = random.Random(seed)
    for _ in range(COUNT):
        other = mutated(token, dice)
        if meaning(other) != meaning(token):
            with pytest.raises(Unauthenticated):
                await verifier.verify(other)
    assert (await verifier.verify(token)).user_id  # which was remembered all the time


async def test_no_mutated_id_token_is_accepted(openid: OpenIdProvider, seed: int) -> None:
    provider = Provider(
        issuer=openid.url,
        discovery_url=f"{openid.url}/.well-known/openid-configuration",
        client_ids=(CLIENT_ID,),
        leeway=0,
        pause=60.0,
    )
    token = openid.token()
    assert (await provider.identity(token)).subject == "g-1"
    dice = random.Random(seed)
    for _ in range(COUNT):
        other = mutated(token, dice)
        if meaning(other) != meaning(token):
            with pytest.raises(InvalidIdToken):
                await provider.identity(other)
    await provider.close()
    assert openid.fetched["keys"] == 1


async def test_what_is_sent_over_http_is_answered_with_401(client: Any, seed: int) -> None:
    token = await bearer(client)
    dice = random.Random(seed)
    for _ in range(200):
        other = mutated(token, dice)
        if meaning(other) == meaning(token):
            continue
        header = f"Bearer {other}".encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
        for method, path in (("GET", "me"), ("POST", "refresh")):
            answer = await client.request(method, f"/api/auth/{path}", headers={"Authorization": header})
            assert answer.status_code == 401, (method, path, other)
