"""What notifier does without being asked: consume facts, sweep what is old."""

import asyncio

from libs.common.bus.base import Bus
from libs.common.bus.topology import NOTIFIER
from services.notifier.handlers import build_router
from services.notifier.service import NotifierService


async def consume(bus: Bus, service: NotifierService, *, concurrency: int, start: bool) -> None:
    """Tell clients what the facts say until cancelled. With `start` the bus is this service's own: connect and close it."""
    if start:
        await bus.start()
    try:
        subscription = await bus.consume(NOTIFIER, build_router(service), concurrency=concurrency)
        try:
            await asyncio.Event().wait()
        finally:
            await subscription.drain()
    finally:
        if start:
            await bus.close()
