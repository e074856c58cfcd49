"""One schedule: a few jobs, everything that may go wrong, and what must be true when nothing moves any more."""

from contextlib import suppress
from random import Random

import sqlalchemy as sa

from libs.common.db import DatabaseUnavailable
from services.audio.models import JOBS
from services.audio.service import JobService
from tests.schedules.faults import draw_fate
from tests.schedules.invariants import check
from tests.schedules.turns import Fault, Turns
from tests.schedules.world import RULES, Houses, World

STEPS = 3_000  # turns of a schedule; the longest of those that end take a tenth
RATES = (0.0, 0.02, 0.06, 0.15)  # of each fault, at each occasion
CLIENTS = (1, 1, 1, 2, 2, 3)
TIME_PASSES = 0.03  # at each turn
SWEEPS = 0.03


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
    accepted: list[str] = []
    try:
        clients = turns.random.choice(CLIENTS)
        for _ in range(clients):
            fate = draw_fate(turns, Fault.DATABASE_AWAY, Fault.DATABASE_IN_DOUBT) if turns.chance(world.rate) else None
            world.start(_client(world, accepted), fate)
        await _play(world, accepted, clients)
        wrong = [repr(error) for error in world.failures] or await check(world, accepted)
    except _Stuck:
        wrong = ["it does not come to an end"]
    finally:
        await world.close()
    log = _readable(turns.log, accepted)
    if wrong:
        raise Violation(seed, _readable(wrong, accepted), log)
    return log


class _Stuck(Exception):
    pass


async def _client(world: World, accepted: list[str]) -> None:
    """Uploads, and asks again with the same key until it knows its job."""
    upload = world.upload()
    while True:
        try:
            return accepted.append(await upload())
        except DatabaseUnavailable:
            world.turns.note("  the client tries again")


async def _sweep(jobs: JobService) -> None:
    with suppress(DatabaseUnavailable):
        await jobs.sweep()


async def _play(world: World, accepted: list[str], clients: int) -> None:
    """Until every client knows its job, every job has ended and nobody sleeps; raises _Stuck."""
    turns = world.turns
    for _ in range(STEPS):
        if world.failures:
            return
        if turns.chance(TIME_PASSES):
            _let_pass(world, turns.random.choice((1.0, RULES.lease_seconds / 2, RULES.lease_seconds)))
        if turns.chance(SWEEPS):
            _start_sweep(world)
        if await turns.next():
            continue
        if len(accepted) == clients and not world.clock.sleepers and not await _open_jobs(world):
            return
        _let_pass(world, RULES.lease_seconds)
        _start_sweep(world)
    raise _Stuck


def _let_pass(world: World, seconds: float) -> None:
    world.turns.note(f"{seconds:g} seconds pass")
    world.clock.advance(seconds)


def _start_sweep(world: World) -> None:
    fate = draw_fate(world.turns) if world.turns.chance(world.rate) else None
    world.start(_sweep(world.turns.random.choice(world.replicas)), fate)


async def _open_jobs(world: World) -> bool:
    async with world.audio.engine.connect() as connection:
        return (await connection.execute(sa.select(sa.exists().where(JOBS.c.finished_at.is_(None))))).scalar_one()


def _readable(lines: list[str], job_ids: list[str]) -> list[str]:
    """With short names for ids, which are new each time."""
    names = {job_id: f"job {chr(ord('A') + place)}" for place, job_id in enumerate(job_ids)}
    for job_id, name in names.items():
        lines = [line.replace(job_id, name) for line in lines]
    return lines
