from datetime import UTC, datetime
from typing import Any

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic
from pamqp.common import FieldTable

from libs.common.bus.base import Bus, Message, Unroutable
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.topology import EVENTS_EXCHANGE
from libs.common.errors import Unavailable
from tests.libs.common.bus.conformance import LADDER, LEFT, RIGHT, BusConformance, Recorder, eventually, message, settle
from tests.libs.common.bus.proxy import Proxy
from yousync.local.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.usefixtures("clean_broker")


class TestRabbitBus(BusConformance):
    service = "test"

    async def test_a_message_is_cloudevents_in_headers_for_workers_in_other_languages(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel
    ) -> None:
        await (await bus.consume(LEFT, Recorder())).drain()
        sent = Message(
            type="test.left.event",
            body=b'{"number": 1}',
            source="/services/audio",
            subject="job-1",
            routing_key="test.left.one",
            id="4b2c",
            time=datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC),
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        await bus.publish(sent)
        found = await raw.basic_get(LEFT.name, no_ack=True)
        properties = found.header.properties
        assert (found.body, found.exchange, found.routing_key) == (sent.body, "yousync.events", "test.left.one")
        assert (properties.content_type, properties.delivery_mode, properties.message_id) == ("application/json", 2, "4b2c")
        assert properties.headers is not None
        assert {name: value for name, value in properties.headers.items() if name != "x-delivery-count"} == {
            "ce-specversion": "1.0",
            "ce-id": "4b2c",
            "ce-type": "test.left.event",
            "ce-source": "/services/audio",
            "ce-subject": "job-1",
            "ce-time": "2026-11-23T04:05:06+00:00",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "x-yousync-attempt": 1,
        }

    async def test_a_message_with_only_what_cloudevents_requires_is_handled(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel
    ) -> None:
        heard = Recorder()
        await bus.consume(LEFT, heard)
        await publish_raw(raw, {"ce-id": "1", "ce-type": "test.left.event", "ce-source": "/worker"})
        (received,) = await heard.until(1)
        assert (received.id, received.type, received.source) == ("1", "test.left.event", "/worker")
        assert (received.subject, received.traceparent, received.attempt) == ("", None, 1)

    @pytest.mark.parametrize(
        ("headers", "error"),
        [
            (None, "header ce-type is missing"),
            ({"ce-type": "t", "ce-source": "/s"}, "header ce-id is missing"),
            ({"ce-id": 1, "ce-type": "t", "ce-source": "/s"}, "header ce-id is not a text: 1"),
            ({"ce-id": "1", "ce-type": "t", "ce-source": "/s", "ce-time": "now"}, "ce-time is not an ISO 8601 time: 'now'"),
            ({"ce-id": "1", "ce-type": "t", "ce-source": "/s", "x-yousync-attempt": 0}, "is not a positive number: 0"),
            ({"ce-id": bytearray(b"\xff"), "ce-type": "t", "ce-source": "/s"}, "header ce-id is not a text"),
        ],
    )
    async def test_what_is_no_message_is_a_dead_letter_and_the_next_is_handled(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel, headers: dict[str, Any] | None, error: str
    ) -> None:
        heard = Recorder()
        await bus.consume(LEFT, heard, concurrency=1)
        await publish_raw(raw, headers, b"what is this?")
        await bus.publish(good := message())
        assert await heard.until(1) == [good]
        (letter,) = await bus.dead_letters("test")
        assert (letter.queue, letter.reason, letter.message.body) == ("test.left", "unreadable", b"what is this?")
        assert letter.message.routing_key == "test.left.raw"
        assert error in letter.error

    async def test_properties_that_amqp_does_not_define_hold_up_nobody(
        self, distant: Bus, proxy: Proxy, raw: aiormq.abc.AbstractChannel
    ) -> None:
        # Delivery mode 3: RabbitMQ 4.x hands it on, 3.10 refuses it, so it is made on the way.
        proxy.rewrite = (b"\x02\x06marker", b"\x03\x06marker")
        heard = Recorder()
        await distant.consume(LEFT, heard, concurrency=1)
        headers = {"ce-type": "test.left.event", "ce-source": "/worker"}
        await publish_raw(raw, {"ce-id": "1", **headers}, delivery_mode=2, correlation_id="marker")
        await publish_raw(raw, {"ce-id": "2", **headers})
        assert [each.id for each in await heard.until(2)] == ["1", "2"]
        await publish_raw(raw, headers, delivery_mode=2, correlation_id="marker", queue=LEFT.dead_letter_queue)
        (letter,) = await distant.dead_letters("test")
        assert letter.message.type == "test.left.event"

    @pytest.mark.parametrize(
        ("rewrite", "heard_ids", "error"),
        [
            ((b"\0\0\0\0AAAA", b"\x7f" * 8), ["1", "2"], ""),  # the timestamp: nobody reads it
            ((b"left.marker", b"left.\xffarker"), ["1", "2"], ""),
            ((b"\x06marker", b"\x06\xffarker"), ["2"], "the headers cannot be decoded: 'utf-8' codec"),
            ((b"\0\0\0\0BBBB", b"\x7f" * 8), ["2"], "the headers cannot be decoded: year"),
        ],
        ids=["timestamp", "routing key", "name of a header", "time in a header"],
    )
    async def test_bytes_that_cannot_be_decoded_end_no_connection(
        self,
        bus: Bus,
        proxy: Proxy,
        raw: aiormq.abc.AbstractChannel,
        rewrite: tuple[bytes, bytes],
        heard_ids: list[str],
        error: str,
    ) -> None:
        heard = Recorder()
        await bus.consume(LEFT, heard, concurrency=1)
        proxy.rewrite = rewrite
        async with await aio_pika.connect(proxy.url) as connection:
            foreign = await (await connection.channel()).get_underlay_channel()
            times = [datetime.fromtimestamp(seconds, UTC) for seconds in (0x41414141, 0x42424242)]
            headers: FieldTable = {"ce-id": "1", "ce-type": "t", "ce-source": "/s", "marker": times[1]}
            properties = Basic.Properties(headers=headers, timestamp=times[0])
            await foreign.basic_publish(b"odd", exchange=EVENTS_EXCHANGE, routing_key="test.left.marker", properties=properties)
        await publish_raw(raw, {"ce-id": "2", "ce-type": "t", "ce-source": "/s"})
        await eventually(lambda: heard_or_dead(bus, heard, 2))
        letters = await bus.dead_letters("test")
        assert [each.id for each in heard.messages] == heard_ids
        assert [letter.message.body for letter in letters] == [b"odd"] * (2 - len(heard_ids))
        assert all(error in letter.error for letter in letters)

    async def test_a_message_its_consumers_die_of_is_a_dead_letter(self, bus: Bus, raw: aiormq.abc.AbstractChannel) -> None:
        await (await bus.consume(LEFT, Recorder())).drain()
        await bus.publish(deadly := message(body=b"deadly"))

        async def dies_again() -> bool:
            found = await raw.basic_get(LEFT.name)
            if found.delivery_tag is not None:
                await raw.basic_reject(found.delivery_tag, requeue=True)
            return len(await bus.dead_letters("test")) == 1

        await eventually(dies_again)
        (letter,) = await bus.dead_letters("test")
        assert letter.message.id == deadly.id
        assert (letter.queue, letter.reason) == ("test.left", "exhausted")
        assert letter.error == "given up by the broker: delivery_limit"

    async def test_a_message_its_consumers_die_of_on_a_later_attempt_is_known_by_the_queue_it_died_in(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel
    ) -> None:
        async def fail(_: Message) -> None:
            raise Unavailable("not yet")

        heard = Recorder(fail)
        failing = await bus.consume(LEFT, heard)
        await bus.publish(message(body=b"deadly"))
        await heard.until(1)
        await failing.drain()

        async def dies_again() -> bool:
            found = await raw.basic_get(LEFT.name)
            if found.delivery_tag is not None:
                await raw.basic_reject(found.delivery_tag, requeue=True)
            return len(await bus.dead_letters("test")) == 1

        await eventually(dies_again)
        (letter,) = await bus.dead_letters("test")
        assert (letter.queue, letter.attempts) == ("test.left", 2)
        assert letter.error == "given up by the broker: delivery_limit"
        assert letter.first_failed <= letter.died <= datetime.now(UTC)

    async def test_headers_that_leave_no_room_for_the_reason_are_cut(self, bus: Bus, raw: aiormq.abc.AbstractChannel) -> None:
        heard = Recorder()
        await bus.consume(LEFT, heard)
        long = "가" * 40_000  # 120 kB: all headers of a message are one frame of at most 131 kB
        required = {"ce-type": "t", "ce-source": "/s"}
        await publish_raw(raw, {**required, "junk": long}, b"junk")
        await publish_raw(raw, {**required, "ce-id": long}, b"id")
        await bus.publish(good := message())
        assert await heard.until(1) == [good]
        await eventually(lambda: dead(bus, 2))
        letters = {letter.message.body: letter for letter in await bus.dead_letters("test")}
        assert letters[b"junk"].error == "header ce-id is missing"
        assert letters[b"id"].error == "header ce-id has more than 4096 characters"
        assert {letter.reason for letter in letters.values()} == {"unreadable"}

    async def test_what_was_no_message_is_redriven_as_it_was(self, bus: Bus, raw: aiormq.abc.AbstractChannel) -> None:
        consuming = await bus.consume(LEFT, Recorder())
        await publish_raw(raw, {"ce-type": "t", "shoe": 43}, b"odd")
        await eventually(lambda: dead(bus, 1))
        await consuming.drain()
        assert await settle(bus, "redrive") == [b"odd"]
        found = await raw.basic_get(LEFT.name, no_ack=True)
        headers = dict(found.header.properties.headers or {})
        assert found.body == b"odd"
        assert headers.items() >= {"ce-type": "t", "shoe": 43, "x-yousync-routing-key": "test.left.raw"}.items()
        assert not headers.keys() & {"x-yousync-reason", "x-yousync-error", "x-yousync-queue", "x-yousync-died"}

    @pytest.mark.parametrize("origin", [{}, {"x-yousync-queue": "test.gone"}], ids=["unknown", "gone"])
    async def test_a_letter_whose_queue_is_not_there_stays(
        self, bus: Bus, raw: aiormq.abc.AbstractChannel, origin: dict[str, str]
    ) -> None:
        await bus.consume(LEFT, Recorder())
        await publish_raw(raw, {"ce-id": "1", "ce-type": "t", "ce-source": "/s", **origin}, queue=LEFT.dead_letter_queue)
        with pytest.raises(Unroutable):
            await settle(bus, "redrive")
        await eventually(lambda: dead(bus, 1))

    async def test_two_services_talk_over_one_broker(self, bus: Bus, rabbitmq: PrivateRabbitMQ) -> None:
        other = RabbitBus(rabbitmq.amqp_url, name="other", retry_ladder=LADDER)
        await other.start()
        left, right = Recorder(), Recorder()
        await bus.consume(LEFT, left)
        await other.consume(RIGHT, right)
        await other.publish(one := message("test.left.one"))
        await bus.publish(two := message("test.right.two"))
        assert await left.until(1) == [one]
        assert await right.until(1) == [two]
        await other.close()
        await bus.publish(three := message("test.left.three"))
        assert await left.until(2) == [one, three]

    async def test_a_listener_passes_over_what_is_no_message(self, bus: Bus, raw: aiormq.abc.AbstractChannel) -> None:
        heard = Recorder()
        await bus.listen(["test.left.raw"], heard)
        await publish_raw(raw, {"ce-type": "t", "shoe": 43}, b"odd")
        await publish_raw(raw, {"ce-id": "1", "ce-type": "t", "ce-source": "/s"}, b"good")
        await heard.until(1)
        assert heard.bodies == [b"good"]

    async def test_looking_again_and_again_opens_one_channel(self, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = []
        open_channel = aio_pika.Connection.channel

        def note(connection: aio_pika.Connection, *args: Any, **options: Any) -> AbstractChannel:
            opened.append(options)
            return open_channel(connection, *args, **options)

        monkeypatch.setattr(aio_pika.Connection, "channel", note)
        for _ in range(3):
            assert "audio.events" in await bus.depths()
            assert await bus.dead_letters("audio") == []
        assert len(opened) == 1

    async def test_a_routing_key_that_amqp_cannot_carry_is_the_callers_error(self, bus: Bus) -> None:
        with pytest.raises(ValueError, match="at most 255 bytes"):
            await bus.publish(message("가" * 86))
        await bus.publish(message("test.nobody", must_route=False))


async def dead(bus: Bus, count: int) -> bool:
    return len(await bus.dead_letters("test")) == count


async def heard_or_dead(bus: Bus, heard: Recorder, count: int) -> bool:
    return len(heard.messages) + len(await bus.dead_letters("test")) >= count


async def publish_raw(
    raw: aiormq.abc.AbstractChannel,
    headers: dict[str, Any] | None,
    body: bytes = b"{}",
    *,
    queue: str = "",
    **properties: Any,
) -> None:
    """To the events exchange, or straight to `queue`."""
    exchange, routing_key = ("", queue) if queue else (EVENTS_EXCHANGE, "test.left.raw")
    await raw.basic_publish(
        body, exchange=exchange, routing_key=routing_key, properties=Basic.Properties(headers=headers, **properties)
    )
