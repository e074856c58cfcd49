"""What an audit has found."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a finding is. All but the first three are faults."""

    WAITING = "waiting"  # committed, not published yet
    IN_FLIGHT = "in_flight"  # published, on its way: in its queue or on a rung of the retry ladder
    DEAD = "dead"  # among the dead letters, for a person to decide
    LOST = "lost"  # published, and nowhere
    STUCK = "stuck"  # an open job that nothing will happen to any more
    GAP = "gap"  # the facts of a job are not 1, 2, 3..
    DUPLICATE = "duplicate"  # an effect that happened twice
    ORPHAN = "orphan"  # something that belongs to nothing

    @property
    def is_fault(self) -> bool:
        """Whether this must never be."""
        return self not in (Kind.WAITING, Kind.IN_FLIGHT, Kind.DEAD)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator may want to look at."""

    kind: Kind
    service: str  # whose outbox or table it is in
    event: str  # its type; what else it is where it is no event
    id: str  # of the message, job, take or channel
    subject: str
    time: datetime | None  # when it was committed
    text: str  # for a person

    def __str__(self) -> str:
        since = f" {self.time:%Y-%m-%dT%H:%M:%S.%f%z}" if self.time else ""
        return f"{self.kind.value:<9} {self.service} {self.event} {self.id} {self.subject}{since}: {self.text}"


@dataclass(slots=True)
class Count:
    """Messages of one event on their way to one queue; `queue` is empty where none hears the event."""

    service: str
    event: str
    queue: str
    waiting: int = 0
    handled: int = 0
    in_flight: int = 0
    dead: int = 0
    lost: int = 0


@dataclass(slots=True)
class Report:
    """The result of an audit."""

    began: datetime
    ended: datetime | None = None
    counts: list[Count] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    jobs: int = 0  # that were looked at

    @property
    def faults(self) -> list[Finding]:
        """What must never be."""
        return [finding for finding in self.findings if finding.kind.is_fault]

    def of(self, kind: Kind) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind is kind]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"faults": len(self.faults), **asdict(self)}

    def lines(self) -> Iterator[str]:
        """For a person."""
        heads = ("waiting", "handled", "in flight", "dead", "lost")
        yield f"{'service':<9} {'event':<22} {'queue':<21}" + "".join(f"{head:>11}" for head in heads)
        for count in self.counts:
            numbers = (count.waiting, count.handled, count.in_flight, count.dead, count.lost)
            where = count.queue or "(nobody listens)"
            yield f"{count.service:<9} {count.event:<22} {where:<21}" + "".join(f"{number:>11}" for number in numbers)
        yield f"{self.jobs} jobs looked at"
        yield from map(str, self.findings)
        yield f"{len(self.faults)} faults" if self.faults else "Nothing is lost, stuck or twice."
