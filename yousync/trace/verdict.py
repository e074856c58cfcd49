"""In one sentence: how a job ended, what it waits for, or where it is stuck and since when."""

from datetime import datetime
from typing import Any

from libs.common.bus.topology import PREPROCESS, WORK, Queue
from yousync.trace.fate import PATIENCE, Fate, Where, all_fates, since
from yousync.trace.gather import Gathered, Row
from yousync.trace.words import REASONS, how_long

FINAL = ("analysis.completed", "analysis.failed", "analysis.cancelled")


def verdict(found: Gathered) -> tuple[str, bool]:
    """The sentence, and whether a person has to do something."""
    job = found.job
    if job is None:
        if "audio's database" in found.silent:
            return "nothing is known: the database of audio, which owns the jobs, does not answer", True
        return "there is no such job", True
    fate = _held_up(found)
    why = _why(found, fate) if fate else ""
    stuck = fate is not None and fate.where is not Where.RESTING  # what rests comes again by itself
    if job["finished_at"] is not None:
        return _ended(job) + (f", but {why}" if why else ""), stuck
    if why:
        return f"{'stuck' if stuck else 'held up'}: {why}", stuck
    return _waits(found, job)


def _ended(job: Row) -> str:
    took = how_long(job["finished_at"] - job["created_at"])
    attempts = f" at attempt {job['attempt']}" if job["attempt"] > 1 else ""
    match job["state"]:
        case "completed":
            return f"completed in {took}{attempts}"
        case "cancelled":
            return f"cancelled after {took}"
        case _:
            why = REASONS.get(job["reason"] or "", job["reason"] or "no reason is known")
            return f"failed after {took}{attempts}: {why}"


def _held_up(found: Gathered) -> Fate | None:
    """The first message that is not where it should be. Of one that was for an attempt that is over nobody speaks."""
    return next((fate for fate in all_fates(found) if fate.trouble and not _outdated(found, fate)), None)


def _outdated(found: Gathered, fate: Fate) -> bool:
    assert found.job is not None
    return (
        fate.message.type in ("analysis.requested", "preprocess.requested")
        and fate.message.body.get("lease") != found.job["lease"]
    )


def _why(found: Gathered, fate: Fate) -> str:
    message, queue = fate.message, fate.queue
    if fate.where is Where.UNSENT:
        cause = "the broker does not answer" if "broker" in found.silent else "the relay of audio does not run"
        return f"{message.type} is unsent in audio's outbox since {_clock(message.created_at)}: {cause}"
    if fate.where is Where.DEAD:
        return f"{message.type} is a dead letter of {queue.service}; its cause mended, `yousync dlq redrive --id {message.id}`"
    if fate.where is Where.RESTING:
        return f"{message.type} rests on the retry ladder: {fate.text}"
    if found.in_memory:
        return (
            f"{queue.service} has not handled {message.type} since {_clock(message.created_at)}; "
            "the queues are in the platform's memory: is it still running?"
        )
    assert message.sent_at is not None
    line = found.broker.lines.get(queue.name) if found.broker else None
    waits = f"{message.type} waits in {queue.name} since {_clock(message.sent_at)}"
    if found.broker is None:
        return f"{waits}; the broker, which would know why, does not answer"
    if line is None:
        return f"{message.type} was sent at {_clock(message.sent_at)} and the queue {queue.name} does not exist"
    if line.consumers == 0:
        return f"{waits} and nobody consumes it ({line.ready} wait there)"
    return f"{waits} and was not handled ({line.ready} wait there, {_many(line.consumers, 'consumer')})"


def _waits(found: Gathered, job: Row) -> tuple[str, bool]:
    """What an open job waits for that has no message in trouble."""
    overdue = found.now - PATIENCE
    if job["deadline"] < overdue:
        return f"stuck: its time was up at {_clock(job['deadline'])} and nobody ended it: audio does not sweep", True
    if job["lease_expires_at"] is not None and job["lease_expires_at"] < overdue:
        when = _clock(job["lease_expires_at"])
        return f"stuck: its lease ran out at {when} and nobody took it back: audio does not sweep", True
    match job["state"]:
        case "running":
            worker = job["worker"] or "an analysis server"
            return (
                f"running: {worker} has it at attempt {job['attempt']}, heard of {since(found, job['updated_at'])} ago",
                False,
            )
        case "dispatched":
            queue, server = _work_queue(job)
            line = found.broker.lines.get(queue.name) if found.broker else None
            others = f": {_many(line.ready, 'job')} in its work queue, {_many(line.consumers, 'consumer')}" if line else ""
            return f"waits for a free {server} since {_clock(job['updated_at'])}{others}", False
    if job["dispatch_at"] > found.now:
        left = how_long(job["dispatch_at"] - found.now)
        return f"waits for its next attempt, in {left} (it has had {_many(job['attempt'], 'attempt')})", False
    return (
        f"waits for its turn since {_clock(job['updated_at'])}: {_many(found.ahead, 'job')} of priority {job['priority']} "
        f"before it, {found.running} running",
        False,
    )


def _work_queue(job: Row) -> tuple[Queue, str]:
    """Where the job waits for a server, and for which."""
    return (PREPROCESS, "preprocessor") if job["film_id"] is not None else (WORK[job["priority"]], "analysis server")


def _clock(moment: Any) -> str:
    assert isinstance(moment, datetime)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
