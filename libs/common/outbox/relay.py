"""Publishes committed outbox rows to the bus: at least once, in order per subject, with many confirms in flight.

The subjects are cut into shards, each of which one relay at a time holds (`leases`); usually there is one.

What its own process commits the relay publishes without reading it back, as soon as it hears of the commit (`handover`).
This asks that it knows of everything that was committed before, or the order could break: another process may just have
published something of the same subject. Hints come in the order of the commits, so it does if nothing that it has heard of
is still to be read. Otherwise it reads the table from there on.

A hint names the lowest id of its transaction, and reading begins there: never behind an id that was merely seen, because
sequences are handed out before commit, and a late commit would be skipped for ever. So the cost of a read depends neither on
what was sent nor on what waits. Every few seconds all that is unsent is looked through from its beginning, for hints that
got lost.
"""

import asyncio
import logging
from contextlib import suppress

import asyncpg
import sqlalchemy as sa
from prometheus_client import Gauge
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.bus.base import Bus, Message
from libs.common.db import Database, DatabaseUnavailable
from libs.common.outbox.leases import Leases
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX, shard_of
from libs.common.outbox.window import RETRY_SECONDS, WINDOW, Window

log = logging.getLogger(__name__)

OUTBOX_DEPTH = Gauge(
    "yousync_outbox_depth", "Committed messages that are not published yet; at most, where it is above 1,000", ["service"]
)
OUTBOX_AGE = Gauge("yousync_outbox_oldest_seconds", "Age of the oldest message that is not published yet", ["service"])

POLL_SECONDS = 5.0  # a hint can get lost with its connection; this bounds the delay then
# Between two looks at who holds what: for those who do not hold all, and for the one who does and may have to share.
SEEK_SECONDS, KEEP_SECONDS = 1.0, 5.0
ANSWER_SECONDS = 30.0  # a database that does not answer for so long is connected to anew
RETENTION_DAYS = 7  # sent rows are kept for tracing and for audits, then swept
SWEEP_BATCH = 10_000
# A read has its price, so it waits for room for this many; but not for longer than this (seconds): some messages take long.
READ_BATCH, ROOM_SECONDS = WINDOW // 2, 0.25
COUNTED = 1_000  # unsent rows that are counted one by one for the metric; beyond, their span of ids tells
# By index only: the plans that are good at any number of rows, whatever the statistics say at the moment.
PLANS = ("SET enable_seqscan TO off", "SET enable_bitmapscan TO off")
# Confirms come one by one; what comes within this time (seconds) is marked in one statement. A crash sends it again.
MARK_SECONDS = 0.05

_UNSENT = (
    sa.select(OUTBOX)
    .where(
        OUTBOX.c.sent_at.is_(None),
        OUTBOX.c.id > sa.bindparam("after", type_=sa.BigInteger),
        OUTBOX.c.message_id != sa.func.all(sa.bindparam("in_flight", type_=ARRAY(OUTBOX.c.message_id.type))),
        OUTBOX.c.bucket % sa.bindparam("shards", type_=sa.Integer)
        == sa.func.any(sa.bindparam("held", type_=ARRAY(sa.Integer))),
    )
    .order_by(OUTBOX.c.id)
    .limit(sa.bindparam("room", type_=sa.Integer))
)
_MARK = (
    sa.update(OUTBOX)
    .where(OUTBOX.c.message_id == sa.func.any(sa.bindparam("ids", type_=ARRAY(OUTBOX.c.message_id.type))))
    .values(sent_at=sa.func.now())
)
_OLD = OUTBOX.c.sent_at < sa.func.now() - sa.func.make_interval(0, 0, 0, sa.bindparam("days", type_=sa.Integer))
_SWEEP = sa.delete(OUTBOX).where(OUTBOX.c.message_id.in_(sa.select(OUTBOX.c.message_id).where(_OLD).limit(SWEEP_BATCH)))
_WAITING = sa.select(OUTBOX.c.id, OUTBOX.c.created_at).where(OUTBOX.c.sent_at.is_(None))
_OLDEST = _WAITING.order_by(OUTBOX.c.id).limit(1).subquery()
_NEWEST = _WAITING.order_by(OUTBOX.c.id.desc()).limit(1).subquery()
_MEASURE = sa.select(
    sa.select(sa.func.count()).select_from(_WAITING.limit(COUNTED + 1).subquery()).scalar_subquery().label("counted"),
    (_NEWEST.c.id - _OLDEST.c.id + 1).label("span"),
    sa.extract("epoch", sa.func.now() - _OLDEST.c.created_at).label("age"),
).select_from(_OLDEST.join(_NEWEST, sa.true()))


class Relay:
    """The relay of one process for its database. `run` until cancelled. Every process says the same number of `shards`."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        service: str,
        shards: int = 1,
        retention_days: int = RETENTION_DAYS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._service = service
        self._shards = shards
        self._retention_days = retention_days
        self._poll_seconds = poll_seconds
        self._window = Window(bus, service=service, confirmed=self._confirmed)
        self._held: frozenset[int] = frozenset()
        self._unread: int | None = None  # there may be unsent rows above this id that were not seen
        self._reading = False
        self._to_read = asyncio.Event()
        self._room = asyncio.Event()
        self._to_mark = asyncio.Event()
        self._lease_lost = asyncio.Event()
        OUTBOX_DEPTH.labels(service)

    async def run(self) -> None:
        """Relay for ever; survives the loss of the database and of the bus."""
        while True:
            try:
                await self._relay()
            except Exception as error:
                log.warning("the outbox relay lost its connection and starts again", extra={"error": repr(error)})
            finally:
                # Nothing runs on without the lease.
                self._held = frozenset()
                self._database.handover.close()
                await self._window.stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _relay(self) -> None:
        lasting = self._database.lasting_connection
        async with lasting() as listening, lasting() as reading, lasting() as marking:
            driver: asyncpg.Connection = (await listening.get_raw_connection()).driver_connection
            self._lease_lost.clear()
            driver.add_termination_listener(self._lose_lease)
            await driver.add_listener(NOTIFY_CHANNEL, self._hear)
            # What a crash forgets to be sent is sent again; waiting for the disk would only be in the commits' way.
            await marking.execute(sa.text("SET synchronous_commit TO off"))
            for connection in (reading, marking):
                for setting in PLANS:
                    await connection.execute(sa.text(setting))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_leases(Leases(driver, self._shards)))
                group.create_task(self._read_on(reading))
                group.create_task(self._mark_and_sweep(marking))

    # --- Which shards are ours ----------------------------------------------------------------------------------------

    async def _keep_leases(self, leases: Leases) -> None:
        """PostgreSQL delivers hints only between statements, so that this connection has to stay idle beside it."""
        async with asyncio.timeout(ANSWER_SECONDS):
            await leases.join()
        while not self._lease_lost.is_set():
            async with asyncio.timeout(ANSWER_SECONDS):
                await leases.balance(self._is_busy)
            self._hold(leases.held)
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_SECONDS if len(self._held) == self._shards else SEEK_SECONDS):
                    await self._lease_lost.wait()
        raise DatabaseUnavailable("the connection that held the lease was lost")

    def _hold(self, shards: frozenset[int]) -> None:
        gained, self._held = shards - self._held, shards
        if gained:
            log.info("this process relays shards of the outbox", extra={"shards": sorted(shards), "of": self._shards})
            self._database.handover.open()
            self._read_from(0)
        elif not shards:
            self._database.handover.close()

    def _is_busy(self, shard: int) -> bool:
        return self._reading or any(shard_of(subject, self._shards) == shard for subject in self._window.in_flight.values())

    def _lose_lease(self, connection: object) -> None:
        self._lease_lost.set()

    # --- What is to be published --------------------------------------------------------------------------------------

    def _hear(self, connection: object, process: int, channel: str, hint: str) -> None:
        if not self._held:
            return
        offer, _, first = hint.rpartition(" ")
        messages = self._database.handover.take(offer)
        if messages is None or not self._publish_at_once(messages):
            self._read_from(int(first) - 1)

    def _publish_at_once(self, messages: list[Message]) -> bool:
        """Publish what was just committed; False when something that was not seen may have to come before it."""
        ours = [message for message in messages if shard_of(message.subject, self._shards) in self._held]
        if ours and (self._unread is not None or self._reading or len(ours) > self._window.room):
            return False
        for message in ours:
            self._window.put(message)
        return True

    def _read_from(self, after: int) -> None:
        self._unread = after if self._unread is None else min(after, self._unread)
        self._to_read.set()

    async def _read_on(self, connection: AsyncConnection) -> None:
        while True:
            await self._to_read.wait()
            self._to_read.clear()
            self._room.clear()
            if self._window.room < READ_BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROOM_SECONDS):
                        await self._room.wait()
            if self._unread is not None and self._held:
                if self._window.room > 0:
                    await self._read(connection)
                else:
                    self._to_read.set()

    async def _read(self, connection: AsyncConnection) -> None:
        after, self._unread, self._reading = self._unread, None, True
        room = min(self._window.room, READ_BATCH)
        seen = {"after": after, "in_flight": list(self._window.in_flight)}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await connection.execute(
                    _UNSENT, {**seen, "shards": self._shards, "held": list(self._held), "room": room}
                )
        finally:
            self._reading = False
        rows = found.all()
        if len(rows) == room:
            self._read_from(rows[-1].id)
        self._database.handover.drop({row.message_id for row in rows})
        for row in rows:
            self._window.put(
                Message(
                    id=row.message_id,
                    type=row.type,
                    source=row.source,
                    subject=row.subject,
                    routing_key=row.routing_key,
                    must_route=row.must_route,
                    traceparent=row.traceparent,
                    body=row.body,
                    time=row.created_at,
                )
            )

    # --- What was published -------------------------------------------------------------------------------------------

    def _confirmed(self) -> None:
        self._to_mark.set()
        if self._window.room >= READ_BATCH:
            self._room.set()

    async def _mark_and_sweep(self, connection: AsyncConnection) -> None:
        clock = asyncio.get_running_loop().time
        poll_after = 0.0
        while True:
            if clock() >= poll_after:
                async with asyncio.timeout(ANSWER_SECONDS):
                    swept = await self._sweep(connection)
                    await self._measure(connection)
                poll_after = clock() + (self._poll_seconds if swept < SWEEP_BATCH else MARK_SECONDS)
                self._read_from(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(poll_after - clock()):
                    await self._to_mark.wait()
                    await asyncio.sleep(MARK_SECONDS)
            self._to_mark.clear()
            if self._window.confirmed:
                done, self._window.confirmed = self._window.confirmed, []
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.execute(_MARK, {"ids": done})
                self._window.marked(done)

    async def _sweep(self, connection: AsyncConnection) -> int:
        if 0 not in self._held:
            return 0  # one relay is enough
        return (await connection.execute(_SWEEP, {"days": self._retention_days})).rowcount

    async def _measure(self, connection: AsyncConnection) -> None:
        row = (await connection.execute(_MEASURE)).first()
        depth = 0 if row is None else row.counted if row.counted <= COUNTED else row.span
        OUTBOX_DEPTH.labels(self._service).set(depth)
        OUTBOX_AGE.labels(self._service).set(0.0 if row is None else float(row.age))
