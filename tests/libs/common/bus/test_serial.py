import asyncio

import pytest

from libs.common.bus.serial import Lanes


async def test_what_is_abandoned_never_runs_and_the_lanes_go_on() -> None:
    ran: list[int] = []
    may_end = asyncio.Event()

    async def run(item: int) -> None:
        ran.append(item)
        await may_end.wait()

    lanes = Lanes(run, concurrency=2)
    for item, key in enumerate(("a", "a", "b", "c", "b")):
        lanes.put(key, item)
    await asyncio.sleep(0)
    assert ran == [0, 2]
    assert sorted(lanes.abandon()) == [1, 3, 4]
    may_end.set()
    await lanes.settle(1)
    assert ran == [0, 2]
    lanes.put("a", 5)
    lanes.put("c", 6)
    await lanes.settle(1)
    assert ran == [0, 2, 5, 6]


async def test_items_without_a_key_run_side_by_side() -> None:
    together = asyncio.Barrier(2)

    async def run(_: int) -> None:
        await together.wait()

    lanes = Lanes(run, concurrency=2)
    lanes.put("", 1)
    lanes.put("", 2)
    async with asyncio.timeout(10):
        await lanes.settle(10)


async def test_a_long_lane_does_not_starve_the_others() -> None:
    ran: list[str] = []

    async def run(item: str) -> None:
        ran.append(item)

    lanes = Lanes(run, concurrency=1)
    for item in ("a1", "a2", "a3", "b1"):
        lanes.put(item[0], item)
    while len(ran) < 4:
        await lanes.settle(1)
    assert ran == ["a1", "b1", "a2", "a3"]


async def test_at_least_one_item_must_be_allowed_to_run() -> None:
    async def run(_: int) -> None: ...

    with pytest.raises(ValueError, match="at least 1"):
        Lanes(run, concurrency=0)
