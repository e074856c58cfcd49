"""A queue of jobs without the service around it: dispatchers and sweepers that run when a test says so, on the test's clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from pydantic import SecretStr

from libs.common.bus.base import Bus
from libs.common.contracts.audio import AnalysisRequested, JobKind, Priority
from libs.common.db import Database
from libs.common.outbox.table import OUTBOX
from libs.common.storage.factory import open_storage
from services.audio import job_repository, repository
from services.audio.changes import Change, LastSeen, change_of
from services.audio.dispatch import Dispatcher
from services.audio.jobs import Job, JobEvent, Lifetimes, Rules, Started, new_job
from services.audio.models import JOBS
from services.audio.orders import Orders
from services.audio.repository import Take
from services.audio.sweep import Sweeper
from services.audio.tickets import WebhookSigner
from tests.services.audio.house import script

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULES = Rules(lease_seconds=30, claim_seconds=120, ageing_seconds=60, max_attempts=3, retry_seconds=(0, 15))


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)


class Queue:
    """The tables, and a replica of the service that works on them."""

    def __init__(self, url: str, folder: Path, bus: Bus) -> None:
        self.clock = Clock()
        self.database = Database(url, source="audio", pool_size=5)
        storage = open_storage(folder.as_uri(), signing_key=SecretStr("k" * 32), public_url="http://audio")
        signer = WebhookSigner(b"secret", "http://gateway")
        self.orders = Orders(self.database, storage, signer, lease_seconds=RULES.lease_seconds, reference_bucket=None)
        self.dispatcher = self.new_dispatcher()
        self.sweeper = Sweeper(self.database, bus, self.dispatcher, RULES, clock=self.clock)

    def new_dispatcher(self, *, unclaimed: int = 2, sweep_seconds: float = 1000.0) -> Dispatcher:
        """Another one on the same tables; as long as it does not run, it does nothing by itself."""
        return Dispatcher(
            self.database, self.orders, RULES, LastSeen(), unclaimed=unclaimed, sweep_seconds=sweep_seconds, clock=self.clock
        )

    async def add(self, owner: str, *, priority: Priority = Priority.HIGH, due_in: float = 0.0) -> Job:
        """A recording of line 7 comes in; later than all before it."""
        self.clock.move(0.001)
        take = Take(uuid4(), None, 3, 7, f"takes/{uuid4()}.wav", "audio/wav", 1, "0" * 64, self.clock.now)
        job = new_job(
            kind=JobKind.LINE,
            take_id=take.id,
            user_id=None,
            token_id=3,
            script_id=7,
            owner_key=owner,
            priority=priority,
            lifetimes=Lifetimes(),
            now=self.clock.now,
            traceparent=None,
        )
        job = replace(job, dispatch_at=self.clock.now + timedelta(seconds=due_in))
        async with self.database.transaction() as tx:
            await repository.add(tx, take, job)
        return await self.job(job.id)

    async def job(self, job_id: str) -> Job:
        """As it is committed."""
        job = await job_repository.find_job(self.database, job_id)
        assert job is not None
        return job

    async def change(self, job_id: str, event: JobEvent) -> None:
        """Something happens to the job."""
        change = change_of(await self.job(job_id), event, self.clock.now, RULES)
        assert isinstance(change, Change)
        assert await job_repository.save_job(self.database, change.saved, change.facts)

    async def claim(self, order: AnalysisRequested) -> None:
        """A server takes the order up."""
        await self.change(order.job_id, Started(order.lease, "w"))

    async def admit_all(self) -> None:
        """Until there is no room, or no job."""
        while await self.dispatcher.admit():
            pass

    async def ordered(self) -> list[AnalysisRequested]:
        """All orders so far, in the order in which they were made."""
        async with self.database.reading() as connection:
            rows = await connection.execute(
                sa.select(OUTBOX.c.body).where(OUTBOX.c.type == AnalysisRequested.name).order_by(OUTBOX.c.id)
            )
            return [AnalysisRequested.model_validate_json(body) for body in rows.scalars()]

    async def owners_in_turn(self) -> list[str]:
        """Who is served, one after the other, by a server that takes one job at a time."""
        served: list[str] = []
        while await self.dispatcher.admit():
            for order in (await self.ordered())[len(served) :]:
                served.append((await self.job(order.job_id)).owner_key)
                await self.finish(order.job_id)
        return served

    async def finish(self, job_id: str) -> None:
        """The job leaves the queue for good."""
        await self.execute(
            sa.update(JOBS).where(JOBS.c.id == job_id).values(state="failed", finished_at=self.clock.now, lease=None)
        )

    async def execute(self, statement: sa.Executable) -> Sequence[Any]:
        """Run it and commit; its rows, if it has any."""
        async with self.database.transaction() as tx:
            found = await tx.connection.execute(statement)
            return found.all() if found.returns_rows else ()


@asynccontextmanager
async def queue_on(url: str, folder: Path, bus: Bus) -> AsyncIterator[Queue]:
    """An empty queue that knows line 7."""
    queue = Queue(url, folder, bus)
    async with queue.database.transaction() as tx:
        await repository.keep_script(tx.connection, script())
    yield queue
    await queue.database.close()
