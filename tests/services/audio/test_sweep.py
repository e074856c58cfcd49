"""What time does to jobs: leases and deadlines pass, and who waits long moves up."""

import asyncio
from collections import Counter

import pytest
import sqlalchemy as sa

from libs.common.bus.base import PARTITIONS, Bus
from libs.common.contracts.audio import AnalysisFailed, Priority
from libs.common.contracts.notifier import HEARD, lease_channel, partition_of, stop_frame
from libs.common.outbox.table import OUTBOX
from services.audio import sweep
from services.audio.jobs import State
from services.audio.models import JOB_LOG
from services.audio.sweep import Sweeper
from tests.services.audio.house import PATIENCE
from tests.services.audio.queueing import RULES, Queue

USER, OTHER = "user:1", "user:2"


# --- Leases and deadlines ---------------------------------------------------------------------------------------------


async def test_a_request_that_nobody_claims_goes_out_again_and_costs_no_attempt(queue: Queue) -> None:
    job = await queue.add(USER)
    for _ in range(RULES.max_attempts + 1):
        await queue.admit_all()
        queue.clock.move(RULES.claim_seconds)
        await queue.sweeper.sweep()
    orders = await queue.ordered()
    assert [order.attempt for order in orders] == [1, 1, 1, 1]
    assert len({order.lease for order in orders}) == 4
    assert (await queue.job(job.id)).state is State.QUEUED


async def test_two_sweepers_at_once_move_a_job_on_once(queue: Queue, memory_bus: Bus) -> None:
    jobs = [await queue.add(USER) for _ in range(2)]
    await queue.admit_all()
    for order in await queue.ordered():
        await queue.claim(order)
    queue.clock.move(RULES.lease_seconds)
    sweepers = [Sweeper(queue.database, memory_bus, queue.dispatcher, RULES, clock=queue.clock) for _ in range(4)]
    await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
    ticks = await queue.execute(sa.select(JOB_LOG.c.job_id).where(JOB_LOG.c.event == "tick"))
    assert Counter(row.job_id for row in ticks) == Counter(job.id for job in jobs)


async def test_more_than_a_batch_is_moved_on_in_one_sweep(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BATCH", 2)
    jobs = [await queue.add(USER) for _ in range(5)]
    queue.clock.move(600)
    await queue.sweeper.sweep()
    assert [(await queue.job(job.id)).reason for job in jobs] == ["deadline"] * 5
    told = await queue.execute(sa.select(OUTBOX.c.id).where(OUTBOX.c.type == AnalysisFailed.name))
    assert len(told) == 5


async def test_who_works_on_a_job_whose_time_is_up_is_told_to_stop(queue: Queue, memory_bus: Bus) -> None:
    await queue.add(USER)
    await queue.admit_all()
    [order] = await queue.ordered()
    await queue.claim(order)
    stopped = asyncio.Event()

    async def hear(_: int, body: bytes) -> None:
        if HEARD.validate_json(body) == stop_frame(order.lease):
            stopped.set()

    listener = await memory_bus.listen_frames(hear)
    await listener.bind(partition_of(lease_channel(order.lease), PARTITIONS))
    queue.clock.move(600)
    await queue.sweeper.sweep()
    await asyncio.wait_for(stopped.wait(), PATIENCE)
    await listener.close()


# --- Ageing -----------------------------------------------------------------------------------------------------------


async def test_who_waits_long_moves_up_one_priority_after_the_other(queue: Queue) -> None:
    job = await queue.add(USER, priority=Priority.LOW)
    seen = []
    for _ in range(4):
        seen.append((await queue.job(job.id)).priority)
        queue.clock.move(RULES.ageing_seconds)
        await queue.sweeper.sweep()
        await queue.sweeper.sweep()
    assert seen == [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.HIGH]


async def test_a_job_that_moved_up_goes_out_in_its_new_priority(queue: Queue) -> None:
    await queue.add(USER, priority=Priority.LOW)
    queue.clock.move(RULES.ageing_seconds)
    await queue.sweeper.sweep()
    await queue.admit_all()
    [order] = await queue.ordered()
    assert order.priority is Priority.NORMAL
    [row] = await queue.execute(sa.select(OUTBOX.c.routing_key).where(OUTBOX.c.type == order.name))
    assert row.routing_key == "analysis.requested.normal"


async def test_a_batch_that_moves_up_takes_turns_with_those_that_are_there(queue: Queue) -> None:
    queue.dispatcher = queue.new_dispatcher(unclaimed=1)
    for _ in range(3):
        await queue.add(USER, priority=Priority.LOW)
    queue.clock.move(RULES.ageing_seconds)
    for _ in range(3):
        await queue.add(OTHER, priority=Priority.NORMAL)
    await queue.sweeper.sweep()
    # who has waited longer is first of each turn
    assert await queue.owners_in_turn() == [USER, OTHER, USER, OTHER, USER, OTHER]


# --- The log ----------------------------------------------------------------------------------------------------------


async def test_the_log_has_every_change_of_a_job(queue: Queue) -> None:
    job = await queue.add(USER, priority=Priority.LOW)
    queue.clock.move(RULES.ageing_seconds)
    await queue.sweeper.sweep()
    await queue.admit_all()
    [order] = await queue.ordered()
    await queue.claim(order)
    queue.clock.move(RULES.lease_seconds)
    await queue.sweeper.sweep()
    rows = await queue.execute(sa.select(JOB_LOG).where(JOB_LOG.c.job_id == job.id).order_by(JOB_LOG.c.version))
    lease = order.lease[:8]
    assert [(row.version, row.event, row.state, row.attempt, row.lease, row.worker, row.reason) for row in rows] == [
        (1, "uploaded", "queued", 0, None, None, None),
        (2, "age", "queued", 0, None, None, None),
        (3, "dispatch", "dispatched", 1, lease, None, None),
        (4, "started", "running", 1, lease, "w", None),
        (5, "tick", "queued", 1, lease, "w", "worker_lost"),
    ]
    assert rows[-1].at == queue.clock.now
