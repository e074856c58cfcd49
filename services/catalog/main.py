"""Composition root of catalog."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from libs.common.background import background, eventually
from libs.common.bus.base import Bus
from libs.common.bus.depth import watch_depths
from libs.common.bus.factory import open_bus
from libs.common.db import Database
from libs.common.outbox.relay import Relay
from libs.common.people import People
from libs.common.storage.factory import open_storage
from libs.common.web.app import create_app
from libs.common.web.auth import verifier_for
from libs.common.web.internal import service_client
from services.catalog import bookmarks_endpoints, personal_endpoints, requests_endpoints, worker
from services.catalog.bookmarks import Bookmarks
from services.catalog.editing import Editor
from services.catalog.endpoints import (
    actors_router,
    duet_router,
    import_router,
    internal_router,
    scripts_router,
    tokens_router,
    urls_router,
)
from services.catalog.erasing import Eraser
from services.catalog.exporting import Exporter
from services.catalog.importing import Importer
from services.catalog.listing import Lists
from services.catalog.personal import PersonalData
from services.catalog.removing import Remover
from services.catalog.requests import VideoRequests
from services.catalog.service import Catalogue
from services.catalog.settings import CatalogSettings
from services.catalog.storage import SceneObjects
from services.catalog.viewing import Views
from services.catalog.write_endpoints import router as write_router

SERVICE = "catalog"


def build(settings: CatalogSettings, bus: Bus | None = None) -> FastAPI:
    """The app. `bus` is given, and started and closed by its owner, where several services share a process."""
    database = Database(settings.database_url.get_secret_value(), source=SERVICE, pool_size=settings.database_pool_size)
    storage = open_storage(settings.storage_url, signing_key=settings.storage_signing_key, public_url=settings.public_url)
    objects = SceneObjects(storage, pitch_cache_bytes=settings.pitch_cache_bytes)
    people = People(service_client(settings.auth_url, settings.identity, "auth"))
    owns_bus = bus is None
    bus = bus or open_bus(settings, name=SERVICE)
    relay = Relay(database, bus, service=SERVICE, shards=settings.outbox_shards, retention_days=settings.outbox_retention_days)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with background(
            relay.run(),
            eventually(storage.start, what="opening the object storage"),
            worker.hear_events(bus, Eraser(database), start=owns_bus),
            worker.keep_house(database, inbox_days=settings.inbox_retention_days),
            watch_depths(bus, SERVICE),
        ):
            yield
        if owns_bus:
            await bus.close()
        await people.close()
        await storage.close()
        await database.close()

    app = create_app(
        SERVICE,
        settings,
        title="YouSync catalog",
        routers=[
            actors_router,
            tokens_router,
            scripts_router,
            urls_router,
            duet_router,
            import_router,
            write_router,
            bookmarks_endpoints.router,
            requests_endpoints.router,
            internal_router,
            bookmarks_endpoints.internal_router,
            personal_endpoints.router,
        ],
        lifespan=lifespan,
        # Not the broker: the catalogue is read without it, events wait in the outbox.
        checks={"database": database.check, "storage": storage.check},
    )
    app.state.catalogue = Catalogue(database, objects)
    app.state.lists = Lists(database)
    app.state.views = Views(database)
    app.state.importer = Importer(database, objects)
    app.state.exporter = Exporter(database, objects)
    app.state.editor = Editor(database)
    app.state.remover = Remover(database)
    app.state.bookmarks = Bookmarks(database)
    app.state.personal_data = PersonalData(database)
    app.state.video_requests = VideoRequests(database, people)
    app.state.verifier = verifier_for(settings)
    return app
