"""Erasing everything of somebody whose account is gone.

Hearing of it is one short transaction: from then on nothing is written for that number (`libs.common.deleted_users`), and what
there is waits to be erased. That goes in steps, each a transaction of bounded size, by whichever process comes to it: who dies
meanwhile leaves the rest to the next, and nothing that fails leads to a dead letter. The objects go as those of any recording.
"""

import asyncio
import logging

from libs.common import deleted_users
from libs.common.background import whenever
from libs.common.bus.base import Message
from libs.common.contracts.auth import UserDeleted
from libs.common.db import Database
from services.audio import departures_repository, dubbing_repository, erasing_repository
from services.audio.changes import Clock, utc_now
from services.audio.erasing import BATCH, ObjectEraser, erase_ended, erase_export
from services.audio.metrics import ACCOUNTS_LEFT, SERVICE
from services.audio.sweep import Sweeper

log = logging.getLogger(__name__)

HANDLER = "audio.departure"  # in the inbox


class Departures:
    """The use case. Any number of processes may erase at once."""

    def __init__(
        self, database: Database, sweeper: Sweeper, objects: ObjectEraser, *, sweep_seconds: float, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._sweeper = sweeper
        self._objects = objects
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._woken = asyncio.Event()

    async def heard(self, event: UserDeleted, message: Message) -> None:
        """An account is gone. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            if not await tx.first_time(message, HANDLER):
                return
            await deleted_users.bury(tx.connection, event)
            await departures_repository.add(tx.connection, event.user_id, event.deleted_at)
        self._woken.set()

    async def run(self) -> None:
        """Erase whenever woken, and each `sweep_seconds`, for ever."""
        await whenever(self._woken, self._erase_all, what="erasing accounts", seconds=self._sweep_seconds)

    async def _erase_all(self) -> None:
        while await self.erase_step():
            pass
        async with self._database.reading() as connection:
            ACCOUNTS_LEFT.labels(SERVICE).set(await departures_repository.count(connection))

    async def erase_step(self) -> bool:
        """Cancel or erase some of what the account left that has waited longest; False when there is nothing to do now.

        `BATCH` at most of jobs, of recordings and of dubbings. Raises DatabaseUnavailable.
        """
        async with self._database.reading() as connection:
            user_id = await departures_repository.first(connection)
        if user_id is None:
            return False
        if await self._sweeper.cancel_open(user_id):  # as anybody could: watchers are told, servers stop
            return True
        return await self._erase(user_id)

    async def _erase(self, user_id: int) -> bool:
        async with self._database.transaction() as tx:
            if await departures_repository.messages_wait(tx.connection, user_id):
                return False  # the relay is behind; what it has sent is found by the recordings, which must be there for that
            if await departures_repository.erase_messages(tx.connection, user_id):
                return True
            now = self._clock()
            takes = await erasing_repository.lock_takes_of(tx.connection, user_id, BATCH)
            jobs = await erasing_repository.jobs_of(tx.connection, takes)
            await erase_ended(tx, takes, jobs, user_id=user_id, now=now)
            dubbings = await dubbing_repository.erase_of(tx.connection, user_id, BATCH)
            await erasing_repository.note_objects(tx.connection, dubbings, now)
            await erase_export(tx, user_id, now)
            if finished := not (takes or dubbings):
                await departures_repository.disown_films(tx.connection, user_id)
                await departures_repository.finish(tx.connection, user_id)
        self._objects.wake()
        if finished:
            log.info("everything of a deleted account was erased")
        return True
