"""Erasing what nobody owns: whoever recorded without sign-in has seen the result, and nobody can ask for it to go."""

import logging
from datetime import timedelta

from libs.common.acts import Act, Origin, tell
from libs.common.db import Database
from services.audio import erasing_repository
from services.audio.changes import Clock, utc_now
from services.audio.erasing import BATCH, ObjectEraser, erase_ended

log = logging.getLogger(__name__)

BATCHES = 10  # in a round: an administrator waits for its end


class AnonymousEraser:
    """The use case of time. Any number of processes may erase at once."""

    def __init__(self, database: Database, objects: ObjectEraser, *, kept: timedelta, clock: Clock = utc_now) -> None:
        self._database = database
        self._objects = objects
        self._kept = kept
        self._clock = clock

    async def erase_for(self, by: Origin) -> None:
        """`erase_round`, because an administrator asks for it."""
        async with self._database.transaction() as tx:
            tell(tx, Act.ANONYMOUS_ERASED, by, thing="anonymous")
        await self.erase_round()

    async def erase_round(self) -> bool:
        """Erase the oldest recordings of nobody, with their jobs, results and objects; whether there may be more of them.

        What is erased is `kept` since its last job ended; an open one stays, however old. Raises DatabaseUnavailable.
        """
        erased = 0
        for _ in range(BATCHES):
            batch = await self._erase_batch()
            erased += batch
            if not batch:
                break
        if erased:
            self._objects.wake()
            log.info("recordings of nobody were erased", extra={"takes": erased})
        return batch > 0

    async def _erase_batch(self) -> int:
        async with self._database.transaction() as tx:
            now = self._clock()
            due = now - self._kept
            locked = await erasing_repository.lock_anonymous(tx.connection, due, BATCH)
            done_over = await erasing_repository.later_jobs(tx.connection, locked, due)
            takes = [take for take in locked if take.id not in done_over]
            if takes:
                jobs = await erasing_repository.jobs_of(tx.connection, takes)
                await erase_ended(tx, takes, jobs, user_id=None, now=now)
        return len(takes)
