"""What is done with dead letters."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from libs.common.bus.base import DeadLetter, HeldLetter, Unroutable
from libs.common.bus.rabbit.graveyard import HELD_AT_MOST, Graveyard
from yousync.dlq.letters import Filter, Groups


class Act(StrEnum):
    """What is to be done with a letter."""

    REDRIVE = "redrive"
    DROP = "drop"


@dataclass(slots=True)
class Done:
    """What became of the letters that matched."""

    settled: int = 0
    stayed: int = 0  # that could not be sent back
    more: bool = False  # that match were left alone, because of the limit


# Service, letter, and why it could not be sent back (empty when it was).
Tell = Callable[[str, DeadLetter, str], None]


async def count(graveyard: Graveyard, services: Iterable[str], which: Filter) -> Groups:
    """All letters that match, by group."""
    groups = Groups()
    for service in services:
        async with graveyard.take(service) as letters:
            async for held in letters:
                if which.matches(held.letter):
                    groups.add(service, held.letter)
    return groups


async def find(
    graveyard: Graveyard, services: Iterable[str], which: Filter, limit: int
) -> tuple[list[tuple[str, DeadLetter]], bool]:
    """At most `limit` letters that match with their services, those that died first in front; whether there are more."""
    found: list[tuple[str, DeadLetter]] = []
    for service in services:
        async with graveyard.take(service) as letters:
            async for held in letters:
                if which.matches(held.letter):
                    if len(found) == limit:
                        return _in_order(found), True
                    found.append((service, held.letter))
    return _in_order(found), False


async def settle(
    graveyard: Graveyard, services: Iterable[str], which: Filter, act: Act, *, limit: int, rate: float, tell: Tell, dry: bool
) -> Done:
    """Do `act` to the letters that match and died before this began: `limit` at most, and `rate` a second.

    Raises `BusUnavailable` when the broker fails; what was told until then is done.
    """
    now = datetime.now(UTC)
    which = replace(which, until=min(which.until or now, now))  # what dies again is for the next time
    pace = _Pace(rate)
    done = Done()
    for service in services:
        while not done.more and not await _walk(graveyard, service, which, act, limit, pace, tell, dry, done):
            continue  # it ended because nothing may be held for ever; what was done is gone, the rest is still there
    return done


async def _walk(
    graveyard: Graveyard, service: str, which: Filter, act: Act, limit: int, pace: "_Pace", tell: Tell, dry: bool, done: Done
) -> bool:
    """Whether all letters of `service` were met."""
    clock = asyncio.get_running_loop().time
    began, settled = clock(), done.settled
    async with graveyard.take(service) as letters:
        async for held in letters:
            if not which.matches(held.letter):
                continue
            if done.settled + done.stayed == limit:
                done.more = True
                return True
            if not dry:
                await pace.wait()
            try:
                await _do(held, act, dry)
            except Unroutable as error:
                done.stayed += 1
                tell(service, held.letter, error.detail)
            else:
                done.settled += 1
                tell(service, held.letter, "")
    return dry or settled == done.settled or clock() - began < HELD_AT_MOST


async def _do(held: HeldLetter, act: Act, dry: bool) -> None:
    if dry:
        return
    if act is Act.REDRIVE:
        await held.redrive()
    else:
        await held.drop()


class _Pace:
    """Lets its caller go on at most `rate` times a second."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._next > now:
            await asyncio.sleep(self._next - now)
        self._next = max(now, self._next) + self._interval


def _in_order(found: list[tuple[str, DeadLetter]]) -> list[tuple[str, DeadLetter]]:
    return sorted(found, key=lambda each: each[1].died)
