"""The composition root of gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from libs.common.background import background
from libs.common.bus.base import Bus, BusUnavailable
from libs.common.bus.factory import open_bus
from libs.common.web.app import create_app
from libs.common.web.auth import verifier_for
from services.gateway import endpoints, mypage_endpoints
from services.gateway.browsers import BrowserHeaders
from services.gateway.callers import Callers
from services.gateway.connections import Guard, guarded
from services.gateway.cors import Cors
from services.gateway.counters import open_counters
from services.gateway.health import PlatformHealth
from services.gateway.history import Histories
from services.gateway.hub import Hub
from services.gateway.limits import Limiter, Limits
from services.gateway.metrics import metrics_server
from services.gateway.mypage import MyPage
from services.gateway.openapi import PlatformSchema
from services.gateway.places import Places
from services.gateway.proxy import FORM_BYTES, Proxy
from services.gateway.revocations import Revocations
from services.gateway.routes import BodySize, Service
from services.gateway.settings import GatewaySettings
from services.gateway.streams import Streams
from services.gateway.upstream import Upstreams


def build(settings: GatewaySettings, bus: Bus | None = None) -> FastAPI:
    """The app of gateway. A `bus` that is given is shared with others, who start and close it."""
    the_bus = bus or open_bus(settings, name="gateway")
    upstreams = Upstreams(
        {
            Service.AUTH: settings.auth_url,
            Service.CATALOG: settings.catalog_url,
            Service.AUDIO: settings.audio_url,
            Service.NOTIFIER: settings.notifier_url,
        },
        settings.identity,
    )
    verifier = verifier_for(settings)
    hub = Hub(the_bus, Histories(upstreams), heartbeat_seconds=settings.heartbeat_seconds)
    revocations = Revocations(the_bus, upstreams, on_revoked=hub.end_session)
    limits = {
        BodySize.UPLOAD: settings.max_upload_bytes + FORM_BYTES,
        BodySize.BATCH: settings.max_batch_bytes + FORM_BYTES,
        BodySize.IMPORT: settings.max_import_bytes,
        BodySize.SMALL: settings.max_body_bytes,
    }
    proxy = Proxy(
        upstreams,
        limits,
        upstream_seconds=settings.upstream_seconds,
        client_seconds=settings.client_seconds,
        min_body_rate=settings.min_body_rate,
    )
    counters = open_counters(settings.limits_url.get_secret_value(), max_keys=settings.limits_keys)
    limiter = Limiter(counters, settings.per_address, settings.per_user, factor=settings.limits_factor)

    async def listen() -> None:
        if bus is None:
            await the_bus.start()
        await revocations.listen()
        await hub.listen()

    async def bus_check() -> None:
        if not the_bus.connected:
            raise BusUnavailable("the bus is not connected")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with metrics_server(settings.metrics_listen):
            async with background(listen(), hub.beat(), revocations.keep_current()):
                yield
        await hub.close()
        await revocations.close()
        if bus is None:
            await the_bus.close()
        await upstreams.close()
        await counters.close()

    app = create_app(
        "gateway",
        settings,
        title="YouSync",
        routers=[endpoints.router, mypage_endpoints.router],
        lifespan=lifespan,
        checks={"bus": bus_check, "revocations": revocations.check},
        own_schema=False,
        metrics=False,
    )
    app.mount(endpoints.ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))
    app.router.default = proxy  # what no route above answers
    app.add_middleware(Streams, hub=hub, revocations=revocations, max_streams=settings.max_streams)
    per_address, per_user = settings.times(settings.max_streams_per_address), settings.times(settings.max_streams_per_user)
    app.add_middleware(Places, per_address=per_address, per_user=per_user)
    app.add_middleware(Limits, limiter=limiter)
    app.add_middleware(Callers, verifier=verifier, revocations=revocations)
    app.add_middleware(Cors, origins=settings.origins)
    app.add_middleware(BrowserHeaders, https=settings.public_url.startswith("https://"))
    app.state.http_protocol = guarded(
        Guard(
            max_connections=settings.max_connections,
            max_per_address=settings.times(settings.max_connections_per_address),
            proxies=settings.forwarded_allow_ips,
            head_seconds=settings.head_seconds,
            reader_seconds=settings.client_seconds,
        )
    )
    app.state.stopping = (hub.stop,)
    app.state.hub = hub
    app.state.health = PlatformHealth(upstreams, the_bus)
    app.state.mypage = MyPage(upstreams, part_seconds=settings.part_seconds)
    app.state.verifier = verifier
    app.state.schema = PlatformSchema(upstreams, app.openapi, limits)
    return app
