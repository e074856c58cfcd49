import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from libs.common.errors import Unauthenticated, Unavailable
from libs.common.web.auth import AUDIENCE, Principal, SignInUnavailable, TokenVerifier

KEY = OKPKey.generate_key("Ed25519", {"kid": "first", "use": "sig", "alg": "Ed25519"})
NEXT_KEY = OKPKey.generate_key("Ed25519", {"kid": "second", "use": "sig", "alg": "Ed25519"})
EXPIRED = "토큰이 만료되었습니다"
INVALID = "유효하지 않은 토큰입니다"
MISSING = object()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "yousync", "aud": AUDIENCE, "sub": "7", "email": "a@example.org", "iat": now, "exp": now + 60, **changes}


def signed(payload: dict[str, Any], key: OKPKey = KEY) -> str:
    return jwt.encode({"alg": "Ed25519", "kid": key.kid}, payload, key, algorithms=["Ed25519"])


class Keys:
    """The JWKS endpoint of `auth`, counted."""

    def __init__(self, *keys: OKPKey) -> None:
        self.keys = list(keys)
        self.fetched = 0
        self.down = False

    async def __call__(self) -> dict[str, Any]:
        self.fetched += 1
        await asyncio.sleep(0)
        if self.down:
            raise OSError("down")
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


def verifier(keys: Keys) -> TokenVerifier:
    return TokenVerifier(keys, issuer="yousync", leeway=5)


async def test_a_good_token_says_who_is_calling() -> None:
    assert await verifier(Keys(KEY)).verify(signed(claims())) == Principal(7, "a@example.org", is_admin=False)
    assert (await verifier(Keys(KEY)).verify(signed(claims(admin=True)))).is_admin


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"exp": 1_000_000_000}, EXPIRED),
        ({"iss": "somebody"}, INVALID),
        ({"aud": "other"}, INVALID),
        ({"sub": "seven"}, INVALID),
        ({"sub": None}, INVALID),
        ({"exp": MISSING}, INVALID),
        ({"sub": MISSING}, "토큰에서 사용자 정보를 찾을 수 없습니다"),
    ],
)
async def test_claims_that_do_not_hold_are_refused(changes: dict[str, Any], detail: str) -> None:
    payload = {name: value for name, value in claims(**changes).items() if value is not MISSING}
    with pytest.raises(Unauthenticated) as refusal:
        await verifier(Keys(KEY)).verify(signed(payload))
    assert refusal.value.detail == detail


def unsigned() -> str:
    payload = signed(claims()).split(".")[1]
    header = base64.urlsafe_b64encode(b'{"alg":"none","kid":"first"}').rstrip(b"=").decode()
    return f"{header}.{payload}."


def keyed_with_the_public_key() -> str:
    """HS256 with the published key as its secret: accepted by a verifier that lets the token choose the algorithm."""
    secret = OctKey.import_key(str(KEY.as_dict(private=False)["x"]), {"kid": "first"})
    return jwt.encode({"alg": "HS256", "kid": "first"}, claims(), secret, algorithms=["HS256"])


def tampered() -> str:
    header, _, signature = signed(claims()).split(".")
    return f"{header}.{signed(claims(sub='1')).split('.')[1]}.{signature}"


@pytest.mark.parametrize(
    "forge",
    [unsigned, keyed_with_the_public_key, tampered, lambda: signed(claims(), NEXT_KEY), lambda: "x" * 5000]
    + [lambda text=text: text for text in ("", "a", "a.b", "a.b.c", "....", "é.é.é", "bnVsbA.e30.e30", "[].[].[]")],
)
async def test_forgeries_and_garbage_are_refused(forge: Callable[[], str]) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier(Keys(KEY)).verify(forge())
    assert refusal.value.detail == INVALID


async def test_keys_are_fetched_once_and_not_per_token() -> None:
    keys = Keys(KEY)
    checking = verifier(keys)
    for _ in range(5):
        await checking.verify(signed(claims()))
    assert keys.fetched == 1


async def test_strangers_with_unknown_key_ids_cannot_make_us_fetch_at_will() -> None:
    keys = Keys(KEY)
    checking = verifier(keys)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await checking.verify(signed(claims(), NEXT_KEY))
    assert keys.fetched == 1


async def test_a_new_key_is_found_and_old_keys_outlive_a_failed_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.web.auth.REFETCH_SECONDS", 0.0)
    keys = Keys(KEY)
    checking = verifier(keys)
    await checking.verify(signed(claims()))
    keys.keys.append(NEXT_KEY)
    assert (await checking.verify(signed(claims(), NEXT_KEY))).user_id == 7
    keys.down = True
    assert (await checking.verify(signed(claims()))).user_id == 7


async def test_without_any_keys_yet_the_answer_is_unavailable_not_unauthenticated() -> None:
    keys = Keys(KEY)
    keys.down = True
    with pytest.raises(Unavailable):
        await verifier(keys).verify(signed(claims()))


async def test_all_who_wait_for_the_keys_wait_for_one_failure_and_the_next_caller_tries_again() -> None:
    keys = Keys(KEY)
    keys.down = True
    checking = verifier(keys)
    refusals = await asyncio.gather(*(checking.verify(signed(claims())) for _ in range(5)), return_exceptions=True)
    assert [type(refusal) for refusal in refusals] == [SignInUnavailable] * 5
    assert keys.fetched == 1
    keys.down = False
    assert (await checking.verify(signed(claims()))).user_id == 7


# What is remembered


async def test_a_token_that_was_verified_is_not_believed_after_it_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    checking = verifier(Keys(KEY))
    token, now = signed(claims()), time.time()
    assert (await checking.verify(token)).user_id == 7
    monkeypatch.setattr("libs.common.web.auth.time.time", lambda: now + 64)
    assert (await checking.verify(token)).user_id == 7
    monkeypatch.setattr("libs.common.web.auth.time.time", lambda: now + 66)
    with pytest.raises(Unauthenticated, match=EXPIRED):
        await checking.verify(token)


async def test_a_token_that_was_verified_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    checking = verifier(Keys(KEY))
    token = signed(claims())
    first = await checking.verify(token)
    monkeypatch.setattr("libs.common.web.auth.jwt.decode", None)
    assert await checking.verify(token) is first


async def test_a_token_that_was_verified_goes_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.web.auth.REFETCH_SECONDS", 0.0)
    keys = Keys(KEY)
    checking = verifier(keys)
    token = signed(claims())
    await checking.verify(token)
    keys.keys = [NEXT_KEY]
    with pytest.raises(Unauthenticated):
        await checking.verify(signed(claims(), OKPKey.generate_key("Ed25519", {"kid": "makes it ask again"})))
    with pytest.raises(Unauthenticated):
        await checking.verify(token)


async def test_a_key_that_is_gone_is_noticed_without_anybody_waiting_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.web.auth.REFETCH_SECONDS", 0.0)
    keys = Keys(KEY)
    checking = verifier(keys)
    token = signed(claims())
    await checking.verify(token)
    keys.keys = [NEXT_KEY]
    monkeypatch.setattr("libs.common.web.auth.KEYS_SECONDS", -1.0)
    assert (await checking.verify(token)).user_id == 7
    async with asyncio.timeout(5):
        while checking._renewing is not None:
            await asyncio.sleep(0)
    with pytest.raises(Unauthenticated):
        await checking.verify(token)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.web.auth.REMEMBERED", 2)
    checking = verifier(Keys(KEY))
    tokens = [signed(claims(jti=str(number))) for number in range(3)]
    kept = await checking.verify(tokens[0])
    await checking.verify(tokens[1])
    assert await checking.verify(tokens[0]) is kept
    await checking.verify(tokens[2])
    assert await checking.verify(tokens[0]) is kept
    assert len(checking._verified) == 2
