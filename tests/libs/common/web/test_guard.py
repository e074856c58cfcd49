"""What holds endpoints to the table of rights. Which row each endpoint has: tests/contract/test_rights.py."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from libs.common.errors import Unauthenticated
from libs.common.settings import Settings
from libs.common.web import guard
from libs.common.web.app import create_app
from libs.common.web.auth import EXPIRED, INVALID, NO_LOGIN, Admin, OptionalUser, Principal, SignInUnavailable, User
from libs.common.web.guard import RightsDoNotFit
from libs.common.web.internal import AnsweringSettings
from libs.common.web.rights import ADMIN, PUBLIC, USER, Need, Rights, Who, services
from libs.common.web.service_tokens import HEADER
from tests.callers import as_service

HOUSE: Rights = dict.fromkeys(("GET /health/live", "GET /health/ready", "GET /metrics", "GET /openapi.json"), PUBLIC)
OPTIONAL = Need(Who.OPTIONAL)
PEOPLE = {"learner": Principal(7, "a@example.org", is_admin=False), "admin": Principal(8, "b@example.org", is_admin=True)}


class Verifier:
    """Knows two tokens, one that has expired, and a moment at which nobody can be believed."""

    async def verify(self, token: str) -> Principal:
        if token == "later":
            raise SignInUnavailable
        if token not in PEOPLE:
            raise Unauthenticated(EXPIRED if token == "old" else INVALID)
        return PEOPLE[token]


async def nobody() -> str:
    return "ran"


async def user(caller: User, number: int = 0) -> int:
    return caller.user_id


async def optional(caller: OptionalUser) -> int:
    return 0 if caller is None else caller.user_id


async def admin(caller: Admin) -> int:
    return caller.user_id


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


def app_with(endpoint: Callable[..., Any], need: Need | None, settings: Settings | None = None) -> FastAPI:
    router = APIRouter(prefix="/api")
    router.add_api_route("/thing", endpoint, methods=["GET"])
    rights = HOUSE if need is None else {**HOUSE, "GET /api/thing": need}
    app = create_app(
        "audio", settings or AnsweringSettings(), title="Test", routers=[router], lifespan=lifespan, checks={}, rights=rights
    )
    app.state.verifier = Verifier()
    return app


async def ask(
    app: FastAPI, token: str | None = None, path: str = "/api/thing", more: dict[str, str] | None = None
) -> httpx.Response:
    headers = ({} if token is None else {"Authorization": f"Bearer {token}"}) | (more or {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path, headers=headers)


CALLERS = (None, "rubbish", "old", "learner", "admin", "later")


@pytest.mark.parametrize(
    ("need", "endpoint", "statuses"),
    [
        (PUBLIC, nobody, [200, 200, 200, 200, 200, 200]),
        (Need(Who.PROOF), nobody, [200, 200, 200, 200, 200, 200]),
        (Need(Who.BEARER), nobody, [401, 200, 200, 200, 200, 200]),
        (OPTIONAL, optional, [200, 200, 200, 200, 200, 503]),
        (USER, user, [401, 401, 401, 200, 200, 503]),
        (USER, nobody, [401, 401, 401, 200, 200, 503]),
        (ADMIN, admin, [401, 401, 401, 403, 200, 503]),
        (ADMIN, user, [401, 401, 401, 403, 200, 503]),
        (ADMIN, nobody, [401, 401, 401, 403, 200, 503]),
        (None, nobody, [403, 403, 403, 403, 403, 403]),
    ],
)
async def test_a_row_decides_who_gets_through(need: Need | None, endpoint: Callable[..., Any], statuses: list[int]) -> None:
    app = app_with(endpoint, need)
    assert [(await ask(app, token)).status_code for token in CALLERS] == statuses
    assert [(await ask(app, token, "/api/thing/")).status_code for token in CALLERS] == statuses


async def test_an_endpoint_is_told_who_has_called() -> None:
    assert [(await ask(app_with(optional, OPTIONAL), token)).json() for token in (None, "old", "learner")] == [0, 0, 7]
    assert (await ask(app_with(user, ADMIN), "admin")).json() == 8


async def test_a_row_for_services_names_which(caplog: pytest.LogCaptureFixture) -> None:
    app = app_with(nobody, services("gateway"))
    gateway, catalog = as_service("gateway", "audio"), as_service("catalog", "audio")
    assert (await ask(app, more=gateway)).status_code == 200
    for more in ({}, {HEADER: ""}, {HEADER: "garbage"}, catalog, as_service("gateway", "catalog")):
        refused = await ask(app, more=more)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "catalog has no business here" in [record.__dict__.get("reason") for record in caplog.records]


async def test_what_people_show_opens_nothing_internal_and_what_services_show_nothing_else() -> None:
    internal = app_with(nobody, services("gateway"))
    token = as_service("gateway", "audio")[HEADER]
    assert [(await ask(internal, person)).status_code for person in PEOPLE] == [403, 403]
    assert (await ask(internal, more={HEADER: "learner"})).status_code == 403
    assert (await ask(internal, token)).status_code == 403
    for need in (USER, ADMIN, Need(Who.BEARER)):
        public = app_with(nobody, need)
        assert (await ask(public, more={HEADER: token})).status_code == 401
    assert (await ask(app_with(user, USER), token)).status_code == 401


async def test_refusals_have_the_texts_that_clients_know() -> None:
    app = app_with(user, USER)
    assert [(await ask(app, token)).json()["detail"] for token in (None, "old", "rubbish")] == [NO_LOGIN, EXPIRED, INVALID]
    own_text = app_with(nobody, Need(Who.ADMIN, refusal="관리자만 상태 변경 가능"))
    assert (await ask(own_text, "learner")).json()["detail"] == "관리자만 상태 변경 가능"


async def test_whoever_may_not_call_learns_nothing_of_what_is_wrong_with_the_request() -> None:
    app = app_with(user, USER)
    assert (await ask(app, path="/api/thing?number=x")).status_code == 401
    assert (await ask(app, "learner", path="/api/thing?number=x")).status_code == 422


async def started(app: FastAPI) -> None:
    async with app.router.lifespan_context(app):
        pass


async def test_an_app_with_an_endpoint_that_is_not_listed_does_not_start_and_names_it() -> None:
    with pytest.raises(RightsDoNotFit, match=r"^GET /api/thing: .*rights.py does not say who may call it$"):
        await started(app_with(nobody, None))
    await started(app_with(nobody, PUBLIC))


@pytest.mark.parametrize(
    ("endpoint", "need"),
    [
        (user, PUBLIC),
        (user, OPTIONAL),
        (user, Need(Who.PROOF)),
        (user, Need(Who.BEARER)),
        (user, services("gateway")),
        (admin, USER),
        (admin, OPTIONAL),
        (optional, PUBLIC),
        (optional, USER),
        (optional, ADMIN),
    ],
)
async def test_an_endpoint_cannot_count_on_a_caller_whom_its_row_does_not_promise(
    endpoint: Callable[..., Any], need: Need
) -> None:
    with pytest.raises(RightsDoNotFit, match=r"^GET /api/thing is for .*, but counts on "):
        await started(app_with(endpoint, need))


async def test_a_row_for_services_needs_their_keys() -> None:
    with pytest.raises(RightsDoNotFit, match="the settings of this one know no keys"):
        await started(app_with(nobody, services("gateway"), Settings()))
    await started(app_with(nobody, services("gateway")))


async def test_what_is_no_endpoint_of_fastapi_is_listed_too_and_must_be_for_anybody() -> None:
    async def plain(request: Request) -> Response:
        return PlainTextResponse("ran")

    for route in (Route("/plain", plain), Mount("/plain", PlainTextResponse("ran"))):
        app = app_with(nobody, PUBLIC)
        app.router.routes.append(route)
        with pytest.raises(RightsDoNotFit, match="GET /plain"):
            await started(app)
        name = next(name for name, _ in guard.endpoints(app) if "plain" in name)
        app.state.rights = {**app.state.rights, name: USER}
        with pytest.raises(RightsDoNotFit, match="is no route of FastAPI"):
            await started(app)
        app.state.rights = {**app.state.rights, name: PUBLIC}
        await started(app)


async def test_an_endpoint_that_came_by_a_way_around_the_check_is_noticed() -> None:
    app = app_with(nobody, PUBLIC)
    app.router.dependencies.clear()
    aside = APIRouter()
    aside.add_api_route("/aside", nobody)
    app.router.routes.extend(aside.routes)
    app.state.rights = {**app.state.rights, "GET /aside": USER}
    with pytest.raises(RightsDoNotFit, match="GET /aside is not checked"):
        await started(app)
