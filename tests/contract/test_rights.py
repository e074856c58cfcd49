"""The table of rights against what there is: endpoints, the document, what the gateway lets through, the matrix of callers."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from libs.common.bus.memory import MemoryBus
from libs.common.web import guard
from libs.common.web.internal import CallingSettings
from libs.common.web.openapi import operations
from libs.common.web.rights import CALLERS, RIGHTS, Need, Who
from libs.common.web.service_tokens import HEADER
from services.analysis.main import build as analysis
from services.analysis.settings import AnalysisSettings
from services.audio.main import build as audio
from services.audio.settings import AudioSettings
from services.auth.main import build as auth
from services.auth.settings import AuthSettings
from services.catalog.main import build as catalog
from services.catalog.settings import CatalogSettings
from services.gateway.main import build as gateway
from services.gateway.openapi import STREAMS
from services.gateway.routes import route_of
from services.gateway.settings import GatewaySettings
from services.notifier.main import build as notifier
from services.notifier.settings import NotifierSettings
from tests.callers import as_service
from tests.contract.site import Site
from tests.contract.test_matrix import rows
from tests.e2e.platforms import Embedded

BEHIND = ("audio", "auth", "catalog", "notifier")  # the gateway
LET_IN, NOT_SIGNED_IN, NOT_ALLOWED = object(), 401, 403


@pytest.fixture(scope="module")
def apps() -> dict[str, FastAPI]:
    """All services with everything that settings may add, as they are before they start."""
    bus = MemoryBus()
    return {
        "analysis": analysis(AnalysisSettings(environment="test"), bus),
        "audio": audio(AudioSettings(environment="test"), bus),
        "auth": auth(AuthSettings(environment="test", development_login=True), bus),
        "catalog": catalog(CatalogSettings(environment="test"), bus),
        "gateway": gateway(GatewaySettings(environment="test"), bus),
        "notifier": notifier(NotifierSettings(environment="test"), bus),
    }


def public() -> dict[str, Need]:
    """What people may ask for, by method and path: rows of what the gateway passes on, and of what it answers itself."""
    passed_on = {name: need for service in BEHIND for name, need in RIGHTS[service].items() if routed(name)}
    return {**passed_on, **RIGHTS["gateway"]}


def routed(name: str) -> bool:
    return route_of(name.partition(" ")[2]) is not None


@pytest.mark.parametrize("service", RIGHTS)
def test_every_endpoint_has_a_row_that_fits_it_and_every_row_an_endpoint(apps: Mapping[str, FastAPI], service: str) -> None:
    app = apps[service]
    guard.check(app)
    # Streams are answered in front of all routes.
    streams = {f"GET {path}" for path in STREAMS} if service == "gateway" else set()
    assert {name for name, _ in guard.endpoints(app)} | streams == set(RIGHTS[service])


def test_what_is_internal_is_for_services_that_there_are_and_the_other_way_round(apps: Mapping[str, FastAPI]) -> None:
    for service, rights in RIGHTS.items():
        for name, need in rights.items():
            assert (need.who is Who.SERVICE) == name.partition(" ")[2].startswith("/internal/") == bool(need.callers), name
            assert set(need.callers) <= set(RIGHTS) - {service}, name
    assert set(CALLERS) == {name for name, app in apps.items() if isinstance(app.state.settings, CallingSettings)}


def test_what_people_may_ask_for_is_the_business_of_one_service() -> None:
    names = [name for service in BEHIND for name in RIGHTS[service] if routed(name)]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("service", BEHIND)
def test_the_gateway_passes_on_what_people_may_ask_for_and_nothing_else(service: str) -> None:
    of_the_house = set(RIGHTS["analysis"])
    for name, need in RIGHTS[service].items():
        route = route_of(name.partition(" ")[2])
        if need.who is Who.SERVICE or name in of_the_house:
            assert route is None, name
        else:
            assert route is not None, name
            assert route.service == service, name


INTERNAL = [(service, name) for service in BEHIND for name, need in RIGHTS[service].items() if need.who is Who.SERVICE]
SPELLINGS = (
    *("{}", "{}/", "/{}", "//{}", "/.{}", "{}%00"),
    *("/api/..{}", "/api/tokens/..{}", "/api/tokens/%2e%2e/%2e%2e{}", "/objects/..{}"),
)


@pytest.mark.parametrize(("service", "name"), INTERNAL)
def test_nothing_internal_is_reached_through_the_gateway_however_it_is_spelled(house: Site, service: str, name: str) -> None:
    method, _, path = name.partition(" ")
    path = path.format(user_id=1, script_id=1, token_id=1, job_id="0" * 32, channel="job:1")
    paths = [spelling.format(path) for spelling in SPELLINGS]
    paths += [path.replace("internal", other) for other in ("%69nternal", "Internal", "intern%61l", "internal%2f")]
    for each in paths:
        request = house.admin.build_request(method, "/", headers=as_service("gateway", service))
        request.url = request.url.copy_with(raw_path=each.encode())
        answer = house.admin.send(request)
        assert answer.status_code in (400, 403, 404, 422), each
        assert answer.json()["detail"] != "this endpoint is for services of the platform only", each


def expected(need: Need) -> tuple[Any, ...]:
    """What the matrix must say of anonymous, user, other, admin, expired and forged; None: that is not said by the right."""
    match need.who:
        case Who.USER:
            return (NOT_SIGNED_IN, LET_IN, LET_IN, LET_IN, NOT_SIGNED_IN, NOT_SIGNED_IN)
        case Who.ADMIN:
            return (NOT_SIGNED_IN, NOT_ALLOWED, NOT_ALLOWED, LET_IN, NOT_SIGNED_IN, NOT_SIGNED_IN)
        case Who.BEARER:
            return (NOT_SIGNED_IN, LET_IN, LET_IN, LET_IN, None, NOT_SIGNED_IN)
        case Who.OPTIONAL:
            return (LET_IN,) * 6
        case _:
            return (None,) * 6


def test_the_matrix_of_callers_says_what_the_rights_say() -> None:
    needs = public()
    for (method, path), cells in rows().items():
        need = needs[f"{method} {path}"]
        for status, wanted in zip(cells.values(), expected(need), strict=True):
            fits = wanted is None or status == wanted or (wanted is LET_IN and status not in (NOT_SIGNED_IN, NOT_ALLOWED))
            assert fits, (method, path, need.who, status)
        if need.who in (Who.PUBLIC, Who.PROOF):
            assert len(set(cells.values())) == 1, (method, path)  # who somebody is makes no difference
        if need.who is Who.OPTIONAL:
            assert cells["anonymous"] == cells["expired"] == cells["forged"], (method, path)


def test_the_document_shows_exactly_what_people_may_ask_for_and_who(house: Site) -> None:
    needs = public()
    bearer: Any = [{"bearer": []}]
    security = {Who.USER: bearer, Who.ADMIN: bearer, Who.BEARER: bearer, Who.OPTIONAL: [{}, *bearer]}
    shown: dict[str, Need] = {}
    for path, method, operation in operations(house.anonymous.get("/openapi.json").json()):
        name = f"{method.upper()} {path}"
        shown[name] = needs[name]
        # A stream is opened by its job's id; a bearer that is sent along must not be of somebody else.
        stream = needs[name].who is Who.PROOF and "-progress/" in name
        assert operation.get("security") == security.get(Who.OPTIONAL if stream else needs[name].who), name
        assert ("403" in operation["responses"]) >= (needs[name].who is Who.ADMIN), name
    hidden = {"HEAD /objects/{key}", "GET /docs", "GET /docs/assets/{path}", "GET /redoc", "GET /openapi.json"}
    assert set(shown) == {name for name in needs if not name.startswith(("GET /health/", "GET /metrics"))} - hidden


@pytest.mark.parametrize(("service", "name"), INTERNAL)
async def test_behind_the_gateway_only_the_named_services_of_this_platform_are_let_in(
    embedded: Embedded, house: Site, service: str, name: str
) -> None:
    path = name.partition(" ")[2].format(user_id=1, script_id=1, token_id=1, job_id="0" * 32, channel="job:1")
    strangers = [as_service(caller, service) for caller in CALLERS]  # their keys are those of development
    people = [{"Authorization": f"Bearer {house.tokens[who]}"} for who in ("user", "admin", "expired", "forged")]
    transport = httpx.AsyncHTTPTransport(uds=str(embedded.state_dir / "run" / f"{service}.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for headers in ({}, *strangers, *people, *({HEADER: token} for token in house.tokens.values() if token)):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), headers.keys()
