import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.db import Database
from libs.common.outbox import leases, relay
from libs.common.outbox.relay import Relay
from libs.common.outbox.table import shard_of
from tests.libs.common.outbox.test_relay import (
    Recorder,
    another_process,
    publish,
    relaying,
    unsent,
    until,
    until_all_sent,
)

SHARDS = 4
METRICS = ("yousync_outbox_depth", "yousync_outbox_oldest_seconds")
SUBJECTS = [f"number:{n}" for n in range(20)]


async def publish_all(database: Database, values: Iterable[int]) -> None:
    for value in values:
        for subject in SUBJECTS:
            await publish(database, value, subject=subject)


def subjects(bus: Recorder) -> set[str]:
    return {message.subject for message in bus.published}


@pytest.fixture(autouse=True)
def _seek_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "SEEK_SECONDS", 0.1)
    monkeypatch.setattr(relay, "KEEP_SECONDS", 0.1)


async def until_shared(*relays: Relay) -> None:
    await until(lambda: sorted(shard for each in relays for shard in each._held) == list(range(SHARDS)))
    await until(lambda: {len(each._held) for each in relays} == {SHARDS // len(relays)})


async def test_two_relays_share_the_shards_and_each_message_is_published_by_one(database: Database) -> None:
    one, two = Recorder(), Recorder()
    async with (
        another_process(database) as elsewhere,
        relaying(database, one, shards=SHARDS) as first,
        relaying(elsewhere, two, shards=SHARDS) as second,
    ):
        await until_shared(first, second)
        await asyncio.gather(publish_all(database, range(3)), publish_all(elsewhere, range(3)))
        await until_all_sent(database)
        held = first._held
    assert len(one.published) + len(two.published) == 2 * 3 * len(SUBJECTS)
    assert subjects(one) == {subject for subject in SUBJECTS if shard_of(subject, SHARDS) in held}
    assert subjects(two) == set(SUBJECTS) - subjects(one)


async def test_the_shards_of_a_relay_that_died_are_taken_over_in_order(database: Database) -> None:
    bus = Recorder()
    async with another_process(database) as elsewhere, relaying(elsewhere, bus, shards=SHARDS) as survivor:
        async with relaying(database, bus, shards=SHARDS) as mortal:
            await until_shared(survivor, mortal)
            await publish_all(database, range(3))
            await until_all_sent(database)
        await publish_all(database, range(3, 6))
        await until_all_sent(database)
    for subject in SUBJECTS:
        assert bus.values(subject) == list(range(6))


async def test_a_newcomer_gets_its_share_while_messages_flow_in_order_and_once(database: Database) -> None:
    bus = Recorder()
    async with another_process(database) as elsewhere, relaying(database, bus, shards=SHARDS) as first:
        await until(lambda: len(first._held) == SHARDS)
        flowing = asyncio.create_task(publish_all(database, range(40)))
        async with relaying(elsewhere, bus, shards=SHARDS) as second:
            await until_shared(first, second)
            await flowing
            await publish_all(elsewhere, range(40, 42))
            await until_all_sent(database)
    for subject in SUBJECTS:
        assert bus.values(subject) == list(range(42))


async def test_a_shard_stays_where_a_message_of_it_is_under_way(database: Database) -> None:
    bus = Recorder()
    bus.held = {subject: asyncio.Event() for subject in SUBJECTS}
    async with another_process(database) as elsewhere, relaying(database, bus, shards=SHARDS) as first:
        await until(lambda: len(first._held) == SHARDS)
        await publish_all(database, [1])
        async with relaying(elsewhere, bus, shards=SHARDS) as second:
            await until(lambda: len(first._held) == SHARDS - 1)
            await publish_all(database, [2])
            await asyncio.sleep(2 * relay.SEEK_SECONDS)
            assert second._held == frozenset()
            for event in bus.held.values():
                event.set()
            await until_shared(first, second)
            await until_all_sent(database)
    for subject in SUBJECTS:
        assert bus.values(subject) == [1, 2]


async def test_a_holder_that_hangs_loses_its_shards(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SILENCE_SECONDS", 2)
    monkeypatch.setattr(relay, "KEEP_SECONDS", 3600.0)  # so whoever holds all says nothing any more
    one, two = Recorder(), Recorder()
    async with another_process(database) as elsewhere, relaying(database, one) as first:
        await until(lambda: len(first._held) == 1)
        async with relaying(elsewhere, two) as second:
            await until(lambda: len(second._held) == 1)
            await publish(database, 1)
            await until(lambda: two.values() == [1])
    assert one.values() == []


async def test_relays_that_cut_the_shards_differently_never_relay_at_the_same_time(database: Database) -> None:
    old, new = Recorder(), Recorder()
    async with another_process(database) as elsewhere:
        async with relaying(database, old, shards=1) as first:
            await until(lambda: len(first._held) == 1)
            async with relaying(elsewhere, new, shards=SHARDS) as second:
                await publish_all(database, [1])
                await until_all_sent(database)
                await asyncio.sleep(2 * relay.SEEK_SECONDS)
                assert (second._held, new.published) == (frozenset(), [])
        async with relaying(elsewhere, new, shards=SHARDS):
            await publish_all(database, [2])
            await until_all_sent(database)
    assert (set(old.values()), set(new.values())) == ({1}, {2})


def test_a_number_of_shards_that_cannot_be_is_refused() -> None:
    for shards in (0, leases.MOST_SHARDS + 1):
        with pytest.raises(ValueError, match="shards"):
            leases.Leases(None, shards)


async def fill(database: Database, *, sent: int, waiting: int) -> None:
    """Rows as they are after a long time, or after a long time without a broker."""
    rows = """INSERT INTO outbox (message_id, type, source, subject, bucket, routing_key, must_route, body, sent_at)
              SELECT gen_random_uuid(), 'test.number-seen', 'test', 'number:' || n, 0, 'k', true, '{{}}', {sent_at}
                FROM generate_series(1, :number) AS n"""
    async with database.transaction() as tx:
        for number, sent_at in ((sent, "now()"), (waiting, "NULL")):
            await tx.connection.execute(sa.text(rows.format(sent_at=sent_at)), {"number": number})


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def test_a_read_walks_over_neither_what_was_sent_nor_what_waits(database: Database) -> None:
    """With statistics that say the worst, as after a long time without a broker: that nearly everything waits."""
    await fill(database, sent=0, waiting=5_000)
    compiled = relay._UNSENT.compile(dialect=database.engine.dialect)
    async with database.lasting_connection() as connection:
        await connection.execute(sa.text("ANALYZE outbox"))
        await connection.execute(sa.text("UPDATE outbox SET sent_at = now()"))
        await fill(database, sent=0, waiting=5_000)
        for setting in relay.PLANS:
            await connection.execute(sa.text(setting))
        newest = (await connection.execute(sa.text("SELECT max(id) FROM outbox"))).scalar_one()
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        for after in (newest - 5_000, newest - 150):
            values = {"after": after, "in_flight": [], "shards": 1, "held": [0], "room": 100}
            ordered = [values[name] for name in compiled.positiontup or ()]
            plan = (await driver.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", *ordered))[0]["Plan"]
            found = [(node["Node Type"], node.get("Index Name"), node["Actual Rows"]) for node in nodes(plan)]
            assert found == [("Limit", None, 100), ("Index Scan", "outbox_unsent", 100)]
            assert nodes_removed(plan) == 0


def nodes_removed(plan: dict[str, Any]) -> int:
    return sum(node.get("Rows Removed by Filter", 0) for node in nodes(plan))


async def test_a_message_that_cannot_be_published_holds_up_only_its_subject(database: Database) -> None:
    class Picky(Recorder):
        async def publish(self, message: Message) -> None:
            if message.subject == "bad":
                raise ValueError("a routing key that is too long")
            await super().publish(message)

    bus = Picky()
    async with relaying(database, bus):
        await publish(database, 1, subject="bad")
        await publish(database, *range(50), subject="good")
        await until(lambda: bus.values() == list(range(50)))
        async with asyncio.timeout(10):
            while await unsent(database) > 1:
                await asyncio.sleep(0.005)
    assert await unsent(database) == 1


@pytest.mark.parametrize("waiting", [0, 7, relay.COUNTED + 1_000])
async def test_depth_and_age_are_told_however_many_messages_wait(database: Database, waiting: int) -> None:
    service = f"depth {waiting}"
    measuring = Relay(database, MemoryBus(), service=service)
    await fill(database, sent=10, waiting=waiting)
    async with database.lasting_connection() as connection:
        await connection.execute(sa.text("UPDATE outbox SET created_at = created_at - interval '1 minute' WHERE id = 11"))
        await measuring._measure(connection)
    depth, age = (REGISTRY.get_sample_value(name, {"service": service}) for name in METRICS)
    assert depth == waiting
    assert age is not None
    assert (age >= 60) == (waiting > 0)
