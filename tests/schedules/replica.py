"""One process of `audio` and one of `notifier`, put together as their `main.py` does it, with the clock of the schedule."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from libs.common.bus.base import Subscription
from libs.common.bus.topology import AUDIO, AUDIO_REPORTS, NOTIFIER
from libs.common.db import Database
from libs.common.storage.base import StoredObject
from libs.common.storage.disk import DiskStorage
from services.audio.changes import LastSeen
from services.audio.departures import Departures
from services.audio.dispatch import Dispatcher
from services.audio.erasing import ObjectEraser
from services.audio.handlers import event_router
from services.audio.jobs import Lifetimes, Rules
from services.audio.orders import Orders
from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.sweep import Sweeper
from services.audio.tickets import WebhookSigner
from services.audio.tokens import TokenService
from services.audio.uploads import Patience, UploadService
from services.notifier.handlers import build_router
from services.notifier.service import NotifierService
from tests.schedules.clock import Clock
from tests.schedules.faults import FaultyBus
from tests.schedules.turns import FATE, Fate

RULES = Rules(lease_seconds=30, claim_seconds=40, ageing_seconds=60, max_attempts=3, retry_seconds=(0.0, 15.0))
JOB_SECONDS = 300.0
LIFETIMES = Lifetimes(line=timedelta(seconds=JOB_SECONDS))
UNCLAIMED = 1  # so that jobs have to wait for each other
NEVER = 1e6  # seconds of the real clock: in a schedule everything that is due is due by its own


class Shelf(DiskStorage):
    """A store that keeps nothing: no handler reads the bytes, and a disk's threads would not wait for their turn."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), signing_key=b"of schedules only", public_url="http://127.0.0.1")

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, media_type: str) -> StoredObject:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
        return StoredObject(key, size, media_type)

    async def stat(self, key: str) -> StoredObject:
        return StoredObject(key, 0, "audio/wav")

    async def delete(self, key: str) -> None:
        pass


class ClockedDispatcher(Dispatcher):
    """Is woken by the clock of the schedule. Fractions of a second are none there: whose turn it is decides what is first."""

    clock: Clock

    def wake(self, *, after: float = 0.0) -> None:
        if after < 1:
            super().wake()
        else:
            self.clock.call_later(after, super().wake)


class Replica:
    """Its use cases, and what it consumes. `scripts` and `tokens` hold no state and are shared."""

    def __init__(
        self, audio: Database, notifier: Database, bus: FaultyBus, clock: Clock, scripts: ScriptService, tokens: TokenService
    ) -> None:
        self._bus = bus
        storage = Shelf()
        seen = LastSeen()
        webhooks = WebhookSigner(b"of schedules only", "http://127.0.0.1")
        orders = Orders(audio, storage, webhooks, lease_seconds=RULES.lease_seconds, reference_bucket=None)
        self.dispatcher = ClockedDispatcher(audio, orders, RULES, seen, unclaimed=UNCLAIMED, sweep_seconds=NEVER, clock=clock)
        self.dispatcher.clock = clock
        self.jobs = JobService(
            audio, bus, storage, self.dispatcher, RULES, LIFETIMES, seen, max_result_bytes=10_000, clock=clock
        )
        self.sweeper = Sweeper(audio, bus, self.dispatcher, RULES, clock=clock)
        self.uploads = UploadService(audio, storage, Patience(LIFETIMES, key=timedelta(hours=24)), clock=clock)
        departures = Departures(audio, self.sweeper, ObjectEraser(audio, storage, sweep_seconds=NEVER), sweep_seconds=NEVER)
        self.reports = event_router(self.jobs, scripts, tokens, departures)
        self._handles = {
            AUDIO: self.reports,
            AUDIO_REPORTS: self.reports,
            NOTIFIER: build_router(NotifierService(notifier, bus)),
        }
        self._consumes: list[Subscription] = []
        self._dispatches: asyncio.Task[None] | None = None

    async def open(self, fate: Fate | None) -> None:
        """Begin to consume, and to dispatch under this fate."""

        async def dispatch() -> None:
            FATE.set(fate)
            await self.dispatcher.run()

        self._dispatches = asyncio.create_task(dispatch())
        for queue, router in self._handles.items():
            self._consumes.append(await self._bus.consume(queue, router))

    async def close(self, patience: float) -> None:
        """Stop; handlers that run for longer than `patience` seconds are cancelled."""
        assert self._dispatches is not None
        self._dispatches.cancel()
        await asyncio.gather(self._dispatches, *(each.drain(patience) for each in self._consumes), return_exceptions=True)
