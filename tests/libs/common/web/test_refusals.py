"""Refused callers are counted by why, under as few words as there are in the code."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import REGISTRY

from libs.common.errors import Kind, Unauthenticated, YouSyncError
from libs.common.settings import Settings
from libs.common.web.app import create_app
from libs.common.web.auth import Admin, OptionalUser, TokenVerifier
from libs.common.web.rights import ADMIN, PUBLIC, Need, Who
from tests.libs.common.web.test_auth import KEY, NEXT_KEY, Keys, claims, keyed_with_the_public_key, signed, tampered, unsigned

router = APIRouter()


@router.get("/admin")
async def for_admins(caller: Admin) -> int:
    return caller.user_id


@router.get("/anybody")
async def for_anybody(caller: OptionalUser) -> int:
    return 0 if caller is None else caller.user_id


@router.get("/hidden")
async def hidden() -> None:
    error = YouSyncError("there is nothing", why="not_owner")
    assert error.kind is Kind.INVALID
    raise error


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    house = ("GET /health/live", "GET /health/ready", "GET /metrics", "GET /openapi.json", "GET /hidden")
    rights = {**dict.fromkeys(house, PUBLIC), "GET /admin": ADMIN, "GET /anybody": Need(Who.OPTIONAL)}
    app = create_app("test", Settings(), title="Test", routers=[router], lifespan=lifespan, checks={}, rights=rights)
    app.state.verifier = TokenVerifier(Keys(KEY), issuer="yousync", leeway=5)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def refused(why: str) -> float:
    return REGISTRY.get_sample_value("yousync_refusals_total", {"service": "test", "why": why}) or 0.0


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (lambda: signed(claims(exp=1_000_000_000)), "expired"),
        (lambda: signed(claims(iss="somebody")), "wrong_issuer"),
        (lambda: signed(claims(aud="other")), "wrong_audience"),
        (lambda: signed(claims(nbf=9_999_999_999)), "bad_claims"),
        (lambda: signed(claims(sub=None)), "bad_claims"),
        (lambda: signed(claims(), NEXT_KEY), "unknown_key"),
        (tampered, "bad_signature"),
        (unsigned, "wrong_algorithm"),
        (keyed_with_the_public_key, "wrong_algorithm"),
        (lambda: "x" * 5000, "too_long"),
        (lambda: "a.b.c", "garbage"),
    ],
)
async def test_a_token_that_is_refused_says_why_to_the_operator_only(forge: Callable[[], str], why: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await TokenVerifier(Keys(KEY), issuer="yousync", leeway=5).verify(forge())
    assert (refusal.value.why, refusal.value.code) == (why, "unauthenticated")


@pytest.mark.parametrize(
    ("path", "headers", "status", "why"),
    [
        ("/admin", {}, 401, "no_token"),
        ("/admin", {"Authorization": "Basic YTpi"}, 401, "other_scheme"),
        ("/admin", bearer("a.b.c"), 401, "garbage"),
        ("/admin", bearer(signed(claims(exp=9_999_999_999))), 403, "not_an_admin"),  # made long before it is used
        ("/anybody", bearer("a.b.c"), 200, "garbage"),
        ("/hidden", {}, 400, "not_owner"),
    ],
)
async def test_each_refusal_is_counted_once_and_in_the_line_of_its_request(
    path: str,
    headers: dict[str, str],
    status: int,
    why: str,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = refused(why)
    with caplog.at_level(logging.INFO, "yousync.access"):
        answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    assert refused(why) == before + 1
    [line] = [record for record in caplog.records if record.name == "yousync.access"]
    assert line.__dict__["refusal"] == why
    assert why not in answer.text


async def test_who_needs_no_token_and_has_none_is_not_refused(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    before = refused("no_token")
    with caplog.at_level(logging.INFO, "yousync.access"):
        assert (await client.get("/anybody")).status_code == 200
    assert refused("no_token") == before
    assert "refusal" not in caplog.records[-1].__dict__
