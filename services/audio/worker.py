"""What runs beside the requests: the consumer of events, the sweeper, the gauges, the housekeeping."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from libs.common import inbox
from libs.common.background import every
from libs.common.bus.base import Bus
from libs.common.bus.topology import AUDIO, AUDIO_REPORTS
from libs.common.db import Database
from services.audio import repository
from services.audio.anonymous import AnonymousEraser
from services.audio.departures import Departures
from services.audio.handlers import event_router
from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.settings import AudioSettings
from services.audio.sweep import Sweeper
from services.audio.tokens import TokenService

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 3600.0


async def hear_events(
    bus: Bus, jobs: JobService, scripts: ScriptService, tokens: TokenService, departures: Departures, *, start: bool
) -> None:
    """Handle events and reports until cancelled, then finish the running handlers. `start` the bus first, if asked to."""
    if start:
        await bus.start()
    router = event_router(jobs, scripts, tokens, departures)
    subscriptions = [await bus.consume(queue, router) for queue in (AUDIO, AUDIO_REPORTS)]
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.gather(*(subscription.drain() for subscription in subscriptions))


async def sweep(bus: Bus, sweeper: Sweeper, settings: AudioSettings) -> None:
    """Move on the jobs that time has run out for.

    Silence of an analysis server only counts while it could be heard: after a start, and after the broker was away, one
    lease has to pass first, in which the reports that were waiting arrive.
    """
    while True:
        await asyncio.sleep(settings.lease_seconds)
        while bus.connected:
            try:
                await sweeper.sweep()
            except Exception as error:
                log.warning("the sweep failed and is tried again", extra={"error": repr(error)})
            await asyncio.sleep(settings.sweep_seconds)


async def measure(jobs: JobService, settings: AudioSettings) -> None:
    """Keep the gauges up to date."""
    await every(settings.sweep_seconds, jobs.measure, what="counting open jobs")


async def keep_house(database: Database, settings: AudioSettings) -> None:
    """Forget what is only kept for repetitions."""

    async def forget() -> None:
        async with database.autocommit() as connection:
            while await inbox.forget_older_than(connection, settings.inbox_retention_days) == inbox.SWEEP_BATCH:
                pass
        async with database.transaction() as tx:
            before = datetime.now(UTC) - timedelta(seconds=settings.idempotency_seconds)
            await repository.forget_uploads(tx.connection, before=before)

    await every(HOUSEKEEPING_SECONDS, forget, what="the housekeeping")


async def erase_anonymous(eraser: AnonymousEraser) -> None:
    """Erase what nobody owns when its time has come."""

    async def erase() -> None:
        while await eraser.erase_round():
            pass

    await every(HOUSEKEEPING_SECONDS, erase, what="erasing recordings of nobody")
