"""Who is served next."""

import asyncio
from collections import Counter

from libs.common.contracts.audio import Priority
from services.analysis.slots import Slots


async def served_in_order(slots: Slots, waiting: list[Priority]) -> list[Priority]:
    """The order in which `waiting` get the one slot that the caller holds."""
    order: list[Priority] = []

    async def work(priority: Priority) -> None:
        await slots.take(priority)
        order.append(priority)
        slots.release()

    tasks = [asyncio.create_task(work(priority)) for priority in waiting]
    await asyncio.sleep(0)
    slots.release()
    await asyncio.gather(*tasks)
    return order


async def test_no_more_run_than_there_are_slots() -> None:
    slots = Slots(2)
    await slots.take(Priority.LOW)
    await slots.take(Priority.HIGH)
    third = asyncio.create_task(slots.take(Priority.HIGH))
    await asyncio.sleep(0)
    assert not third.done()
    slots.release()
    await third


async def test_the_freed_slots_are_shared_by_weight() -> None:
    slots = Slots(1)
    await slots.take(Priority.HIGH)
    order = await served_in_order(slots, [*[Priority.LOW] * 50, *[Priority.NORMAL] * 50, *[Priority.HIGH] * 50])
    assert Counter(order[:24]) == {Priority.HIGH: 16, Priority.NORMAL: 6, Priority.LOW: 2}


async def test_low_work_gets_its_turn_while_high_work_waits() -> None:
    slots = Slots(1)
    await slots.take(Priority.HIGH)
    order = await served_in_order(slots, [Priority.LOW, *[Priority.HIGH] * 50])
    assert order.index(Priority.LOW) < 10


async def test_low_work_gets_every_slot_when_nothing_else_waits() -> None:
    slots = Slots(3)
    for _ in range(3):
        await asyncio.wait_for(slots.take(Priority.LOW), 1)


async def test_who_gives_up_waiting_takes_no_slot_along() -> None:
    slots = Slots(1)
    await slots.take(Priority.HIGH)
    waiting = asyncio.create_task(slots.take(Priority.HIGH))
    handed_over = asyncio.create_task(slots.take(Priority.HIGH))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slots.release()
    handed_over.cancel()  # in the moment in which it has got the slot and does not know yet
    await asyncio.gather(handed_over, return_exceptions=True)
    await asyncio.wait_for(slots.take(Priority.LOW), 1)
