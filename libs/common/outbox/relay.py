"""Publishes committed outbox rows to the bus: at least once, in order per subject, with many confirms in flight.

One relay at a time per database, held by a session-level advisory lock: it goes with the connection, so a dead relay's
successor takes over as soon as PostgreSQL notices.

What its own process commits the relay publishes without reading it back, as soon as it hears of the commit (`handover`).
This asks that it knows of everything that was committed before, or the order could break: another process may just have
published something of the same subject. Hints come in the order of the commits, so it does if no hint before this one is
still to be looked at. Otherwise the relay looks into the table. There rows are found by `sent_at IS NULL`, never by
`id > last seen`, because sequences are handed out before commit and a late commit would be skipped for ever.
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
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX
from libs.common.outbox.window import RETRY_SECONDS, Window

log = logging.getLogger(__name__)

OUTBOX_DEPTH = Gauge("yousync_outbox_depth", "Committed messages that are not published yet", ["service"])
OUTBOX_AGE = Gauge("yousync_outbox_oldest_seconds", "Age of the oldest message that is not published yet", ["service"])

# Any constant that no other user of this database takes; the database is the service's own.
LOCK_KEY = 0x6F7574626F78  # "outbox"
POLL_SECONDS = 5.0  # a hint can get lost with its connection; this bounds the delay then
RETENTION_DAYS = 7  # sent rows are kept for tracing, then swept
SWEEP_BATCH = 10_000
UNKNOWN = -1

_TAKE_LEASE = sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))
_UNSENT = (
    sa.select(OUTBOX)
    .where(
        OUTBOX.c.sent_at.is_(None),
        OUTBOX.c.message_id != sa.func.all(sa.bindparam("in_flight", type_=ARRAY(OUTBOX.c.message_id.type))),
        OUTBOX.c.subject != sa.func.all(sa.bindparam("subjects", type_=ARRAY(sa.Text))),
    )
    .order_by(OUTBOX.c.id)
    .limit(sa.bindparam("room", type_=sa.Integer))
)
_MARK = (
    sa.update(OUTBOX)
    .where(OUTBOX.c.message_id == sa.func.any(sa.bindparam("ids", type_=ARRAY(OUTBOX.c.message_id.type))))
    .values(sent_at=sa.func.now())
)


class Relay:
    """The relay of one database. `run` until cancelled."""

    def __init__(self, database: Database, bus: Bus, *, service: str, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._service = service
        self._poll_seconds = poll_seconds
        self._window = Window(bus, service=service, confirmed=self._wake, left=self._subject_done)
        self._awake = asyncio.Event()
        self._lease_lost = False
        self._hints = 0  # that were not taken at once
        self._look = True  # whether the table may hold something that was not seen
        self._looking = False
        OUTBOX_DEPTH.labels(service)

    async def run(self) -> None:
        """Relay for ever; survives the loss of the database and of the bus."""
        while True:
            try:
                await self._hold_lease_and_relay()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("the outbox relay lost its connection and starts again", extra={"error": repr(error)})
            finally:
                # Nothing runs on without the lease.
                self._database.handover.close()
                await self._window.stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _hold_lease_and_relay(self) -> None:
        async with self._database.lasting_connection() as lease:
            while not (await lease.execute(_TAKE_LEASE)).scalar_one():  # noqa: ASYNC110  (no event tells that it is free)
                await asyncio.sleep(RETRY_SECONDS)
            driver: asyncpg.Connection = (await lease.get_raw_connection()).driver_connection
            self._lease_lost, self._look = False, True
            driver.add_termination_listener(self._lose_lease)
            await driver.add_listener(NOTIFY_CHANNEL, self._hear)
            self._database.handover.open()
            log.info("this process relays the outbox")
            # PostgreSQL delivers hints only between statements: the connection that hears them has to stay idle.
            async with self._database.lasting_connection() as connection:
                # What a crash forgets to be sent is sent again; waiting for the disk would only be in the commits' way.
                await connection.execute(sa.text("SET synchronous_commit TO off"))
                await self._relay(lease, connection)

    async def _relay(self, lease: AsyncConnection, connection: AsyncConnection) -> None:
        clock = asyncio.get_running_loop().time
        check_after = 0.0
        while not self._lease_lost:
            self._awake.clear()
            if clock() > check_after:
                await lease.execute(sa.select(sa.true()))
                await self._sweep(connection)
                await self._measure(connection)
                check_after = clock() + self._poll_seconds
                self._look = True
            await self._mark_confirmed(connection)
            if self._look and self._window.room:
                await self._look_for_unsent(connection)
            if not (self._look and self._window.room):
                # not wait_for: before Python 3.12 it loses a cancellation that comes together with the wake-up
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await self._awake.wait()
        raise DatabaseUnavailable("the connection that held the lease was lost")

    def _wake(self) -> None:
        self._awake.set()

    def _lose_lease(self, connection: object) -> None:
        self._lease_lost = True
        self._wake()

    def _hear(self, connection: object, process: int, channel: str, hint: str) -> None:
        messages = self._database.handover.take(hint)
        if messages is None or not self._publish_at_once(messages):
            self._hints += 1
            self._look = True
            self._wake()

    def _publish_at_once(self, messages: list[Message]) -> bool:
        """Publish what was just committed; False when something that was not seen may have to come before it."""
        if not messages:
            return True
        if self._look or self._looking or len(messages) > self._window.room:
            return False
        if not self._window.takes(messages, self._hints):
            return False
        for message in messages:
            self._window.put(message, self._hints)
        return True

    def _subject_done(self, read_at: int, all_sent: bool) -> None:
        """Messages that came for a subject while it was busy were passed over, to keep the order."""
        if not all_sent or read_at != self._hints:
            self._look = True
        self._wake()

    async def _look_for_unsent(self, connection: AsyncConnection) -> None:
        room = self._window.room
        read_at, self._look, self._looking = self._hints, False, True
        seen = {"in_flight": list(self._window.in_flight), "subjects": self._window.subjects}
        try:
            found = await connection.execute(_UNSENT, {**seen, "room": room})
        except BaseException:
            self._look = True
            raise
        finally:
            self._looking = False
        messages = [
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
            for row in found
        ]
        if len(messages) == room:
            self._look, read_at = True, UNKNOWN  # there are more, perhaps of the same subjects
        self._database.handover.drop({message.id for message in messages})
        for message in messages:
            self._window.put(message, read_at)

    async def _mark_confirmed(self, connection: AsyncConnection) -> None:
        if self._window.confirmed:
            done, self._window.confirmed = self._window.confirmed, []
            await connection.execute(_MARK, {"ids": done})
            self._window.marked(done)

    async def _sweep(self, connection: AsyncConnection) -> None:
        old = sa.func.now() - sa.func.make_interval(0, 0, 0, RETENTION_DAYS)
        batch = sa.select(OUTBOX.c.id).where(OUTBOX.c.sent_at < old).limit(SWEEP_BATCH)
        await connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.id.in_(batch)))

    async def _measure(self, connection: AsyncConnection) -> None:
        count = sa.select(sa.func.count(), sa.func.min(OUTBOX.c.created_at), sa.func.now()).where(OUTBOX.c.sent_at.is_(None))
        depth, oldest, now = (await connection.execute(count)).one()
        OUTBOX_DEPTH.labels(self._service).set(depth)
        OUTBOX_AGE.labels(self._service).set((now - oldest).total_seconds() if oldest else 0.0)
