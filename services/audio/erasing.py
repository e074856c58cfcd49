"""Erasing somebody's recordings with all that came of them, so that nothing is left wherever a process dies meanwhile.

Rows and objects cannot go in one step. First the open jobs are cancelled, as anybody could; then one transaction deletes the
rows and notes the objects; then the objects go, each tried until the store says that it has none.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from libs.common.background import whenever
from libs.common.contracts.audio import AnalysisErased
from libs.common.contracts.notifier import job_channel
from libs.common.db import Database, Transaction
from libs.common.storage.base import Storage, StorageUnavailable
from libs.common.web.auth import Principal
from services.audio import dubbing_repository, erasing_repository, export_repository
from services.audio.changes import Clock, utc_now
from services.audio.erasing_repository import JobOfTake, LockedTake
from services.audio.errors import JobBusy, JobEnded, JobNotFound, NothingToErase
from services.audio.metrics import OBJECTS_LEFT, SERVICE
from services.audio.scripts import MAX_ID
from services.audio.service import JobService

log = logging.getLogger(__name__)

LOOKS = 5  # for jobs that others do over meanwhile, before the caller is asked to come again
BATCH = 100
AT_ONCE = 8  # requests to the store


class ObjectEraser:
    """Deletes the objects that are noted. Any number of processes may do so at once."""

    def __init__(self, database: Database, storage: Storage, *, sweep_seconds: float, clock: Clock = utc_now) -> None:
        self._database = database
        self._storage = storage
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There are new ones."""
        self._woken.set()

    async def run(self) -> None:
        """Delete whenever woken, and each `sweep_seconds`, for ever."""
        await whenever(self._woken, self._sweep_all, what="erasing objects", seconds=self._sweep_seconds)

    async def _sweep_all(self) -> None:
        while await self.sweep() == BATCH:
            pass
        async with self._database.reading() as connection:
            OBJECTS_LEFT.labels(SERVICE).set(await erasing_repository.count_objects(connection, self._clock()))

    async def sweep(self) -> int:
        """Delete the objects that are due, `BATCH` at most; how many were tried. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            keys = await erasing_repository.claim_objects(tx.connection, self._clock(), BATCH)
        room = asyncio.Semaphore(AT_ONCE)
        gone = [key for key in await asyncio.gather(*(self._delete(key, room) for key in keys)) if key is not None]
        if gone:
            async with self._database.transaction() as tx:
                await erasing_repository.forget_objects(tx.connection, gone)
        return len(keys)

    async def _delete(self, key: str, room: asyncio.Semaphore) -> str | None:
        """The key, when the store has no such object any more."""
        async with room:
            try:
                await self._storage.delete(key)
            except StorageUnavailable as error:
                log.warning("an object could not be erased yet", extra={"object_key": key, "error": repr(error)})
                return None
        return key


async def erase_ended(
    tx: Transaction, takes: Collection[LockedTake], jobs: Collection[JobOfTake], *, user_id: int | None, now: datetime
) -> None:
    """Erase the user's, or nobody's, `takes` with all their `jobs`, which have ended; the others hear of each."""
    for job in jobs:
        tx.publish(AnalysisErased(job_id=job.id, user_id=user_id or 0, sequence=job.sequence), subject=job_channel(job.id))
    await erasing_repository.erase_takes(tx.connection, takes)
    await erasing_repository.note_objects(tx.connection, [take.object_key for take in takes], now)


async def erase_export(tx: Transaction, user_id: int, now: datetime) -> None:
    """Erase the archive of the user's data: it holds what is being erased, or is about to."""
    for object_key, unwritten_from in await export_repository.erase(tx.connection, user_id):
        await erasing_repository.note_objects(tx.connection, [object_key], max(now, unwritten_from))


class Eraser:
    """The use case of who recorded them."""

    def __init__(self, database: Database, jobs: JobService, objects: ObjectEraser, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._jobs = jobs
        self._objects = objects
        self._clock = clock

    async def erase_results(self, user: Principal, token_id: int) -> None:
        """Erase the user's own recordings of a scene and of its lines, with their jobs, results and objects.

        What others recorded stays. Open jobs are cancelled first, so that who watches them is told and their servers stop. Of
        each job the other services hear, and forget what they keep of it. Raises NothingToErase, JobBusy, DatabaseUnavailable.
        """
        if not 0 < token_id <= MAX_ID:
            raise NothingToErase
        for _ in range(LOOKS):
            still_open = await self._erase(user.user_id, token_id)
            if not still_open:
                self._objects.wake()
                return
            for job_id in still_open:
                with suppress(JobEnded, JobNotFound):  # it has its result meanwhile, or somebody else erased it
                    await self._jobs.cancel(job_id, user)
        raise JobBusy

    async def _erase(self, user_id: int, token_id: int) -> list[str]:
        """Erase all, or nothing and answer which jobs are still open."""
        async with self._database.transaction() as tx:
            takes = await erasing_repository.lock_takes(tx.connection, user_id, token_id)
            if not takes:
                raise NothingToErase
            # A job that has ended never changes, and none begins on a take that is locked: there is nothing else to lock.
            jobs = await erasing_repository.jobs_of(tx.connection, takes)
            if still_open := [job.id for job in jobs if job.is_open]:
                return still_open
            now = self._clock()
            await erase_ended(tx, takes, jobs, user_id=user_id, now=now)
            dubbings = await dubbing_repository.erase(tx.connection, user_id, token_id)
            await erasing_repository.note_objects(tx.connection, dubbings, now)
            await erase_export(tx, user_id, now)
        return []
