"""What became of a message on its way to each queue that hears it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from libs.common.bus.topology import QUEUES, Queue, matches
from yousync.trace.gather import Gathered, Row, Sent
from yousync.trace.words import how_long

# Longer than a relay, a broker and a handler need together when all of them are well.
PATIENCE = timedelta(seconds=5)


class Where(StrEnum):
    """Where a message is."""

    UNSENT = "unsent"  # in the outbox
    UNDER_WAY = "under way"  # in its queue, or a handler has it
    RESTING = "resting"  # on the retry ladder
    DEAD = "dead"
    HANDLED = "handled"
    UNKNOWN = "unknown"  # what would know does not answer


@dataclass(frozen=True, slots=True)
class Fate:
    """One message on its way to one queue."""

    message: Sent
    queue: Queue
    where: Where
    text: str
    trouble: bool
    at: datetime | None = None  # when it was handled


def fates(found: Gathered, message: Sent) -> list[Fate]:
    """One for each queue that hears the message."""
    heard = [queue for queue in QUEUES if any(matches(pattern, message.routing_key) for pattern in queue.bindings)]
    return [_fate(found, message, queue) for queue in heard]


def all_fates(found: Gathered) -> Iterator[Fate]:
    """Those of all messages of the job, oldest first."""
    for message in found.sent:
        yield from fates(found, message)


def since(found: Gathered, moment: datetime) -> str:
    """How long that is ago."""
    return how_long(found.now - moment)


def _fate(found: Gathered, message: Sent, queue: Queue) -> Fate:
    out = message.created_at if found.in_memory else message.sent_at
    if (done := _handled_at(found, message, queue)) is not None:
        return Fate(message, queue, Where.HANDLED, _handled(done, message, queue), False, done.at)
    if out is None:
        late = found.now - message.created_at > PATIENCE
        return Fate(message, queue, Where.UNSENT, f"unsent for {since(found, message.created_at)}", late)
    for letter in found.broker.dead if found.broker else ():
        if letter.message.id == message.id and letter.queue == queue.name:
            text = f"dead letter of {queue.service} ({letter.reason}) after {_attempts(letter.attempts)}: {letter.error}"
            return Fate(message, queue, Where.DEAD, text, True)
    for rest in found.broker.resting if found.broker else ():
        if rest.message.id == message.id and rest.queue == queue.name:
            text = f"{queue.service} failed at attempt {rest.message.attempt - 1}, again within {rest.delay:g} s"
            return Fate(message, queue, Where.RESTING, text, True)
    if f"{queue.service}'s database" in found.silent:
        return Fate(message, queue, Where.UNKNOWN, f"what {queue.service} did with it is not known", False)
    waits = f"waits in {queue.name} for {since(found, out)}"
    return Fate(message, queue, Where.UNDER_WAY, waits, _is_late(found, out, queue))


def _is_late(found: Gathered, sent_at: datetime, queue: Queue) -> bool:
    """Work may wait as long as somebody is there to do it; everything else is to be handled at once."""
    if found.now - sent_at <= PATIENCE:
        return False
    if queue.service != "analysis":
        return True
    line = found.broker.lines.get(queue.name) if found.broker else None
    return found.broker is not None and (line is None or line.consumers == 0)


@dataclass(frozen=True, slots=True)
class _Done:
    at: datetime
    attempt: int = 1


def _handled_at(found: Gathered, message: Sent, queue: Queue) -> _Done | None:
    """When the queue's service was done with the message, if it is."""
    if queue.service == "analysis":
        taken = _taken_up(found, message)
        return None if taken is None else _Done(taken)
    handled = [_Done(each.at, each.attempt) for each in found.handled.get(message.id, ()) if each.service == queue.service]
    return max(handled, key=lambda done: done.at, default=None)


def _handled(done: _Done, message: Sent, queue: Queue) -> str:
    """Since it was sent. It is noted as sent, with others, only after the broker has it: a fast handler may be first."""
    if message.sent_at is not None and message.sent_at <= done.at:
        took = f"after {how_long(done.at - message.sent_at)}"
    else:
        took = f"within {how_long(done.at - message.created_at)}"
    if queue.service == "analysis":
        return f"taken from {queue.name} {took}"
    retried = f" at attempt {done.attempt}" if done.attempt > 1 else ""
    return f"{queue.service} handled it {took}{retried}"


def _attempts(number: int) -> str:
    return f"{number} attempt{'' if number == 1 else 's'}"


def _taken_up(found: Gathered, message: Sent) -> datetime | None:
    """When somebody was first heard of under the lease that the message grants, or it was no longer of any use.

    Analysis servers have no inbox: what the job's log has behind the dispatch tells what became of the message.
    """
    lease = str(message.body.get("lease", ""))
    handed_out = False
    for step in found.log:
        if handed_out and step["event"] not in ("dispatch", "tick"):
            return _at(step)
        if handed_out:
            return None if found.job is not None and found.job["finished_at"] is None and step is found.log[-1] else _at(step)
        handed_out = bool(step["lease"]) and lease.startswith(step["lease"]) and step["state"] == "dispatched"
    return None


def _at(step: Row) -> datetime:
    at: datetime = step["at"]
    return at
