"""The composition root of notifier."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from libs.common.background import background, every
from libs.common.bus.base import Bus, BusUnavailable
from libs.common.bus.depth import watch_depths
from libs.common.bus.factory import open_bus
from libs.common.db import Database
from libs.common.web.app import create_app
from services.notifier import endpoints, worker
from services.notifier.service import NotifierService
from services.notifier.settings import NotifierSettings


def build(settings: NotifierSettings, bus: Bus | None = None) -> FastAPI:
    """The app of notifier. A `bus` that is given is shared with others, who start and close it."""
    the_bus = bus or open_bus(settings, name="notifier")
    database = Database(settings.database_url.get_secret_value(), source="notifier", pool_size=settings.database_pool_size)
    service = NotifierService(database, the_bus)
    sweep = partial(service.sweep, settings.retention_days, settings.inbox_retention_days)

    async def bus_check() -> None:
        if not the_bus.connected:
            raise BusUnavailable("the bus is not connected")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with background(
            worker.consume(the_bus, service, concurrency=settings.concurrency, start=bus is None),
            every(settings.sweep_seconds, sweep, what="sweeping old channels"),
            watch_depths(the_bus, "notifier"),
        ):
            yield
        await database.close()

    app = create_app(
        "notifier",
        settings,
        title="YouSync notifier",
        routers=[endpoints.router],
        lifespan=lifespan,
        checks={"database": database.check, "bus": bus_check},
    )
    app.state.notifier = service
    return app
