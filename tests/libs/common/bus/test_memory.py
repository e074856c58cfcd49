import asyncio

import pytest

from libs.common.bus.base import BusUnavailable, Message, Unroutable
from libs.common.bus.memory import MemoryBus
from tests.libs.common.bus.conformance import LADDER, LEFT, RIGHT, BusConformance, NewBus, Recorder, message, send


class TestMemoryBus(BusConformance):
    service = "memory"

    @pytest.fixture
    def new_bus(self) -> NewBus:
        return lambda: MemoryBus(retry_ladder=LADDER)

    async def test_publish_returns_when_every_queue_has_finished(self) -> None:
        bus = MemoryBus(retry_ladder=LADDER)
        await bus.start()
        may_end = asyncio.Event()

        async def fail_then_wait(each: Message) -> None:
            if each.attempt == 1:
                raise KeyError("a bug")
            await may_end.wait()

        left, right = Recorder(fail_then_wait), Recorder()
        await bus.consume(LEFT, left)
        await bus.consume(RIGHT, right)
        publishing = asyncio.create_task(bus.publish(message("test.both")))
        await right.until(1)
        await left.until(1)
        assert not publishing.done()
        may_end.set()
        await publishing
        assert len(left.messages) == 2
        await bus.close()

    async def test_close_fails_what_is_not_being_handled(self) -> None:
        bus = MemoryBus(retry_ladder=(3600.0,))
        await bus.start()

        async def fail(_: Message) -> None:
            raise KeyError("a bug")

        heard = Recorder(fail)
        await (await bus.consume(RIGHT, Recorder())).drain()
        await bus.consume(LEFT, heard)
        sent = send(bus, message("test.left.rests"), message("test.right.waits"), message("test.both"))
        await heard.until(2)
        await bus.close()
        assert [type(result) for result in await sent] == [BusUnavailable] * 3

    async def test_close_does_not_wait_for_a_handler_that_publishes(self) -> None:
        bus = MemoryBus(retry_ladder=LADDER)
        await bus.start()
        began = asyncio.Event()
        failed: list[Exception] = []

        async def publish_on(_: Message) -> None:
            began.set()
            try:
                await bus.publish(message("test.right.one"))
            except BusUnavailable as error:
                failed.append(error)

        await (await bus.consume(RIGHT, Recorder())).drain()
        await bus.consume(LEFT, publish_on)
        sent = send(bus, message())
        await began.wait()
        await bus.close()
        assert len(failed) == 1
        assert await sent == [None]

    async def test_a_publisher_that_gives_up_does_not_take_its_message_back(self) -> None:
        bus = MemoryBus(retry_ladder=LADDER)
        await bus.start()
        await (await bus.consume(LEFT, Recorder())).drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bus.publish(message()), 0.01)
        heard = Recorder()
        await bus.consume(LEFT, heard)
        await heard.until(1)
        await bus.close()

    async def test_queues_of_the_topology_are_bound_before_anybody_consumes(self) -> None:
        bus = MemoryBus()
        await bus.start()
        sent = send(bus, message("analysis.requested.low"), message("analysis.requested.none"))
        await asyncio.sleep(0)
        assert (await bus.depths())["analysis.work.low"] == 1
        await bus.close()
        assert [type(result) for result in await sent] == [BusUnavailable, Unroutable]
