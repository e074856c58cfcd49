"""Publishes committed outbox rows to the bus: at least once, in order per subject, with many confirms in flight.

One relay at a time per database, held by a session-level advisory lock: it goes with the connection, so a dead relay's
successor takes over as soon as PostgreSQL notices. Rows are found by `sent_at IS NULL`, never by `id > last seen`, because
sequences are handed out before commit and a late commit would be skipped for ever.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import sqlalchemy as sa
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.bus.base import Bus, Message
from libs.common.db import Database
from libs.common.errors import YouSyncError
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX

log = logging.getLogger(__name__)

OUTBOX_DEPTH = Gauge("yousync_outbox_depth", "Committed messages that are not published yet", ["service"])
OUTBOX_AGE = Gauge("yousync_outbox_oldest_seconds", "Age of the oldest message that is not published yet", ["service"])
OUTBOX_SENT = Counter("yousync_outbox_sent_total", "Messages that the bus confirmed", ["service"])
OUTBOX_FAILED = Counter("yousync_outbox_failed_total", "Attempts at publishing that the bus did not confirm", ["service"])

# Any constant that no other user of this database takes; the database is the service's own.
LOCK_KEY = 0x6F7574626F78  # "outbox"
WINDOW = 200  # messages in flight; 100-1000 reach the broker's best rate, more only costs memory
POLL_SECONDS = 5.0  # a hint can get lost with its connection; this bounds the delay then
RETRY_SECONDS = 1.0
COMPLAIN_SECONDS = 30.0
RETENTION_DAYS = 7  # sent rows are kept for tracing, then swept
SWEEP_BATCH = 10_000
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    message: Message


class Relay:
    """The relay of one database. `run` until cancelled; `wake` after a commit in this process."""

    def __init__(self, database: Database, bus: Bus, *, service: str, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._poll_seconds = poll_seconds
        self._hint = asyncio.Event()
        self._hints = 0
        self._look = True  # whether the table may hold something that was not seen
        self._in_flight: set[int] = set()
        self._busy_subjects: set[str] = set()
        self._confirmed: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._complain_after = 0.0
        OUTBOX_DEPTH.labels(service)
        database.after_publish(self.wake)

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._hints += 1
        self._look = True
        self._hint.set()

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
                await self._stop_publishing()
            await asyncio.sleep(RETRY_SECONDS)

    async def _hold_lease_and_relay(self) -> None:
        async with self._database.lasting_connection() as connection:
            taken = sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))
            while not (await connection.execute(taken)).scalar_one():  # noqa: ASYNC110  (no event tells that it is free)
                await asyncio.sleep(RETRY_SECONDS)
            driver: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener(NOTIFY_CHANNEL, self._notified)
            log.info("this process relays the outbox")
            clock = asyncio.get_running_loop().time
            clean_after = 0.0
            self._look = True
            while True:
                self._hint.clear()
                await self._mark_confirmed(connection)
                started = self._look and await self._start_publishing(connection)
                if clock() > clean_after:
                    await self._sweep(connection)
                    await self._measure(connection)
                    clean_after = clock() + self._poll_seconds
                    self._look = True
                if not started:
                    # not wait_for: before Python 3.12 it loses a cancellation that comes together with the hint
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_seconds):
                            await self._hint.wait()

    def _notified(self, connection: object, process: int, channel: str, sender: str) -> None:
        if sender != self._database.sender:  # its commits have woken this relay already
            self.wake()

    async def _start_publishing(self, connection: AsyncConnection) -> bool:
        room = WINDOW - len(self._in_flight)
        if room <= 0:
            return False
        self._look, hints = False, self._hints
        unsent = sa.select(OUTBOX).where(OUTBOX.c.sent_at.is_(None)).order_by(OUTBOX.c.id).limit(room)
        if self._in_flight:
            unsent = unsent.where(OUTBOX.c.id.not_in(self._in_flight))
        if self._busy_subjects:
            unsent = unsent.where(OUTBOX.c.subject.not_in(self._busy_subjects))
        by_subject: dict[str, list[_Row]] = {}
        for row in await connection.execute(unsent):
            message = Message(
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
            by_subject.setdefault(row.subject, []).append(_Row(row.id, message))
        if sum(map(len, by_subject.values())) == room:
            self._look, hints = True, UNKNOWN  # there are more, perhaps of the same subjects
        for subject, rows in by_subject.items():
            self._busy_subjects.add(subject)
            self._in_flight.update(row.id for row in rows)
            task = asyncio.create_task(self._publish_in_order(subject, rows, hints))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return bool(by_subject)

    async def _publish_in_order(self, subject: str, rows: Iterable[_Row], hints: int) -> None:
        """Publish one subject's rows one after the other; what fails stays in the table and is found again.

        `hints` is how many there had been when the rows were read. Rows that came since were passed over, to keep the order.
        """
        waiting = deque(rows)
        try:
            while waiting:
                await self._bus.publish(waiting[0].message)
                OUTBOX_SENT.labels(self._service).inc()
                self._confirmed.append(waiting.popleft().id)
                self._hint.set()
        except YouSyncError as error:
            OUTBOX_FAILED.labels(self._service).inc()
            self._complain(subject, error)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._busy_subjects.discard(subject)
            self._in_flight.difference_update(row.id for row in waiting)
            if waiting or self._hints != hints:
                self._look = True
            self._hint.set()

    def _complain(self, subject: str, error: YouSyncError) -> None:
        """Once in a while: with the broker down every subject that waits fails every second."""
        now = asyncio.get_running_loop().time()
        if now >= self._complain_after:
            self._complain_after = now + COMPLAIN_SECONDS
            log.warning("messages wait to be published, this one among them", extra={"subject": subject, "error": error.detail})

    async def _mark_confirmed(self, connection: AsyncConnection) -> None:
        if not self._confirmed:
            return
        done, self._confirmed = self._confirmed, []
        try:
            await connection.execute(
                sa.update(OUTBOX)
                .where(OUTBOX.c.id == sa.func.any(sa.cast(done, sa.ARRAY(sa.BigInteger))))
                .values(sent_at=sa.func.now())
            )
        except BaseException:
            self._confirmed = done + self._confirmed
            raise
        self._in_flight.difference_update(done)

    async def _sweep(self, connection: AsyncConnection) -> None:
        old = sa.func.now() - sa.func.make_interval(0, 0, 0, RETENTION_DAYS)
        batch = sa.select(OUTBOX.c.id).where(OUTBOX.c.sent_at < old).limit(SWEEP_BATCH)
        await connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.id.in_(batch)))

    async def _measure(self, connection: AsyncConnection) -> None:
        count = sa.select(sa.func.count(), sa.func.min(OUTBOX.c.created_at), sa.func.now()).where(OUTBOX.c.sent_at.is_(None))
        depth, oldest, now = (await connection.execute(count)).one()
        OUTBOX_DEPTH.labels(self._service).set(depth)
        OUTBOX_AGE.labels(self._service).set((now - oldest).total_seconds() if oldest else 0.0)

    async def _stop_publishing(self) -> None:
        """Let nothing run on without the lease: what was confirmed meanwhile is published twice, and deduplicated."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("publishing failed unexpectedly", exc_info=outcome)
        self._in_flight.clear()
        self._busy_subjects.clear()
        self._confirmed.clear()
