"""Many schedules one after the other, and what they came to."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from libs.common.migrations import upgrade
from tests.schedules.schedule import Violation, run
from tests.schedules.world import Houses


class Outcome:
    """What some schedules came to."""

    def __init__(self) -> None:
        self.failed: list[tuple[int, str, list[str]]] = []
        self.turns = 0
        self.faults = Counter[str]()
        self.last: Sequence[str] = ()  # the way of the last schedule

    def add(self, log: Sequence[str]) -> None:
        """Count what is in the way of one schedule."""
        notes = [line.strip().split(":")[0] for line in log if line.startswith("  ")]
        self.faults.update(note for note in notes if not note.startswith("fate"))
        self.turns += len(log) - len(notes)
        self.last = log


async def run_all(seeds: Sequence[int], audio_url: str, notifier_url: str) -> Outcome:
    """Run the schedules of `seeds` one after the other over two fresh databases."""
    await upgrade("services.audio", audio_url)
    await upgrade("services.notifier", notifier_url)
    houses = Houses(audio_url, notifier_url)
    await houses.empty()
    outcome = Outcome()
    for seed in seeds:
        try:
            outcome.add(await run(houses, seed))
        except Violation as violation:
            outcome.failed.append((seed, str(violation), violation.log))
            outcome.add(violation.log)
            await houses.empty()
    await houses.close()
    return outcome


def work(seeds: Sequence[int], audio_url: str, notifier_url: str) -> Outcome:
    """`run_all` in a process of its own."""
    logging.disable(logging.CRITICAL)
    return asyncio.run(run_all(seeds, audio_url, notifier_url))
