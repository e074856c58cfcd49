"""What is done to the fleet, and when: a seed's own order of everything there is."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from libs.common.bus.topology import AUDIO, AUDIO_REPORTS, NOTIFIER, WORK_HIGH
from tests.chaos.fleet import Fleet

BROKER, POSTGRES = "rabbitmq", "postgresql"
SERVICES = ("gateway", "auth", "catalog", "audio", "notifier")

TRIES, AGAIN_SECONDS = 30, 0.5
WORTH_SAYING_SECONDS = 1.5  # longer than a restart

_RAISE = """
CREATE OR REPLACE FUNCTION chaos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF random() < 0.7 THEN RAISE EXCEPTION 'chaos'; END IF; RETURN NEW; END $$;
CREATE TRIGGER chaos BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION chaos()
"""


@dataclass(frozen=True)
class Pace:
    """How long things last. Times are seconds."""

    window: float  # in which all faults begin
    down: float  # the broker after its kill
    frozen: float  # broker and database stopped
    alarm: float
    raising: float


FULL = Pace(window=100.0, down=60.0, frozen=30.0, alarm=12.0, raising=6.0)
SHORT = Pace(window=30.0, down=1.0, frozen=7.0, alarm=5.0, raising=3.0)


@dataclass(frozen=True)
class Wound:
    """Something that was done: `what` to `whom`, from `began` to `ended` (time.time())."""

    what: str
    whom: str
    began: float
    ended: float

    def touches(self, began: float, ended: float, *, healing: float = 0.0) -> bool:
        """Whether it was felt at any moment between the two, it or its consequences of `healing` seconds."""
        return self.began <= ended and began <= self.ended + healing


Deed = Callable[[], Awaitable[None]]


@dataclass
class Chaos:
    """All faults, once each, for one fleet. `say` prints."""

    fleet: Fleet
    pace: Pace
    chance: random.Random
    say: Callable[[str], None]
    wounds: list[Wound] = field(default_factory=list)

    async def run(self) -> None:
        """Do everything, each at its moment or as soon as what it needs is whole. Returns when all is over."""
        deeds = self._deeds()
        moments = sorted(self.chance.uniform(0, self.pace.window) for _ in deeds)
        self.chance.shuffle(deeds)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for moment, deed in zip(moments, deeds, strict=True):
                await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
                group.create_task(deed())  # type: ignore[arg-type]

    def _deeds(self) -> list[Deed]:
        fleet, chance = self.fleet, self.chance
        hanging, cut = chance.sample(fleet.workers, 2)
        deeds: list[Deed] = [self._kill(name) for name in (*SERVICES, *fleet.workers)]
        deeds += [self._kill("audio"), self._kill_broker, self._freeze_broker, self._freeze_postgres, self._alarm]
        deeds += [self._cut(name) for name in ("audio", "notifier", "gateway", cut)]
        deeds += [self._cancel(queue.name) for queue in (AUDIO, AUDIO_REPORTS, NOTIFIER, WORK_HIGH)]
        deeds += [self._crash_queue, self._hang(hanging)]
        deeds += [self._raise("notifier", "frames", "INSERT"), self._raise("audio", "jobs", "UPDATE")]
        return deeds

    def _kill(self, name: str) -> Deed:
        async def deed() -> None:
            async with self._doing("kill -9", name):
                await self.fleet.kill(name)

        return deed

    async def _kill_broker(self) -> None:
        async with self._doing("kill -9", BROKER):
            await self.fleet.broker.kill()
            await asyncio.sleep(self.pace.down)
            await self.fleet.broker.start()

    async def _freeze_broker(self) -> None:
        async with self._doing("stop and continue", BROKER):
            self.fleet.broker.pause()
            try:
                await asyncio.sleep(self.pace.frozen)
            finally:
                self.fleet.broker.resume()

    async def _freeze_postgres(self) -> None:
        async with self._doing("stop and continue", POSTGRES):
            processes = self.fleet.pause_postgres()
            try:
                await asyncio.sleep(self.pace.frozen)
            finally:
                self.fleet.resume_postgres(processes)

    async def _alarm(self) -> None:
        async with self._doing("memory alarm", BROKER):
            await self.fleet.broker.alarm(on=True)
            await asyncio.sleep(self.pace.alarm)
            await self.fleet.broker.alarm(on=False)

    def _cut(self, name: str) -> Deed:
        async def deed() -> None:
            async with self._doing("cut without FIN", name):
                await self._until_it_bites(self._silence, name, "connections are silent")

        return deed

    async def _silence(self, name: str) -> int:
        return self.fleet.proxies[name].silence()

    async def _until_it_bites(self, deed: Callable[[str], Awaitable[int]], whom: str, what: str) -> None:
        """Something else may just have taken away what is to be hurt; a restart brings it back within seconds."""
        for _ in range(TRIES):
            if number := await deed(whom):
                self.say(f"  {number} {what}")
                return
            await asyncio.sleep(AGAIN_SECONDS)
        self.say(f"  none of the {what}: it does not come back")

    def _cancel(self, queue: str) -> Deed:
        async def deed() -> None:
            async with self._doing(f"consumers of {queue} cancelled", BROKER):
                await self._until_it_bites(self.fleet.broker.cancel_consumers, queue, "consumers were told")

        return deed

    async def _crash_queue(self) -> None:
        async with self._doing(f"queue {AUDIO_REPORTS.name} crashed", BROKER):
            await self.fleet.broker.crash_queue(AUDIO_REPORTS.name)

    def _hang(self, name: str) -> Deed:
        async def deed() -> None:
            async with self._doing("hangs", name):
                self.fleet.pause(name)
                try:
                    await asyncio.sleep(2 * self.fleet.load.lease)  # its leases run out, others take over
                finally:
                    self.fleet.resume(name)

        return deed

    def _raise(self, service: str, table: str, event: str) -> Deed:
        """A handler that raises what nobody expects: for a while the database refuses two of three writes to `table`."""

        async def deed() -> None:
            url = self.fleet.backing.owner_urls[service].replace("+asyncpg", "")
            async with self._lock(POSTGRES), self._doing("handlers raise", service):
                connection = await asyncpg.connect(url)
                try:
                    await connection.execute(_RAISE.format(event=event, table=table))
                    await asyncio.sleep(self.pace.raising)
                    await connection.execute(f"DROP TRIGGER chaos ON {table}")
                finally:
                    await connection.close()

        return deed

    def _lock(self, name: str) -> asyncio.Lock:
        return self.fleet.locks[name]

    @asynccontextmanager
    async def _doing(self, what: str, whom: str) -> AsyncIterator[None]:
        """One thing at a time to one and the same victim."""
        async with self._lock(whom):
            began = time.time()
            self.say(f"{what}: {whom}")
            yield
            ended = time.time()
            self.wounds.append(Wound(what, whom, began, ended))
            if ended - began > WORTH_SAYING_SECONDS:
                self.say(f"{what}: {whom}: over after {ended - began:.1f} s")
