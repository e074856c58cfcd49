"""Who is served next."""

import asyncio
from collections import Counter

from libs.common.contracts.audio import Priority
from services.analysis.slots import Slot, Slots


async def served_in_order(slots: Slots, held: Slot, waiting: list[Priority]) -> list[Priority]:
    """The order in which `waiting` get the one slot, which is held."""
    order: list[Priority] = []

    async def work(priority: Priority) -> None:
        slot = await slots.take(priority)
        order.append(priority)
        slot.free()

    tasks = [asyncio.create_task(work(priority)) for priority in waiting]
    await asyncio.sleep(0)
    held.free()
    await asyncio.gather(*tasks)
    return order


async def test_no_more_run_than_there_are_slots() -> None:
    slots = Slots(2)
    first = await slots.take(Priority.LOW)
    await slots.take(Priority.HIGH)
    third = asyncio.create_task(slots.take(Priority.HIGH))
    await asyncio.sleep(0)
    assert not third.done()
    first.free()
    first.free()  # it is not its holder's any more
    await third
    fourth = asyncio.create_task(slots.take(Priority.HIGH))
    await asyncio.sleep(0)
    assert not fourth.done()
    fourth.cancel()


async def test_a_slot_that_was_handed_over_is_freed_by_whoever_got_it() -> None:
    slots = Slots(1)
    first = await slots.take(Priority.HIGH)
    second = first.hand_over()
    first.free()
    waiting = asyncio.create_task(slots.take(Priority.HIGH))
    await asyncio.sleep(0)
    assert not waiting.done()
    second.free()
    await waiting


async def test_the_freed_slots_are_shared_by_weight() -> None:
    slots = Slots(1)
    held = await slots.take(Priority.HIGH)
    order = await served_in_order(slots, held, [*[Priority.LOW] * 50, *[Priority.NORMAL] * 50, *[Priority.HIGH] * 50])
    assert Counter(order[:24]) == {Priority.HIGH: 16, Priority.NORMAL: 6, Priority.LOW: 2}


async def test_low_work_gets_its_turn_while_high_work_waits() -> None:
    slots = Slots(1)
    held = await slots.take(Priority.HIGH)
    order = await served_in_order(slots, held, [Priority.LOW, *[Priority.HIGH] * 50])
    assert order.index(Priority.LOW) < 10


async def test_low_work_gets_every_slot_when_nothing_else_waits() -> None:
    slots = Slots(3)
    for _ in range(3):
        await asyncio.wait_for(slots.take(Priority.LOW), 1)


async def test_who_gives_up_waiting_takes_no_slot_along() -> None:
    slots = Slots(1)
    held = await slots.take(Priority.HIGH)
    waiting = asyncio.create_task(slots.take(Priority.HIGH))
    handed_over = asyncio.create_task(slots.take(Priority.HIGH))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    held.free()
    handed_over.cancel()  # in the moment in which it has got the slot and does not know yet
    await asyncio.gather(handed_over, return_exceptions=True)
    await asyncio.wait_for(slots.take(Priority.LOW), 1)
