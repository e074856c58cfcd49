"""Composition root of the reference analysis server and of the bridge; over HTTP both serve only health and metrics."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from libs.common.background import background
from libs.common.bus.base import Bus, BusUnavailable
from libs.common.bus.depth import watch_depths
from libs.common.bus.factory import open_bus
from libs.common.contracts.audio import AnalysisRequested
from libs.common.web.app import create_app
from services.analysis.bridge import Bridge
from services.analysis.fetch import Recordings
from services.analysis.film_bridge import FilmBridge
from services.analysis.metrics import SERVICE
from services.analysis.pool import ScoringPool
from services.analysis.reference import Reference
from services.analysis.settings import AnalysisSettings
from services.analysis.worker import Analyst, AnyOrder, Worker


def build(settings: AnalysisSettings, bus: Bus | None = None) -> FastAPI:
    """The app. A `bus` that is given belongs to the caller, who starts and closes it; else the app has its own."""
    owns_bus = bus is None
    bus = bus or open_bus(settings, name=SERVICE)
    film_bus = bus
    if owns_bus and settings.preprocessor_http_url is not None and settings.preprocessor_broker_url is not None:
        film_bus = open_bus(settings.model_copy(update={"broker_url": settings.preprocessor_broker_url}), name="preprocessor")
    buses = dict.fromkeys((bus, film_bus) if owns_bus else ())
    analyst = _analyst(settings)
    films = None if settings.preprocessor_http_url is None else FilmBridge(str(settings.preprocessor_http_url), settings)

    async def work() -> None:
        await analyst.start()
        await asyncio.gather(*(each.start() for each in buses))
        async with asyncio.TaskGroup() as group:
            group.create_task(_worker(bus, analyst, settings).run())
            if films is not None:
                group.create_task(_worker(film_bus, films, settings).run())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with background(work(), watch_depths(bus, SERVICE)):
            yield
        await analyst.close()
        if films is not None:
            await films.close()
        await asyncio.gather(*(each.close() for each in buses))

    async def check_bus() -> None:
        if not (bus.connected and film_bus.connected):
            raise BusUnavailable("not connected")

    return create_app(
        SERVICE,
        settings,
        title="YouSync analysis",
        routers=[],
        lifespan=lifespan,
        checks={**analyst.checks, **(films.checks if films is not None else {}), "bus": check_bus},
    )


def _worker(bus: Bus, analyst: Analyst[AnyOrder], settings: AnalysisSettings) -> Worker[AnyOrder]:
    return Worker(
        bus,
        analyst,
        name=f"{socket.gethostname()}:{os.getpid()}",
        progress_seconds=settings.progress_seconds,
        shutdown_seconds=settings.shutdown_seconds,
    )


def _analyst(settings: AnalysisSettings) -> Analyst[AnalysisRequested]:
    if settings.mode == "http":
        return Bridge(settings)
    recordings = Recordings(max_bytes=settings.max_recording_bytes, timeout=settings.fetch_timeout)
    return Reference(ScoringPool(settings), recordings)
