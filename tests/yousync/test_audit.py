"""An audit over real databases and a real broker, with messages that are deliberately lost, waiting, resting and dead."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from libs.common import inbox
from libs.common.bus.base import BusUnavailable, Message, Reject
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.topology import AUDIO, NOTIFIER, QUEUES, WORK
from libs.common.contracts.catalog import ScriptDeleted
from libs.common.db import Database, Outgoing
from libs.common.migrations import upgrade
from libs.common.outbox.table import OUTBOX
from libs.common.storage.disk import DiskStorage
from tests.libs.common.storage.conformance import stream
from yousync.audit import Kind, Report, audit
from yousync.audit.person import audit_user
from yousync.cli import app
from yousync.environment import OWNS_DATABASE
from yousync.local.process import LocalServerError
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.stores import Stores

JOB = "a" * 32


@pytest.fixture(scope="session")
async def migrated(make_database: Callable[[str], str]) -> dict[str, str]:
    urls = {service: make_database(service) for service in OWNS_DATABASE}
    for service, url in urls.items():
        await upgrade(f"services.{service}", url)
    return urls


@pytest.fixture
async def databases(migrated: dict[str, str]) -> AsyncIterator[dict[str, Database]]:
    """The services' databases, empty."""
    databases = {service: Database(url, source=service, pool_size=2) for service, url in migrated.items()}
    tables = {
        "audio": "takes, jobs, job_log, objects_to_erase, outbox, inbox",
        "notifier": "frames, inbox",
        "catalog": "video_requests, deleted_users, outbox, inbox",
    }
    for service, names in tables.items():
        await run(databases[service], f"TRUNCATE {names} CASCADE")
    yield databases
    for database in databases.values():
        await database.close()


@pytest.fixture
async def bus(rabbitmq: PrivateRabbitMQ) -> AsyncIterator[RabbitBus]:
    """The broker with empty queues."""
    bus = RabbitBus(rabbitmq.amqp_url, name="audit", retry_ladder=(2.0,))
    await bus.start()
    connection = bus._publishing.connection
    assert connection is not None
    async with await connection.channel() as channel:
        for name in {name for queue in QUEUES for name in (queue.name, queue.dead_letter_queue)} | {"yousync.retry.2s"}:
            await (await channel.get_queue(name, ensure=False)).purge()
    yield bus
    await bus.close()


@pytest.fixture
def stores(migrated: dict[str, str], rabbitmq: PrivateRabbitMQ, bus: RabbitBus) -> Stores:
    plain = {service: url.replace("+asyncpg", "") for service, url in migrated.items()}
    return Stores(plain, rabbitmq.amqp_url, bus.retry_ladder)


async def run(database: Database, statement: str, **values: object) -> None:
    async with database.autocommit() as connection:
        await connection.execute(sa.text(statement), values)


async def commit(database: Database, number: int = 1) -> list[Message]:
    """Commit events of `catalog`; what is published of them is the test's own affair."""
    messages = [
        Outgoing(ScriptDeleted(script_id=n, token_id=1, version=1), f"script:{n}").message("catalog") for n in range(number)
    ]
    async with database.transaction() as tx:
        tx._messages += messages
    return messages


async def mark_sent(database: Database) -> None:
    await run(database, "UPDATE outbox SET sent_at = clock_timestamp() WHERE sent_at IS NULL")


async def handle(database: Database, message: Message) -> None:
    async with database.transaction() as tx:
        assert await tx.first_time(message, "audio.script")


def found(report: Report, kind: Kind) -> list[str]:
    return sorted(finding.id for finding in report.of(kind))


async def test_what_was_handled_is_no_finding(databases: dict[str, Database], stores: Stores) -> None:
    (message,) = await commit(databases["catalog"])
    await mark_sent(databases["catalog"])
    await handle(databases["audio"], message)
    report = await audit(stores, wait=0)
    assert report.findings == []
    (count,) = report.counts
    assert (count.service, count.event, count.queue, count.handled) == ("catalog", "script.deleted", "audio.events", 1)


async def test_what_was_sent_and_is_nowhere_is_lost_and_named(databases: dict[str, Database], stores: Stores) -> None:
    kept, lost = await commit(databases["catalog"], 2)
    await mark_sent(databases["catalog"])
    await handle(databases["audio"], kept)
    report = await audit(stores, wait=0)
    (finding,) = report.faults
    assert (finding.kind, finding.service, finding.event) == (Kind.LOST, "catalog", "script.deleted")
    assert (finding.id, finding.subject, finding.time) == (lost.id, lost.subject, lost.time)
    assert lost.id in str(finding)


async def test_what_is_not_published_yet_waits(databases: dict[str, Database], stores: Stores) -> None:
    first, _ = await commit(databases["catalog"], 2)
    report = await audit(stores, wait=0)
    assert (report.faults, found(report, Kind.WAITING), report.counts[0].waiting) == ([], [first.id], 2)


async def test_what_its_queue_still_holds_is_in_flight(databases: dict[str, Database], stores: Stores, bus: RabbitBus) -> None:
    lost, queued = await commit(databases["catalog"], 2)
    await bus.publish(queued)
    await run(
        databases["catalog"], "UPDATE outbox SET sent_at = now() - interval '1 minute' WHERE message_id = :id", id=lost.id
    )
    await mark_sent(databases["catalog"])
    report = await audit(stores, wait=0)
    assert (found(report, Kind.IN_FLIGHT), found(report, Kind.LOST)) == ([queued.id], [lost.id])


async def test_what_is_handled_while_the_audit_waits_is_no_finding(
    databases: dict[str, Database], stores: Stores, bus: RabbitBus
) -> None:
    messages = await commit(databases["catalog"], 20)
    await mark_sent(databases["catalog"])

    async def handle_later(message: Message) -> None:
        await handle(databases["audio"], message)

    auditing = asyncio.create_task(audit(stores, wait=30))
    for message in messages:
        await bus.publish(message)
    consumer = await bus.consume(AUDIO, handle_later)
    assert (await auditing).findings == []
    await consumer.drain()


async def test_dead_letters_and_what_rests_on_a_rung_are_known_and_stay_where_they_are(
    databases: dict[str, Database], stores: Stores, bus: RabbitBus
) -> None:
    dead, resting = await commit(databases["catalog"], 2)
    await mark_sent(databases["catalog"])
    done = asyncio.Semaphore(0)

    async def fail(message: Message) -> None:
        done.release()
        raise Reject("never") if message.id == dead.id else BusUnavailable("not now")

    consumer = await bus.consume(AUDIO, fail)
    for message in (dead, resting):
        await bus.publish(message)
        await done.acquire()
    await consumer.drain()
    for _ in range(2):
        report = await audit(stores, wait=5)
        assert (report.faults, found(report, Kind.DEAD), found(report, Kind.IN_FLIGHT)) == ([], [dead.id], [resting.id])
    again: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def hear(message: Message) -> None:
        again.set_result(message)

    consumer = await bus.consume(AUDIO, hear)
    async with asyncio.timeout(20):
        assert ((await again).id, (await again).attempt) == (resting.id, 2)
    await consumer.drain()


async def test_an_event_is_missed_at_each_of_its_queues(databases: dict[str, Database], stores: Stores) -> None:
    await add_job(databases["audio"], state="queued", sequence=1)
    await add_fact(databases["audio"], "audio.uploaded", 1)
    async with databases["audio"].autocommit() as connection:
        message_id = str((await connection.execute(sa.select(OUTBOX.c.message_id))).scalar_one())
    fact = Message("audio.uploaded", b"{}", "audio", "", "audio.uploaded", id=message_id)
    await handle(databases["audio"], fact)
    report = await audit(stores, wait=0)
    assert [(count.queue, count.handled, count.lost) for count in report.counts] == [
        (AUDIO.name, 1, 0),
        (NOTIFIER.name, 0, 1),
    ]
    async with databases["notifier"].autocommit() as connection:
        await connection.execute(sa.insert(inbox.INBOX).values(inbox.values_of(fact, "notifier.frame")))
    assert (await audit(stores, wait=0)).findings == []


@pytest.mark.parametrize(
    ("state", "lease", "kind"),
    [("dispatched", "l", Kind.IN_FLIGHT), ("dispatched", "another", None), ("running", "l", None), ("completed", "l", None)],
)
async def test_a_request_is_on_its_way_while_its_job_is_dispatched_under_its_lease(
    databases: dict[str, Database], stores: Stores, state: str, lease: str, kind: Kind | None
) -> None:
    await add_job(databases["audio"], state=state, sequence=0, lease=lease)
    await add_message(
        databases["audio"], "analysis.requested", {"job_id": JOB, "lease": "l"}, next(iter(WORK.values())).bindings[0]
    )
    report = await audit(stores, wait=0)
    requests = [finding for finding in report.findings if finding.event == "analysis.requested"]
    assert [finding.kind for finding in requests] == ([] if kind is None else [kind])


async def test_a_request_for_a_job_that_nobody_knows_is_an_orphan_unless_the_job_was_erased(
    databases: dict[str, Database], stores: Stores
) -> None:
    work = next(iter(WORK.values())).bindings[0]
    await add_message(databases["audio"], "analysis.requested", {"job_id": JOB, "lease": "l"}, work)
    assert len((await audit(stores, wait=0)).of(Kind.ORPHAN)) == 1
    await add_message(databases["audio"], "analysis.erased", {"job_id": JOB, "user_id": 1, "sequence": 1})
    assert (await audit(stores, wait=0)).of(Kind.ORPHAN) == []


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ([("audio.uploaded", 1), ("analysis.completed", 2)], None),
        ([("analysis.completed", 2)], Kind.GAP),
        ([("audio.uploaded", 1)], Kind.GAP),
        ([("audio.uploaded", 1), ("analysis.started", 1), ("analysis.completed", 2)], Kind.DUPLICATE),
        ([("audio.uploaded", 1), ("analysis.failed", 2), ("analysis.completed", 3)], Kind.DUPLICATE),
    ],
)
async def test_the_facts_of_a_job_are_told_once_each_without_a_gap(
    databases: dict[str, Database], stores: Stores, facts: list[tuple[str, int]], kind: Kind | None
) -> None:
    await add_job(databases["audio"], state="completed", sequence=2)
    for event, sequence in facts:
        await add_fact(databases["audio"], event, sequence)
    report = await audit(stores, wait=0)
    told = [finding.kind for finding in report.findings if finding.event == "facts"]
    assert told == ([] if kind is None else [kind])


@pytest.mark.parametrize("late", ["deadline", "lease_expires_at"])
async def test_an_open_job_whose_time_is_over_is_stuck(databases: dict[str, Database], stores: Stores, late: str) -> None:
    await add_job(databases["audio"], state="running", sequence=0)
    assert (await audit(stores, wait=0)).of(Kind.STUCK) == []
    await run(databases["audio"], f"UPDATE jobs SET {late} = now() - interval '2 minutes'")
    assert found(await audit(stores, wait=0), Kind.STUCK) == [JOB]


async def test_a_take_without_a_job_is_an_orphan(databases: dict[str, Database], stores: Stores) -> None:
    await add_job(databases["audio"], state="completed", sequence=0)
    await run(databases["audio"], "DELETE FROM jobs")
    assert [finding.event for finding in (await audit(stores, wait=0)).of(Kind.ORPHAN)] == ["take"]


async def test_a_channel_that_goes_on_after_its_end_is_a_duplicate(databases: dict[str, Database], stores: Stores) -> None:
    add = "INSERT INTO frames (channel, sequence, final, data) VALUES ('job:a', :sequence, :final, '{}')"
    await run(databases["notifier"], add, sequence=1, final=True)
    assert (await audit(stores, wait=0)).findings == []
    await run(databases["notifier"], add, sequence=2, final=False)
    assert found(await audit(stores, wait=0), Kind.DUPLICATE) == ["job:a"]


async def test_what_is_older_than_asked_for_is_not_looked_at(databases: dict[str, Database], stores: Stores) -> None:
    await commit(databases["catalog"])
    await mark_sent(databases["catalog"])
    await run(databases["catalog"], "UPDATE outbox SET created_at = now() - interval '3 days'")
    assert (await audit(stores, wait=0, days=2)).counts == []
    assert len((await audit(stores, wait=0, days=4)).faults) == 1


async def test_without_an_answer_there_is_no_verdict(databases: dict[str, Database], stores: Stores) -> None:
    await commit(databases["catalog"])
    await mark_sent(databases["catalog"])
    deaf = "amqp://nobody@127.0.0.1:1/"
    with pytest.raises(LocalServerError, match="broker does not answer"):
        await audit(Stores(stores.database_urls, deaf), wait=0)
    with pytest.raises(LocalServerError, match="does not run"):
        await audit(Stores(stores.database_urls, None, broker_down="the broker does not run"), wait=0)
    closed = {**stores.database_urls, "auth": "postgresql://nobody@127.0.0.1:1/none"}
    with pytest.raises(LocalServerError, match="the database of auth"):
        await audit(Stores(closed, None), wait=0)


async def test_the_command_prints_what_is_lost_and_fails(
    databases: dict[str, Database], stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lost,) = await commit(databases["catalog"])
    await mark_sent(databases["catalog"])
    for service, url in stores.database_urls.items():
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", url)
    monkeypatch.setenv("BROKER_URL", stores.broker_url or "")
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    arguments = ["audit", "--wait", "0"]
    told = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert (told.exit_code, "1 faults" in told.output, lost.id in told.output) == (1, True, True)
    told = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert json.loads(told.stdout)["findings"][0]["id"] == lost.id
    await handle(databases["audio"], lost)
    assert (await asyncio.to_thread(CliRunner().invoke, app, arguments)).exit_code == 0
    monkeypatch.setenv("BROKER_URL", "amqp://nobody@127.0.0.1:1/")
    monkeypatch.delenv("AUDIO_DATABASE_URL")
    told = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert (told.exit_code, "AUDIO_DATABASE_URL" in told.output) == (2, True)


async def test_whatever_names_a_person_is_found_wherever_it_lies_and_nothing_of_their_neighbours(
    databases: dict[str, Database], stores: Stores, bus: RabbitBus, tmp_path: Path
) -> None:
    storage = DiskStorage(tmp_path, signing_key=b"k" * 32, public_url="")
    await storage.start()
    done = asyncio.Event()

    async def refuse(message: Message) -> None:
        done.set()
        raise Reject("never")

    for user_id in (5, 55):
        await run(databases["catalog"], "INSERT INTO deleted_users VALUES (:id, now())", id=user_id)
        await run(databases["audio"], "INSERT INTO objects_to_erase VALUES (:key, now(), 0)", key=f"takes/{user_id}/a.wav")
        await storage.put(f"dubbings/{user_id}/1/a.m4a", stream(b"x"), media_type="audio/mp4")
        await add_message(databases["audio"], "analysis.completed", {"job_id": f"{user_id}", "user_id": user_id, "result": {}})
        await add_message(databases["audio"], "analysis.erased", {"job_id": f"{user_id}", "user_id": user_id})
    await run(databases["notifier"], "INSERT INTO frames VALUES ('job:5', 1, true, '{\"message\": \"분석 완료\"}')")
    consumer = await bus.consume(AUDIO, refuse)
    await bus.publish(Message("user.deleted", b'{"user_id":5,"deleted_at":"x"}', "auth", "user:5", "script.deleted"))
    await done.wait()
    await consumer.drain()
    remains = await audit_user(stores, storage, 5)
    assert [(each.where, each.number, bool(each.kept)) for each in remains.found] == [
        ("catalog.deleted_users", 1, True),
        ("audio.objects_to_erase", 1, False),
        ("audio.outbox analysis.completed", 1, False),
        ("audio.outbox analysis.erased", 1, True),
        ("notifier.frames of jobs that are no more", 1, False),
        ("storage dubbings/5/", 1, False),
        ("broker audio.dead", 1, False),
    ]
    assert remains.lines()[-1] == "5 things of user 5 are left."


async def test_the_command_says_when_nothing_of_a_person_is_left(
    databases: dict[str, Database], stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service, url in stores.database_urls.items():
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", url)
    monkeypatch.setenv("BROKER_URL", stores.broker_url or "")
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    arguments = ["audit", "user", "5", "--wait", "0"]
    told = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert (told.exit_code, "STORAGE_URL" in told.output) == (2, True)
    monkeypatch.setenv("STORAGE_URL", f"file://{tmp_path}")
    told = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert (told.exit_code, told.output) == (0, "Nothing of user 5 is left.\n")
    await run(databases["catalog"], "INSERT INTO video_requests VALUES (DEFAULT, 5, 'a', 'b', 'c', 'd')")
    told = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    found = [{"where": "catalog.video_requests", "number": 1, "kept": ""}]
    assert (told.exit_code, json.loads(told.stdout)) == (1, {"user_id": 5, "left": 1, "found": found})
    assert (await asyncio.to_thread(CliRunner().invoke, app, ["audit", "user", "0"])).exit_code == 2


async def add_message(database: Database, event: str, body: dict[str, Any], routing_key: str | None = None) -> None:
    subject = f"job:{body['job_id']}"
    message = Message(event, json.dumps(body).encode(), "audio", subject, routing_key or event)
    async with database.transaction() as tx:
        tx._messages.append(message)
    await mark_sent(database)


async def add_fact(database: Database, event: str, sequence: int) -> None:
    await add_message(database, event, {"job_id": JOB, "sequence": sequence, "message": "말"})


async def add_job(database: Database, *, state: str, sequence: int, lease: str | None = None) -> None:
    take = """INSERT INTO takes (id, token_id, object_key, media_type, size, sha256, created_at)
              VALUES ('00000000-0000-0000-0000-000000000001', 1, 'k', 'audio/wav', 1, '', now())"""
    job = """INSERT INTO jobs (id, take_id, token_id, state, version, sequence, progress, message, attempt, lease,
                               lease_expires_at, dispatch_at, deadline, result, priority, created_at, updated_at, finished_at,
                               kind, owner_key, turn)
             VALUES (:id, '00000000-0000-0000-0000-000000000001', 1, :state, 1, :sequence, 0, '', 1, :lease,
                     now(), now(), now() + interval '10 minutes', CASE WHEN :ended THEN '{}'::json END, 'high', now(), now(),
                     CASE WHEN :ended THEN now() END, 'line', '', 0)"""
    await run(database, take)
    await run(database, job, id=JOB, state=state, sequence=sequence, lease=lease, ended=state == "completed")
