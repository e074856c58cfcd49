"""Holds every endpoint to its row in `rights.py`, before it runs; says at start where the two do not fit."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from libs.common.errors import Forbidden, Unauthenticated
from libs.common.web import refusals
from libs.common.web.auth import Principal, TokenVerifier, bearer_of, calling_admin, calling_anybody, calling_user
from libs.common.web.rights import Need, Rights, Who
from libs.common.web.service_tokens import HEADER, CallerRefused, ServiceVerifier

log = logging.getLogger(__name__)

# Who an endpoint may be told has called it, by what its row lets in. It must not count on somebody who need not be there.
_TOLD: Final[Mapping[Who, frozenset[Any]]] = MappingProxyType(
    {
        Who.OPTIONAL: frozenset({calling_anybody}),
        Who.USER: frozenset({calling_user}),
        Who.ADMIN: frozenset({calling_user, calling_admin}),
    }
)
_ALL_TOLD: Final = frozenset({calling_user, calling_anybody, calling_admin})


class RightsDoNotFit(RuntimeError):
    """The endpoints of a service and its rows in `rights.py` are not the same; the message names each fault."""


async def enforce(request: Request) -> None:
    """FastAPI dependency of every endpoint, the first one: whoever may not call hears so here. `User` and its like read
    what is noted as `request.state.admitted`: None where nobody has to be known."""
    route: APIRoute = request.scope["route"]
    rights: Rights = request.app.state.rights
    request.state.admitted = await _admitted(request, rights.get(f"{request.method} {route.path_format}"))


async def _admitted(request: Request, need: Need | None) -> Principal | None:
    match need:
        case Need(who=Who.PUBLIC | Who.PROOF):
            return None
        case Need(who=Who.BEARER):
            bearer_of(request)
            return None
        case Need(who=Who.OPTIONAL):
            try:
                return await _user(request)
            except Unauthenticated as refused:
                if "authorization" in request.headers:  # taken for nobody; that a token was bad is noted all the same
                    refusals.note(request.scope, refused)
                return None
        case Need(who=Who.USER):
            return await _user(request)
        case Need(who=Who.ADMIN, refusal=refusal):
            if not (caller := await _user(request)).is_admin:
                raise Forbidden(refusal, why="not_an_admin")
            return caller
        case Need(who=Who.SERVICE, callers=callers):
            _require_service(request, callers)
            return None
        case _:
            raise Forbidden("this endpoint answers nobody", why="not_listed")


async def _user(request: Request) -> Principal:
    verifier: TokenVerifier = request.app.state.verifier
    return await verifier.verify(bearer_of(request))


def _require_service(request: Request, callers: Sequence[str]) -> None:
    verifier: ServiceVerifier = request.app.state.service_verifier
    try:
        caller = verifier.caller(request.headers.get(HEADER, ""))
        if caller not in callers:
            raise CallerRefused(f"{caller} has no business here")
    except CallerRefused as refusal:
        log.warning("a call was refused that only services may make", extra={"reason": str(refusal)})
        raise Forbidden("this endpoint is for services of the platform only", why="not_a_service") from refusal


def check(app: FastAPI) -> None:
    """Raises `RightsDoNotFit` for endpoints without a row, for those that could not be held to it or count on a caller whom it
    does not promise. Rows without an endpoint are allowed: some endpoints exist with certain settings only."""
    rights: Rights = app.state.rights
    faults = [fault for name, route in endpoints(app) if (fault := _fault(app, name, rights.get(name), route)) is not None]
    if faults:
        raise RightsDoNotFit("; ".join(faults))


def endpoints(app: FastAPI) -> Iterator[tuple[str, RouteContext]]:
    """All endpoints of `app` as they are called in `rights.py`. A mount is one, for GET."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or {"GET"}):
            if method != "HEAD" or isinstance(route.original_route, APIRoute):  # Starlette adds HEAD by itself
                yield f"{method} {route.path_format}", route


def _fault(app: FastAPI, name: str, need: Need | None, route: RouteContext) -> str | None:
    if need is None:
        return f"{name}: libs/common/web/rights.py does not say who may call it"
    if not isinstance(route.original_route, APIRoute):
        return None if need.who is Who.PUBLIC else f"{name} is no route of FastAPI: nothing holds it to its row, {need.who}"
    calls = set(_calls(route.dependant))
    if need.who is Who.SERVICE and not hasattr(app.state, "service_verifier"):
        return f"{name} is for services, but the settings of this one know no keys of them (AnsweringSettings)"
    if enforce not in calls:
        return f"{name} is not checked against libs/common/web/rights.py"
    if told := (calls & _ALL_TOLD) - _TOLD.get(need.who, frozenset()):
        return f"{name} is for {need.who}, but counts on {', '.join(sorted(call.__name__ for call in told))}"
    return None


def _calls(dependant: Dependant) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
