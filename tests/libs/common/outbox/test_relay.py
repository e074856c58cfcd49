import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa

from libs.common.background import background
from libs.common.bus.base import BusUnavailable, Message
from libs.common.db import Database, Outgoing
from libs.common.outbox.relay import Relay
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX
from libs.common.outbox.writer import WRITE, Change, parameters
from tests.libs.common.events import NumberSeen

ADD = Change(sa.insert(sa.table("numbers", sa.column("value", sa.Integer))).values(value=sa.bindparam("value")))


class Recorder:
    """A bus as far as a relay sees it. Fails as often as `failures` says; holds subjects in `held` back."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.failures = 0
        self.held: dict[str, asyncio.Event] = {}

    async def publish(self, message: Message) -> None:
        if message.subject in self.held:
            await self.held[message.subject].wait()
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("down")
        await asyncio.sleep(0)
        self.published.append(message)

    def values(self, subject: str | None = None) -> list[int]:
        chosen = (m for m in self.published if subject in (None, m.subject))
        return [NumberSeen.model_validate_json(m.body).value for m in chosen]


@asynccontextmanager
async def relaying(database: Database, bus: Recorder, **options: Any) -> AsyncIterator[Relay]:
    relay = Relay(database, bus, service="test", **options)  # type: ignore[arg-type]
    async with background(relay.run()):
        yield relay


async def publish(database: Database, *values: int, subject: str = "a") -> None:
    async with database.transaction() as tx:
        for value in values:
            tx.publish(NumberSeen(value=value), subject=subject)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def unsent(database: Database) -> int:
    async with database.reading() as connection:
        query = sa.select(sa.func.count()).select_from(OUTBOX).where(OUTBOX.c.sent_at.is_(None))
        return int((await connection.execute(query)).scalar_one())


async def until_all_sent(database: Database) -> None:
    async with asyncio.timeout(10):
        while await unsent(database):
            await asyncio.sleep(0.005)


async def alter_what_is_read(database: Database) -> None:
    """From now on the table says -1 for every number, so that a test sees what was read from it."""
    async with database.transaction() as tx:
        await tx.connection.execute(
            sa.text(
                """CREATE FUNCTION alter_body() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.body := convert_to('{"value":-1}', 'UTF8'); RETURN NEW; END $$"""
            )
        )
        await tx.connection.execute(
            sa.text("CREATE TRIGGER alter_body BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION alter_body()")
        )


@asynccontextmanager
async def another_process(database: Database) -> AsyncIterator[Database]:
    elsewhere = Database(database.engine.url.render_as_string(hide_password=False), source="test")
    yield elsewhere
    await elsewhere.close()


async def until_at_rest(database: Database, bus: Recorder) -> None:
    """Until the relay has the lease, has seen the whole table and waits."""
    await publish(database, 0, subject="first")
    await until(lambda: len(bus.published) == 1)
    await until_all_sent(database)
    await asyncio.sleep(0.2)
    bus.published.clear()


async def test_what_was_committed_before_the_start_is_published_in_order(database: Database) -> None:
    await publish(database, *range(500))
    bus = Recorder()
    async with relaying(database, bus):
        await until(lambda: len(bus.published) == 500)
        await until_all_sent(database)
    assert bus.values() == list(range(500))


async def test_the_message_keeps_its_id_and_all_it_says(database: Database) -> None:
    bus = Recorder()
    async with relaying(database, bus):
        async with database.transaction() as tx:
            tx.publish(NumberSeen(value=7), subject="number:7", routing_key="test.elsewhere")
        await until(lambda: len(bus.published) == 1)
    async with database.reading() as connection:
        row = (await connection.execute(sa.select(OUTBOX))).one()
    message = bus.published[0]
    assert (message.id, message.time, message.traceparent) == (row.message_id, row.created_at, row.traceparent)
    assert (message.type, message.source, message.subject) == ("test.number-seen", "test", "number:7")
    assert (message.routing_key, message.body) == ("test.elsewhere", b'{"value":7}')


async def test_a_failed_publish_is_repeated_and_keeps_the_order(database: Database) -> None:
    bus = Recorder()
    bus.failures = 2
    async with relaying(database, bus):
        await publish(database, 1, 2, 3)
        await until(lambda: len(bus.published) == 3)
        await until_all_sent(database)
    assert bus.values() == [1, 2, 3]


async def test_a_subject_that_waits_does_not_hold_the_others(database: Database) -> None:
    bus = Recorder()
    bus.held["slow"] = asyncio.Event()
    async with relaying(database, bus):
        await publish(database, 1, 2, subject="slow")
        await publish(database, *range(300), subject="fast")
        await until(lambda: len(bus.values("fast")) == 300)
        assert bus.values("slow") == []
        bus.held["slow"].set()
        await until(lambda: len(bus.values("slow")) == 2)
    assert bus.values("slow") == [1, 2]


async def test_a_row_that_was_never_confirmed_stays_and_is_published_by_the_next_relay(database: Database) -> None:
    bus = Recorder()
    bus.held["a"] = asyncio.Event()
    async with relaying(database, bus):
        await publish(database, 1)
        await asyncio.sleep(0.1)
    assert await unsent(database) == 1
    successor = Recorder()
    async with relaying(database, successor):
        await until(lambda: successor.values() == [1])


async def test_a_hint_from_another_process_wakes_the_relay_before_its_poll(database: Database) -> None:
    bus = Recorder()
    async with relaying(database, bus, poll_seconds=3600.0), another_process(database) as elsewhere:
        await asyncio.sleep(0.3)  # the relay waits by now
        await publish(elsewhere, 1)
        await until(lambda: bus.values() == [1])


async def test_only_one_of_two_relays_publishes_and_the_other_takes_over(database: Database) -> None:
    first, second = Recorder(), Recorder()
    async with relaying(database, second):
        await publish(database, 1)
        await until(lambda: second.values() == [1])
        async with relaying(database, first):
            await publish(database, 2)
            await until(lambda: second.values() == [1, 2])
            await until_all_sent(database)
        assert first.values() == []
    async with relaying(database, first):
        await publish(database, 3)
        await until(lambda: first.values() == [3])


async def test_a_relay_that_lost_its_connection_goes_on(database: Database) -> None:
    bus = Recorder()
    async with relaying(database, bus):
        await publish(database, 1)
        await until(lambda: bus.values() == [1])
        async with database.reading() as connection:
            holder = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            await connection.execute(sa.text(holder))
        await publish(database, 2)
        await until(lambda: 2 in bus.values())


async def test_what_its_own_process_commits_is_not_read_back(database: Database) -> None:
    await alter_what_is_read(database)
    bus = Recorder()
    async with relaying(database, bus, poll_seconds=3600.0), another_process(database) as elsewhere:
        await until_at_rest(database, bus)
        await publish(database, 1, 2)
        assert await database.change(ADD, {"value": 3}, Outgoing(NumberSeen(value=3), "a"))
        await until(lambda: bus.values() == [1, 2, 3])
        await publish(elsewhere, 4)
        await until(lambda: bus.values() == [1, 2, 3, -1])
        await until_all_sent(database)


async def test_a_message_of_another_process_is_not_overtaken(database: Database) -> None:
    bus = Recorder()
    bus.held["a"] = asyncio.Event()
    async with relaying(database, bus, poll_seconds=3600.0), another_process(database) as elsewhere:
        await until_at_rest(database, bus)
        await publish(database, 1)
        await publish(database, 2)
        await publish(elsewhere, 3)
        await publish(database, 4)
        await publish(database, 5, subject="b")
        await until(lambda: bus.values() == [5])
        bus.held["a"].set()
        await until(lambda: len(bus.published) == 5)
        await until_all_sent(database)
    assert bus.values("a") == [1, 2, 3, 4]


async def test_commits_of_two_processes_are_published_in_their_order_and_once(database: Database) -> None:
    """Each commit counts up under a row lock, so a subject's values tell the order of its commits."""
    async with database.transaction() as tx:
        await tx.connection.execute(sa.text("CREATE TABLE counters (subject text PRIMARY KEY, value int)"))
        await tx.connection.execute(sa.text("INSERT INTO counters SELECT n::text, 0 FROM generate_series(0, 4) AS n"))

    async def count_up(database: Database, subject: str) -> None:
        for _ in range(20):
            async with database.transaction() as tx:
                add = sa.text("UPDATE counters SET value = value + 1 WHERE subject = :subject RETURNING value")
                value = (await tx.connection.execute(add, {"subject": subject})).scalar_one()
                tx.publish(NumberSeen(value=value), subject=subject)

    bus = Recorder()
    subjects = [str(number) for number in range(5)]
    async with relaying(database, bus), another_process(database) as elsewhere:
        processes = (database, database, elsewhere, elsewhere)
        await asyncio.gather(*(count_up(process, subject) for subject in subjects for process in processes))
        await until(lambda: len(bus.published) >= 400)
        await until_all_sent(database)
    for subject in subjects:
        assert bus.values(subject) == list(range(1, 81))


async def test_a_hint_that_comes_after_its_row_was_found_publishes_nothing_again(database: Database) -> None:
    bus = Recorder()
    async with relaying(database, bus, poll_seconds=3600.0):
        await until_at_rest(database, bus)
        message = Outgoing(NumberSeen(value=1), "a").message("test")
        with database.handover.offering() as offer:
            database.handover.add(offer, [message])
            await database.rows(WRITE, parameters([message], "another process"))
            async with database.autocommit() as connection:
                await until(lambda: bus.values() == [1])
                await until_all_sent(database)
                await connection.execute(sa.select(sa.func.pg_notify(NOTIFY_CHANNEL, f"{offer.hint} 1")))
        await publish(database, 2)
        await until(lambda: 2 in bus.values())
    assert bus.values() == [1, 2]


async def test_publishing_does_not_wait_for_the_marking_of_what_was_sent(database: Database) -> None:
    bus = Recorder()
    bus.held["a"] = asyncio.Event()
    async with relaying(database, bus, poll_seconds=3600.0):
        await until_at_rest(database, bus)
        await publish(database, 1)
        async with database.transaction() as tx:
            await tx.connection.execute(sa.select(OUTBOX.c.id).with_for_update())
            bus.held["a"].set()
            await until(lambda: bus.values() == [1])
            await publish(database, 2)
            await publish(database, 3, subject="b")
            await until(lambda: bus.values() == [1, 2, 3])
        await until_all_sent(database)
    assert bus.values() == [1, 2, 3]


async def test_what_was_rolled_back_is_not_published(database: Database) -> None:
    bus = Recorder()
    async with relaying(database, bus):
        await publish(database, 1)
        with suppress(ZeroDivisionError):
            async with database.transaction() as tx:
                tx.publish(NumberSeen(value=2), subject="a")
                await tx.flush()
                raise ZeroDivisionError
        await publish(database, 3)
        await until(lambda: 3 in bus.values())
    assert bus.values() == [1, 3]


async def test_a_transaction_of_very_many_messages_is_published_in_order(database: Database) -> None:
    bus = Recorder()
    async with relaying(database, bus):
        async with database.transaction() as tx:
            for value in range(1000):
                tx.publish(NumberSeen(value=value), subject=str(value % 2))
                if value % 50 == 0:
                    await tx.flush()
        await publish(database, 1000, subject="0")
        await until(lambda: len(bus.published) == 1001)
        await until_all_sent(database)
    assert bus.values("0") == list(range(0, 1001, 2))
    assert bus.values("1") == list(range(1, 1000, 2))


async def test_an_event_committed_late_is_not_skipped(database: Database) -> None:
    """Ids are taken before the commit: the lower id may become visible after the higher one was published."""
    bus = Recorder()
    async with relaying(database, bus):
        async with database.transaction() as early:
            early.publish(NumberSeen(value=1), subject="early")
            await early.connection.execute(sa.text("SELECT nextval(pg_get_serial_sequence('outbox', 'id'))"))
            await publish(database, 2, subject="late")
            await until(lambda: bus.values() == [2])
        await until(lambda: bus.values() == [2, 1])
