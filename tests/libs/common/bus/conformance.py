"""What every bus promises (`libs/common/bus/base.py`), as tests. A bus passes by giving this class its `new_bus`."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from libs.common.bus.base import PARTITIONS, Bus, BusUnavailable, Message, Reject, Unroutable
from libs.common.bus.router import Router
from libs.common.bus.topology import NOTIFIER, Queue, dead_letter_queue, retry_queue
from libs.common.contracts.base import Event
from libs.common.errors import Forbidden, Unavailable

LADDER = (0.05, 0.1)  # seconds
PATIENCE = 10.0  # seconds until a test gives up waiting; nothing is measured with it

LEFT = Queue("test.left", "test", ("test.both", "test.left.*"))
RIGHT = Queue("test.right", "test", ("test.both", "test.right.*"))
ONE = Queue("test.one", "test", ("test.left.*",), quorum=False)

caller: ContextVar[str] = ContextVar("caller", default="nobody")

NewBus = Callable[[], Bus]


class TestEvent(Event, name="test.left.event"):
    """An event with one required field."""

    __test__ = False
    number: int


def message(routing_key: str = "test.left.one", *, subject: str = "", body: bytes = b"{}", must_route: bool = True) -> Message:
    return Message(type=routing_key, body=body, source="/test", subject=subject, routing_key=routing_key, must_route=must_route)


def numbered(count: int, *, subject: str = "") -> list[Message]:
    return [message(subject=subject, body=b"%d" % number) for number in range(count)]


def send(bus: Bus, *messages: Message) -> "asyncio.Future[list[BaseException | None]]":
    """Publish in this order without waiting: the memory bus' publish lasts until the message is handled."""
    return asyncio.gather(*(bus.publish(each) for each in messages), return_exceptions=True)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `holds`, which asks a broker that tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.01)


class Recorder:
    """A handler that keeps what it was given, and does what it is told with it."""

    def __init__(self, then: Callable[[Message], Awaitable[None]] | None = None) -> None:
        self.messages: list[Message] = []
        self._then = then
        self._news = asyncio.Condition()

    async def __call__(self, message: Message) -> None:
        try:
            if self._then is not None:
                await self._then(message)
        finally:
            async with self._news:
                self.messages.append(message)
                self._news.notify_all()

    @property
    def bodies(self) -> list[bytes]:
        return [each.body for each in self.messages]

    async def until(self, count: int) -> list[Message]:
        """The messages, when there are at least `count`."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.messages) >= count)
        return self.messages


class BusConformance:
    """Subclass it as `TestXxxBus` with a fixture `new_bus`: a factory of buses that are not started, with `LADDER`.

    `service` is the name of these buses in metrics.
    """

    service: str

    @pytest_asyncio.fixture
    async def bus(self, new_bus: NewBus) -> AsyncIterator[Bus]:
        bus = new_bus()
        await bus.start()
        yield bus
        await bus.close()

    # Routing

    async def test_a_message_reaches_every_bound_queue(self, bus: Bus) -> None:
        left, right = Recorder(), Recorder()
        await bus.consume(LEFT, left)
        await bus.consume(RIGHT, right)
        both = message("test.both")
        await bus.publish(both)
        await bus.publish(message("test.right.one"))
        await right.until(2)
        assert [each.id for each in await left.until(1)] == [both.id]
        assert [each.routing_key for each in right.messages] == ["test.both", "test.right.one"]

    async def test_a_message_nobody_is_bound_for_is_an_error(self, bus: Bus) -> None:
        with pytest.raises(Unroutable, match=r"test\.nobody"):
            await bus.publish(message("test.nobody"))

    async def test_a_message_that_need_not_be_routed_may_reach_nobody(self, bus: Bus) -> None:
        await bus.publish(message("test.nobody", must_route=False))

    async def test_what_the_producer_said_arrives_as_it_was_said(self, bus: Bus) -> None:
        heard = Recorder()
        await bus.consume(LEFT, heard)
        said = Message(
            type="test.left.event",
            body='{"word": "안녕"}'.encode(),
            source="/services/audio",
            subject="job-1",
            routing_key="test.left.other",
            time=datetime(2026, 11, 23, 4, 5, 6, 789012, tzinfo=UTC),
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        await bus.publish(said)
        assert await heard.until(1) == [said]

    async def test_a_message_waits_for_its_first_consumer(self, bus: Bus) -> None:
        await (await bus.consume(LEFT, Recorder())).drain()
        sent = send(bus, message())
        heard = Recorder()
        await bus.consume(LEFT, heard)
        await heard.until(1)
        assert await sent == [None]

    async def test_a_queue_nobody_reads_does_not_hold_up_another(self, bus: Bus) -> None:
        await (await bus.consume(RIGHT, Recorder())).drain()
        heard = Recorder()
        await bus.consume(LEFT, heard)
        sent = send(bus, message("test.both"), message("test.both"))
        await heard.until(2)
        await bus.consume(RIGHT, Recorder())
        assert await sent == [None, None]

    # Handling

    async def test_competing_consumers_share_a_queue(self, bus: Bus) -> None:
        first_holds, second_holds, both_hold = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def hold(mine: asyncio.Event) -> None:
            mine.set()
            await both_hold.wait()

        one, other = Recorder(lambda _: hold(first_holds)), Recorder(lambda _: hold(second_holds))
        await bus.consume(LEFT, one, concurrency=1)
        await bus.consume(LEFT, other, concurrency=1)
        sent = send(bus, *numbered(6))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(first_holds.wait(), second_holds.wait())
        both_hold.set()
        await sent
        await eventually(lambda: _true(len(one.messages) + len(other.messages) >= 6))
        assert sorted(one.bodies + other.bodies) == [b"%d" % number for number in range(6)]

    async def test_messages_of_one_subject_are_handled_one_by_one_in_order(self, bus: Bus) -> None:
        running: dict[str, int] = defaultdict(int)
        most = 0

        async def work(each: Message) -> None:
            nonlocal most
            running[each.subject] += 1
            most = max(most, running[each.subject])
            await asyncio.sleep(0.001 * (int(each.body) % 3))
            running[each.subject] -= 1

        heard = Recorder(work)
        await bus.consume(LEFT, heard, concurrency=8)
        mixed = [each for pair in zip(numbered(20, subject="a"), numbered(20, subject="b"), strict=True) for each in pair]
        await send(bus, *mixed)
        await heard.until(40)
        for subject in ("a", "b"):
            assert [int(each.body) for each in heard.messages if each.subject == subject] == list(range(20))
        assert most == 1

    async def test_messages_of_different_subjects_are_handled_side_by_side(self, bus: Bus) -> None:
        together = asyncio.Barrier(3)

        async def meet(_: Message) -> None:
            await together.wait()

        heard = Recorder(meet)
        await bus.consume(LEFT, heard, concurrency=3)
        await send(bus, message(subject="a"), message(subject="b"), message(subject="c"))
        await heard.until(3)

    async def test_no_more_handlers_run_than_were_asked_for(self, bus: Bus) -> None:
        running, most = 0, 0

        async def work(_: Message) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.002)
            running -= 1

        heard = Recorder(work)
        await bus.consume(LEFT, heard, concurrency=3)
        await send(bus, *numbered(20))
        await heard.until(20)
        assert most == 3

    async def test_a_handler_sees_no_context_variable_of_the_publisher(self, bus: Bus) -> None:
        seen: list[str] = []

        async def look(_: Message) -> None:
            seen.append(caller.get())

        heard = Recorder(look)
        await bus.consume(LEFT, heard)
        token = caller.set("the publisher")
        await bus.publish(message())
        await heard.until(1)
        caller.reset(token)
        assert seen == ["nobody"]

    # Failures

    @pytest.mark.parametrize("error", [Unavailable("the database is down"), KeyError("a bug"), asyncio.CancelledError()])
    async def test_a_failure_that_may_pass_comes_again_one_attempt_later(self, bus: Bus, error: BaseException) -> None:
        async def fail_once(each: Message) -> None:
            if each.attempt == 1:
                raise error

        heard = Recorder(fail_once)
        await bus.consume(LEFT, heard)
        sent = send(bus, first := message())
        assert await heard.until(2) == [first, first.again()]
        assert await sent == [None]
        assert await bus.dead_letters("test") == []

    async def test_a_retried_message_comes_back_only_to_the_queue_that_failed(self, bus: Bus) -> None:
        async def fail_once(each: Message) -> None:
            if each.attempt == 1:
                raise Unavailable("not yet")

        left, right = Recorder(fail_once), Recorder()
        await bus.consume(LEFT, left)
        await bus.consume(RIGHT, right)
        sent = send(bus, message("test.both"))
        await left.until(2)
        assert await sent == [None]
        await bus.publish(message("test.right.one"))
        await right.until(2)
        assert [each.routing_key for each in right.messages] == ["test.both", "test.right.one"]

    async def test_a_failing_message_does_not_hold_up_the_next(self, bus: Bus) -> None:
        async def fail_first(each: Message) -> None:
            if each.body == b"0" and each.attempt == 1:
                raise Unavailable("not yet")

        heard = Recorder(fail_first)
        await bus.consume(LEFT, heard, concurrency=1)
        sent = send(bus, *numbered(3))
        await heard.until(4)
        assert heard.bodies == [b"0", b"1", b"2", b"0"]
        assert await sent == [None] * 3

    async def test_a_message_that_always_fails_climbs_the_ladder_and_becomes_a_dead_letter(self, bus: Bus) -> None:
        began: list[datetime] = []

        async def fail(_: Message) -> None:
            began.append(datetime.now(UTC))
            raise Unavailable("still down")

        heard = Recorder(fail)
        await bus.consume(LEFT, heard)
        sent = send(bus, poison := message(subject="job-1", body=b"poison"))
        await heard.until(3)
        assert await sent == [None]
        assert [each.attempt for each in heard.messages] == [1, 2, 3]
        for (earlier, later), rung in zip(pairwise(began), LADDER, strict=True):
            assert later - earlier > timedelta(seconds=rung * 0.9)
        await eventually(lambda: _dead(bus))
        (letter,) = await bus.dead_letters("test")
        assert letter.message == poison.again().again()
        assert (letter.queue, letter.reason, letter.error) == ("test.left", "exhausted", "Unavailable: still down")
        assert began[0] <= letter.first_failed < began[1]

    @pytest.mark.parametrize("error", [Reject("no such script"), Forbidden("not yours")])
    async def test_a_permanent_failure_is_a_dead_letter_at_once(self, bus: Bus, error: Exception) -> None:
        async def fail(_: Message) -> None:
            raise error

        heard = Recorder(fail)
        await bus.consume(LEFT, heard)
        await bus.publish(poison := message(body=b"poison"))
        await eventually(lambda: _dead(bus))
        (letter,) = await bus.dead_letters("test")
        assert heard.messages == [poison]
        assert letter.message == poison
        assert (letter.queue, letter.reason, letter.error) == (
            "test.left",
            "rejected",
            f"{type(error).__name__}: {error}",
        )

    @pytest.mark.parametrize("body", [b"\xff\xfe not json", b'{"number": "many"}', b"{}", b""])
    async def test_a_body_that_fits_no_contract_is_a_dead_letter(self, bus: Bus, body: bytes) -> None:
        heard: list[int] = []

        async def note(event: TestEvent, _: Message) -> None:
            heard.append(event.number)

        router = Router()
        router.on(TestEvent, note)
        await bus.consume(LEFT, router)
        await bus.publish(message("test.left.event", body=body))
        await bus.publish(message("test.left.event", body=b'{"number": 7, "news": true}'))
        await eventually(lambda: _dead(bus))
        await eventually(lambda: _true(heard == [7]))
        (letter,) = await bus.dead_letters("test")
        assert (letter.reason, letter.message.body) == ("rejected", body)
        assert letter.error.startswith("Reject: test.left.event does not fit its contract")

    async def test_dead_letters_are_looked_at_and_stay(self, bus: Bus) -> None:
        async def fail(_: Message) -> None:
            raise Reject("never")

        await bus.consume(LEFT, fail, concurrency=1)
        await send(bus, *numbered(3))
        await eventually(lambda: _dead(bus, 3))
        assert [letter.message.body for letter in await bus.dead_letters("test", limit=2)] == [b"0", b"1"]
        await eventually(lambda: _dead(bus, 3))
        assert [letter.message.body for letter in await bus.dead_letters("test")] == [b"0", b"1", b"2"]
        assert await bus.dead_letters("notifier") == []
        assert await bus.dead_letters("no service of ours") == []

    # Settling dead letters

    async def test_a_dead_letter_tells_what_an_operator_asks(self, bus: Bus) -> None:
        before = datetime.now(UTC)

        async def fail(_: Message) -> None:
            raise Unavailable("still down")

        heard = Recorder(fail)
        await bus.consume(LEFT, heard)
        await send(bus, message())
        await eventually(lambda: _dead(bus))
        (letter,) = await bus.dead_letters("test")
        assert letter.attempts == 3
        assert letter.group == "exhausted:Unavailable:test.left.one"
        assert before <= letter.first_failed < letter.died <= datetime.now(UTC)

    async def test_a_redriven_letter_comes_back_as_a_first_attempt_only_to_the_queue_it_died_in(self, bus: Bus) -> None:
        mended = False

        async def fail(_: Message) -> None:
            if not mended:
                raise Unavailable("still down")

        left, right = Recorder(fail), Recorder()
        await bus.consume(LEFT, left)
        await bus.consume(RIGHT, right)
        await send(bus, sent := message("test.both", subject="job-1", body=b"alive"))
        await eventually(lambda: _dead(bus))
        mended = True
        assert await settle(bus, "redrive") == [b"alive"]
        assert (await left.until(4))[3] == sent
        await bus.publish(message("test.right.one"))
        assert [each.routing_key for each in await right.until(2)] == ["test.both", "test.right.one"]
        assert await bus.dead_letters("test") == []

    async def test_what_is_not_settled_stays_and_what_is_dropped_is_gone(self, bus: Bus) -> None:
        heard = await fill_with_dead(bus, 4)
        assert await settle(bus, "drop", only=(b"1", b"3")) == [b"1", b"3"]
        await eventually(lambda: _dead(bus, 2))
        assert [letter.message.body for letter in await bus.dead_letters("test")] == [b"0", b"2"]
        assert len(heard.messages) == 4

    async def test_a_walk_that_is_broken_off_loses_nothing(self, bus: Bus) -> None:
        await fill_with_dead(bus, 3)
        with pytest.raises(KeyError, match="a bug of the caller"):
            async with bus.take_dead_letters("test") as letters:
                async for held in letters:
                    raise KeyError("a bug of the caller", held.letter)
        await eventually(lambda: _dead(bus, 3))
        assert sorted(letter.message.body for letter in await bus.dead_letters("test")) == [b"0", b"1", b"2"]

    async def test_what_dies_again_meanwhile_is_not_met_again(self, bus: Bus) -> None:
        heard = await fill_with_dead(bus, 3)
        met = 0
        async with bus.take_dead_letters("test") as letters:
            async for held in letters:
                met += 1
                await held.redrive()
                await heard.until(3 + met)
        assert met == 3
        await eventually(lambda: _dead(bus, 3))

    async def test_there_is_nothing_to_settle_where_nothing_died(self, bus: Bus) -> None:
        for service in ("notifier", "no service of ours"):
            async with bus.take_dead_letters(service) as letters:
                assert [held.letter async for held in letters] == []

    # Counting

    async def test_what_becomes_of_messages_is_counted(self, bus: Bus) -> None:
        async def work(each: Message) -> None:
            if each.body == b"bad":
                raise Reject("never")
            if each.attempt == 1:
                raise Unavailable("not yet")

        heard = Recorder(work)
        await bus.consume(LEFT, heard)
        labels = {"service": self.service, "queue": "test.left"}
        before = {outcome: self.count("consumed", outcome=outcome, **labels) for outcome in ("handled", "retried", "dead")}
        published = self.count("published", service=self.service, outcome="confirmed")
        assert await send(bus, message(body=b"bad"), message(body=b"good")) == [None, None]
        await heard.until(3)
        for outcome, count in before.items():
            assert self.count("consumed", outcome=outcome, **labels) == count + 1
        assert self.count("published", service=self.service, outcome="confirmed") == published + 2
        assert self.count("connected", service=self.service) == 1

    def count(self, name: str, **labels: str) -> float:
        """The metric `name` of the bus summed over the labels that are not given."""
        return sum(
            sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name in (f"yousync_bus_{name}", f"yousync_bus_{name}_total") and labels.items() <= sample.labels.items()
        )

    # Stopping

    async def test_drain_lets_a_running_handler_finish_and_gives_the_rest_to_others(self, bus: Bus) -> None:
        began, may_end = asyncio.Event(), asyncio.Event()

        async def work(_: Message) -> None:
            began.set()
            await may_end.wait()

        leaving = Recorder(work)
        subscription = await bus.consume(LEFT, leaving, concurrency=2)
        sent = send(bus, *numbered(3, subject="same"))
        async with asyncio.timeout(PATIENCE):
            await began.wait()
        draining = asyncio.create_task(subscription.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        may_end.set()
        await draining
        assert leaving.bodies == [b"0"]
        staying = Recorder()
        await bus.consume(LEFT, staying, concurrency=1)
        await staying.until(2)
        assert await sent == [None] * 3
        assert staying.bodies == [b"1", b"2"]
        assert [each.attempt for each in staying.messages] == [1, 1]

    async def test_a_handler_that_outlives_the_drain_is_cancelled_and_its_message_comes_again(self, bus: Bus) -> None:
        began = asyncio.Event()

        async def never_end(_: Message) -> None:
            began.set()
            await asyncio.Event().wait()

        subscription = await bus.consume(LEFT, never_end)
        sent = send(bus, stuck := message())
        async with asyncio.timeout(PATIENCE):
            await began.wait()
        await subscription.drain(timeout=0.01)
        heard = Recorder()
        await bus.consume(LEFT, heard)
        assert await heard.until(1) == [stuck]
        assert await sent == [None]

    async def test_close_waits_for_running_handlers(self, new_bus: NewBus) -> None:
        bus = new_bus()
        await bus.start()
        began = asyncio.Event()

        async def work(_: Message) -> None:
            began.set()
            await asyncio.sleep(0.02)

        heard = Recorder(work)
        await bus.consume(LEFT, heard)
        sent = send(bus, message())
        async with asyncio.timeout(PATIENCE):
            await began.wait()
        await bus.close()
        assert len(heard.messages) == 1
        assert await sent == [None]

    async def test_a_bus_that_is_not_open_takes_nothing(self, new_bus: NewBus) -> None:
        bus = new_bus()
        assert not _connected(bus)
        with pytest.raises(BusUnavailable):
            await bus.publish(message())
        await bus.start()
        assert _connected(bus)
        await bus.close()
        assert not _connected(bus)
        with pytest.raises(BusUnavailable):
            await bus.publish(message())
        with pytest.raises(BusUnavailable):
            await bus.publish_frame(1, b"frame")

    async def test_closing_twice_is_harmless(self, bus: Bus) -> None:
        await bus.close()
        await bus.close()

    # Looking

    async def test_depths_tell_what_waits(self, bus: Bus) -> None:
        await (await bus.consume(LEFT, Recorder())).drain()
        sent = send(bus, *numbered(2))

        async def two_wait() -> bool:
            return (await bus.depths()).get("test.left") == 2

        await eventually(two_wait)
        depths = await bus.depths()
        assert depths[NOTIFIER.name] == 0
        assert depths[dead_letter_queue("notifier")] == 0
        assert depths[retry_queue(0.05)] == 0
        await bus.consume(LEFT, Recorder())
        await sent

    # Frames

    async def test_a_listener_hears_the_partitions_it_is_bound_to(self, bus: Bus) -> None:
        ear, other = Ear(), Ear()
        listener, other_listener = await bus.listen_frames(ear), await bus.listen_frames(other)
        await listener.bind(0)
        await listener.bind(255)
        await other_listener.bind(255)
        await bus.publish_frame(7, b"nobody")
        await bus.publish_frame(0, b"one")
        await bus.publish_frame(255, b"both")
        assert await ear.until(2) == [(0, b"one"), (255, b"both")]
        assert await other.until(1) == [(255, b"both")]

    async def test_a_listener_does_not_hear_what_it_let_go(self, bus: Bus) -> None:
        ear = Ear()
        listener = await bus.listen_frames(ear)
        await listener.bind(1)
        await listener.bind(2)
        await listener.unbind(1)
        await listener.unbind(3)
        await bus.publish_frame(1, b"let go")
        await bus.publish_frame(2, b"kept")
        assert await ear.until(1) == [(2, b"kept")]
        await listener.close()
        await bus.publish_frame(2, b"too late")
        late = Ear()
        again = await bus.listen_frames(late)
        await again.bind(2)
        await bus.publish_frame(2, b"new")
        assert await late.until(1) == [(2, b"new")]
        assert ear.frames == [(2, b"kept")]

    async def test_frames_are_heard_in_order_one_at_a_time(self, bus: Bus) -> None:
        async def dawdle(body: bytes) -> None:
            await asyncio.sleep(0.001 * (int(body) % 3))

        ear = Ear(dawdle)
        await (await bus.listen_frames(ear)).bind(9)
        for number in range(30):
            await bus.publish_frame(9, b"%d" % number)
        assert [int(body) for _, body in await ear.until(30)] == list(range(30))

    async def test_a_handler_that_fails_on_a_frame_hears_the_next(self, bus: Bus) -> None:
        async def fail_on_bad(body: bytes) -> None:
            if body == b"bad":
                raise KeyError("a bug")

        ear = Ear(fail_on_bad)
        await (await bus.listen_frames(ear)).bind(9)
        await bus.publish_frame(9, b"bad")
        await bus.publish_frame(9, b"good")
        assert await ear.until(1) == [(9, b"good")]

    # Listening

    async def test_every_listener_hears_what_it_listens_for_whatever_queues_do_with_it(self, bus: Bus) -> None:
        left, one, other = Recorder(), Recorder(), Recorder()
        await bus.consume(LEFT, left)
        await bus.listen(["test.both", "test.nobody"], one)
        await bus.listen(["test.*"], other)
        both, nobody = message("test.both", subject="same"), message("test.nobody", subject="same")
        await bus.publish(both)
        await bus.publish(message("test.left.one"))
        await bus.publish(nobody)
        assert await one.until(2) == [both, nobody]
        assert await other.until(2) == [both, nobody]
        assert [each.routing_key for each in await left.until(2)] == ["test.both", "test.left.one"]

    async def test_a_listener_that_was_closed_hears_nothing_and_takes_nothing(self, bus: Bus) -> None:
        gone, there = Recorder(), Recorder()
        listener = await bus.listen(["test.nobody"], gone)
        await listener.close()
        with pytest.raises(Unroutable):
            await bus.publish(message("test.nobody"))
        await bus.listen(["test.nobody"], there)
        await bus.publish(heard := message("test.nobody"))
        assert await there.until(1) == [heard]
        assert gone.messages == []

    async def test_a_listener_that_fails_hears_the_next_and_has_nothing_again(self, bus: Bus) -> None:
        async def fail(each: Message) -> None:
            if each.body == b"bad":
                raise KeyError("a bug")

        heard = Recorder(fail)
        await bus.listen(["test.nobody"], heard)
        await bus.publish(message("test.nobody", body=b"bad"))
        await bus.publish(message("test.nobody", body=b"good"))
        await heard.until(2)
        assert heard.bodies == [b"bad", b"good"]
        assert await bus.dead_letters("test") == []

    @pytest.mark.parametrize("partition", [-1, 2 * PARTITIONS])
    async def test_a_partition_that_does_not_exist_is_an_error(self, bus: Bus, partition: int) -> None:
        listener = await bus.listen_frames(Ear())
        with pytest.raises(ValueError, match=r"0\.\.511"):
            await listener.bind(partition)
        with pytest.raises(ValueError, match=r"0\.\.511"):
            await bus.publish_frame(partition, b"")


class Ear:
    """A frame handler that keeps what it heard."""

    def __init__(self, then: Callable[[bytes], Awaitable[None]] | None = None) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self._then = then
        self._news = asyncio.Condition()

    async def __call__(self, partition: int, body: bytes) -> None:
        if self._then is not None:
            await self._then(body)
        async with self._news:
            self.frames.append((partition, body))
            self._news.notify_all()

    async def until(self, count: int) -> list[tuple[int, bytes]]:
        """The frames, when there are at least `count`."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.frames) >= count)
        return self.frames


async def fill_with_dead(bus: Bus, count: int) -> Recorder:
    """Have `count` numbered messages rejected, now and whenever they come again; who does it."""

    async def fail(_: Message) -> None:
        raise Reject("never")

    heard = Recorder(fail)
    await bus.consume(LEFT, heard, concurrency=1)
    await send(bus, *numbered(count))
    await eventually(lambda: _dead(bus, count))
    return heard


async def settle(bus: Bus, how: str, *, only: tuple[bytes, ...] = ()) -> list[bytes]:
    """Redrive or drop the dead letters, or `only` those; their bodies in order."""
    settled = []
    async with bus.take_dead_letters("test") as letters:
        async for held in letters:
            if not only or held.letter.message.body in only:
                await (held.redrive() if how == "redrive" else held.drop())
                settled.append(held.letter.message.body)
    return sorted(settled)


def _connected(bus: Bus) -> bool:
    return bus.connected  # through a function, lest mypy believe that it never changes


async def _true(fact: bool) -> bool:
    return fact


async def _dead(bus: Bus, count: int = 1) -> bool:
    return len(await bus.dead_letters("test")) >= count
