"""What runs beside the requests: the consumer of events, the housekeeping."""

import asyncio

from libs.common import inbox
from libs.common.background import every
from libs.common.bus.base import Bus
from libs.common.bus.topology import CATALOG
from libs.common.db import Database
from services.catalog.erasing import Eraser
from services.catalog.handlers import event_router

HOUSEKEEPING_SECONDS = 3600.0


async def hear_events(bus: Bus, eraser: Eraser, *, start: bool) -> None:
    """Handle events until cancelled, then finish the running handlers. `start` the bus first, if asked to."""
    if start:
        await bus.start()
    subscription = await bus.consume(CATALOG, event_router(eraser))
    try:
        await asyncio.Event().wait()
    finally:
        await subscription.drain()


async def keep_house(database: Database, *, inbox_days: int) -> None:
    """Forget what is only kept for repetitions."""

    async def forget() -> None:
        async with database.autocommit() as connection:
            while await inbox.forget_older_than(connection, inbox_days) == inbox.SWEEP_BATCH:
                pass

    await every(HOUSEKEEPING_SECONDS, forget, what="the housekeeping")
