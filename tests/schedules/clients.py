"""Clients as they may be: they ask again with the same key, cancel, change their minds, and ask for another try."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

from libs.common.db import DatabaseUnavailable
from libs.common.web.auth import Principal
from services.audio.errors import JobBusy, JobEnded, NotToBeDoneOver
from services.audio.jobs import State
from services.audio.uploads import Target, Uploader
from tests.schedules.replica import RULES, Replica
from tests.schedules.world import LINE, UPLOADERS, World
from tests.services.audio.house import wav


class Clients:
    """`accepted` are the jobs that they were told of, `cancelled` those of which they were told that they are."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.accepted: list[str] = []
        self.cancelled: set[str] = set()

    async def one(self) -> None:
        """Upload; then perhaps cancel, and perhaps ask for another try."""
        draw = self._world.turns.random
        uploader = draw.choice(UPLOADERS)
        job_id = await self._upload(uploader, uuid4().hex)
        if draw.random() < 0.2:
            await self._wait(draw.randint(0, 40))
            await self._cancel(uploader, job_id)
        if draw.random() < 0.3:
            await self._world.clock.sleep(draw.choice((1.0, 2.0, 8.0)) * RULES.lease_seconds)
            await asyncio.gather(*(self._retry(uploader, job_id) for _ in range(draw.choice((1, 1, 2)))))

    async def _upload(self, uploader: Uploader, key: str) -> str:
        while True:
            try:
                uploads = self._replica().uploads
                job_id = await uploads.accept(Target.of_line(LINE), uploader, _recording(), key)
            except DatabaseUnavailable:
                self._world.turns.note("  a client uploads again")
            else:
                self.accepted.append(job_id)
                return job_id

    async def _cancel(self, uploader: Uploader, job_id: str) -> None:
        while True:
            try:
                outlook = await self._replica().jobs.cancel(job_id, _viewer(uploader))
            except (DatabaseUnavailable, JobBusy):
                self._world.turns.note("  a client cancels again")
            except JobEnded:
                return
            else:
                assert outlook.job.state is State.CANCELLED
                self.cancelled.add(job_id)
                return

    async def _retry(self, uploader: Uploader, job_id: str) -> None:
        while True:
            try:
                outlook, _ = await self._replica().jobs.retry(job_id, _viewer(uploader), client=uploader.client)
            except DatabaseUnavailable:
                self._world.turns.note("  a client asks for another try again")
            except NotToBeDoneOver:
                return
            else:
                if outlook.job.id not in self.accepted:
                    self.accepted.append(outlook.job.id)
                return

    async def _wait(self, turns: int) -> None:
        for _ in range(turns):
            async with self._world.turns.turn("a client waits"):
                pass

    def _replica(self) -> Replica:
        return self._world.turns.random.choice(self._world.replicas)


def _viewer(uploader: Uploader) -> Principal | None:
    return None if uploader.user_id is None else Principal(uploader.user_id, "", is_admin=False)


async def _recording() -> AsyncIterator[bytes]:
    yield wav()
