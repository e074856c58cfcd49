"""Two replicas of `audio` and of `notifier`, with all that a schedule plays for them; what lasts from schedule to schedule."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import sqlalchemy as sa

from libs.common.bus.base import PARTITIONS
from libs.common.bus.topology import AUDIO, AUDIO_REPORTS, NOTIFIER, WORK
from libs.common.contracts.notifier import HEARD, Frame
from libs.common.outbox.table import OUTBOX
from libs.common.storage.base import StoredObject
from libs.common.storage.disk import DiskStorage
from services.audio.catalog import CatalogClient
from services.audio.handlers import event_router
from services.audio.jobs import Lifetimes, Rules
from services.audio.orders import Orders
from services.audio.repository import Line
from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.tokens import TokenService
from services.audio.uploads import Patience, UploadService
from services.audio.webhooks import WebhookSigner
from services.notifier.handlers import build_router
from services.notifier.service import NotifierService
from tests.schedules.clock import Clock
from tests.schedules.faults import FaultyBus, FaultyDatabase
from tests.schedules.relay import StepwiseRelay
from tests.schedules.servers import Servers
from tests.schedules.turns import FATE, Fate, Turns
from tests.services.audio.house import script, wav

REPLICAS = 2
LINE = Line(script_id=7, token_id=3, deleted=False)
RULES = Rules(lease_seconds=30, max_attempts=3, retry_seconds=(0.0, 15.0))
JOB_SECONDS = 300.0
BEGINNING = datetime(2026, 11, 23, 12, tzinfo=UTC)

_LAST_MESSAGE = sa.select(sa.func.coalesce(sa.func.max(OUTBOX.c.id), 0))


class Shelf(DiskStorage):
    """A store that keeps nothing: no handler reads the bytes, and a disk's threads would not wait for their turn."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), signing_key=b"of schedules only", public_url="http://127.0.0.1")

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, media_type: str) -> StoredObject:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
        return StoredObject(key, size, media_type)

    async def delete(self, key: str) -> None:
        pass


class Houses:
    """The databases, with their pools of connections: what is too dear to make for each schedule."""

    def __init__(self, audio_url: str, notifier_url: str) -> None:
        self.audio = FaultyDatabase(audio_url, source="audio")
        self.notifier = FaultyDatabase(notifier_url, source="notifier")
        catalog = CatalogClient(httpx.AsyncClient())
        self.scripts, self.tokens = ScriptService(self.audio, catalog), TokenService(self.audio, catalog)

    async def empty(self) -> None:
        """As at the beginning: no job, no message, and the one line."""
        async with self.audio.engine.begin() as connection:
            await connection.execute(sa.text("TRUNCATE scripts, takes, outbox, inbox CASCADE"))
        async with self.notifier.engine.begin() as connection:
            await connection.execute(sa.text("TRUNCATE frames, inbox"))
        self.audio.turns = Turns(Random(0))
        keeping = asyncio.create_task(self.scripts.keep(script(LINE.script_id, token_id=LINE.token_id)))
        while not keeping.done():
            await self.audio.turns.next()

    async def close(self) -> None:
        """Close all connections."""
        await self.audio.close()
        await self.notifier.close()


class World:
    """The services over `houses` for one schedule. `rate` 0..1 is how often things go wrong."""

    def __init__(self, houses: Houses, turns: Turns, rate: float) -> None:
        self.turns = turns
        self.rate = rate
        self.clock = Clock(BEGINNING)
        self.bus = FaultyBus(turns, rate)
        self.audio = houses.audio
        self.notifier = houses.notifier
        self.frames: list[Frame] = []  # that a gateway heard
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []
        for database in (self.audio, self.notifier):
            database.turns = turns
        self.first_message = 0  # of the outbox, before those of this schedule
        self.relay = StepwiseRelay(self.audio, self.bus, turns, self.start)
        storage = Shelf()
        orders = Orders(
            self.audio,
            storage,
            WebhookSigner(b"of schedules only", "http://127.0.0.1"),
            lease_seconds=RULES.lease_seconds,
            reference_bucket=None,
        )
        self.replicas = [
            JobService(self.audio, self.bus, orders, RULES, max_result_bytes=10_000, clock=self.clock) for _ in range(REPLICAS)
        ]
        patience = Patience(Lifetimes(line=timedelta(seconds=JOB_SECONDS)), key=timedelta(hours=24))
        self._scripts, self._tokens = houses.scripts, houses.tokens
        self._uploads = UploadService(self.audio, storage, patience, clock=self.clock)

    async def open(self) -> None:
        """Begin to consume and to relay."""
        async with self.audio.engine.connect() as connection:
            self.first_message = (await connection.execute(_LAST_MESSAGE)).scalar_one()
        await self.bus.start()
        for jobs in self.replicas:
            router = event_router(jobs, self._scripts, self._tokens)
            await self.bus.consume(AUDIO, router)
            await self.bus.consume(AUDIO_REPORTS, router)
            await self.bus.consume(NOTIFIER, build_router(NotifierService(self.notifier, self.bus)))
        servers = Servers(self.bus, self.turns, self.clock, self.start)
        for queue in WORK.values():
            await self.bus.consume(queue, servers.take)
        gateway = await self.bus.listen_frames(self._hear)
        for partition in range(PARTITIONS):
            await gateway.bind(partition)
        self.start(self.relay.run())

    def start(self, work: Coroutine[Any, Any, None], fate: Fate | None = None) -> None:
        """Run `work` beside everything else, under its fate; it must not fail."""

        async def fated() -> None:
            FATE.set(fate)
            await work

        task = asyncio.create_task(fated())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def upload(self) -> Callable[[], Coroutine[Any, Any, str]]:
        """A recording with an idempotency key; each call uploads it, for the id of its job."""
        key = uuid4().hex
        return lambda: self._uploads.accept(LINE, None, _recording(), key, client="a client")

    async def close(self) -> None:
        """Stop everything."""
        await asyncio.sleep(0)  # what was started just now gets as far as to be stopped
        closing = asyncio.create_task(self.bus.close())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(closing, *self._tasks, return_exceptions=True)

    async def _hear(self, partition: int, body: bytes) -> None:
        heard = HEARD.validate_json(body)
        if isinstance(heard, Frame):
            self.frames.append(heard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)


async def _recording() -> AsyncIterator[bytes]:
    yield wav()
