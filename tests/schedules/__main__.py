"""`python -m tests.schedules`: many schedules, on all cores; what it prints is enough to take a failing one's way again."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.schedules.many import Outcome, work
from yousync.local.postgres import PrivatePostgres

COUNT = 1_000
SHOWN = 5  # failing schedules whose way is printed; the seeds of all are


def main() -> int:
    """Exit code 1 if a schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.schedules")
    parser.add_argument("--count", type=int, help=f"schedules to run ({COUNT}; 1 if --seed is given)")
    parser.add_argument("--seed", type=int, help="of the first schedule; alone: run this one and print its way")
    arguments = parser.parse_args()
    count = arguments.count or (COUNT if arguments.seed is None else 1)
    seeds = range(arguments.seed or 0, (arguments.seed or 0) + count)
    processes = min(len(os.sched_getaffinity(0)), count)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        postgres = PrivatePostgres(Path(folder), durable=False)
        postgres.start()
        try:
            urls = [
                [postgres.create_database(f"{name}_{place}") for name in ("audio", "notifier")] for place in range(processes)
            ]
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
                running = [pool.submit(work, seeds[place::processes], *urls[place]) for place in range(processes)]
                outcomes = [each.result() for each in running]
        finally:
            postgres.stop()
    return report(outcomes, count, time.monotonic() - began)


def report(outcomes: Sequence[Outcome], count: int, seconds: float) -> int:
    """Print what happened; the exit code."""
    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    if count == 1:
        print(*outcomes[0].last, sep="\n")
    print(f"{count} schedules, {sum(outcome.turns for outcome in outcomes)} turns, {seconds:.0f} s")
    for fault, number in faults.most_common():
        print(f"  {number:8} {fault}")
    failed = sorted(each for outcome in outcomes for each in outcome.failed)
    for _, wrong, log in failed[:SHOWN]:
        print(f"\n{wrong}", *(["The way there:", *log] if count > 1 else []), sep="\n  ")
    print(f"\n{len(failed)} failed" + "".join(f"\n  make schedules SEED={seed}" for seed, _, _ in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
