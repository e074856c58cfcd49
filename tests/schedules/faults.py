"""The memory bus and the database with faults that a seed decides: what a broker, a network and a crash may do to a service."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.bus.base import BusUnavailable, Handler, Message, Subscription
from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import Queue
from libs.common.db import Database, DatabaseUnavailable, Outgoing, Transaction
from libs.common.outbox import writer
from libs.common.statement import Statement
from tests.schedules.turns import FATE, Fate, Fault, Turns, die

# Of one message in one queue: fewer than the ladder has rungs, or an honest message would end in the dead letters.
FAULTS_OF_A_MESSAGE = 3
STRUCK_TURNS = (1, 1, 1, 2, 2, 3)  # most handlers have one or two
LADDER = (0.0,) * (FAULTS_OF_A_MESSAGE + 1)


class FaultyBus(MemoryBus):
    """Confirms like a broker, as soon as the queues have the message, and does wrong what a broker may do wrong.

    A publish is refused, its confirm is lost, or its message comes twice. Deliveries are begun in any order between subjects;
    a handler fails, is cancelled midway, or has its acknowledgement lost, and its message comes again: then also after
    later ones of its subject. Frames are lost or come twice. `rate` 0..1 is how often each of it happens.
    """

    def __init__(self, turns: Turns, rate: float) -> None:
        super().__init__(name="schedules", retry_ladder=LADDER)
        self._turns = turns
        self._rate = rate
        self._faults = Counter[tuple[str, str]]()
        self._consumers: list[Subscription] = []
        self._deliveries: set[asyncio.Task[None]] = set()

    async def publish(self, message: Message) -> None:
        if self._turns.chance(self._rate):
            self._turns.note("  the publish is refused")
            raise BusUnavailable("refused")
        copies = 1
        if self._turns.chance(self._rate):
            self._turns.note("  the message comes twice")
            copies = 2
        delivered = [asyncio.create_task(super(FaultyBus, self).publish(message)) for _ in range(copies)]
        for task in delivered:
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        await asyncio.sleep(0)
        for task in delivered:
            if task.done():
                task.result()
        if self._turns.chance(self._rate):
            self._turns.note("  the confirm is lost")
            raise BusUnavailable("the confirm is lost")

    async def consume(self, queue: Queue, handler: Handler, *, concurrency: int = 16) -> Subscription:
        async def deliver(message: Message) -> None:
            FATE.set(None)
            async with self._turns.turn(f"{queue.name} gives {message.type} ({message.subject}, attempt {message.attempt})"):
                fate = self._fate(queue, message)
            FATE.set(fate)
            await handler(message)
            if fate is not None and fate.fault is Fault.CRASHED:
                self._turns.note(f"  the acknowledgement is lost: {message.type} ({message.subject})")
                await die()

        subscription = await super().consume(queue, deliver, concurrency=concurrency)
        self._consumers.append(subscription)
        return subscription

    async def publish_frame(self, partition: int, body: bytes) -> None:
        fate = FATE.get()
        if fate is not None and fate.fault is Fault.FRAME_REFUSED:
            raise BusUnavailable("the frame is refused")
        for _ in range(self._turns.random.choices((1, 0, 2), weights=(1, self._rate, self._rate))[0]):
            await super().publish_frame(partition, body)

    async def close(self) -> None:
        deliveries = list(self._deliveries)
        await asyncio.gather(*(consumer.drain(0) for consumer in self._consumers))
        await super().close()
        await asyncio.gather(*deliveries, return_exceptions=True)

    def _fate(self, queue: Queue, message: Message) -> Fate | None:
        key = (message.id, queue.name)
        if self._faults[key] == FAULTS_OF_A_MESSAGE or not self._turns.chance(2 * self._rate):
            return None
        self._faults[key] += 1
        return draw_fate(self._turns)


def draw_fate(turns: Turns, *faults: Fault) -> Fate:
    """One of `faults` (of all, if none is named) at one of the first turns of a task."""
    fate = Fate(turns.random.choice(faults or tuple(Fault)), turns.random.choice(STRUCK_TURNS))
    turns.note(f"  fate: {fate.fault} ({fate.at})")
    return fate


class FaultyDatabase(Database):
    """Each transaction takes a turn; what fails is the task's fate. `written` is set when messages may have been committed."""

    turns: Turns

    def __init__(self, url: str, *, source: str) -> None:
        super().__init__(url, source=source)
        self.written = asyncio.Event()
        self.queue_locked_by: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._turn("writes", committing=True):
            try:
                async with super().transaction() as tx:
                    yield tx
            finally:
                if self.queue_locked_by is asyncio.current_task():
                    self.queue_locked_by = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn("reads"), super().reading() as connection:
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn("does one statement"), super().autocommit() as connection:
            yield connection

    async def rows(self, statement: Statement, values: Mapping[str, object]) -> list[asyncpg.Record]:
        async with self._turn("does one statement"):
            return await super().rows(statement, values)

    async def change(self, change: writer.Change, parameters: Mapping[str, object], *outgoing: Outgoing) -> bool:
        async with self._turn("changes", committing=True):
            return await super().change(change, parameters, *outgoing)

    @asynccontextmanager
    async def _turn(self, what: str, *, committing: bool = False) -> AsyncIterator[None]:
        if self.turns.held:
            yield
            return
        async with self.turns.turn(f"{self._source} {what}"):
            fate = FATE.get() or Fate()
            if fate.strikes(Fault.DATABASE_AWAY):
                self.turns.note("  the database is away")
                raise DatabaseUnavailable("away")
            yield
            if committing:
                self.written.set()
            if fate.strikes(Fault.DATABASE_IN_DOUBT):
                self.turns.note("  the answer of the database is lost")
                raise DatabaseUnavailable("in doubt")
