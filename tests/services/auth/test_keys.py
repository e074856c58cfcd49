"""Signing keys, and what their tokens prove."""

import asyncio
import base64
import json
import time
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey
from pydantic import SecretStr

from libs.common.db import Database
from libs.common.web.auth import AUDIENCE, Principal, TokenVerifier, jwt_header
from services.auth.keys import KeyUnusable, SigningKeys
from services.auth.models import SIGNING_KEYS
from tests.services.auth.conftest import Serve
from tests.services.auth.test_endpoints import execute

JWKS = "/.well-known/jwks.json"


async def bearer(client: httpx.AsyncClient, **values: Any) -> str:
    answer = await client.post("/api/auth/dev-login", json={"email": "alice@example.org", **values})
    token: str = answer.json()["access_token"]
    return token


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": "yousync", "aud": AUDIENCE, "sub": "1000001", "email": "alice@example.org", "iat": now, "exp": now + 60}
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


async def test_the_key_set_is_public_and_holds_nothing_private(client: httpx.AsyncClient) -> None:
    answer = await client.get(JWKS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    (key,) = answer.json()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "Ed25519", "sig")
    assert "d" not in key


async def test_a_token_is_verified_with_nothing_but_the_key_set(client: httpx.AsyncClient) -> None:
    token = await bearer(client, admin=True)
    keys: dict[str, Any] = (await client.get(JWKS)).json()

    async def fetch() -> dict[str, Any]:
        return keys

    principal = await TokenVerifier(fetch, issuer="yousync", leeway=0).verify(token)
    said = jwt_header(token.split(".")[1])  # the second part of a JWS is read like its first
    assert principal == Principal(1_000_001, "alice@example.org", True, session_id=said["sid"], token_id=said["jti"])


async def test_a_token_lives_as_long_as_the_setting_says(serve: Serve) -> None:
    async with serve(token_seconds=120) as client:
        token = await bearer(client)
        keys = KeySet.import_key_set((await client.get(JWKS)).json())
    decoded = jwt.decode(token, keys, algorithms=["Ed25519"])
    assert decoded.header["alg"] == "Ed25519"
    assert decoded.claims["exp"] - decoded.claims["iat"] == 120
    assert decoded.claims.keys() == {"iss", "aud", "sub", "email", "admin", "iat", "exp", "jti", "sid"}


async def test_an_administrator_is_whom_the_setting_names(serve: Serve) -> None:
    async with serve(admin_emails="ALICE@example.org") as client:
        answer = await client.post(
            "/api/auth/dev-users",
            json=[],
            headers={"Authorization": f"Bearer {await bearer(client)}"},
        )
    assert answer.status_code == 200


async def stored_private_key(url: str) -> OKPKey:
    (row,) = await execute(url, sa.select(SIGNING_KEYS.c.private_pem, SIGNING_KEYS.c.kid))
    pem, kid = map(str, row)
    return OKPKey.import_key(pem, {"kid": kid}, password="development only: encrypts the signing keys")


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"exp": int(time.time()) - 60}, "토큰이 만료되었습니다"),
        ({"exp": None}, "유효하지 않은 토큰입니다"),
        ({"sub": None}, "토큰에서 사용자 정보를 찾을 수 없습니다"),
        ({"sub": "alice"}, "유효하지 않은 토큰입니다"),
        ({"sub": "9" * 30}, "사용자를 찾을 수 없습니다"),
        ({"sub": "-1"}, "사용자를 찾을 수 없습니다"),
        ({"aud": "elsewhere"}, "유효하지 않은 토큰입니다"),
        ({"iss": "elsewhere"}, "유효하지 않은 토큰입니다"),
    ],
)
async def test_a_token_of_ours_that_says_the_wrong_thing_is_refused(
    client: httpx.AsyncClient, database_url: str, changes: dict[str, Any], detail: str
) -> None:
    await bearer(client)
    key = await stored_private_key(database_url)
    token = jwt.encode({"alg": "Ed25519", "kid": key.kid}, claims(**changes), key, algorithms=["Ed25519"])
    answer = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["detail"]) == (401, detail)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "forgery", ["another key, its own kid", "another key, our kid", "alg none", "HS256 with the public key"]
)
async def test_a_forged_token_is_refused(client: httpx.AsyncClient, forgery: str) -> None:
    await bearer(client)
    (public,) = (await client.get(JWKS)).json()["keys"]
    stranger = OKPKey.generate_key("Ed25519", auto_kid=True)
    match forgery:
        case "another key, its own kid":
            token = jwt.encode({"alg": "Ed25519", "kid": stranger.kid}, claims(), stranger, algorithms=["Ed25519"])
        case "another key, our kid":
            token = jwt.encode({"alg": "Ed25519", "kid": public["kid"]}, claims(), stranger, algorithms=["Ed25519"])
        case "alg none":
            token = f"{part({'alg': 'none', 'kid': public['kid']})}.{part(claims())}."
        case _:
            secret = OctKey.import_key(public["x"])
            token = jwt.encode({"alg": "HS256", "kid": public["kid"]}, claims(), secret, algorithms=["HS256"])
    answer = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "유효하지 않은 토큰입니다")


async def test_replicas_that_start_at_once_share_one_key(serve: Serve, database_url: str) -> None:
    async with serve() as first, serve() as second, serve() as third:
        sets = await asyncio.gather(*(replica.get(JWKS) for replica in (first, second, third)))
        token = await bearer(first)
        other = await second.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert len({answer.text for answer in sets}) == 1
    assert len(await execute(database_url, sa.select(SIGNING_KEYS.c.kid))) == 1
    assert other.status_code == 200


async def test_a_restart_keeps_the_key_and_the_tokens(serve: Serve) -> None:
    async with serve() as before:
        token = await bearer(before)
    async with serve() as after:
        answer = await after.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


async def test_a_retired_key_signs_nothing_and_still_verifies_what_it_signed(serve: Serve, database_url: str) -> None:
    async with serve() as client:
        token = await bearer(client)
    await execute(database_url, sa.update(SIGNING_KEYS).values(retired_at=sa.func.now()))
    async with serve() as client:
        answer = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        new = await bearer(client)
        keys = (await client.get(JWKS)).json()["keys"]
    assert len(keys) == 2
    assert json.loads(base64.urlsafe_b64decode(new.split(".")[0] + "=="))["kid"] == keys[0]["kid"]


async def test_a_key_retired_longer_ago_than_a_token_lives_is_published_no_more(serve: Serve, database_url: str) -> None:
    async with serve() as client:
        (old,) = (await client.get(JWKS)).json()["keys"]
    long_ago = sa.func.now() - sa.text("interval '1 day'")
    await execute(database_url, sa.update(SIGNING_KEYS).values(retired_at=long_ago))
    async with serve() as client:
        (new,) = (await client.get(JWKS)).json()["keys"]
    assert new["kid"] != old["kid"]


async def test_the_private_key_lies_encrypted_in_the_database(client: httpx.AsyncClient, database_url: str) -> None:
    await client.get(JWKS)
    ((pem,),) = await execute(database_url, sa.select(SIGNING_KEYS.c.private_pem))
    assert str(pem).startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


async def test_with_another_secret_the_key_is_unusable_and_the_caller_gets_503(
    serve: Serve, client: httpx.AsyncClient, database_url: str
) -> None:
    await client.get(JWKS)
    other_secret = SecretStr("another secret of at least thirty-two bytes")
    async with serve(key_secret=other_secret) as mistaken:
        answer = await mistaken.post("/api/auth/dev-login", json={"email": "alice@example.org"})
    assert answer.status_code == 503
    database = Database(database_url, source="auth")
    with pytest.raises(KeyUnusable):
        await SigningKeys(database, secret=other_secret, token_seconds=60).current()
    await database.close()


async def test_the_next_key_is_published_before_it_signs(serve: Serve, database_url: str) -> None:
    async with serve() as client:
        before = await bearer(client)
    await execute(database_url, sa.update(SIGNING_KEYS).values(retired_at=sa.func.now() + sa.text("interval '2 minutes'")))
    async with serve() as client:
        (new, old) = (await client.get(JWKS)).json()["keys"]
        assert jwt_header(before)["kid"] == jwt_header(await bearer(client))["kid"] == old["kid"]
    await execute(
        database_url, sa.update(SIGNING_KEYS).where(SIGNING_KEYS.c.kid == old["kid"]).values(retired_at=sa.func.now())
    )
    async with serve() as client:
        assert jwt_header(await bearer(client))["kid"] == new["kid"]
        assert (await client.get("/api/auth/me", headers={"Authorization": f"Bearer {before}"})).status_code == 200


async def test_a_key_verifies_as_long_as_a_replica_that_did_not_look_may_have_signed_with_it(
    serve: Serve, database_url: str
) -> None:
    async with serve(token_seconds=60) as client:
        (old,) = (await client.get(JWKS)).json()["keys"]
    for ago, published in ((60 + 60 + 110, True), (60 + 60 + 130, False)):
        retired_at = sa.func.now() - sa.text(f"interval '{ago} seconds'")
        await execute(
            database_url, sa.update(SIGNING_KEYS).where(SIGNING_KEYS.c.kid == old["kid"]).values(retired_at=retired_at)
        )
        async with serve(token_seconds=60) as client:
            kids = [key["kid"] for key in (await client.get(JWKS)).json()["keys"]]
        assert (old["kid"] in kids) is published
