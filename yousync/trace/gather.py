"""Reads what the services and the broker know of a job. What does not answer is named, the rest is there."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from libs.common.bus.base import BusUnavailable
from libs.common.contracts.notifier import job_channel
from yousync.stores import Stores
from yousync.trace.broker import Look, look

CONNECT_SECONDS = 5.0
SETTINGS = {
    "application_name": "yousync trace",
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",  # outboxes are read through: nothing but the relay's way is indexed
}

Row = Mapping[str, Any]
Read = Callable[[asyncpg.Connection], Coroutine[Any, Any, None]]

_JOB = """
SELECT jobs.*, takes.size, takes.media_type, takes.object_key, takes.created_at AS take_at,
       scripts.script AS line, tokens.token_name AS scene, films.youtube_url, films.movie_name, films.actor_name
FROM jobs LEFT JOIN takes ON takes.id = jobs.take_id LEFT JOIN films ON films.id = jobs.film_id
LEFT JOIN scripts ON scripts.id = jobs.script_id LEFT JOIN tokens ON tokens.id = jobs.token_id
WHERE jobs.id = $1"""
# Both ways from the job: what it does over, and what does it over.
_CHAIN = """
WITH RECURSIVE before AS (
    SELECT id, retry_of FROM jobs WHERE id = $1
    UNION SELECT jobs.id, jobs.retry_of FROM jobs JOIN before ON jobs.id = before.retry_of),
after AS (
    SELECT id FROM jobs WHERE id = $1 UNION SELECT jobs.id FROM jobs JOIN after ON jobs.retry_of = after.id)
SELECT id, retry_of, state, reason, created_at, finished_at FROM jobs
WHERE id IN (SELECT id FROM before UNION SELECT id FROM after) ORDER BY created_at"""
_LOG = "SELECT * FROM job_log WHERE job_id = $1 ORDER BY version"
_OUTBOX = """
SELECT message_id::text AS id, type, subject, routing_key, body, created_at, sent_at
FROM outbox WHERE subject = ANY($1) ORDER BY outbox.id"""
_INBOX = "SELECT message_id::text AS id, handler, attempt, processed_at FROM inbox WHERE message_id = ANY($1::uuid[])"
_AHEAD = """
SELECT count(*) FILTER (WHERE state = 'queued' AND (turn, created_at) < ($2, $3)) AS ahead,
       count(*) FILTER (WHERE state = 'running') AS running
FROM jobs WHERE priority = $1 AND finished_at IS NULL"""
_FRAMES = "SELECT sequence, final, data, created_at FROM frames WHERE channel = $1 ORDER BY sequence"


@dataclass(frozen=True, slots=True)
class Handled:
    """A service has handled a message."""

    service: str
    handler: str
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of the job in its owner's outbox."""

    id: str
    type: str
    routing_key: str
    body: Mapping[str, Any]
    created_at: datetime
    sent_at: datetime | None


@dataclass(slots=True)
class Gathered:
    """Everything that is known of a job. `silent` names what did not answer, and why.

    `in_memory` is a platform that has its queues in its own memory. Nobody sees them from outside, and a message counts as
    sent when everybody who hears it has handled it.
    """

    job_id: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    job: Row | None = None
    chain: list[Row] = field(default_factory=list)
    log: list[Row] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    handled: dict[str, list[Handled]] = field(default_factory=dict)  # by message
    frames: list[Row] = field(default_factory=list)
    ahead: int = 0  # jobs of the same priority whose turn comes first
    running: int = 0  # of the same priority
    broker: Look | None = None
    in_memory: bool = False
    silent: dict[str, str] = field(default_factory=dict)

    @property
    def subjects(self) -> frozenset[str]:
        """The ordering keys of the messages about the job: its facts, and the work that it is."""
        return frozenset({job_channel(self.job_id), f"work:{self.job_id}"})


async def gather(stores: Stores, job_id: str) -> Gathered:
    """Read everything about the job, in a few questions to each part."""
    found = Gathered(job_id)

    async def audio(connection: asyncpg.Connection) -> None:
        found.now = await connection.fetchval("SELECT now()")
        found.job = await connection.fetchrow(_JOB, job_id)
        if found.job is None:
            return
        found.chain = await connection.fetch(_CHAIN, job_id)
        found.log = await connection.fetch(_LOG, job_id)
        found.sent = [_sent(row) for row in await connection.fetch(_OUTBOX, list(found.subjects))]
        place = await connection.fetchrow(_AHEAD, found.job["priority"], found.job["turn"], found.job["created_at"])
        found.ahead, found.running = place["ahead"], place["running"]

    async def notifier(connection: asyncpg.Connection) -> None:
        frames = await connection.fetch(_FRAMES, job_channel(job_id))
        found.frames = [{**frame, "data": json.loads(frame["data"])} for frame in frames]

    async def inbox(service: str, connection: asyncpg.Connection) -> None:
        for row in await connection.fetch(_INBOX, [message.id for message in found.sent]):
            handled = Handled(service, row["handler"], row["attempt"], row["processed_at"])
            found.handled.setdefault(row["id"], []).append(handled)

    # The job's owner first: the others are asked about its messages.
    for service, reads in {
        "audio": (audio, lambda connection: inbox("audio", connection)),
        "notifier": (notifier, lambda connection: inbox("notifier", connection)),
        "catalog": (lambda connection: inbox("catalog", connection),),
    }.items():
        await _read(found, service, stores.database_urls[service], reads)
    found.in_memory = stores.broker_url is None and not stores.broker_down
    if stores.broker_down:
        found.silent["broker"] = stores.broker_down
    elif stores.broker_url is not None and found.job is not None:
        try:
            found.broker = await look(stores.broker_url, found.subjects, stores.retry_ladder)
        except BusUnavailable as error:
            found.silent["broker"] = f"{error.detail} ({error.__cause__!r})"
    return found


async def _read(found: Gathered, service: str, url: str, reads: tuple[Read, ...]) -> None:
    try:
        async with _reading(url) as connection:
            for read in reads:
                await read(connection)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        found.silent[f"{service}'s database"] = f"{type(error).__name__}: {error}".rstrip(": ")


@asynccontextmanager
async def _reading(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=SETTINGS)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close()


def _sent(row: Row) -> Sent:
    body = json.loads(row["body"])
    return Sent(row["id"], row["type"], row["routing_key"], body, row["created_at"], row["sent_at"])
