"""Makes the archives that were asked for, one at a time in each process, and erases them when their time has come.

There is no queue: the row is the work. Whoever takes one up has a lease and prolongs it while the archive streams into the
store; of who dies the lease runs out, and another begins anew. The key stays the same: nothing is left of the first attempt.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from pydantic import TypeAdapter

from libs.common.background import whenever
from libs.common.db import Database, DatabaseUnavailable
from libs.common.storage.base import Storage, StoredObject
from services.audio import erasing_repository, export_repository
from services.audio.archive import MEDIA_TYPE
from services.audio.changes import Clock, utc_now
from services.audio.erasing import BATCH, ObjectEraser
from services.audio.export_contents import Contents
from services.audio.export_errors import ExportLost, OwnerSilent
from services.audio.export_repository import Export, ExportState
from services.audio.metrics import EXPORT_SECONDS, EXPORTS, SERVICE

log = logging.getLogger(__name__)

RETRY_SECONDS = (10.0, 60.0)  # before attempt 2, 3..; the last one holds for all later ones
_FILES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


@dataclass(frozen=True, slots=True)
class ExportRules:
    """`attempts` in all, each under a lease; how long an archive is kept."""

    attempts: int
    lease: timedelta
    kept: timedelta


class ExportMaker:
    """The use case. `owners` are the services that keep something of people, by HTTP."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        contents: Contents,
        owners: Collection[httpx.AsyncClient],
        eraser: ObjectEraser,
        rules: ExportRules,
        *,
        sweep_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._storage = storage
        self._contents = contents
        self._owners = owners
        self._eraser = eraser
        self._rules = rules
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """One was asked for."""
        self._woken.set()

    async def run(self) -> None:
        """Make whenever woken, and each `sweep_seconds`, for ever."""
        await whenever(self._woken, self._make_all, what="looking after archives", seconds=self._sweep_seconds)

    async def _make_all(self) -> None:
        while await self.make_one():
            pass
        await self.erase_expired()

    async def make_one(self) -> bool:
        """Make the archive that has been due for longest; False when none is. Raises DatabaseUnavailable."""
        now = self._clock()
        async with self._database.transaction() as tx:
            export = await export_repository.claim(tx.connection, lease=uuid4(), now=now, until=now + self._rules.lease)
        if export is None:
            return False
        if export.attempt > self._rules.attempts:  # those who began the others died over it
            await self._finish(export, ExportState.FAILED)
            return True
        try:
            with EXPORT_SECONDS.labels(SERVICE).time():
                made = await self._make(export)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(export, due_at=self._clock(), attempt=export.attempt - 1))
            raise
        except ExportLost:
            await self._lost(export)
        except Exception as error:
            log.warning("an archive could not be made", extra={"export_id": str(export.id), "error": repr(error)})
            await self._failed(export)
        else:
            await self._finish(export, ExportState.COMPLETED, made.size)
        return True

    async def erase_expired(self) -> None:
        """Erase archives whose time has come. Raises DatabaseUnavailable."""
        while True:
            async with self._database.transaction() as tx:
                now = self._clock()
                keys = await export_repository.erase_expired(tx.connection, now, BATCH)
                await erasing_repository.note_objects(tx.connection, keys, now)
            if keys:
                self._eraser.wake()
            if len(keys) < BATCH:
                return

    async def _make(self, export: Export) -> StoredObject:
        """Raises ExportLost before anybody else may begin, or whoever erased it deletes the object."""
        making = asyncio.create_task(self._store(export))
        seconds = self._rules.lease.total_seconds() / 3
        prolonged = time.monotonic()
        try:
            while not making.done():
                if time.monotonic() - prolonged > seconds * 2:
                    raise ExportLost("the lease could not be prolonged")
                await asyncio.wait([making], timeout=seconds / 2)
                if not making.done():
                    began = time.monotonic()
                    with suppress(DatabaseUnavailable, TimeoutError):
                        async with asyncio.timeout(seconds / 2):
                            await self._prolong(export)
                        prolonged = began
            return making.result()
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)

    async def _prolong(self, export: Export) -> None:
        async with self._database.transaction() as tx:
            if not await export_repository.prolong(tx.connection, export, self._clock() + self._rules.lease):
                raise ExportLost("it was erased, or somebody else has it")

    async def _store(self, export: Export) -> StoredObject:
        files: Mapping[str, Any] = {}
        for owner in self._owners:
            files = {**files, **await _files_of(owner, export.user_id)}
        async with aclosing(self._contents.of(export.user_id, files, self._clock())) as archive:
            return await self._storage.put(export.object_key, archive, media_type=MEDIA_TYPE)

    async def _failed(self, export: Export) -> None:
        if export.attempt >= self._rules.attempts:
            await self._finish(export, ExportState.FAILED)
        else:
            pause = RETRY_SECONDS[min(export.attempt, len(RETRY_SECONDS)) - 1]
            await self._give_back(export, due_at=self._clock() + timedelta(seconds=pause), attempt=export.attempt)

    async def _finish(self, export: Export, state: ExportState, size: int | None = None) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            done = await export_repository.finish(
                tx.connection, export, state, now=now, expires_at=now + self._rules.kept, size=size
            )
        if done:
            EXPORTS.labels(SERVICE, state.value).inc()
        else:
            await self._lost(export)

    async def _lost(self, export: Export) -> None:
        """Whoever erased it has noted the object, for when it should have been written; it may have been written later."""
        log.info("an archive is no longer ours to make", extra={"export_id": str(export.id)})
        async with self._database.transaction() as tx:
            if not await export_repository.exists(tx.connection, export.id):
                await erasing_repository.note_objects(tx.connection, [export.object_key], self._clock())
        self._eraser.wake()

    async def _give_back(self, export: Export, *, due_at: datetime, attempt: int) -> None:
        async with self._database.transaction() as tx:
            await export_repository.give_back(tx.connection, export, due_at=due_at, attempt=attempt)


async def _files_of(owner: httpx.AsyncClient, user_id: int) -> dict[str, Any]:
    """What a service keeps of the user: documents by the names of files. Raises OwnerSilent."""
    try:
        answer = await owner.get(f"/internal/users/{user_id}/data")
        answer.raise_for_status()
        return _FILES.validate_json(answer.content)
    except (httpx.HTTPError, ValueError) as error:
        raise OwnerSilent(f"{owner.base_url} does not say what it keeps of somebody: {error!r}") from error
