"""Inside the transactions that change many jobs at once: other changes come between their look and their write.

All other transactions are one turn. These hold a lock of their own (`job_repository.lock_queue`); who waits for it does so
here, where others can have their turn meanwhile, and not in PostgreSQL.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from libs.common.db import Transaction
from services.audio import job_repository
from services.audio.job_repository import Saved
from tests.schedules.faults import FaultyDatabase


@contextmanager
def others_in_between(database: FaultyDatabase) -> Iterator[None]:
    """Within the block transactions of `database` that lock the queue are several turns."""
    lock_queue, save_jobs = job_repository.lock_queue, job_repository.save_jobs

    async def lock(tx: Transaction) -> None:
        while database.queue_locked_by is not None:
            await database.turns.pause("audio waits for the lock of the queue")
        database.queue_locked_by = asyncio.current_task()
        await lock_queue(tx)

    async def save(tx: Transaction, saved: Sequence[Saved]) -> set[str]:
        await database.turns.pause("audio is about to change jobs that it has looked at")
        return await save_jobs(tx, saved)

    with (
        patch.object(job_repository, "lock_queue", lock),
        patch.object(job_repository, "save_jobs", save),
    ):
        yield
