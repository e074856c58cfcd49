"""The relay of a schedule: what `libs.common.outbox.relay` promises, one step a turn."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from libs.common.bus.base import Bus, BusUnavailable, Message
from libs.common.outbox.table import OUTBOX
from tests.schedules.faults import FaultyDatabase
from tests.schedules.turns import Turns

_CONFIRMED = sa.bindparam("confirmed", type_=ARRAY(OUTBOX.c.message_id.type))
_MARKED = (
    sa.update(OUTBOX)
    .where(OUTBOX.c.message_id == sa.func.any(_CONFIRMED))
    .values(sent_at=sa.func.now())
    .returning(OUTBOX.c.id)
    .cte("marked")
)
_LOOK = (
    sa.select(OUTBOX)
    .where(OUTBOX.c.sent_at.is_(None), OUTBOX.c.message_id != sa.func.all(_CONFIRMED))
    .order_by(OUTBOX.c.id)
    .add_cte(_MARKED)
)


class StepwiseRelay:
    """At least once, in order per subject. A real one runs by hints and timers, which no seed could decide."""

    def __init__(
        self, database: FaultyDatabase, bus: Bus, turns: Turns, start: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._database = database
        self._bus = bus
        self._turns = turns
        self._start = start
        self._busy: set[str] = set()  # subjects with a message on its way
        self._confirmed: list[str] = []

    async def run(self) -> None:
        """Publish what is committed, until cancelled."""
        while True:
            await self._database.written.wait()
            async with self._turns.turn("the relay looks"):
                self._database.written.clear()
                async with self._database.autocommit() as connection:
                    unsent = (await connection.execute(_LOOK, {"confirmed": self._confirmed})).all()
                self._confirmed = []
            for row in unsent:
                if row.subject not in self._busy:
                    self._busy.add(row.subject)
                    self._start(self._publish(row))

    async def _publish(self, row: Any) -> None:
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
        try:
            async with self._turns.turn(f"the relay publishes {message.type} ({message.subject})"):
                await self._bus.publish(message)
            self._confirmed.append(message.id)
        except BusUnavailable:
            await asyncio.sleep(0)
        finally:
            self._busy.discard(message.subject)
            self._database.written.set()
