"""Which jobs go to the work queues, when, and in which order."""

import asyncio
from collections import Counter
from collections.abc import Collection

import pytest
import sqlalchemy as sa

from libs.common.background import background
from libs.common.bus.topology import WORK
from libs.common.contracts.audio import (
    AnalysisCompleted,
    AnalysisReportCompleted,
    AnalysisReportStarted,
    AnalysisRequested,
    Priority,
)
from libs.common.storage.base import StorageUnavailable
from services.audio import job_repository
from services.audio.dispatch import BATCH
from services.audio.film_repository import Film
from services.audio.jobs import Cancel, Failed
from services.audio.models import JOBS
from services.audio.orders import Orders, Parcel
from tests.services.audio.house import PATIENCE, House, bearer
from tests.services.audio.queueing import Queue

HEAVY, LIGHT = "user:1", "user:2"


async def until_ordered(queue: Queue, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await queue.ordered()) < number:
            await asyncio.sleep(0.01)


# --- Room -------------------------------------------------------------------------------------------------------------


async def test_when_nothing_runs_a_few_requests_of_each_priority_are_in_the_work_queues(queue: Queue) -> None:
    for priority in map(Priority, WORK):
        for _ in range(4):
            await queue.add(HEAVY, priority=priority)
    await queue.admit_all()
    assert Counter(order.priority for order in await queue.ordered()) == dict.fromkeys(WORK, 2)


async def test_there_are_as_many_unclaimed_requests_as_running_jobs(queue: Queue) -> None:
    for _ in range(20):
        await queue.add(HEAVY)
    unclaimed = []
    for claimed in range(5):
        await queue.admit_all()
        orders = await queue.ordered()
        unclaimed.append(len(orders) - claimed)
        await queue.claim(orders[claimed])
    assert unclaimed == [2, 2, 2, 3, 4]


async def test_a_job_that_ends_unclaimed_makes_room(queue: Queue) -> None:
    jobs = [await queue.add(HEAVY) for _ in range(4)]
    await queue.admit_all()
    await queue.change(jobs[0].id, Cancel())
    await queue.admit_all()
    assert [order.job_id for order in await queue.ordered()] == [job.id for job in jobs[:3]]


async def test_a_round_is_bounded_and_the_next_one_goes_on(queue: Queue) -> None:
    many = queue.new_dispatcher(unclaimed=BATCH + 3)
    for _ in range(BATCH + 5):
        await queue.add(HEAVY)
    assert [await many.admit() for _ in range(3)] == [BATCH, 3, 0]


async def test_a_dispatcher_that_was_woken_once_goes_on_until_there_is_no_room(queue: Queue) -> None:
    many = queue.new_dispatcher(unclaimed=2 * BATCH + 3)
    for _ in range(2 * BATCH + 5):
        await queue.add(HEAVY)
    async with background(many.run()), asyncio.timeout(10):
        many.wake()
        while len(await queue.ordered()) < 2 * BATCH + 3:
            await asyncio.sleep(0.01)


async def test_two_dispatchers_at_once_overfill_nothing_and_order_nothing_twice(queue: Queue) -> None:
    for _ in range(12):
        await queue.add(HEAVY)
    dispatchers = [queue.new_dispatcher(unclaimed=5) for _ in range(4)]
    admitted = await asyncio.gather(*(dispatcher.admit() for dispatcher in dispatchers))
    assert sum(admitted) == 5
    assert len({order.job_id for order in await queue.ordered()}) == len(await queue.ordered()) == 5


async def test_a_job_that_is_cancelled_while_its_order_is_made_is_not_ordered(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await queue.add(HEAVY)
    parcels = Orders.parcels

    async def cancelled_meanwhile(orders: Orders, job_ids: Collection[str]) -> dict[str, Parcel | Film]:
        await queue.change(job.id, Cancel())
        return await parcels(orders, job_ids)

    monkeypatch.setattr(Orders, "parcels", cancelled_meanwhile)
    assert await queue.dispatcher.admit() == 0
    assert await queue.ordered() == []


# --- Whose turn it is -------------------------------------------------------------------------------------------------


async def test_who_has_few_jobs_does_not_wait_for_all_of_who_has_many(queue: Queue) -> None:
    queue.dispatcher = queue.new_dispatcher(unclaimed=1)
    for _ in range(5):
        await queue.add(HEAVY)
    for _ in range(2):
        await queue.add(LIGHT)
    assert await queue.owners_in_turn() == [HEAVY, LIGHT, HEAVY, LIGHT, HEAVY, HEAVY, HEAVY]


async def test_turns_are_taken_again_from_where_the_queue_has_got_to(queue: Queue) -> None:
    queue.dispatcher = queue.new_dispatcher(unclaimed=1)
    for _ in range(6):
        await queue.add(HEAVY)
    for _ in range(3):
        assert await queue.dispatcher.admit()
        await queue.finish((await queue.ordered())[-1].job_id)
    for _ in range(3):
        await queue.add(LIGHT)
    # the third heavy job was the last to go: who comes now does not make up for what he did not ask for before
    assert (await queue.owners_in_turn())[3:] == [LIGHT, HEAVY, LIGHT, HEAVY, LIGHT, HEAVY]


async def test_priorities_have_turns_of_their_own(queue: Queue) -> None:
    turns = [(await queue.add(HEAVY, priority=priority)).turn for priority in (*Priority, *Priority)]
    assert turns == [0] * len(Priority) + [1] * len(Priority)


async def test_a_job_that_is_tried_again_is_ahead_of_those_that_came_later(queue: Queue) -> None:
    queue.dispatcher = queue.new_dispatcher(unclaimed=1)
    first, *_ = [await queue.add(HEAVY) for _ in range(3)]
    await queue.add(LIGHT)
    await queue.admit_all()
    [order] = await queue.ordered()
    await queue.change(first.id, Failed(order.lease, "x", "x", temporary=True))
    await queue.admit_all()
    assert [order.job_id for order in await queue.ordered()] == [first.id, first.id]


async def test_a_job_is_not_dispatched_before_it_is_due(queue: Queue) -> None:
    later = await queue.add(HEAVY, due_in=15)
    now = await queue.add(LIGHT)
    await queue.admit_all()
    queue.clock.move(15)
    await queue.admit_all()
    assert [order.job_id for order in await queue.ordered()] == [now.id, later.id]


# --- Waking -----------------------------------------------------------------------------------------------------------


async def test_a_job_that_comes_while_another_is_dispatched_is_not_forgotten(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, released = asyncio.Event(), asyncio.Event()
    parcels = Orders.parcels

    async def slow(orders: Orders, job_ids: Collection[str]) -> dict[str, Parcel | Film]:
        entered.set()
        await released.wait()
        return await parcels(orders, job_ids)

    monkeypatch.setattr(Orders, "parcels", slow)
    await queue.add(HEAVY)
    async with background(queue.dispatcher.run()):
        await asyncio.wait_for(entered.wait(), PATIENCE)
        await queue.add(LIGHT)
        queue.dispatcher.wake()
        queue.dispatcher.wake()
        released.set()
        await until_ordered(queue, 2)


async def test_many_wakes_cost_one_more_round(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, released, rounds = asyncio.Event(), asyncio.Event(), 0

    async def slow(orders: Orders, job_ids: Collection[str]) -> dict[str, Parcel | Film]:
        nonlocal rounds
        rounds += 1
        entered.set()
        await released.wait()
        return {}

    await queue.add(HEAVY)
    monkeypatch.setattr(Orders, "parcels", slow)
    async with background(queue.dispatcher.run()):
        await asyncio.wait_for(entered.wait(), PATIENCE)
        for _ in range(100):
            queue.dispatcher.wake()
        entered.clear()
        released.set()
        await asyncio.wait_for(entered.wait(), PATIENCE)
        await asyncio.sleep(0.05)
    assert rounds == 2


async def test_a_job_that_nobody_told_of_is_dispatched_by_and_by(queue: Queue) -> None:
    async with background(queue.new_dispatcher(sweep_seconds=0.05).run()):
        await asyncio.sleep(0)
        await queue.add(HEAVY)
        await until_ordered(queue, 1)


async def test_a_failure_ends_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    parcels, failures = Orders.parcels, 0

    async def away_at_first(orders: Orders, job_ids: Collection[str]) -> dict[str, Parcel | Film]:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise StorageUnavailable("away")
        return await parcels(orders, job_ids)

    monkeypatch.setattr(Orders, "parcels", away_at_first)
    monkeypatch.setattr("services.audio.dispatch.RETRY_SECONDS", 0.01)
    await queue.add(HEAVY)
    async with background(queue.dispatcher.run()):
        await until_ordered(queue, 1)


# --- What it costs ----------------------------------------------------------------------------------------------------


async def test_neither_a_dispatch_nor_an_upload_looks_at_the_jobs_that_wait_behind(queue: Queue) -> None:
    await queue.add(HEAVY)
    columns = ", ".join(column.name for column in JOBS.c)
    others = {"id": "md5(n::text)", "turn": "n", "owner_key": "'user:' || n % 50"}
    copied = ", ".join(others.get(column.name, column.name) for column in JOBS.c)
    await queue.execute(sa.text(f"INSERT INTO jobs ({columns}) SELECT {copied} FROM jobs, generate_series(1, 20000) n"))
    await queue.execute(sa.text("ANALYZE jobs"))
    values = {"unclaimed": 4, "most": BATCH, "now": queue.clock.now, "of_owner": HEAVY, "in_priority": "high"}
    pages = {}
    for name, statement in {"dispatch": job_repository.WAITING, "turn": job_repository.NEXT_TURN}.items():
        sql = statement.params(values).compile(dialect=queue.database.engine.dialect, compile_kwargs={"literal_binds": True})
        [(plan,)] = await queue.execute(sa.text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}".replace(":", r"\:")))
        pages[name] = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    assert pages["dispatch"] < 60, pages  # of more than a thousand that the table has
    assert pages["turn"] < 20, pages


# --- Many at once -----------------------------------------------------------------------------------------------------


async def test_two_hundred_takes_at_once_flow_through_short_queues(house: House) -> None:
    slots = asyncio.Semaphore(8)
    claimed = deepest = 0

    async def serve(number: int) -> None:
        nonlocal claimed, deepest
        work = await house.work.until(AnalysisRequested, number)
        deepest = max(deepest, len(house.work.events) - claimed)
        async with slots:
            claimed += 1
            await house.tell(AnalysisReportStarted(job_id=work.job_id, lease=work.lease, worker="w"))
            await house.tell(AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result={}))

    servers = [asyncio.create_task(serve(number)) for number in range(1, 201)]
    await asyncio.gather(*(house.upload(headers=bearer(user % 5)) for user in range(200)))
    async with asyncio.timeout(60):
        await asyncio.gather(*servers)
        await house.facts.until(AnalysisCompleted, 200)
    assert [tuple(row) for row in await house.rows("SELECT state, count(*) FROM jobs GROUP BY state")] == [("completed", 200)]
    assert {work.attempt for work in house.work.of(AnalysisRequested)} == {1}
    assert deepest <= 8 + house.app.state.settings.unclaimed
