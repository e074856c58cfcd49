"""How often somebody called: sliding windows of the library `limits`, in this process or shared by all replicas."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from limits import RateLimitItem
from limits.aio.storage import RedisStorage, SlidingWindowCounterSupport, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from prometheus_client import Counter, Gauge
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

FAILURES = Counter("yousync_limit_store_failures_total", "Times that the shared counters of limits did not answer")
SHARED = Gauge("yousync_limits_shared", "1 while limits are counted for all replicas together, 0 while each counts its own")

MEMORY: Final = "memory://"  # the address of no store at all

# A store in the same rack answers in a tenth of a millisecond. Longer than this no request waits for it..
ANSWER_SECONDS = 0.1
# ..and for so long none tries again; then one does.
PAUSE_SECONDS = 5.0
# Connections of one replica. Each is busy for half a millisecond per request.
MAX_CONNECTIONS = 32


class Bucket(NamedTuple):
    """What is counted: the limit, and whose calls."""

    item: RateLimitItem
    whose: str


class Count(NamedTuple):
    """Whether one more was within the limit, how many more are now, and when (Unix time) there will be more again."""

    within: bool
    remaining: int
    reset_at: float


class Counters(Protocol):
    """Counts one call in each bucket; what is over a limit is not counted there."""

    async def count(self, buckets: Sequence[Bucket]) -> list[Count]:
        """In the order of `buckets`."""

    async def close(self) -> None:
        """Let go of connections."""


class BoundedMemory(Storage, SlidingWindowCounterSupport):
    """Windows in this process, at most `max_keys` of them: beyond, whoever has not called for the longest is forgotten.

    The library's own memory looks through all keys at each hit (15 ms with 100,000 of them), and has no bound: whoever owns
    many addresses could stop us with it.
    """

    STORAGE_SCHEME = None

    def __init__(self, *, max_keys: int) -> None:
        super().__init__()
        self._max_keys = max_keys
        self._windows: OrderedDict[str, tuple[int, int, int]] = OrderedDict()  # number of the window, count before it, in it

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Nothing here fails."""
        return ()

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` if it is within `limit`."""
        before, left, current, _ = self._look(key, expiry)
        if before * left / expiry + current + amount > limit:
            return False
        self._write(key, (int(time.time() // expiry), before, current + amount))
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The window before the current one and the current: each its count and the seconds for which it counts."""
        return self._look(key, expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a key."""
        self._windows.pop(key, None)

    def _look(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        number, past = divmod(time.time(), expiry)
        known, before, current = self._windows.get(key, (int(number), 0, 0))
        if known != number:
            before, current = (current if known == number - 1 else 0), 0
        return before, expiry - past, current, 2 * expiry - past

    def _write(self, key: str, window: tuple[int, int, int]) -> None:
        self._windows[key] = window
        self._windows.move_to_end(key)
        if len(self._windows) > self._max_keys:
            self._windows.popitem(last=False)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count in any case."""
        before, _, current, _ = self._look(key, expiry)
        self._write(key, (int(time.time() // expiry), before, current + amount))
        return current + amount

    async def get(self, key: str) -> int:
        """The count of the last window that was written."""
        return self._windows.get(key, (0, 0, 0))[2]

    async def get_expiry(self, key: str) -> float:
        """Nothing expires before others need its place."""
        return time.time()

    async def check(self) -> bool:
        """Always there."""
        return True

    async def reset(self) -> int:
        """Forget everything; how much that was."""
        forgotten = len(self._windows)
        self._windows.clear()
        return forgotten

    async def clear(self, key: str) -> None:
        """Forget a key."""
        self._windows.pop(key, None)


class OwnCounters:
    """Those of this process."""

    def __init__(self, *, max_keys: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(BoundedMemory(max_keys=max_keys))

    async def count(self, buckets: Sequence[Bucket]) -> list[Count]:
        """Count each."""
        return [await _count(self._limiter, bucket) for bucket in buckets]

    async def close(self) -> None:
        """Nothing is open."""


class SharedCounters:
    """Those of all replicas, in a Redis or Valkey at `url`. While it does not answer, `own` counts for this replica alone.

    So nobody is turned away because a store of counters is down, and nobody is let in without limits: with n replicas it is
    up to n times as much for a while.
    """

    def __init__(self, url: str, own: OwnCounters) -> None:
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection that was closed meanwhile is no failure
        )
        pool: Any = self._pool  # the library's types know numbers and texts only
        store = RedisStorage(f"async+{url}", implementation="redispy", key_prefix="yousync", connection_pool=pool)
        self._limiter = SlidingWindowCounterRateLimiter(store)
        self._own = own
        self._away_until = float("-inf")
        SHARED.set(1)

    async def count(self, buckets: Sequence[Bucket]) -> list[Count]:
        """Count each, in the store or else here."""
        if time.monotonic() < self._away_until:
            return await self._own.count(buckets)
        away = self._away_until > 0
        if away:
            self._away_until = time.monotonic() + PAUSE_SECONDS  # others do not try while this one does
        try:
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                counts = await asyncio.gather(*(_count(self._limiter, bucket) for bucket in buckets))
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            FAILURES.inc()
            SHARED.set(0)
            log.warning("limits are counted by this replica alone", extra={"error": repr(error)})
            return await self._own.count(buckets)
        if away:
            self._away_until = float("-inf")
            SHARED.set(1)
            log.info("limits are counted for all replicas together again")
        return counts

    async def close(self) -> None:
        """Close connections."""
        await self._pool.aclose()


async def _count(limiter: SlidingWindowCounterRateLimiter, bucket: Bucket) -> Count:
    within = await limiter.hit(bucket.item, bucket.whose)
    reset_at, remaining = await limiter.get_window_stats(bucket.item, bucket.whose)
    return Count(within, remaining, reset_at)


def open_counters(url: str, *, max_keys: int) -> Counters:
    """The counters that a setting names: `memory://`, `redis://..` or `rediss://..`; `max_keys` in this process."""
    own = OwnCounters(max_keys=max_keys)
    return own if url == MEMORY else SharedCounters(url, own)
