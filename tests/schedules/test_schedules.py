"""The real handlers under some of the schedules; `make schedules` runs thousands."""

import pytest

from tests.schedules.schedule import Violation, run
from tests.schedules.world import Houses

SEEDS = 60


@pytest.mark.parametrize("first", range(0, SEEDS, 15))
async def test_whatever_goes_wrong_every_job_ends_once_and_its_client_is_told_once(houses: Houses, first: int) -> None:
    for seed in range(first, first + 15):
        try:
            await run(houses, seed)
        except Violation as violation:
            await houses.empty()
            pytest.fail("\n".join([str(violation), "The way there:", *violation.log]))


async def test_a_seed_takes_the_same_way_again(houses: Houses) -> None:
    for seed in range(10):
        assert await run(houses, seed) == await run(houses, seed), seed
