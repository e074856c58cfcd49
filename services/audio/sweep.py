"""Moves on the jobs that time has run out for, or that have waited too long."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from libs.common.bus.base import Bus
from libs.common.contracts.audio import Priority
from libs.common.db import Database, Transaction
from services.audio import job_repository
from services.audio.changes import Change, Clock, change_of, count, utc_now
from services.audio.dispatch import Dispatcher
from services.audio.jobs import Age, Cancel, Job, JobEvent, Rules, Tick
from services.audio.metrics import AGED, OVERDUE, SERVICE
from services.audio.telling import stop_server

log = logging.getLogger(__name__)

BATCH = 100


class Sweeper:
    """The use cases of time. Any number of processes may sweep at once."""

    def __init__(self, database: Database, bus: Bus, dispatcher: Dispatcher, rules: Rules, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._bus = bus
        self._dispatcher = dispatcher
        self._rules = rules
        self._clock = clock

    async def sweep(self) -> None:
        """Move on every job that something is due for by the clock. Raises DatabaseUnavailable."""
        while await self._move_on_overdue() == BATCH:
            pass
        while await self._age_waiting() == BATCH:
            pass
        self._dispatcher.wake()

    async def cancel_open(self, user_id: int) -> int:
        """Cancel the open jobs of somebody who is gone, `BATCH` at most; how many there were. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            await job_repository.lock_queue(tx)
            jobs = await job_repository.open_jobs_of(tx.connection, user_id, BATCH)
            changes = await self._save(tx, [(job, Cancel()) for job in jobs], self._clock())
        await self._follow_up(changes)
        if changes:
            self._dispatcher.wake()
        return len(jobs)

    async def _move_on_overdue(self) -> int:
        async with self._database.transaction() as tx:
            await job_repository.lock_queue(tx)
            now = self._clock()
            overdue = await job_repository.overdue_jobs(tx.connection, now, BATCH)
            changes = await self._save(tx, [(job, Tick()) for job in overdue], now)
        if changes:
            OVERDUE.labels(SERVICE).inc(len(changes))
            log.warning("time ran out for some jobs and they were moved on", extra={"jobs": len(changes)})
        await self._follow_up(changes)
        return len(changes)

    async def _age_waiting(self) -> int:
        """Each job takes its turn behind what its owner has in the higher priority: a batch does not overtake it as a whole."""
        async with self._database.transaction() as tx:
            await job_repository.lock_queue(tx)
            now = self._clock()
            since = now - timedelta(seconds=self._rules.ageing_seconds)
            aged = await job_repository.aged_jobs(tx.connection, since, BATCH)
            queues = {(job.owner_key, _above(job)) for job in aged}
            turns = await job_repository.next_turns(tx.connection, queues)
            events: list[tuple[Job, JobEvent]] = []
            for job in aged:
                queue = (job.owner_key, _above(job))
                events.append((job, Age(turns[queue])))
                turns[queue] += 1
            changes = await self._save(tx, events, now)
        AGED.labels(SERVICE).inc(len(changes))
        return len(changes)

    async def _follow_up(self, changes: Collection[Change]) -> None:
        for change in changes:
            count(change)
        await asyncio.gather(*(stop_server(self._bus, change.given_up) for change in changes if change.given_up))

    async def _save(self, tx: Transaction, events: Iterable[tuple[Job, JobEvent]], now: datetime) -> list[Change]:
        """The changes that the events make, written with their facts; without those that somebody else forestalled."""
        found = (change_of(job, event, now, self._rules) for job, event in events)
        changes = [change for change in found if isinstance(change, Change)]
        if not changes:
            return []
        done = await job_repository.save_jobs(tx, [change.saved for change in changes])
        saved = [change for change in changes if change.after.id in done]
        for change in saved:
            for fact in change.facts:
                tx.publish(fact.event, subject=fact.subject, traceparent=fact.traceparent)
        return saved


def _above(job: Job) -> Priority:
    return Priority.HIGH if job.priority is Priority.NORMAL else Priority.NORMAL
