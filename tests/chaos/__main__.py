"""Kill everything under load, and count what was lost: `python -m tests.chaos --seeds 10 --takes 300 [--short]`."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop

from tests.chaos.clients import Manner, Person
from tests.chaos.faults import FULL, SHORT, Chaos, Pace
from tests.chaos.fleet import Fleet, Load
from tests.chaos.verdict import Journal, Verdict, judge_books, judge_person, judge_refusals
from tests.e2e.platforms import refusals
from yousync.client import Client
from yousync.local.process import LocalServerError
from yousync.samples import TAKES

USERS = 6
UPLOADS_AT_ONCE = 32
LATE_SHARE = 4  # one more take for so many, uploaded while things break
SETTLE_SECONDS = 120.0  # without any end of a job: then it is stuck
AGE_OF_QUEUES_SECONDS = 6.0  # RabbitMQ 3.10 may lose a quorum queue that is younger when it is killed


class Run:
    """One seed on a fleet of its own."""

    def __init__(self, seed: int, takes: int, pace: Pace) -> None:
        self.chance = random.Random(seed)
        self.verdict = Verdict(seed)
        self.pace = pace
        self.takes = takes
        # The last of the first takes is to be scored when about the last thing breaks.
        slots = max(1, round(takes * Load.work / (Load.workers * pace.window)))
        self.folder = Path(tempfile.mkdtemp(prefix=f"yousync-chaos-{seed}-"))
        self.fleet = Fleet(self.folder / "state", Load(slots))
        self.people: list[Person] = []
        self.began = time.monotonic()

    def say(self, what: str) -> None:
        in_flight = sum(not person.done for person in self.people)
        print(f"  {time.monotonic() - self.began:6.1f} s  {in_flight:4} open  {what}", flush=True)

    async def run(self) -> Verdict:
        """Everything from the start of the fleet to the verdict."""
        print(f"seed {self.verdict.seed}: {self.takes} takes, {Load.workers} workers with {self.fleet.load.slots} slots")
        try:
            await self.fleet.start()
            await self.fleet.import_samples()
            await asyncio.sleep(AGE_OF_QUEUES_SECONDS)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as http:
                await self._live(http)
        except (LocalServerError, aiohttp.ClientError, OSError, TimeoutError) as error:
            self.verdict.stuck.append(f"the platform does not answer: {error!r}")
            self.say(self.verdict.findings[-1])
        finally:
            await self.fleet.stop()
        if self.verdict.holds:
            shutil.rmtree(self.folder)
        else:
            print(f"  logs and databases are kept in {self.folder}")
        return self.verdict

    async def _live(self, http: aiohttp.ClientSession) -> None:
        tokens = await self._tokens()
        first = [self._person(number, tokens) for number in range(self.takes)]
        gate = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def arrive(person: Person) -> None:
            async with gate:
                await person.upload(http)

        await asyncio.gather(*map(arrive, first))
        self.say(f"{len(first)} takes are in flight")
        following = [asyncio.create_task(person.follow(http)) for person in first]
        chaos = Chaos(self.fleet, self.pace, self.chance, self.say)
        breaking = asyncio.create_task(chaos.run())
        try:
            for number in range(self.takes // LATE_SHARE):
                person = self._person(self.takes + number, tokens)
                following.append(asyncio.create_task(person.take_part(http)))
                await asyncio.sleep(self.chance.uniform(0, 2 * LATE_SHARE * self.pace.window / self.takes))
            await breaking
            self.say("nothing is broken any more")
            await self._settle(following)
        finally:
            for task in (breaking, *following):
                task.cancel()
            await asyncio.gather(breaking, *following, return_exceptions=True)
        await self._judge(http, chaos)

    async def _tokens(self) -> list[str | None]:
        """Of each user, and of nobody."""
        tokens: list[str | None] = [None]
        for number in range(USERS):
            async with Client(self.fleet.url) as client:
                tokens.append(await client.sign_in(f"learner-{number}@example.org"))
        return tokens

    def _person(self, number: int, tokens: list[str | None]) -> Person:
        script_id = self.chance.choice((1, 2))
        person = Person(
            name=f"person {number}",
            url=self.fleet.url,
            script_id=script_id,
            recording=(TAKES / f"script-{script_id}.flac").read_bytes(),
            token=self.chance.choice(tokens),
            manner=self.chance.choices(tuple(Manner), (12, 6, 2, 1))[0],
            chance=random.Random(self.chance.random()),
        )
        self.people.append(person)
        return person

    async def _settle(self, following: list["asyncio.Task[None]"]) -> None:
        """Wait for everybody, as long as anything still ends."""
        waiting = set(following)
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=SETTLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if not done:
                break
        self.say(f"{len(self.people) - len(waiting)} of {len(self.people)} people saw the end")

    async def _judge(self, http: aiohttp.ClientSession, chaos: Chaos) -> None:
        verdict = self.verdict
        await self.fleet.ready()
        for name in self.fleet.deaths:
            verdict.unexplained.append(f"{name} ended by itself")
        verdict.unexplained += refusals(self.fleet.state_dir)
        journal = Journal(self.fleet.journal.read_text().splitlines())
        for person in self.people:
            state = await person.state(http) if person.job_id is not None else {}
            if person.done:
                await person.come_back(http)
            if person.refusals and person.job_id is not None and await person.send(http) != person.job_id:
                verdict.duplicated.append(f"{person.name} sent the same take with the same key and got another job")
            judge_person(verdict, person, state, journal)
        judge_refusals(verdict, (r for person in self.people for r in person.refusals), chaos.wounds)
        verdict.attempts = journal.attempts
        await judge_books(verdict, self.fleet.stores, self.people, journal, chaos.wounds)
        for queue, wanted in self._consumers().items():
            found = (await self.fleet.broker.consumers()).get(queue, 0)
            if found < wanted:
                verdict.stuck.append(f"queue {queue} has {found} consumers, not {wanted}")
        for finding in verdict.findings:
            self.say(finding)

    def _consumers(self) -> dict[str, int]:
        work = {f"analysis.work.{priority}": self.fleet.load.workers for priority in ("high", "normal", "low")}
        return {**work, "audio.events": 1, "audio.reports": 1, "notifier.events": 1}


def table(verdicts: list[Verdict]) -> str:
    """All seeds at one look."""
    rows = {str(verdict.seed): verdict.counts for verdict in verdicts}
    names = list(verdicts[0].counts)
    rows["all"] = {name: sum(verdict.counts[name] for verdict in verdicts) for name in names}
    lines = [["seed", *names], *([name, *map(str, row.values())] for name, row in rows.items())]
    return "\n".join("".join(f"{cell:>12}" for cell in line) for line in lines)


def seeds(text: str) -> list[int]:
    """`10`: the first ten; `7,21` and `7,`: these."""
    return [int(seed) for seed in text.split(",") if seed] if "," in text else list(range(1, int(text) + 1))


async def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=seeds, default="1")
    parser.add_argument("--takes", type=int, default=300)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # a fleet outlives us unless it is ended
    verdicts = []
    for seed in options.seeds:
        began = time.monotonic()
        verdicts.append(await Run(seed, options.takes, SHORT if options.short else FULL).run())
        print(f"seed {seed}: {'holds' if verdicts[-1].holds else 'DOES NOT HOLD'} ({time.monotonic() - began:.0f} s)\n")
    print(table(verdicts))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
