"""Two replicas of `audio` and of `notifier`, with all that a schedule plays for them; what lasts from schedule to schedule."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx
import sqlalchemy as sa

from libs.common.bus.base import PARTITIONS, Message
from libs.common.bus.topology import WORK
from libs.common.contracts.notifier import HEARD, Frame
from libs.common.outbox.table import OUTBOX
from services.audio.catalog import CatalogClient
from services.audio.repository import Line
from services.audio.scripts import ScriptService
from services.audio.tokens import TokenService
from services.audio.uploads import Uploader
from tests.schedules.clock import Clock
from tests.schedules.faults import FaultyBus, FaultyDatabase, draw_fate
from tests.schedules.relay import StepwiseRelay
from tests.schedules.replica import Replica
from tests.schedules.servers import Servers
from tests.schedules.turns import FATE, Fate, Fault, Turns
from tests.services.audio.house import script

REPLICAS = 2
LINE = Line(script_id=7, token_id=3, deleted=False)
UPLOADERS = (Uploader(None, "somebody"), Uploader(5, "somebody who is signed in"))
DATABASE_FAULTS = (Fault.DATABASE_AWAY, Fault.DATABASE_IN_DOUBT)
BEGINNING = datetime(2026, 11, 23, 12, tzinfo=UTC)
_LAST_MESSAGE = sa.select(sa.func.coalesce(sa.func.max(OUTBOX.c.id), 0))


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
            database.written.clear()
            database.queue_locked_by = None
        self.first_message = 0  # of the outbox, before those of this schedule
        self.relay = StepwiseRelay(self.audio, self.bus, turns, self.start)
        self._houses = houses
        self._replacing: set[int] = set()
        self.replicas = [self._replica() for _ in range(REPLICAS)]

    async def open(self) -> None:
        """Begin to consume and to relay."""
        async with self.audio.engine.connect() as connection:
            self.first_message = (await connection.execute(_LAST_MESSAGE)).scalar_one()
        await self.bus.start()
        for replica in self.replicas:
            await replica.open(self.draw_fate(*DATABASE_FAULTS))
        servers = Servers(self)
        for queue in WORK.values():
            await self.bus.consume(queue, servers.take)
        gateway = await self.bus.listen_frames(self._hear)
        for partition in range(PARTITIONS):
            await gateway.bind(partition)
        self.start(self.relay.run())

    def _replica(self) -> Replica:
        houses = self._houses
        return Replica(self.audio, self.notifier, self.bus, self.clock, houses.scripts, houses.tokens)

    async def replace(self, place: int, patience: float) -> None:
        """Stop a replica, which gets so many seconds to finish what it handles, and start another one."""
        if place in self._replacing:
            return
        self._replacing.add(place)
        async with self.turns.turn(f"replica {place} is " + ("stopped" if patience else "killed")):
            leaves, self.replicas[place] = self.replicas[place], self._replica()
        await leaves.close(patience)
        await self.replicas[place].open(self.draw_fate(*DATABASE_FAULTS))
        self._replacing.remove(place)

    async def post(self, message: Message) -> None:
        """Let some replica handle `message` as if it came by HTTP. Raises what its use case raises."""
        FATE.set(self.draw_fate(*DATABASE_FAULTS))
        await self.turns.random.choice(self.replicas).reports(message)

    def draw_fate(self, *faults: Fault) -> Fate | None:
        """Mostly none."""
        return draw_fate(self.turns, *faults) if self.turns.chance(self.rate) else None

    def start(self, work: Coroutine[Any, Any, None], fate: Fate | None = None) -> "asyncio.Task[None]":
        """Run `work` beside everything else, under its fate; it must not fail."""

        async def fated() -> None:
            FATE.set(fate)
            await work

        task = asyncio.create_task(fated())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Stop everything."""
        await asyncio.sleep(0)  # what was started just now gets as far as to be stopped
        self.turns.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *(replica.close(0) for replica in self.replicas), return_exceptions=True)
        await self.bus.close()

    async def _hear(self, partition: int, body: bytes) -> None:
        heard = HEARD.validate_json(body)
        if isinstance(heard, Frame):
            self.frames.append(heard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)
