"""The factory of every service's HTTP app."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.common.settings import Settings
from libs.common.web import guard, openapi, problems
from libs.common.web.health import Check, health_router
from libs.common.web.internal import AnsweringSettings
from libs.common.web.observe import Observe
from libs.common.web.rights import RIGHTS, Rights
from libs.common.web.service_tokens import ServiceVerifier

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    service: str,
    settings: Settings,
    *,
    title: str,
    routers: Iterable[APIRouter],
    lifespan: Lifespan,
    checks: Mapping[str, Check],
    own_schema: bool = True,
    metrics: bool = True,
    rights: Rights | None = None,
) -> FastAPI:
    """An app with problem details, health, metrics, request logs. Paths answer with and without their trailing slash.

    Who may call what, `rights` say (those of `service` in `rights.py`); with an endpoint that is not there the app does not
    start.

    `/openapi.json` shows the service's own routes; only the gateway makes its own, over all services (`own_schema=False`),
    and only there `/metrics` is not for whoever reaches the port (`metrics=False`).
    """
    app = FastAPI(
        title=title,
        version="1.0.0",
        lifespan=_checked(lifespan),
        dependencies=[Depends(guard.enforce)],
        openapi_url="/openapi.json" if own_schema else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.settings = settings
    app.state.rights = RIGHTS[service] if rights is None else rights
    if isinstance(settings, AnsweringSettings):
        keys, leeway = settings.service_public_keys, settings.token_leeway
        app.state.service_verifier = ServiceVerifier(keys, audience=service, leeway=leeway)
    problems.install(app)
    openapi.install(app)
    for router in routers:
        app.include_router(router)
    app.include_router(health_router(service, checks), include_in_schema=False)
    if metrics:
        app.add_api_route("/metrics", _metrics, include_in_schema=False)
    app.add_middleware(_EitherSlash)
    app.add_middleware(Observe, service=service)
    return app


def _checked(lifespan: Lifespan) -> Lifespan:
    """`lifespan`, if every endpoint that the app has by then is one of which it is said who may call it."""

    @asynccontextmanager
    async def checked(app: FastAPI) -> AsyncIterator[None]:
        guard.check(app)
        async with lifespan(app):
            yield

    return checked


class _EitherSlash:
    """Routes are declared without trailing slash; `/x/` is answered as `/x`, never redirected (a redirect's absolute address
    is wrong behind a TLS proxy, and existing clients use both forms)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope["path"] = scope["path"].rstrip("/") or "/"  # not in a copy: whoever observes the request reads its route
        await self._app(scope, receive, send)


def _metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
