"""The books of the services: what their outboxes have sent, and which of it the consumers' databases know."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import asyncpg

from libs.common.bus.topology import PREPROCESS, QUEUES, WORK, Queue, matches
from yousync.audit.report import Count, Finding, Kind

BATCH = 5_000  # rows read at a time; no snapshot is held for longer than one batch takes
_NOBODY = "00000000-0000-0000-0000-000000000000"
_WORK = frozenset(queue.name for queue in (*WORK.values(), PREPROCESS))

_SENT = """
SELECT message_id::text AS id, type, subject, routing_key, created_at, sent_at,
       CASE WHEN type IN ('analysis.requested', 'preprocess.requested') THEN body END AS body
  FROM outbox
 WHERE sent_at IS NOT NULL AND sent_at <= $1 AND created_at > $2 AND (sent_at, message_id) > ($3, $4::uuid)
 ORDER BY sent_at, message_id LIMIT $5
"""
_UNSENT = """
SELECT type, routing_key, count(*) AS number, (array_agg(message_id::text ORDER BY id))[1] AS id,
       (array_agg(subject ORDER BY id))[1] AS subject, min(created_at) AS since, now() - min(created_at) AS age
  FROM outbox WHERE sent_at IS NULL GROUP BY type, routing_key ORDER BY type, routing_key
"""
_HANDLED = "SELECT DISTINCT message_id::text FROM inbox WHERE message_id = ANY($1::uuid[])"
# A request is still on its way while its job is dispatched under its lease; else it was taken up, or nobody needs it now. Of
# a job that is not there it must be known that it was erased.
_OPEN_REQUESTS = """
SELECT request.id, job.id IS NULL AS unknown
  FROM unnest($1::text[], $2::text[], $3::text[]) AS request (id, job_id, lease)
  LEFT JOIN jobs AS job ON job.id = request.job_id
 WHERE (job.id IS NULL AND 'job:' || request.job_id NOT IN (SELECT subject FROM outbox WHERE type = 'analysis.erased'))
    OR (job.state = 'dispatched' AND job.lease = request.lease)
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that an outbox has sent, on its way to `queue`."""

    service: str
    event: str
    id: str
    subject: str
    created_at: datetime
    sent_at: datetime
    queue: Queue
    request: tuple[str, str] | None = None  # job id and lease, where it asks a server to do the job

    def finding(self, kind: Kind, text: str) -> Finding:
        """Something about this message."""
        return Finding(kind, self.service, self.event, self.id, self.subject, self.created_at, text)


class Books:
    """Counts of messages, and those of which no consumer knows yet. `databases` are by service."""

    def __init__(self, databases: Mapping[str, asyncpg.Connection]) -> None:
        self._databases = databases
        self._counts: dict[tuple[str, str, str], Count] = {}
        self.findings: list[Finding] = []
        self.missing: set[Sent] = set()

    @property
    def counts(self) -> list[Count]:
        """In the order of services, events and queues."""
        return [self._counts[key] for key in sorted(self._counts)]

    def count(self, sent: Sent) -> Count:
        """Where `sent` is counted."""
        return self._count(sent.service, sent.event, sent.queue.name)

    async def read(self, *, days: float) -> None:
        """Read what the outboxes hold of the last `days`, and look whether it was handled."""
        for service, database in self._databases.items():
            if await database.fetchval("SELECT to_regclass('outbox') IS NOT NULL"):
                await self._read_unsent(service, database)
                await self._read_sent(service, database, days)

    async def look_again(self) -> None:
        """Strike off what was handled since."""
        for queue, group in _by_queue(self.missing).items():
            unknown = await self._unknown(queue, group)
            for sent in group:
                if sent.id not in unknown:
                    self.count(sent).handled += 1
                    self.missing.discard(sent)

    async def _read_unsent(self, service: str, database: asyncpg.Connection) -> None:
        for row in await database.fetch(_UNSENT):
            for queue in _queues(row["routing_key"]):
                self._count(service, row["type"], queue.name).waiting += row["number"]
            text = f"{row['number']} wait to be published, the oldest for {row['age']}"
            self.findings.append(Finding(Kind.WAITING, service, row["type"], row["id"], row["subject"], row["since"], text))

    async def _read_sent(self, service: str, database: asyncpg.Connection, days: float) -> None:
        now = await database.fetchval("SELECT now()")
        since = now - timedelta(days=days)
        place = (since, _NOBODY)
        while rows := await database.fetch(_SENT, now, since, *place, BATCH):
            batch = []
            for row in rows:
                queues = _queues(row["routing_key"])
                if not queues:
                    self._count(service, row["type"], "").handled += 1
                request = None
                if row["body"] is not None:
                    body = json.loads(row["body"])
                    request = (body["job_id"], body["lease"])
                times = (row["created_at"], row["sent_at"])
                batch += [Sent(service, row["type"], row["id"], row["subject"], *times, queue, request) for queue in queues]
            for queue, group in _by_queue(batch).items():
                unknown = await self._unknown(queue, group)
                for sent in group:
                    if sent.id in unknown:
                        self.missing.add(sent)
                    else:
                        self.count(sent).handled += 1
            place = (rows[-1]["sent_at"], rows[-1]["id"])

    async def _unknown(self, queue: Queue, group: list[Sent]) -> set[str]:
        """Those of which the consumer's database does not say that they were handled."""
        if queue.name in _WORK:
            jobs, leases = zip(*(sent.request or ("", "") for sent in group), strict=True)
            ids = [sent.id for sent in group]
            rows = await self._databases["audio"].fetch(_OPEN_REQUESTS, ids, jobs, leases)
            by_id = {sent.id: sent for sent in group}
            for row in rows:
                if row["unknown"]:
                    self.findings.append(by_id[row["id"]].finding(Kind.ORPHAN, "it asks for a job that does not exist"))
            return {row["id"] for row in rows if not row["unknown"]}
        ids = [sent.id for sent in group]
        return set(ids) - {row[0] for row in await self._databases[queue.service].fetch(_HANDLED, ids)}

    def _count(self, service: str, event: str, queue: str) -> Count:
        return self._counts.setdefault((service, event, queue), Count(service, event, queue))


@cache
def _queues(routing_key: str) -> tuple[Queue, ...]:
    return tuple(queue for queue in QUEUES if any(matches(pattern, routing_key) for pattern in queue.bindings))


def _by_queue(messages: Iterable[Sent]) -> dict[Queue, list[Sent]]:
    groups: dict[Queue, list[Sent]] = defaultdict(list)
    for sent in messages:
        groups[sent.queue].append(sent)
    return groups
