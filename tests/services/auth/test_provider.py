"""What an id_token must be to prove anything, and what is asked of the provider for it."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from services.auth.errors import InvalidIdToken, ProviderUnreachable, SignInNotConfigured
from services.auth.provider import Identity, Provider
from tests.services.auth.openid import CLIENT_ID, OpenIdProvider, new_key

LEEWAY = 30
Client = Callable[..., Provider]


@pytest.fixture
async def client(openid: OpenIdProvider) -> AsyncIterator[Client]:
    """`client(pause=0)`: ours, of the local provider."""
    made: list[Provider] = []

    def make(**changes: Any) -> Provider:
        usual = {
            "issuer": openid.url,
            "discovery_url": f"{openid.url}/.well-known/openid-configuration",
            "client_ids": (CLIENT_ID, "yousync-phone"),
            "leeway": LEEWAY,
        }
        made.append(Provider(**{**usual, **changes}))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_a_good_token_says_who_it_is(openid: OpenIdProvider, client: Client) -> None:
    assert await client().identity(openid.token()) == Identity(
        "g-1", "alice@example.org", "Alice Kim", "https://pics.example.org/a.png"
    )


async def test_a_token_that_our_phone_app_asked_for_counts(openid: OpenIdProvider, client: Client) -> None:
    assert (await client().identity(openid.token(azp="yousync-phone"))).subject == "g-1"


def now() -> int:
    return int(time.time())


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://accounts.google.com"},
        {"iss": ["https://accounts.google.com"]},
        {"iss": None},
        {"aud": "another-site"},
        {"aud": [CLIENT_ID, "another-site"]},
        {"aud": []},
        {"aud": 7},
        {"aud": None},
        {"azp": "another-site"},
        {"azp": ["another-site"]},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": float("nan")},
        {"iat": None},
        {"sub": None},
        {"sub": 7},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "a\x00b"},
        {"email": None},
        {"email": "nobody"},
        {"email": "a\x00@example.org"},
        {"email": "a" * 250 + "@example.org"},
        {"email": ["alice@example.org"]},
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": 1},
    ],
)
async def test_a_token_of_the_provider_that_says_the_wrong_thing_is_refused(
    openid: OpenIdProvider, client: Client, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidIdToken):
        await client().identity(openid.token(**changes))


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(-3600, False), (-LEEWAY - 5, False), (-LEEWAY + 10, True)], ids=["long ago", "past", "skewed"]
)
async def test_an_expired_token_counts_no_longer_than_clocks_may_differ(
    openid: OpenIdProvider, client: Client, seconds: int, accepted: bool
) -> None:
    token = openid.token(exp=now() + seconds)
    if accepted:
        assert (await client().identity(token)).subject == "g-1"
    else:
        with pytest.raises(InvalidIdToken, match="만료되었습니다"):
            await client().identity(token)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("seconds", "accepted"), [(LEEWAY + 30, False), (LEEWAY - 10, True)], ids=["future", "skewed"])
async def test_a_token_of_the_future_counts_no_sooner_than_clocks_may_differ(
    openid: OpenIdProvider, client: Client, claim: str, seconds: int, accepted: bool
) -> None:
    changes: dict[str, Any] = {claim: now() + seconds}
    token = openid.token(**changes)
    if accepted:
        assert (await client().identity(token)).subject == "g-1"
    else:
        with pytest.raises(InvalidIdToken):
            await client().identity(token)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_alg_none_is_refused(openid: OpenIdProvider, client: Client) -> None:
    for name in ("none", "None", "NONE", ""):
        with pytest.raises(InvalidIdToken):
            await client().identity(f"{part({'alg': name, 'kid': 'first'})}.{part(openid.claims())}.")


async def test_hs256_with_the_public_key_is_refused(openid: OpenIdProvider, client: Client) -> None:
    public = openid.keys[0].as_pem(private=False)
    header = part({"alg": "HS256", "kid": "first"})
    secret = OctKey.import_key(base64.urlsafe_b64encode(public).decode())
    forged = jwt.encode({"alg": "HS256", "kid": "first"}, openid.claims(), secret, algorithms=["HS256"])
    for token in (forged, f"{header}.{forged.split('.', 1)[1]}"):
        with pytest.raises(InvalidIdToken):
            await client().identity(token)


async def test_a_stranger_who_uses_the_providers_key_id_is_refused(openid: OpenIdProvider, client: Client) -> None:
    stranger = new_key("stranger")
    token = jwt.encode({"alg": "RS256", "kid": "first"}, openid.claims(), stranger, algorithms=["RS256"])
    with pytest.raises(InvalidIdToken):
        await client().identity(token)


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "a",
        "a.b.c",
        "....",
        "e30.e30.",
        "한글.한글.한글",
        "\ud800",
        f"{part({'alg': 'RS256', 'kid': []})}.e30.AA",
        "[" * 9000,
    ],
)
async def test_garbage_is_refused(openid: OpenIdProvider, client: Client, garbage: str) -> None:
    with pytest.raises(InvalidIdToken):
        await client().identity(garbage)


async def test_a_megabyte_is_refused_before_it_is_looked_at(openid: OpenIdProvider, client: Client) -> None:
    with pytest.raises(InvalidIdToken, match="너무 깁니다"):
        await client().identity(openid.token(name="x" * 1_000_000))
    assert not any(openid.fetched.values())


async def test_a_token_of_another_sign_in_is_refused(openid: OpenIdProvider, client: Client) -> None:
    mine = openid.token(nonce="n-1")
    assert (await client().identity(mine, nonce="n-1")).subject == "g-1"
    for token in (mine, openid.token()):
        with pytest.raises(InvalidIdToken, match="이 로그인의 토큰이 아닙니다"):
            await client().identity(token, nonce="n-2")


@pytest.mark.parametrize("picture", ["javascript:alert(1)", "x" * 3000, 7, {"a": 1}, "https://a/\x00"])
async def test_a_picture_that_may_not_stand_in_a_page_is_left_out(
    openid: OpenIdProvider, client: Client, picture: object
) -> None:
    assert (await client().identity(openid.token(picture=picture))).profile_picture is None


async def test_a_name_is_made_fit_for_a_page(openid: OpenIdProvider, client: Client) -> None:
    assert (await client().identity(openid.token(name="앨\u202e리스\x00" + "x" * 300))).full_name == "앨리스" + "x" * 197


async def test_the_provider_is_asked_once_for_all(openid: OpenIdProvider, client: Client) -> None:
    ours = client()
    openid.answers.clear()
    waiting = [asyncio.create_task(ours.identity(openid.token())) for _ in range(20)]
    await asyncio.sleep(0)
    openid.answers.set()
    assert {identity.subject for identity in await asyncio.gather(*waiting)} == {"g-1"}
    await ours.identity(openid.token())
    assert (openid.fetched["discovery"], openid.fetched["keys"]) == (1, 1)


async def test_who_leaves_does_not_take_the_fetch_of_the_others_along(openid: OpenIdProvider, client: Client) -> None:
    ours = client()
    openid.answers.clear()
    leaves, stays = (asyncio.create_task(ours.identity(openid.token())) for _ in range(2))
    while not openid.fetched["discovery"]:
        await asyncio.sleep(0.001)
    leaves.cancel()
    openid.answers.set()
    assert (await stays).subject == "g-1"


async def test_a_new_key_of_the_provider_is_fetched_when_a_token_names_it(openid: OpenIdProvider, client: Client) -> None:
    ours = client(pause=0.0)
    await ours.identity(openid.token())
    openid.keys.insert(0, new_key("second"))
    assert (await ours.identity(openid.token())).subject == "g-1"
    assert (openid.fetched["discovery"], openid.fetched["keys"]) == (1, 2)


async def test_strangers_who_invent_key_ids_make_us_ask_once_in_a_while(openid: OpenIdProvider, client: Client) -> None:
    ours = client(pause=60.0)
    await ours.identity(openid.token())
    for _ in range(20):
        with pytest.raises(InvalidIdToken):
            await ours.identity(openid.token(new_key("stranger")))
    assert (openid.fetched["discovery"], openid.fetched["keys"]) == (1, 1)


async def test_old_keys_outlive_a_failure_of_the_provider(openid: OpenIdProvider, client: Client) -> None:
    ours = client(fresh=0.0, pause=0.0)
    await ours.identity(openid.token())
    openid.down = True
    while openid.fetched["keys"] < 3:
        assert (await ours.identity(openid.token())).subject == "g-1"
        await asyncio.sleep(0.001)


async def test_a_provider_that_is_down_is_no_fault_of_the_token(openid: OpenIdProvider, client: Client) -> None:
    ours = client(pause=0.0)
    openid.down = True
    with pytest.raises(ProviderUnreachable):
        await ours.identity(openid.token())
    openid.down = False
    assert (await ours.identity(openid.token())).subject == "g-1"


async def test_a_provider_that_is_down_is_not_asked_by_every_caller(openid: OpenIdProvider, client: Client) -> None:
    ours = client(pause=60.0)
    openid.down = True
    for _ in range(5):
        with pytest.raises(ProviderUnreachable):
            await ours.identity(openid.token())
    assert (openid.fetched["discovery"], openid.fetched["keys"]) == (1, 0)


@pytest.mark.parametrize(
    "document",
    [{"issuer": "https://accounts.google.com"}, {"jwks_uri": 7}, {"jwks_uri": "no address"}, {"padding": "x" * 300_000}],
    ids=["another issuer", "wrong type", "no address", "too large"],
)
async def test_a_discovery_document_that_cannot_be_right_is_not_believed(
    openid: OpenIdProvider, client: Client, document: dict[str, Any]
) -> None:
    openid.document = document
    with pytest.raises(ProviderUnreachable):
        await client().identity(openid.token())


async def test_without_a_client_id_nobody_is_asked(openid: OpenIdProvider, client: Client) -> None:
    with pytest.raises(SignInNotConfigured):
        await client(client_ids=()).identity(openid.token())
    assert not any(openid.fetched.values())
