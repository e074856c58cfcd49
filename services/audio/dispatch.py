"""Gives queued jobs to the work queues, few at a time: order, fairness and cancelling live in the table, not in a queue.

See docs/decisions/0010-the-dispatcher.md.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from typing import TypedDict
from uuid import uuid4

from libs.common.contracts.audio import AnalysisRequested, Priority
from libs.common.db import Database
from services.audio import job_repository
from services.audio.changes import Change, Clock, LastSeen, change_of, count, utc_now
from services.audio.job_repository import Waiting
from services.audio.jobs import Dispatch, Job, Rules
from services.audio.orders import Orders

log = logging.getLogger(__name__)

BATCH = 16  # orders of one priority in a transaction: their links are signed in between, which costs some 0.3 ms each
RETRY_SECONDS = 1.0  # after a failure


class Dispatcher:
    """Admits jobs while `run` runs, one round at a time in this process, in turns with those of other processes.

    In the work queue of each priority are at most as many unclaimed requests as there are running jobs, and never fewer than
    `unclaimed` if there are jobs: so many servers can take up work at once, and no capacity has to be announced. Films, which
    others prepare than those who analyse takes, have a queue of their own, and count only for it.
    """

    def __init__(
        self,
        database: Database,
        orders: Orders,
        rules: Rules,
        seen: LastSeen,
        *,
        unclaimed: int,
        sweep_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._orders = orders
        self._rules = rules
        self._seen = seen
        self._unclaimed = unclaimed
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self, *, after: float = 0.0) -> None:
        """There may be a job or room for one, now or `after` so many seconds. Waits for nothing."""
        if after > 0:
            asyncio.get_running_loop().call_later(after, self._woken.set)
        else:
            self._woken.set()

    async def run(self) -> None:
        """Admit whenever woken, and each `sweep_seconds`: whoever should have woken us may have died before."""
        while True:
            self._woken.clear()  # who wakes us from here on may have come too late for this round
            try:
                while (await self._admit())[1]:
                    pass
            except Exception as error:
                log.warning("jobs could not be dispatched and are tried again", extra={"error": repr(error)})
                self.wake(after=RETRY_SECONDS)
            # not wait_for: before Python 3.12 it loses a cancellation that comes together with the wake-up
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_seconds):
                    await self._woken.wait()

    async def admit(self) -> int:
        """Dispatch the jobs whose turn it is, as many as there is room for, `BATCH` of a priority at most; how many.

        Any number of processes may do this at once. Raises DatabaseUnavailable, StorageUnavailable.
        """
        return (await self._admit())[0]

    async def _admit(self) -> tuple[int, bool]:
        """How many, and whether the next round has something to do that nobody would wake us for."""
        waiting = await job_repository.waiting_jobs(self._database, **self._room())
        if not waiting:
            return 0, False
        parcels = await self._orders.parcels([each.job.id for each in waiting])
        for each in waiting:
            if each.job.id not in parcels:
                log.error("nobody knows what was to be said in this recording", extra={"job_id": each.job.id})
        async with self._database.transaction() as tx:
            await job_repository.lock_queue(tx)
            # Somebody else may just have used the room. Whom we have no parcel for came meanwhile: the next round's.
            waiting = await job_repository.waiting_jobs(tx, **self._room())
            changes = [self._dispatch(each.job) for each in waiting if each.job.id in parcels]
            if not changes:
                return 0, False
            done = await job_repository.save_jobs(tx, [change.saved for change in changes])
            dispatched = [change for change in changes if change.after.id in done]
            for change in dispatched:
                order = self._orders.request(change.after, parcels[change.after.id])
                # Its own ordering key: the facts of a job must not wait until a server has time for the job.
                subject = f"work:{change.after.id}"
                routing_key = f"{order.name}.{order.priority}" if isinstance(order, AnalysisRequested) else order.name
                tx.publish(order, subject=subject, routing_key=routing_key, traceparent=change.after.traceparent)
            await job_repository.reach(tx, _reached(waiting, done))
        for change in dispatched:
            count(change)
        self._seen.keep([change.after for change in dispatched])
        full = BATCH in Counter(each.job.priority for each in waiting).values()
        return len(dispatched), len(dispatched) > 0 and (full or len(dispatched) < len(waiting))

    def _room(self) -> "_Room":
        return {"unclaimed": self._unclaimed, "most": BATCH, "now": self._clock()}

    def _dispatch(self, job: Job) -> Change:
        change = change_of(job, Dispatch(uuid4().hex), self._clock(), self._rules)
        assert isinstance(change, Change)  # it is queued
        return change


class _Room(TypedDict):
    unclaimed: int
    most: int
    now: datetime


def _reached(waiting: Collection[Waiting], done: Collection[str]) -> dict[Priority, int]:
    """The turns that priorities have got to by dispatching these jobs, where that is further than they were."""
    reached: dict[Priority, int] = {}
    for each in waiting:
        if each.job.id in done and each.job.turn > each.reached:
            reached[each.job.priority] = max(each.job.turn, reached.get(each.job.priority, 0))
    return reached
