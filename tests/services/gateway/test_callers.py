"""The gateway knows who is calling before anything is decided, and refuses nobody for a bearer that proves nothing."""

import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey
from starlette.types import Receive, Scope, Send

from libs.common.bus.memory import MemoryBus
from libs.common.web.auth import AUDIENCE, Principal, TokenVerifier
from services.gateway.callers import Callers, caller_of
from services.gateway.revocations import Revocations
from services.gateway.routes import Service
from tests.services.gateway.conftest import Fake, answer

KEY = OKPKey.generate_key("Ed25519", auto_kid=True)
ALICE = Principal(7, "alice@example.org", is_admin=False, session_id="5e55", token_id="t1")


def token(**changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "yousync", "aud": AUDIENCE, "sub": "7", "email": ALICE.email, "sid": "5e55", "jti": "t1"}
    times = {"iat": now, "exp": now + 60}
    return jwt.encode({"alg": "Ed25519", "kid": KEY.kid}, {**claims, **times, **changes}, KEY, algorithms=["Ed25519"])


class Auth:
    """The keys of `auth`, unless it is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away

    async def __call__(self) -> dict[str, Any]:
        if self.away:
            raise OSError("away")
        return {"keys": [KEY.as_dict(private=False)]}


class Silent:
    """An `auth` that never says what ended."""

    async def get_json(self, service: Service, path: str, *, query: str = "") -> Any:
        raise AssertionError


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.revocations.FIRST_SECONDS", 0.0)


async def noted(*authorization: bytes, auth: Auth | None = None) -> Principal | None:
    """Who is calling, as layers further in see it."""
    seen: list[Principal | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(caller_of(scope))

    async def unused(*_: Any) -> Any:
        raise AssertionError

    verifier = TokenVerifier(auth or Auth(), issuer="yousync", leeway=5)
    scope = {"type": "http", "path": "/", "headers": [(b"authorization", value) for value in authorization]}
    revocations = Revocations(MemoryBus(), Silent(), on_revoked=lambda _: None)
    await Callers(app, verifier=verifier, revocations=revocations)(scope, unused, unused)
    (caller,) = seen
    return caller


async def test_whoever_proves_it_is_known() -> None:
    assert await noted(b"Bearer " + token().encode()) == ALICE
    assert await noted(b"bEARER   " + token().encode() + b" ") == ALICE


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer x",
        b"Basic YTpi",
        b"Bearer " + b"x" * (1 << 20),
        b"Bearer \xff\xfe.\x00.\xed\xa0\x80",
        b"Bearer [].[].[]",
        b"Bearer " + b"." * 4000,
    ],
)
async def test_whoever_proves_nothing_is_nobody_and_goes_on(value: bytes) -> None:
    assert await noted(value) is None


async def test_an_expired_token_goes_on_to_whoever_may_still_take_it() -> None:
    assert await noted(b"Bearer " + token(exp=1_000_000_000).encode()) is None


async def test_of_a_repeated_header_the_first_counts_as_it_does_in_the_services() -> None:
    good = b"Bearer " + token().encode()
    assert await noted(good, b"Bearer x") == ALICE
    assert await noted(b"Bearer x", good) is None


async def test_without_keys_nobody_is_known_and_everybody_goes_on() -> None:
    assert await noted(b"Bearer " + token().encode(), auth=Auth(away=True)) is None


async def test_a_bad_bearer_reaches_its_service_as_it_is(gateway: httpx.AsyncClient, catalog: Fake) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        await answer(send, 401, b"|".join(given))

    catalog.app = refuse
    for given in (["Bearer garbage"], ["Basic YTpi"], ["Bearer a", "Bearer b"]):
        response = await gateway.get("/api/mypage/bookmarks", headers=[("Authorization", each) for each in given])
        assert (response.status_code, response.text) == (401, "|".join(given))
