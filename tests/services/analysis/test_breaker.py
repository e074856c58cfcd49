"""When a server is asked and when it is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.analysis.breaker import Breaker, State


class Server:
    """Plays the server: whether it takes connections, and how often that was tried."""

    def __init__(self) -> None:
        self.up = True
        self.looks = 0
        self.states: list[State] = []

    async def reachable(self) -> bool:
        self.looks += 1
        return self.up


@asynccontextmanager
async def guarding(server: Server, *, failures: int = 3) -> AsyncIterator[Breaker]:
    breaker = Breaker(
        "server",
        failures=failures,
        first_pause=0.01,
        longest_pause=0.02,
        reachable=server.reachable,
        on_change=server.states.append,
    )
    yield breaker
    await breaker.close()


def is_open(breaker: Breaker) -> bool:
    """Whether nothing may be asked for."""
    return not breaker.passable


def fail(breaker: Breaker, *, certainly: bool = False) -> None:
    with breaker.call() as call:
        call.failed(certainly=certainly)


async def test_a_server_that_works_is_asked() -> None:
    async with guarding(Server()) as breaker:
        assert breaker.passable
        await breaker.gone()


async def test_failures_in_a_row_open_it() -> None:
    async with guarding(Server(), failures=3) as breaker:
        fail(breaker)
        fail(breaker)
        assert breaker.passable
        fail(breaker)
        assert is_open(breaker)
        assert breaker.state is State.OPEN


async def test_a_success_between_failures_begins_the_count_anew() -> None:
    async with guarding(Server(), failures=2) as breaker:
        for _ in range(5):
            fail(breaker)
            with breaker.call() as call:
                call.succeeded()
        assert breaker.state is State.CLOSED


async def test_a_server_that_takes_no_connection_is_down_at_once() -> None:
    async with guarding(Server(), failures=3) as breaker:
        fail(breaker, certainly=True)
        assert breaker.state is State.OPEN


async def test_a_server_that_takes_connections_again_gets_one_job_and_then_all() -> None:
    server = Server()
    async with guarding(server, failures=1) as breaker:
        fail(breaker)
        await asyncio.wait_for(breaker.gone(), 5)
        assert breaker.state is State.HALF_OPEN
        with breaker.call() as call:
            assert is_open(breaker)
            call.succeeded()
        assert breaker.passable
    assert server.states == [State.CLOSED, State.OPEN, State.HALF_OPEN, State.CLOSED]


async def test_no_job_is_spent_on_a_server_that_takes_no_connections() -> None:
    server = Server()
    server.up = False
    async with guarding(server, failures=1) as breaker:
        fail(breaker)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(breaker.gone(), 0.2)
        assert server.looks >= 3
        server.up = True
        await asyncio.wait_for(breaker.gone(), 5)


async def test_a_job_that_fails_after_the_pause_makes_another_pause() -> None:
    server = Server()
    async with guarding(server, failures=3) as breaker:
        fail(breaker, certainly=True)
        await asyncio.wait_for(breaker.gone(), 5)
        fail(breaker)
        assert breaker.state is State.OPEN
        await asyncio.wait_for(breaker.gone(), 5)


async def test_a_job_that_says_nothing_about_the_server_lets_the_next_one_find_out() -> None:
    async with guarding(Server(), failures=1) as breaker:
        fail(breaker)
        await asyncio.wait_for(breaker.gone(), 5)
        with breaker.call():
            assert is_open(breaker)
        assert breaker.passable
        assert breaker.state is State.HALF_OPEN


async def test_late_failures_of_jobs_from_before_change_nothing_while_it_is_open() -> None:
    server = Server()
    async with guarding(server, failures=1) as breaker:
        with breaker.call() as one, breaker.call() as other:
            one.failed()
            other.failed()
    assert server.states == [State.CLOSED, State.OPEN]
