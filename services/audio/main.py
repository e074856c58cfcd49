"""Composition root: `python -m services.audio` serves, `build` makes the app for whoever runs several in one process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from libs.common.background import background, eventually
from libs.common.bus.base import Bus, BusUnavailable
from libs.common.bus.depth import watch_depths
from libs.common.bus.factory import open_bus
from libs.common.db import Database
from libs.common.outbox.relay import Relay
from libs.common.people import People
from libs.common.storage.disk import DiskStorage
from libs.common.storage.disk_http import disk_objects_router
from libs.common.storage.factory import open_storage
from libs.common.web.app import create_app
from libs.common.web.auth import verifier_for
from libs.common.web.internal import service_client
from services.audio import (
    dubbing_endpoints,
    export_endpoints,
    film_endpoints,
    job_endpoints,
    mypage_endpoints,
    scores_endpoints,
    token_endpoints,
    webhook_endpoints,
    worker,
)
from services.audio.anonymous import AnonymousEraser
from services.audio.batches import BatchService
from services.audio.catalog import CatalogClient
from services.audio.changes import LastSeen
from services.audio.departures import Departures
from services.audio.dispatch import Dispatcher
from services.audio.dubbing_parts import DubbingParts
from services.audio.endpoints import internal_router, router
from services.audio.erasing import Eraser, ObjectEraser
from services.audio.export_contents import Contents
from services.audio.exporting import ExportMaker, ExportRules
from services.audio.exports import ExportService
from services.audio.films import FilmService
from services.audio.metrics import SERVICE
from services.audio.mypage import PracticeService
from services.audio.orders import Orders
from services.audio.scores import ScoreService
from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.settings import AudioSettings
from services.audio.sweep import Sweeper
from services.audio.tickets import WebhookSigner
from services.audio.tokens import TokenService
from services.audio.uploads import Patience, UploadService
from services.audio.webhooks import WebhookService


def build(settings: AudioSettings, bus: Bus | None = None) -> FastAPI:
    """The app. A `bus` that is given belongs to the caller, who starts and closes it; else the app has its own."""
    owns_bus = bus is None
    bus = bus or open_bus(settings, name=SERVICE)
    database = Database(settings.database_url.get_secret_value(), source=SERVICE, pool_size=settings.database_pool_size)
    relay = Relay(database, bus, service=SERVICE, shards=settings.outbox_shards, retention_days=settings.outbox_retention_days)
    storage = open_storage(settings.storage_url, signing_key=settings.storage_signing_key, public_url=settings.public_url)
    catalog = CatalogClient(service_client(settings.catalog_url, settings.identity, "catalog"))

    people = People(service_client(settings.auth_url, settings.identity, "auth"))

    scripts = ScriptService(database, catalog)
    tokens = TokenService(database, catalog)
    uploads = UploadService(database, storage, _patience(settings))
    signer = WebhookSigner(settings.webhook_secret, settings.webhook_base_url or settings.public_url)
    orders = Orders(
        database,
        storage,
        signer,
        lease_seconds=settings.lease_seconds,
        reference_bucket=settings.reference_bucket,
    )
    seen = LastSeen()
    dispatcher = Dispatcher(
        database,
        orders,
        settings.rules,
        seen,
        unclaimed=settings.unclaimed,
        sweep_seconds=settings.sweep_seconds,
    )
    jobs = JobService(
        database,
        bus,
        storage,
        dispatcher,
        settings.rules,
        settings.lifetimes,
        seen,
        max_result_bytes=settings.max_result_bytes,
    )
    sweeper = Sweeper(database, bus, dispatcher, settings.rules)

    object_eraser = ObjectEraser(database, storage, sweep_seconds=settings.sweep_seconds)
    anonymous = AnonymousEraser(database, object_eraser, kept=timedelta(hours=settings.anonymous_retention_hours))

    departures = Departures(database, sweeper, object_eraser, sweep_seconds=settings.sweep_seconds)

    dubbings = DubbingParts(settings, database, bus, storage, tokens, object_eraser)
    owners = (
        service_client(settings.auth_url, settings.identity, "auth"),
        service_client(settings.catalog_url, settings.identity, "catalog"),
    )
    exports = ExportMaker(
        database,
        storage,
        Contents(database, storage, max_bytes=settings.max_export_bytes),
        owners,
        object_eraser,
        _export_rules(settings),
        sweep_seconds=settings.sweep_seconds,
    )

    batches = BatchService(uploads, tokens, max_files=settings.max_batch_files, max_file_bytes=settings.max_upload_bytes)
    webhooks = WebhookService(jobs, signer, max_bytes=settings.max_result_bytes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with background(
            eventually(storage.start, what="connecting to the object store"),
            worker.hear_events(bus, jobs, scripts, tokens, departures, start=owns_bus),
            relay.run(),
            dispatcher.run(),
            worker.sweep(bus, sweeper, settings),
            object_eraser.run(),
            departures.run(),
            dubbings.run(),
            exports.run(),
            worker.measure(jobs, settings),
            worker.keep_house(database, settings),
            worker.erase_anonymous(anonymous),
            watch_depths(bus, SERVICE),
        ):
            yield
        if owns_bus:
            await bus.close()
        await catalog.close()
        await people.close()
        for owner in owners:
            await owner.aclose()
        await storage.close()
        await database.close()

    async def check_bus() -> None:
        if not bus.connected:
            raise BusUnavailable("not connected")

    routers = [
        *(router, token_endpoints.router, webhook_endpoints.router, job_endpoints.router, mypage_endpoints.router),
        *(dubbing_endpoints.router, export_endpoints.router),
        *(film_endpoints.router, scores_endpoints.router, internal_router, mypage_endpoints.internal_router),
    ]
    if isinstance(storage, DiskStorage):
        routers.append(disk_objects_router(storage))
    app = create_app(
        SERVICE,
        settings,
        title="YouSync audio",
        routers=routers,
        lifespan=lifespan,
        checks={"database": database.check, "bus": check_bus, "storage": storage.check},
    )
    app.state.scripts = scripts
    app.state.uploads = uploads
    app.state.jobs = jobs
    app.state.tokens = tokens
    app.state.practice = practice = PracticeService(database, tokens)
    app.state.scores = ScoreService(database, practice, people)
    app.state.eraser = Eraser(database, jobs, object_eraser)
    app.state.anonymous = anonymous
    app.state.films = FilmService(database, dispatcher, settings.lifetimes, enabled=settings.preprocessing)
    app.state.batches = batches
    app.state.dubbings = dubbings.service
    pause = timedelta(seconds=settings.export_pause_seconds)
    app.state.exports = ExportService(database, dubbings.links, exports.wake, pause=pause)
    app.state.webhooks = webhooks
    app.state.verifier = verifier_for(settings)
    return app


def _export_rules(settings: AudioSettings) -> ExportRules:
    lease, kept = timedelta(seconds=settings.export_lease_seconds), timedelta(hours=settings.export_retention_hours)
    return ExportRules(settings.export_attempts, lease, kept)


def _patience(settings: AudioSettings) -> Patience:
    return Patience(settings.lifetimes, key=timedelta(seconds=settings.idempotency_seconds))
