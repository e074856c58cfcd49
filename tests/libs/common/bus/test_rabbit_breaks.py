"""What the bus does when its connection, a consumer, a queue or the whole broker goes, or the broker does not want to."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiormq
import pytest
import pytest_asyncio

from libs.common.bus.base import Bus, BusUnavailable, Message, Unroutable
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.topology import EVENTS_EXCHANGE, NOTIFIER, Queue, ear_prefix, retry_queue
from libs.common.errors import Unavailable
from tests.libs.common.bus.conformance import LADDER, LEFT, ONE, PATIENCE, Ear, NewBus, Recorder, eventually, message, send
from tests.libs.common.bus.proxy import Proxy
from yousync.local.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.usefixtures("clean_broker")

# Has the broker cancel each consumer of a queue by itself, as it does when the queue moves: the queue lives, its channel too.
CANCEL = """
    {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
    [begin
        {{dictionary, Said}} = process_info(element(1, Consumer), dictionary),
        {{_, [Above | _]}} = lists:keyfind('$ancestors', 1, Said),
        {{_, Writer, _, _}} = lists:keyfind(writer, 1, supervisor:which_children(Above)),
        rabbit_writer:send_command(Writer, {{'basic.cancel', element(2, Consumer), true}})
    end || Consumer <- rabbit_amqqueue:consumers(Q)].
"""


async def connected(bus: Bus) -> None:
    async def is_so() -> bool:
        return bus.connected

    await eventually(is_so)


async def disconnected(bus: Bus) -> None:
    async def is_so() -> bool:
        return not bus.connected

    await eventually(is_so)


async def control(rabbitmq: PrivateRabbitMQ, *arguments: str) -> str:
    return await asyncio.to_thread(rabbitmq.control, *arguments)


class TestWhenTheConnectionBreaks:
    async def test_a_running_handler_finishes_and_its_message_comes_again(self, distant: Bus, proxy: Proxy) -> None:
        began, may_end = asyncio.Event(), asyncio.Event()

        async def work(_: Message) -> None:
            began.set()
            await may_end.wait()

        heard = Recorder(work)
        await distant.consume(LEFT, heard)
        await distant.publish(sent := message(subject="job-1"))
        async with asyncio.timeout(PATIENCE):
            await began.wait()
        proxy.cut()
        await disconnected(distant)
        await connected(distant)
        may_end.set()
        assert await heard.until(2) == [sent, sent]

    async def test_what_had_not_begun_comes_again_in_order(self, distant: Bus, proxy: Proxy) -> None:
        began, may_end = asyncio.Event(), asyncio.Event()

        async def work(_: Message) -> None:
            began.set()
            await may_end.wait()

        heard = Recorder(work)
        await distant.consume(LEFT, heard, concurrency=3)
        await send(distant, *(message(subject="same", body=b"%d" % number) for number in range(5)))
        async with asyncio.timeout(PATIENCE):
            await began.wait()
        proxy.cut()
        await disconnected(distant)
        may_end.set()
        await heard.until(6)
        assert heard.bodies == [b"0", b"0", b"1", b"2", b"3", b"4"]

    async def test_a_publish_on_its_way_raises(self, distant: Bus, proxy: Proxy) -> None:
        await distant.consume(LEFT, Recorder())
        proxy.flows.clear()
        publishing = send(distant, message(), message())
        await asyncio.sleep(0.01)
        proxy.flows.set()
        proxy.cut()
        assert [type(result) for result in await publishing] == [BusUnavailable, BusUnavailable]

    async def test_frames_are_heard_again_and_the_listener_is_told(self, distant: Bus, proxy: Proxy) -> None:
        ear, told = Ear(), asyncio.Event()

        async def tell() -> None:
            told.set()

        listener = await distant.listen_frames(ear, on_reconnect=tell)
        await listener.bind(1)
        await listener.bind(2)
        await distant.publish_frame(1, b"before")
        await ear.until(1)
        assert not told.is_set()
        proxy.cut()
        await disconnected(distant)
        await listener.unbind(2)
        await listener.bind(3)
        async with asyncio.timeout(PATIENCE):
            await told.wait()
        await connected(distant)
        for partition in (1, 2, 3):
            await distant.publish_frame(partition, b"after")
        assert await ear.until(3) == [(1, b"before"), (1, b"after"), (3, b"after")]

    async def test_a_listener_to_messages_hears_again_and_is_told(self, distant: Bus, proxy: Proxy) -> None:
        heard, told = Recorder(), asyncio.Event()

        async def tell() -> None:
            told.set()

        await distant.listen(["test.nobody"], heard, on_reconnect=tell)
        await distant.publish(before := message("test.nobody"))
        await heard.until(1)
        assert not told.is_set()
        proxy.cut()
        await disconnected(distant)
        async with asyncio.timeout(PATIENCE):
            await told.wait()
        await connected(distant)
        await distant.publish(after := message("test.nobody"))
        assert await heard.until(2) == [before, after]

    async def test_consumers_added_while_it_is_broken_begin_when_it_is_back(
        self, distant: Bus, proxy: Proxy, raw: aiormq.abc.AbstractChannel
    ) -> None:
        proxy.cut()
        await disconnected(distant)
        heard, ear = Recorder(), Ear()
        await distant.consume(LEFT, heard)
        listener = await distant.listen_frames(ear)
        await listener.bind(5)
        await connected(distant)
        await distant.publish(message())
        await distant.publish_frame(5, b"frame")
        await heard.until(1)
        await ear.until(1)

    async def test_a_way_that_falls_silent_is_noticed_and_gone_anew(
        self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(aiormq.Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)  # of missed heartbeats: 3
        bus = RabbitBus(f"{proxy.url}?heartbeat=1", name="distant", retry_ladder=LADDER, publish_timeout=0.2)
        await bus.start()
        heard = Recorder()
        await bus.consume(LEFT, heard)
        proxy.flows.clear()  # neither FIN nor RST
        with pytest.raises(BusUnavailable):
            await bus.publish(message())
        await disconnected(bus)
        proxy.flows.set()
        await connected(bus)
        await bus.publish(after := message())

        async def heard_it() -> bool:
            return after in heard.messages

        await eventually(heard_it)
        await bus.close()


class TestWhenTheBrokerLosesThings:
    @pytest_asyncio.fixture
    async def bus(self, new_bus: NewBus) -> AsyncIterator[Bus]:
        bus = new_bus()
        await bus.start()
        yield bus
        await bus.close()

    async def test_a_deleted_queue_is_declared_and_consumed_again(self, bus: Bus, raw: aiormq.abc.AbstractChannel) -> None:
        heard = Recorder()
        await bus.consume(LEFT, heard)
        await raw.queue_delete(LEFT.name)
        await eventually(lambda: published(bus, message()))
        await heard.until(1)

    async def test_a_deleted_exchange_is_declared_again_with_what_is_bound_to_it(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel
    ) -> None:
        heard = Recorder()
        await bus.consume(NOTIFIER, heard)
        await raw.exchange_delete(EVENTS_EXCHANGE)
        await eventually(lambda: published(bus, message("analysis.completed")))
        await heard.until(1)

    async def test_a_failed_message_waits_until_the_missing_rung_is_there_again(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel
    ) -> None:
        async def fail_once(each: Message) -> None:
            if each.attempt == 1:
                raise Unavailable("not yet")

        heard = Recorder(fail_once)
        await bus.consume(LEFT, heard)
        await raw.queue_delete(retry_queue(LADDER[0]))
        await bus.publish(message())
        await heard.until(2)
        assert [each.attempt for each in heard.messages] == [1, 2]
        assert await bus.dead_letters("test") == []


class TestWhenTheBrokerSaysNo:
    @pytest.mark.parametrize("queue", [LEFT, ONE], ids=["quorum", "classic"])
    async def test_a_consumer_that_it_cancels_although_the_queue_lives_consumes_again(
        self, new_bus: NewBus, rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture, queue: Queue
    ) -> None:
        bus = new_bus()
        await bus.start()
        heard = Recorder()
        await bus.consume(queue, heard)
        await control(rabbitmq, "eval", CANCEL.format(queue=queue.name))
        await eventually(lambda: logged(caplog, f"the broker cancelled the consumer of {queue.name}"))
        await connected(bus)
        await bus.publish(after := message())
        assert await heard.until(1) == [after]
        await bus.close()

    async def test_a_listener_that_it_cancels_listens_again_and_is_told(
        self, new_bus: NewBus, rabbitmq: PrivateRabbitMQ
    ) -> None:
        bus = new_bus()
        await bus.start()
        ear, told = Ear(), asyncio.Event()

        async def tell() -> None:
            told.set()

        await (await bus.listen_frames(ear, on_reconnect=tell)).bind(1)
        names = (await control(rabbitmq, "list_queues", "name")).split()
        for name in names:
            if name.startswith(ear_prefix("yousync")):
                await control(rabbitmq, "eval", CANCEL.format(queue=name))
        async with asyncio.timeout(PATIENCE):
            await told.wait()
        await connected(bus)
        await bus.publish_frame(1, b"after")
        assert await ear.until(1) == [(1, b"after")]
        await bus.close()

    async def test_a_channel_that_it_closes_because_of_a_slow_handler_is_opened_again(
        self, new_bus: NewBus, rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture
    ) -> None:
        limits = "application:set_env(rabbit, consumer_timeout, {}), application:set_env(rabbit, channel_tick_interval, {})."
        await control(rabbitmq, "eval", limits.format(100, 100))
        bus = new_bus()
        may_end = asyncio.Event()

        async def dawdle(_: Message) -> None:
            await may_end.wait()

        heard = Recorder(dawdle)
        try:
            await bus.start()
            await bus.consume(LEFT, heard)
            await bus.publish(slow := message(subject="same"))
            await eventually(lambda: logged(caplog, "delivery acknowledgement on channel"))
        finally:
            await control(rabbitmq, "eval", limits.format(1_800_000, 60_000))
        may_end.set()
        assert (await heard.until(2))[:2] == [slow, slow]
        await bus.close()

    async def test_a_memory_alarm_makes_publishing_time_out_while_consuming_goes_on(self, rabbitmq: PrivateRabbitMQ) -> None:
        bus = RabbitBus(rabbitmq.amqp_url, name="test", retry_ladder=LADDER, publish_timeout=0.2)
        await bus.start()
        may_end = asyncio.Event()

        async def wait(_: Message) -> None:
            await may_end.wait()

        heard = Recorder(wait)
        await bus.consume(LEFT, heard, concurrency=1)
        before = [message(body=b"%d" % number) for number in range(3)]
        await send(bus, *before)
        await control(rabbitmq, "set_vm_memory_high_watermark", "0.00001")
        try:
            with pytest.raises(BusUnavailable):
                await bus.publish(message())
            may_end.set()
            assert (await heard.until(3))[:3] == before
        finally:
            await control(rabbitmq, "set_vm_memory_high_watermark", "0.4")

        await eventually(lambda: published(bus, message()))
        await bus.close()

    async def test_a_message_that_a_full_queue_refuses_is_an_error(
        self, new_bus: NewBus, raw: aiormq.abc.AbstractChannel
    ) -> None:
        bus = new_bus()
        await bus.start()
        full = await raw.queue_declare("", exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
        await raw.queue_bind(full.queue or "", "yousync.events", "test.full")
        with pytest.raises(BusUnavailable) as refused:
            await bus.publish(message("test.full"))
        assert not isinstance(refused.value, Unroutable)
        await bus.publish(message("test.nobody", must_route=False))
        await bus.close()

    async def test_connections_that_an_operator_closes_come_back(
        self, new_bus: NewBus, rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture
    ) -> None:
        bus = new_bus()
        await bus.start()
        heard = Recorder()
        await bus.consume(LEFT, heard)
        await control(rabbitmq, "close_all_connections", "maintenance")
        await eventually(lambda: logged(caplog, "maintenance"))
        await connected(bus)
        await bus.publish(after := message())
        assert await heard.until(1) == [after]
        await bus.close()


class TestWhenTheBrokerFails:
    async def test_a_broker_that_hangs_makes_publishing_time_out(self, rabbitmq: PrivateRabbitMQ) -> None:
        bus = RabbitBus(rabbitmq.amqp_url, name="test", retry_ladder=LADDER, publish_timeout=0.2)
        await bus.start()
        heard = Recorder()
        await bus.consume(LEFT, heard)
        rabbitmq.pause()
        try:
            assert [type(result) for result in await send(bus, message(), message())] == [BusUnavailable] * 2
        finally:
            rabbitmq.resume()
        await bus.publish(late := message())

        async def heard_the_late_one() -> bool:
            return late in heard.messages

        await eventually(heard_the_late_one)
        await bus.close()

    @pytest.mark.parametrize("queue", [LEFT, ONE])
    async def test_nothing_confirmed_is_lost_when_the_broker_is_killed(self, rabbitmq: PrivateRabbitMQ, queue: Queue) -> None:
        bus = RabbitBus(rabbitmq.amqp_url, name="test", retry_ladder=LADDER)
        await bus.start()
        may_end = asyncio.Event()

        async def work(_: Message) -> None:
            await may_end.wait()

        heard = Recorder(work)
        await bus.consume(queue, heard, concurrency=2)
        confirmed = [message(body=b"%d" % number) for number in range(20)]
        await send(bus, *confirmed)
        # The broker saves its list of quorum queues every half second; one younger than that does not survive SIGKILL.
        await asyncio.sleep(1)
        rabbitmq.kill()
        await disconnected(bus)
        with pytest.raises(BusUnavailable):
            await bus.publish(message())
        with pytest.raises(BusUnavailable):
            await bus.publish_frame(1, b"frame")
        newcomer = RabbitBus(rabbitmq.amqp_url, name="newcomer", retry_ladder=LADDER)
        starting = asyncio.create_task(newcomer.start())
        await asyncio.sleep(0.1)
        assert not starting.done()
        assert not newcomer.connected
        may_end.set()
        await asyncio.to_thread(rabbitmq.start)
        async with asyncio.timeout(PATIENCE):
            await starting
        await connected(bus)
        await newcomer.publish(after := message())
        wanted = {each.id for each in confirmed} | {after.id}

        async def all_are_heard() -> bool:
            return wanted == {each.id for each in heard.messages}

        await eventually(all_are_heard)
        await newcomer.close()
        await bus.close()


async def logged(caplog: pytest.LogCaptureFixture, what: str) -> bool:
    return any(what in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


async def published(bus: Bus, what: Message) -> bool:
    try:
        await bus.publish(what)
    except (Unroutable, BusUnavailable):
        return False
    return True
