"""Who hears that a lease runs no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from libs.common.bus.base import PARTITIONS
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.notifier import Frame, lease_channel, partition_of, stop_frame
from libs.common.frames import send
from services.analysis.stops import Stops


class House:
    """A bus, somebody who listens on it, and what was heard."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.stopped: list[str] = []
        self.stops = Stops(self.bus, self.stopped.append)

    async def say(self, frame: Frame) -> None:
        await send(self.bus, frame)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def listening() -> AsyncIterator[House]:
    house = House()
    await house.bus.start()
    await house.stops.start()
    yield house
    await house.stops.close()
    await house.bus.close()


def neighbours() -> tuple[str, str]:
    """Two leases in one partition."""
    seen: dict[int, str] = {}
    while True:
        lease = uuid4().hex
        partition = partition_of(lease_channel(lease), PARTITIONS)
        if partition in seen:
            return seen[partition], lease
        seen[partition] = lease


async def test_the_holder_of_a_lease_hears_that_it_runs_no_more() -> None:
    async with listening() as house:
        await house.stops.listen("a")
        await house.say(stop_frame("a"))
        assert house.stopped == ["a"]


async def test_nothing_is_heard_of_a_lease_that_was_forgotten_even_when_a_neighbour_is_listened_for() -> None:
    one, other = neighbours()
    async with listening() as house:
        await house.stops.listen(one)
        await house.stops.listen(other)
        house.stops.forget(one)
        await house.say(stop_frame(one))
        await house.say(stop_frame(other))
        assert house.stopped == [other]


async def test_a_lease_can_be_forgotten_twice() -> None:
    one, other = neighbours()
    async with listening() as house:
        await house.stops.listen(one)
        await house.stops.listen(other)
        house.stops.forget(one)
        house.stops.forget(one)
        await house.say(stop_frame(other))
        assert house.stopped == [other]


async def test_a_partition_is_bound_once_however_many_leases_come_and_go() -> None:
    one, other = neighbours()
    async with listening() as house:
        assert house.stops._ear is not None
        bind, bound = house.stops._ear.bind, []

        async def noting(partition: int) -> None:
            bound.append(partition)
            await bind(partition)

        house.stops._ear.bind = noting  # type: ignore[method-assign]
        for lease in (one, other, one):
            await house.stops.listen(lease)
            house.stops.forget(lease)
        assert len(bound) == 1
        await house.stops.listen(other)
        await house.say(stop_frame(other))
        assert house.stopped == [other]


async def test_what_cannot_be_read_is_passed_over() -> None:
    async with listening() as house:
        await house.stops.listen("a")
        await house.bus.publish_frame(partition_of(lease_channel("a"), PARTITIONS), b"\xff")
        await house.say(stop_frame("a"))
        assert house.stopped == ["a"]
