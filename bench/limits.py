"""What a limit costs a request: counted in this process, with few callers known and with as many as may be, or in a store.

One coroutine asks in turns, as one event loop does between two reads of a socket. `--store URL` measures a Redis as well.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import uvloop
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send

from libs.common.web.auth import Principal
from services.gateway.callers import CALLER
from services.gateway.counters import MEMORY, open_counters
from services.gateway.limits import Limiter, Limits
from services.gateway.rates import PER_ADDRESS, PER_USER
from services.gateway.routes import Cost

REQUESTS = 20_000
ROUNDS = 5
KEYS = 100_000  # as the setting has it


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Does nothing, quickly."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def drop(message: Message) -> None:
    """Nobody reads it."""


async def nothing() -> Message:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def microseconds(app: Callable[..., object], *, user: bool, requests: int) -> float:
    """Processor time of the best of some rounds, per request: of 200 addresses, each with a user of its own if `user`."""
    callers = [Principal(number, "", is_admin=False) if user else None for number in range(200)]
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for number in range(requests):
            scope = {
                "type": "http",
                "method": "GET",
                "path": "/api/tokens/7",
                "headers": [],
                "client": (f"10.0.0.{number % 200}", 1),
                "state": {CALLER: callers[number % 200]},
            }
            await app(scope, nothing, drop)  # type: ignore[misc]
        rounds.append((time.process_time() - began) / requests * 1e6)
    return min(rounds)


async def compare(url: str, *, strangers: int, requests: int) -> None:
    """Print what is added to an answer that does nothing."""
    counters = open_counters(url, max_keys=KEYS)
    limiter = Limiter(counters, PER_ADDRESS, PER_USER, factor=1_000_000)
    for number in range(strangers):
        await limiter.take(Cost.READ, f"{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}.1", None)
    bare = await microseconds(answer, user=False, requests=requests)
    limits = Limits(answer, limiter=limiter)
    added = [await microseconds(limits, user=user, requests=requests) - bare for user in (False, True)]
    await counters.close()
    where = "this process" if url == MEMORY else "a store"
    print(f"{where}, {strangers:7,} other callers known: {added[0]:6.1f} us by address, {added[1]:6.1f} us by address and user")


async def contended(url: str, *, at_once: int) -> None:
    """Print how long a request waits for a store while others do as well."""
    counters = open_counters(url, max_keys=KEYS)
    limiter = Limiter(counters, PER_ADDRESS, PER_USER, factor=1_000_000)
    waits = []

    async def ask(caller: int) -> None:
        for _ in range(200):
            began = time.perf_counter()
            await limiter.take(Cost.READ, f"10.0.0.{caller}", caller)
            waits.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    await asyncio.gather(*map(ask, range(at_once)))
    rate = len(waits) / (time.perf_counter() - began)
    await counters.close()
    p50, p99 = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
    print(f"a store, {at_once} at once: p50/p99 {p50:.2f}/{p99:.2f} ms, {rate:,.0f} requests/s")


async def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", help="redis://127.0.0.1:6379/0, to be measured beside this process")
    arguments = parser.parse_args()
    for strangers in (0, KEYS):
        await compare(MEMORY, strangers=strangers, requests=REQUESTS)
    if arguments.store is not None:
        await compare(arguments.store, strangers=0, requests=REQUESTS // 20)
        for at_once in (1, 16):
            await contended(arguments.store, at_once=at_once)
        given_up = REGISTRY.get_sample_value("yousync_limit_store_failures_total") or 0
        print(f"the store did not answer in time {given_up:g} times; what followed was counted in this process")


if __name__ == "__main__":
    uvloop.run(main())
