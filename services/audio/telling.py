"""Frames that `audio` sends itself, because somebody waits. All of them may get lost: nothing depends on them."""

import asyncio
import re
from contextlib import suppress

from libs.common.bus.base import Bus, BusUnavailable
from libs.common.contracts.audio import FilmFact, JobFact
from libs.common.contracts.notifier import frame_of, stop_frame
from libs.common.frames import send
from libs.common.telemetry import going_on, log_context
from services.audio.changes import Change

STOP_SECONDS = 1.0  # a broker that takes longer has other worries than a server that works in vain
_LEASE = re.compile(r"[0-9a-f]{32}", re.ASCII)


async def send_ahead(bus: Bus, change: Change) -> None:
    """Somebody waits live for what a change says: its frame goes out now that it is committed.

    Notifier makes the same frame of the same fact some milliseconds later, and gateways who hear that it is there and know only
    earlier ones read it: so one that gets lost here only comes later.
    """
    for each in change.facts:
        if isinstance(each.event, JobFact | FilmFact):
            with suppress(BusUnavailable), log_context(traceparent=going_on(each.traceparent)):
                await send(bus, frame_of(each.event))


async def stop_server(bus: Bus, lease: str) -> None:
    """Tell who holds `lease` that its work is for nothing. What is no lease of ours, nobody listens for."""
    if _LEASE.fullmatch(lease):
        with suppress(BusUnavailable, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await send(bus, stop_frame(lease))
