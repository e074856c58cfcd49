"""`yousync audit`: for every message that was sent, where it is now."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from libs.common.bus.topology import QUEUES
from yousync.audit.broker import Seen, look
from yousync.audit.jobs import check_jobs
from yousync.audit.messages import Books, Sent
from yousync.audit.report import Kind, Report
from yousync.local.process import LocalServerError
from yousync.stores import Stores

CONNECT_SECONDS = 10.0
ROUND_SECONDS = 1.0  # between two looks; a handler takes milliseconds
# Days whose outbox rows are certainly there: one less than the default retention.
DAYS = 6.0


async def audit(stores: Stores, *, wait: float = 10.0, days: float = DAYS) -> Report:
    """Reconcile what was committed in the last `days`.

    What is in a queue at this moment cannot be told from what is lost, so an audit waits up to `wait` seconds for what is
    missing. Afterwards a message that no inbox, rung or dead-letter queue knows is lost, if its queue does not hold as many
    newer ones. A consumer that holds a message unanswered for all of that time makes it look lost.

    Raises LocalServerError when a database or the broker does not answer.
    """
    if stores.broker_down:
        raise LocalServerError(f"{stores.broker_down}: nobody can tell what is in it")
    report = Report(began=datetime.now(UTC))
    async with connected(stores.database_urls) as databases:
        books = Books(databases)
        await books.read(days=days)
        seen = _Sightings()
        deadline = asyncio.get_running_loop().time() + wait
        while books.missing:
            if stores.broker_url is not None:
                services = {queue.service for queue in QUEUES}
                names = [queue.name for queue in QUEUES]
                seen.add(await look(stores.broker_url, queues=names, services=services, ladder=stores.retry_ladder))
            # After the look: what a consumer put away before it is where it was put, what it handled since is in its inbox.
            await books.look_again()
            if all(seen.knows(sent) for sent in books.missing) or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(ROUND_SECONDS)
        _judge(books, seen, in_memory=stores.broker_url is None)
        report.jobs, faults = await check_jobs(databases, days=days)
    report.counts, report.findings = books.counts, [*books.findings, *faults]
    report.ended = datetime.now(UTC)
    return report


class _Sightings:
    """What was seen in any of the looks."""

    def __init__(self) -> None:
        self.resting: set[str] = set()
        self.dead: frozenset[str] = frozenset()
        self.ready: Mapping[str, int] = {}

    def add(self, seen: Seen) -> None:
        self.resting |= seen.resting
        self.dead, self.ready = seen.dead, seen.ready

    def knows(self, sent: Sent) -> bool:
        return sent.id in self.dead or sent.id in self.resting or sent.request is not None


def _judge(books: Books, seen: _Sightings, *, in_memory: bool) -> None:
    unseen: dict[str, list[Sent]] = defaultdict(list)
    for sent in books.missing:
        if sent.id in seen.dead:
            books.count(sent).dead += 1
            books.findings.append(sent.finding(Kind.DEAD, f"among the dead letters of {sent.queue.service}"))
        elif sent.id in seen.resting:
            books.count(sent).in_flight += 1
            books.findings.append(sent.finding(Kind.IN_FLIGHT, f"on the retry ladder, back to {sent.queue.name}"))
        elif sent.request is not None:
            # Were it lost its lease would run out, and the job be given out again: `check_jobs` sees when it is not.
            books.count(sent).in_flight += 1
            books.findings.append(sent.finding(Kind.IN_FLIGHT, f"no analysis server has taken it from {sent.queue.name} yet"))
        else:
            unseen[sent.queue.name].append(sent)
    for queue, messages in unseen.items():
        # First in, first out: what a queue still holds is what came last.
        messages.sort(key=lambda sent: sent.sent_at, reverse=True)
        ready = seen.ready.get(queue, 0)
        for sent in messages[:ready]:
            books.count(sent).in_flight += 1
            books.findings.append(sent.finding(Kind.IN_FLIGHT, f"{queue} holds {ready} messages"))
        for sent in messages[ready:]:
            books.count(sent).lost += 1
            gone = "the in-memory bus gave it up, or lost it" if in_memory else f"{queue} does not hold it, nobody handled it"
            books.findings.append(sent.finding(Kind.LOST, f"sent at {sent.sent_at:%Y-%m-%dT%H:%M:%S.%fZ}; {gone}"))


@asynccontextmanager
async def connected(urls: Mapping[str, str]) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """A connection to each database, by service. Raises LocalServerError, also for what goes wrong with one meanwhile."""
    async with AsyncExitStack() as stack:
        databases = {}
        for service, url in urls.items():
            try:
                databases[service] = connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
            except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
                raise LocalServerError(f"the database of {service} does not let us in: {error}") from error
            stack.push_async_callback(connection.close)
        try:
            yield databases
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LocalServerError(f"a database does not answer as it should: {error}") from error
