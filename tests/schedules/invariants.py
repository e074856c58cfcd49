"""What must be true of jobs when nothing moves any more, whatever went wrong on the way."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from libs.common.bus.topology import AUDIO, NOTIFIER, Queue, matches
from libs.common.contracts.notifier import Frame, job_channel
from libs.common.db import Database
from libs.common.inbox import INBOX
from libs.common.outbox.table import OUTBOX
from services.audio.job_repository import LEASE_DIGITS
from services.audio.jobs import State
from services.audio.models import JOB_LOG, JOBS
from services.notifier.models import FRAMES
from tests.schedules.replica import RULES, UNCLAIMED
from tests.schedules.servers import result_of
from tests.schedules.world import World

# The last fact of a job, by its last state, and what clients are told.
ENDS = {
    State.COMPLETED: ("analysis.completed", "completed"),
    State.FAILED: ("analysis.failed", "failed"),
    State.CANCELLED: ("analysis.cancelled", "failed"),
}
FINAL = [fact for fact, _ in ENDS.values()]


async def check(world: World, accepted: Collection[str], cancelled: Collection[str]) -> list[str]:
    """What is wrong, in words; nothing if the list is empty.

    `accepted` are the jobs that clients were told of, `cancelled` those of which they were told that they are.
    """
    messages = await _rows(world.audio, sa.select(OUTBOX).where(OUTBOX.c.id > world.first_message).order_by(OUTBOX.c.id))
    begun = [_body(message)["job_id"] for message in messages if message.type == "audio.uploaded"]
    wrong = [f"job {job_id} began {begun.count(job_id)} times" for job_id in accepted if begun.count(job_id) != 1]
    wrong += [f"job {job_id} is nobody's" for job_id in begun if job_id not in accepted]
    wrong += [f"{message.type} of {message.subject} was never sent" for message in messages if message.sent_at is None]
    for database, queue in ((world.audio, AUDIO), (world.notifier, NOTIFIER)):
        due = {message.message_id for message in messages if _goes_to(queue, message)}
        noted = Counter(row.message_id for row in await _rows(database, sa.select(INBOX).where(INBOX.c.message_id.in_(due))))
        wrong += [
            f"message {message_id} has {noted[message_id]} rows in the inbox of {queue.service}"
            for message_id in due
            if noted[message_id] != 1
        ]
    jobs = await _rows(world.audio, sa.select(JOBS).where(JOBS.c.id.in_(begun)))
    wrong += [f"job {job.id} is {job.state} again" for job in jobs if job.id in cancelled and job.state != State.CANCELLED]
    wrong += [
        f"job {job} is done over {times} times"
        for job, times in Counter(j.retry_of for j in jobs if j.retry_of).items()
        if times > 1
    ]
    logs = await _rows(world.audio, sa.select(JOB_LOG).where(JOB_LOG.c.job_id.in_(begun)).order_by(JOB_LOG.c.version))
    channels = [job_channel(job.id) for job in jobs]
    frames = await _rows(world.notifier, sa.select(FRAMES).where(FRAMES.c.channel.in_(channels)).order_by(FRAMES.c.sequence))
    for job in jobs:
        channel = job_channel(job.id)
        facts = [message for message in messages if message.subject == channel]
        requests = [message for message in messages if message.subject == f"work:{job.id}"]
        wrong += _wrong_with_job(job, facts, requests)
        wrong += _wrong_with_log(job, [row for row in logs if row.job_id == job.id], requests)
        kept = [frame for frame in frames if frame.channel == channel]
        wrong += _wrong_with_frames(channel, facts, kept)
        wrong += _wrong_with_heard(channel, kept, world.frames)
    wrong += await _left_on_bus(world)
    return wrong


async def left_waiting(world: World) -> str | None:
    """A job that should be in a work queue by now, when nothing moves and time was swept; None if there is none."""
    open_jobs = await _rows(world.audio, sa.select(JOBS).where(JOBS.c.finished_at.is_(None)))
    running = sum(job.state == State.RUNNING for job in open_jobs)
    for job in open_jobs:
        unclaimed = sum(other.state == State.DISPATCHED and other.priority == job.priority for other in open_jobs)
        if job.state == State.QUEUED and job.dispatch_at <= world.clock() and unclaimed < max(UNCLAIMED, running):
            return f"job {job.id}"
    return None


def _wrong_with_job(job: Any, facts: Sequence[Any], requests: Sequence[Any]) -> Iterator[str]:
    if job.finished_at is None or State(job.state) not in ENDS:
        yield f"job {job.id} is still {job.state}"
        return
    sequences = [_body(fact)["sequence"] for fact in facts]
    if sequences != list(range(1, job.sequence + 1)):
        yield f"job {job.id} has told {sequences} and counted {job.sequence}"
    ends = [fact.type for fact in facts if fact.type in FINAL]
    if ends != [ENDS[State(job.state)][0]] or facts[-1].type not in FINAL:
        yield f"job {job.id} is {job.state} and has told {[fact.type for fact in facts]}"
    leases = [_body(request)["lease"] for request in requests]
    attempts = [_body(request)["attempt"] for request in requests]
    if len(set(leases)) < len(leases):
        yield f"job {job.id} was given out twice under one lease"
    if attempts != sorted(attempts) or not set(attempts) <= set(range(1, RULES.max_attempts + 1)):
        yield f"job {job.id} had the attempts {attempts}"
    if job.state == State.COMPLETED:
        before = [_body(request)["lease"] for request in requests if request.id < facts[-1].id]
        if not before or job.result != result_of(before[-1]):
            yield f"job {job.id} has the result {job.result} of somebody who did not hold its lease"
    elif job.result is not None:
        yield f"job {job.id} is {job.state} and has a result"


def _wrong_with_log(job: Any, rows: Sequence[Any], requests: Sequence[Any]) -> Iterator[str]:
    granted = [row.lease for row in rows if row.state == State.DISPATCHED]
    asked = [_body(request)["lease"][:LEASE_DIGITS] for request in requests]
    if granted != asked:
        yield f"job {job.id} was dispatched under {granted} and asked for under {asked}"
    if [row.version for row in rows] != list(range(1, job.version + 1)):
        yield f"job {job.id} has version {job.version} and the log {[row.version for row in rows]}"
    if [row.version for row in rows if row.state in ENDS] != [job.version]:
        yield f"job {job.id} went through the states {[row.state for row in rows]}"


def _wrong_with_frames(channel: str, facts: Sequence[Any], frames: Sequence[Any]) -> Iterator[str]:
    told = [_body(fact)["sequence"] for fact in facts]
    kept = [frame.sequence for frame in frames]
    if kept != told:
        yield f"{channel} was told {told} and has {kept}"
    final = [frame for frame in frames if frame.final]
    if final != frames[-1:]:
        yield f"{channel} has {len(final)} final frames, its last is {frames[-1].data if frames else None}"
    elif (status := final[0].data["status"]) not in [told for fact, told in ENDS.values() if fact == facts[-1].type]:
        yield f"{channel} ends with {status} and its job with {facts[-1].type}"


def _wrong_with_heard(channel: str, kept: Sequence[Any], heard: Sequence[Frame]) -> Iterator[str]:
    data = {frame.sequence: frame.data for frame in kept}
    for frame in heard:
        if frame.channel == channel and frame.data != data.get(frame.sequence):
            yield f"{channel} heard {frame.data} as {frame.sequence} and can read {data.get(frame.sequence)}"


async def _left_on_bus(world: World) -> list[str]:
    dead = [letter for service in ("audio", "notifier", "analysis") for letter in await world.bus.dead_letters(service)]
    return [f"{letter.message.type} is dead in {letter.queue}: {letter.error}" for letter in dead] + [
        f"{depth} messages are left in {queue}" for queue, depth in (await world.bus.depths()).items() if depth
    ]


def _goes_to(queue: Queue, message: Any) -> bool:
    return any(matches(pattern, message.routing_key) for pattern in queue.bindings)


async def _rows(database: Database, query: sa.Select[Any]) -> list[Any]:
    async with database.engine.connect() as connection:
        return list(await connection.execute(query))


def _body(message: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(message.body)
    return body
