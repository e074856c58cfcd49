"""One schedule: a few jobs, everything that may go wrong, and what must be true when nothing moves any more."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import sqlalchemy as sa

from libs.common.db import DatabaseUnavailable
from services.audio.models import JOBS
from tests.schedules.clients import Clients
from tests.schedules.contention import others_in_between
from tests.schedules.invariants import check, left_waiting
from tests.schedules.replica import RULES
from tests.schedules.turns import Turns
from tests.schedules.world import DATABASE_FAULTS, REPLICAS, Houses, World

STEPS = 3_000  # turns of a schedule; the longest of those that end take a tenth
RATES = (0.0, 0.05, 0.1, 0.25)  # of each fault, at each occasion
CLIENTS = (1, 1, 1, 2, 2, 3)
TIME_PASSES = 0.03  # at each turn
SWEEPS = 0.03
SWEEPS_IN_VAIN = 5  # who should have woken the dispatcher may have failed, but not more often than a job has attempts
PATIENCE = 1e6  # seconds of the real clock that a replica gets to finish


class Violation(AssertionError):
    """Something was lost, doubled or stuck; `log` is the way there."""

    def __init__(self, seed: int, wrong: list[str], log: list[str]) -> None:
        super().__init__("\n".join([f"seed {seed}:", *wrong]))
        self.seed = seed
        self.log = log


async def run(houses: Houses, seed: int) -> list[str]:
    """Run the schedule of `seed`; the way it took. Raises Violation."""
    turns = Turns(Random(seed))
    world = World(houses, turns, turns.random.choice(RATES))
    await world.open()
    clients = Clients(world)
    try:
        each = [world.start(clients.one(), world.draw_fate(*DATABASE_FAULTS)) for _ in range(turns.random.choice(CLIENTS))]
        with others_in_between(houses.audio):
            await _play(world, each)
        wrong = [repr(error) for error in world.failures] or await check(world, clients.accepted, clients.cancelled)
    except _Stuck as stuck:
        wrong = [str(stuck)]
    finally:
        await world.close()
    log = _readable(turns.log, clients.accepted)
    if wrong:
        raise Violation(seed, _readable(wrong, clients.accepted), log)
    return log


class _Stuck(Exception):
    pass


async def _play(world: World, clients: Sequence["asyncio.Task[None]"]) -> None:
    """Until the clients want no more, every job has ended and nobody sleeps; raises _Stuck."""
    turns = world.turns
    waited = 0  # times that a job still waited in vain when all was quiet
    for _ in range(STEPS):
        if world.failures:
            return
        if turns.chance(TIME_PASSES):
            _let_pass(world, turns.random.choice((1.0, RULES.lease_seconds / 2, RULES.lease_seconds)))
        if turns.chance(SWEEPS):
            world.start(_sweep(world), world.draw_fate())
        if turns.chance(world.rate / 10):
            world.start(world.replace(turns.random.randrange(REPLICAS), turns.random.choice((0.0, PATIENCE))))
        if await turns.next():
            continue
        if all(client.done() for client in clients) and not world.clock.sleepers and not await _open_jobs(world):
            return
        waiting = await left_waiting(world)
        waited = waited + 1 if waiting else 0
        if waited > SWEEPS_IN_VAIN:
            raise _Stuck(f"{waiting} waits though there is room")
        if not waiting:
            _let_pass(world, RULES.lease_seconds)
        world.start(_sweep(world))
    raise _Stuck("it does not come to an end")


def _let_pass(world: World, seconds: float) -> None:
    world.turns.note(f"{seconds:g} seconds pass")
    world.clock.advance(seconds)


async def _sweep(world: World) -> None:
    with suppress(DatabaseUnavailable):
        await world.turns.random.choice(world.replicas).sweeper.sweep()


async def _open_jobs(world: World) -> bool:
    async with world.audio.engine.connect() as connection:
        return (await connection.execute(sa.select(sa.exists().where(JOBS.c.finished_at.is_(None))))).scalar_one()


def _readable(lines: list[str], job_ids: list[str]) -> list[str]:
    """With short names for ids, which are new each time."""
    for place, job_id in enumerate(job_ids):
        lines = [line.replace(job_id, chr(ord("A") + place)) for line in lines]
    return lines
