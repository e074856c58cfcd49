"""`yousync audit user ID`: what a platform still keeps of one person, wherever it keeps anything.

Tables are found by their columns, not by a list: one that somebody adds tomorrow is looked at, too.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from yarl import URL

from libs.common.bus.base import BusUnavailable
from libs.common.bus.rabbit.link import broker_errors, connect
from libs.common.bus.topology import QUEUES, dead_letter_queue, retry_queue
from libs.common.contracts.acts import ActPerformed
from libs.common.contracts.audio import AnalysisCancelled, AnalysisErased, DubbingRequested
from libs.common.contracts.auth import SessionRevoked, UserDeleted
from libs.common.contracts.notifier import ERASED
from libs.common.storage.base import Storage, StorageUnavailable
from yousync.audit.audit import connected
from yousync.local.process import LocalServerError
from yousync.stores import Stores
from yousync.trace.broker import messages_of

ROUND_SECONDS = 0.5  # between two looks; what has begun to be erased takes seconds
BATCH = 5_000  # channels that are looked up at a time
_POSTGRESQL = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
FOLDERS = ("takes", "dubbings", "exports")  # of objects, each with one of every person's in it

_COLUMNS = """
SELECT columns.table_name, columns.column_name FROM information_schema.columns JOIN information_schema.tables
    USING (table_schema, table_name)
 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
   AND (column_name = ANY($1) OR (table_name, column_name) = ('users', 'id'))
 ORDER BY 1, 2
"""
_OUTBOX = """
SELECT type, convert_from(body, 'UTF8') ~ '"email": ?""' AS bare, count(*) AS number, max(sent_at) AS sent_at,
       bool_or(sent_at IS NULL) AS waits
  FROM outbox WHERE convert_from(body, 'UTF8') ~ $1 OR subject = $2 GROUP BY 1, 2 ORDER BY 1, 2
"""
_TOLD = """
SELECT substr(channel, 5) AS job_id FROM frames WHERE channel LIKE 'job:%'
 GROUP BY channel HAVING bool_or(data ->> 'message' IS DISTINCT FROM $1)
"""
_UNKNOWN = "SELECT job_id FROM unnest($1::text[]) AS job (job_id) WHERE NOT EXISTS (SELECT FROM jobs WHERE id = job_id)"

# What stays on purpose, by table.
KEPT_TABLES: Mapping[str, str] = {
    "acts": "the audit log, which goes by its age (AUTH_ACT_RETENTION_DAYS)",
    "deleted_users": "the number alone, so that nothing is written for it and nobody gets it again",
}
# Events that name the number and say nothing else of who it was, or what the audit log keeps anyway.
_BARE = frozenset(
    event.name for event in (UserDeleted, SessionRevoked, AnalysisCancelled, AnalysisErased, DubbingRequested, ActPerformed)
)


@dataclass(frozen=True, slots=True)
class Remnant:
    """Something that names the person. `kept` says why it stays, and is empty for what a deletion must not leave."""

    where: str
    number: int
    kept: str = ""

    def __str__(self) -> str:
        return f"{'kept' if self.kept else 'left':<5} {self.where:<36} {self.number:>7}  {self.kept}".rstrip()


@dataclass(slots=True)
class Remains:
    """What was found of one person."""

    user_id: int
    found: list[Remnant] = field(default_factory=list)

    @property
    def left(self) -> list[Remnant]:
        """What is there though nothing says that it may stay."""
        return [each for each in self.found if not each.kept]

    def lines(self) -> list[str]:
        """For a person."""
        total = sum(each.number for each in self.left)
        verdict = f"{total} things of user {self.user_id} are left." if total else f"Nothing of user {self.user_id} is left."
        return [*map(str, self.found), verdict]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"user_id": self.user_id, "left": len(self.left), "found": [asdict(each) for each in self.found]}


async def audit_user(stores: Stores, storage: Storage, user_id: int, *, wait: float = 0.0) -> Remains:
    """Everything that names the person, looked for again until nothing is left or `wait` seconds have passed.

    What waits in a service's main queue is not looked at: taking it out would disturb its order. What a consumer has not
    heard yet it has not erased either, and that is found. Raises LocalServerError when a part does not answer.
    """
    if stores.broker_down:
        raise LocalServerError(f"{stores.broker_down}: nobody can tell what is in it")
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        found = [remnant async for remnant in _look(stores, storage, user_id)]
        remains = Remains(user_id, found)
        if not remains.left or asyncio.get_running_loop().time() >= deadline:
            return remains
        await asyncio.sleep(ROUND_SECONDS)


async def _look(stores: Stores, storage: Storage, user_id: int) -> AsyncIterator[Remnant]:
    async with connected(stores.database_urls) as databases:
        for service, database in databases.items():
            async for remnant in _rows(service, database, user_id):
                yield remnant
            if await database.fetchval("SELECT to_regclass('outbox') IS NOT NULL"):
                for row in await database.fetch(_OUTBOX, named(user_id).pattern, f"user:{user_id}"):
                    yield _sent(service, row)
        if told := await _still_told(databases):
            yield Remnant("notifier.frames of jobs that are no more", told)
    for folder in FOLDERS:
        try:
            if number := len([key async for key in storage.keys(f"{folder}/{user_id}/")]):
                yield Remnant(f"storage {folder}/{user_id}/", number)
        except StorageUnavailable as error:
            raise LocalServerError(f"the object storage does not answer: {error!r}") from error
    if stores.broker_url is not None:
        for queue, number in (await _letters(stores.broker_url, user_id, stores.retry_ladder)).items():
            yield Remnant(f"broker {queue}", number)


def named(user_id: int) -> re.Pattern[str]:
    """Finds the person in the JSON of a message, by number or by a folder of objects. The same in Python and PostgreSQL."""
    return re.compile(rf'"(user|account)_id": ?{user_id}[,}}]|({"|".join(FOLDERS)})/{user_id}/')


async def _rows(service: str, database: asyncpg.Connection, user_id: int) -> AsyncIterator[Remnant]:
    folders = f"^({'|'.join(FOLDERS)})/{user_id}/"
    of_person: dict[str, sa.ColumnElement[bool]] = {
        **{name: sa.column(name, sa.Integer) == user_id for name in ("user_id", "account_id", "id")},
        "owner_key": sa.column("owner_key", sa.Text) == f"user:{user_id}",
        "object_key": sa.column("object_key", sa.Text).regexp_match(folders),
    }
    tables: dict[str, list[sa.ColumnElement[bool]]] = {}
    for row in await database.fetch(_COLUMNS, list(of_person.keys() - {"id"})):
        tables.setdefault(row["table_name"], []).append(of_person[row["column_name"]])
    for table, conditions in tables.items():
        counted = sa.select(sa.func.count()).select_from(sa.table(table)).where(sa.or_(*conditions))
        query = str(counted.compile(dialect=_POSTGRESQL, compile_kwargs={"literal_binds": True}))
        if number := await database.fetchval(query):
            yield Remnant(f"{service}.{table}", number, KEPT_TABLES.get(table, ""))


def _sent(service: str, row: asyncpg.Record) -> Remnant:
    kept = ""
    if row["bare"] or row["type"] in _BARE:
        when = "not sent yet" if row["waits"] else f"sent by {row['sent_at']:%Y-%m-%d}"
        kept = f"the number without what belongs to it; {when}, goes OUTBOX_RETENTION_DAYS later"
    return Remnant(f"{service}.outbox {row['type']}", row["number"], kept)


async def _still_told(databases: Mapping[str, asyncpg.Connection]) -> int:
    """How many channels tell of jobs that were erased. Whose they were nobody can say any more."""
    job_ids = [row["job_id"] for row in await databases["notifier"].fetch(_TOLD, ERASED)]
    batches = [job_ids[start : start + BATCH] for start in range(0, len(job_ids), BATCH)]
    return sum([len(await databases["audio"].fetch(_UNKNOWN, batch)) for batch in batches])


async def _letters(url: str, user_id: int, ladder: tuple[float, ...]) -> dict[str, int]:
    """Messages that name the person, on the retry ladder and among the dead letters."""
    queues = [*map(retry_queue, ladder), *(dead_letter_queue(service) for service in sorted({q.service for q in QUEUES}))]
    pattern = named(user_id)
    found: dict[str, int] = {}
    try:
        async with await connect(URL(url), "yousync audit") as connection:
            with broker_errors("looking"):
                for queue in queues:
                    bodies = [message.body.decode("utf-8", "replace") for message in await messages_of(connection, queue)]
                    found[queue] = sum(pattern.search(body) is not None for body in bodies)
    except BusUnavailable as error:
        raise LocalServerError(f"the broker does not answer: {error.detail} ({error.__cause__!r})") from error
    return {queue: number for queue, number in found.items() if number}
