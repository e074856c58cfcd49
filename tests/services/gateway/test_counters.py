"""One class of tests over both counters, and what only one of them has to do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from limits import RateLimitItemPerMinute
from prometheus_client import REGISTRY

from services.gateway.counters import BoundedMemory, Bucket, Count, Counters, OwnCounters, SharedCounters, open_counters
from tests.services.gateway.redis_server import PrivateRedis

THREE = RateLimitItemPerMinute(3, namespace="address/read")
New = Callable[[], Counters]


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(_redis: PrivateRedis) -> PrivateRedis:
    """Empty and running."""
    _redis.stop()
    _redis.start()
    return _redis


@pytest.fixture
async def shared(redis: PrivateRedis) -> AsyncIterator[Callable[[], SharedCounters]]:
    """The counters of another replica each time."""
    opened: list[SharedCounters] = []

    def new() -> SharedCounters:
        opened.append(SharedCounters(redis.url, OwnCounters(max_keys=1000)))
        return opened[-1]

    yield new
    for each in opened:
        await each.close()


@pytest.fixture(params=["own", "shared"])
def new(request: pytest.FixtureRequest) -> New:
    """Both kinds."""
    if request.param == "own":
        return lambda: OwnCounters(max_keys=1000)
    made: New = request.getfixturevalue("shared")
    return made


async def once(counters: Counters, whose: str = "10.0.0.1") -> Count:
    (count,) = await counters.count([Bucket(THREE, whose)])
    return count


def failures() -> float:
    return REGISTRY.get_sample_value("yousync_limit_store_failures_total") or 0.0


class TestCounters:
    async def test_so_many_and_no_more(self, new: New) -> None:
        counters = new()
        counts = [await once(counters) for _ in range(5)]
        assert [count.within for count in counts] == [True, True, True, False, False]
        assert [count.remaining for count in counts[:3]] == [2, 1, 0]
        assert all(0 < count.reset_at - time.time() <= 60 for count in counts[2:])

    async def test_nobody_pays_for_another(self, new: New) -> None:
        counters = new()
        for _ in range(4):
            await once(counters)
        assert (await once(counters, "10.0.0.2")).within

    async def test_buckets_are_counted_each_for_itself(self, new: New) -> None:
        counters = new()
        ten = RateLimitItemPerMinute(10, namespace="user/read")
        for _ in range(3):
            await counters.count([Bucket(THREE, "10.0.0.1"), Bucket(ten, "7")])
        first, second = await counters.count([Bucket(THREE, "10.0.0.1"), Bucket(ten, "7")])
        assert (first.within, second.within, second.remaining) == (False, True, 6)

    async def test_many_at_once_are_no_more(self, new: New) -> None:
        counters = new()
        counts = await asyncio.gather(*(once(counters) for _ in range(20)))
        assert sum(count.within for count in counts) == 3


async def test_a_minute_later_there_is_room_again_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 6_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    counters = OwnCounters(max_keys=1000)
    assert [(await once(counters)).within for _ in range(4)] == [True, True, True, False]
    now += 60.0
    assert not (await once(counters)).within
    now += 21.0
    assert [(await once(counters)).within for _ in range(2)] == [True, False]
    now += 120.0
    assert [(await once(counters)).within for _ in range(4)] == [True, True, True, False]


async def test_many_addresses_take_no_more_room_than_they_may_have() -> None:
    memory = BoundedMemory(max_keys=100)
    for number in range(5000):
        assert await memory.acquire_sliding_window_entry(f"10.0.{number}", 10_000, 60)
        assert await memory.acquire_sliding_window_entry("who calls all the time", 10_000, 60)
    assert len(memory) == 100
    before, _, current, _ = await memory.get_sliding_window("who calls all the time", 60)
    assert before + current == 5000


async def test_replicas_count_together(shared: Callable[[], SharedCounters]) -> None:
    here, there = shared(), shared()
    counts = [await once(replica) for replica in (here, there, here, there, here)]
    assert [count.within for count in counts] == [True, True, True, False, False]


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_while_the_store_is_away_each_replica_counts_its_own_and_nobody_waits(
    shared: Callable[[], SharedCounters], redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    counters = shared()
    for _ in range(4):
        await once(counters)
    assert not (await once(counters)).within
    before = failures()
    getattr(redis, how)()
    try:
        counts = [await once(counters) for _ in range(50)]
    finally:
        {"pause": redis.resume, "kill": redis.start}[how]()
    assert [count.within for count in counts] == [True] * 3 + [False] * 47
    assert failures() == before + 1, "one found out, the others did not try"
    assert REGISTRY.get_sample_value("yousync_limits_shared") == 0
    monkeypatch.setattr(counters, "_away_until", 0.1)  # the pause is over
    assert (await once(counters, "10.0.0.9")).within
    assert REGISTRY.get_sample_value("yousync_limits_shared") == 1
    assert failures() == before + 1


async def test_the_setting_names_the_counters() -> None:
    assert isinstance(open_counters("memory://", max_keys=1000), OwnCounters)
    shared = open_counters("redis://127.0.0.1:1/0", max_keys=1000)
    assert isinstance(shared, SharedCounters)
    assert (await once(shared)).within
    await shared.close()
