"""`yousync dlq` against a real broker."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiormq
import pytest
import pytest_asyncio
from pamqp.commands import Basic
from typer.testing import CliRunner, Result

from libs.common.bus.base import Message, Reject
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.topology import NOTIFIER
from libs.common.errors import Unavailable
from tests.libs.common.bus.conformance import Recorder, eventually
from yousync.cli import app
from yousync.local.rabbitmq import PrivateRabbitMQ

Dlq = Callable[..., Awaitable[Result]]


@pytest.fixture
def dlq(rabbitmq: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch) -> Dlq:
    """`await dlq("list", ...)` runs the command on the broker."""
    monkeypatch.setenv("BROKER_URL", rabbitmq.amqp_url)
    monkeypatch.setattr("yousync.broker.configure_logging", lambda *_, **__: None)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["dlq", *arguments, "--service", "notifier"]))

    return run


@pytest_asyncio.fixture
async def bus(rabbitmq: PrivateRabbitMQ) -> AsyncIterator[RabbitBus]:
    bus = RabbitBus(rabbitmq.amqp_url, name="test", retry_ladder=())
    await bus.start()
    await purge(rabbitmq)
    yield bus
    await bus.close()
    await purge(rabbitmq)


async def purge(rabbitmq: PrivateRabbitMQ) -> None:
    connection = await aiormq.connect(rabbitmq.amqp_url)
    channel = await connection.channel()
    for queue in (NOTIFIER.name, NOTIFIER.dead_letter_queue):
        await channel.queue_purge(queue)
    await connection.close()


def event(number: int, name: str = "analysis.completed") -> Message:
    body = json.dumps({"job_id": f"j{number}", "word": "안녕"}, ensure_ascii=False)
    return Message(type=name, body=body.encode(), source="/audio", subject=f"job:j{number}", routing_key=name, id=f"m{number}")


async def kill(bus: RabbitBus, *messages: Message, error: Exception | None = None) -> None:
    """Have the notifier's handler refuse these messages."""

    async def fail(_: Message) -> None:
        raise error or Reject("no such channel")

    failing = await bus.consume(NOTIFIER, fail)
    before = len(await bus.dead_letters("notifier"))
    for each in messages:
        await bus.publish(each)
    await dead(bus, before + len(messages))
    await failing.drain()


async def dead(bus: RabbitBus, count: int) -> None:
    async def so_many() -> bool:
        return len(await bus.dead_letters("notifier")) == count

    await eventually(so_many)


def documents(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_list_counts_by_what_killed_them(bus: RabbitBus, dlq: Dlq) -> None:
    assert (await dlq("list")).stdout == "No dead letters.\n"
    await kill(bus, event(1), event(2))
    await kill(bus, event(3, "analysis.failed"), error=Unavailable("the database is down"))
    result = await dlq("list")
    assert result.exit_code == 0
    assert "     2  notifier.events  rejected:Reject:analysis.completed\n" in result.stdout
    assert "     1  notifier.events  exhausted:Unavailable:analysis.failed\n" in result.stdout
    assert result.stdout.endswith("3 dead letters in 2 groups\n")
    (group, _) = json.loads((await dlq("list", "--json")).stdout)
    assert (group["count"], group["group"], group["error"]) == (
        2,
        "rejected:Reject:analysis.completed",
        "Reject: no such channel",
    )
    assert datetime.fromisoformat(group["first_failed"]) < datetime.fromisoformat(group["last_died"]) <= datetime.now(UTC)
    await dead(bus, 3)


async def test_letters_are_found_by_what_an_operator_knows_of_them(bus: RabbitBus, dlq: Dlq) -> None:
    await kill(bus, event(1))
    await kill(bus, event(2, "analysis.failed"))
    between = datetime.now(UTC)
    no_subject = Message(
        type="analysis.started", body=b'{"job_id": "j3"}', source="/", subject="", routing_key="analysis.started", id="m3"
    )
    await kill(bus, no_subject)
    for options, expected in [
        (["--id", "m1", "--id", "m2"], {"m1", "m2"}),
        (["--job", "j2"], {"m2"}),
        (["--job", "j3"], {"m3"}),
        (["--group", "rejected:Reject:analysis.failed"], {"m2"}),
        (["--queue", "notifier.events"], {"m1", "m2", "m3"}),
        (["--queue", "audio.events"], set()),
        (["--since", between.isoformat()], {"m3"}),
        (["--until", between.isoformat(), "--since", "1h"], {"m1", "m2"}),
    ]:
        assert {each["id"] for each in documents(await dlq("show", "--json", *options))} == expected, options
    limited = await dlq("show", "--json", "--limit", "2")
    assert len(documents(limited)) == 2
    assert "There are more than these 2" in limited.stderr


async def test_show_tells_all_of_a_letter_and_obeys_nothing_in_it(bus: RabbitBus, dlq: Dlq) -> None:
    await kill(bus, event(7), error=Reject("clear the \x1b[2Jscreen"))
    lines = (await dlq("show")).stdout.splitlines()
    for line in (
        "queue         notifier.events",
        "id            m7",
        "subject       job:j7",
        "attempts      1",
        "reason        rejected",
        "error         Reject: clear the \\x1b[2Jscreen",
        '    "word": "안녕"',
    ):
        assert line in lines
    assert any(line.startswith("first_failed  20") for line in lines)


async def test_redrive_sends_them_back_as_first_attempts(bus: RabbitBus, dlq: Dlq) -> None:
    await kill(bus, event(1), event(2), event(3, "analysis.failed"))
    planned = await dlq("redrive", "--group", "rejected:Reject:analysis.completed", "--dry-run")
    assert planned.stdout.count("-> would be redriven") == 2
    await dead(bus, 3)
    done = await dlq("redrive", "--group", "rejected:Reject:analysis.completed")
    assert done.exit_code == 0
    assert done.stdout.count("-> redriven\n") == 2
    assert done.stdout.endswith("2 redriven\n")
    heard = Recorder()
    await bus.consume(NOTIFIER, heard)
    assert {each.id for each in await heard.until(2)} == {"m1", "m2"}
    assert heard.messages[0] == event_at(heard.messages[0])
    assert [letter.message.id for letter in await bus.dead_letters("notifier")] == ["m3"]


def event_at(heard: Message) -> Message:
    """The event that was sent, at the time that it tells."""
    sent = event(int(heard.id[1:]))
    return Message(sent.type, sent.body, sent.source, sent.subject, sent.routing_key, sent.id, heard.time)


async def test_what_dies_again_is_left_for_the_next_time(bus: RabbitBus, dlq: Dlq) -> None:
    async def fail(_: Message) -> None:
        raise Reject("still not")

    heard = Recorder(fail)
    await bus.consume(NOTIFIER, heard)
    for number in range(3):
        await bus.publish(event(number))
    await dead(bus, 3)
    assert (await dlq("redrive", "--rate", "50")).stdout.endswith("3 redriven\n")
    await dead(bus, 3)
    assert len(heard.messages) == 6


async def test_a_limit_leaves_the_rest_and_says_so(bus: RabbitBus, dlq: Dlq) -> None:
    await kill(bus, event(1), event(2), event(3))
    done = await dlq("redrive", "--limit", "2")
    assert done.stdout.endswith("2 redriven; more match: --limit does more than 2\n")
    await dead(bus, 1)


async def test_the_rate_is_kept(bus: RabbitBus, dlq: Dlq) -> None:
    await kill(bus, event(1), event(2), event(3))
    began = datetime.now(UTC)
    await dlq("redrive", "--rate", "4")
    assert datetime.now(UTC) - began >= timedelta(seconds=0.5)


async def test_a_letter_that_can_go_nowhere_stays_and_the_others_go(
    bus: RabbitBus, dlq: Dlq, rabbitmq: PrivateRabbitMQ
) -> None:
    connection = await aiormq.connect(rabbitmq.amqp_url)
    channel = await connection.channel()
    homeless = Basic.Properties(headers={"ce-id": "m0", "ce-type": "t", "ce-source": "/s", "x-yousync-queue": "gone"})
    await channel.basic_publish(b"\xff", routing_key=NOTIFIER.dead_letter_queue, properties=homeless)
    await connection.close()
    await kill(bus, event(1))
    done = await dlq("redrive")
    assert done.exit_code == 1
    assert "-> stays: no queue is called 'gone'" in done.stdout
    assert done.stdout.endswith("1 redriven, 1 stay\n")
    (left,) = documents(await dlq("show", "--json"))
    assert (left["id"], left["body_base64"]) == ("m0", "/w==")


async def test_drop_wants_a_yes(bus: RabbitBus, dlq: Dlq) -> None:
    await kill(bus, event(1), event(2))
    hesitant = await dlq("drop", "--id", "m1")
    assert (hesitant.exit_code, "say --yes" in hesitant.stderr) == (2, True)
    assert hesitant.stdout.count("-> would be dropped") == 1
    await dead(bus, 2)
    sure = await dlq("drop", "--id", "m1", "--yes")
    assert (sure.exit_code, sure.stdout.count("-> dropped")) == (0, 1)
    await dead(bus, 1)
    again = await dlq("drop", "--id", "m1", "--yes")
    assert (again.exit_code, again.stderr) == (1, "No dead letter matches.\n")


async def test_a_redrive_that_is_killed_loses_nothing(bus: RabbitBus, dlq: Dlq, rabbitmq: PrivateRabbitMQ) -> None:
    sent = [event(number) for number in range(30)]
    await kill(bus, *sent)
    command = [sys.executable, "-m", "yousync.cli", "dlq", "redrive", "--service", "notifier", "--rate", "100", "--json"]
    environment = {**os.environ, "BROKER_URL": rabbitmq.amqp_url, "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    told = [await process.stdout.readline() for _ in range(5)]
    process.kill()
    await process.communicate()
    assert all(json.loads(line)["outcome"] == "redriven" for line in told)
    heard = Recorder()
    await bus.consume(NOTIFIER, heard)

    async def rest_is_back() -> bool:
        return len(await bus.dead_letters("notifier")) + len({each.id for each in heard.messages}) >= 30

    await eventually(rest_is_back)
    assert (await dlq("redrive", "--rate", "1000")).exit_code == 0
    await eventually(lambda: all_heard(heard, {each.id for each in sent}))
    await dead(bus, 0)


async def all_heard(heard: Recorder, ids: set[str]) -> bool:
    return ids == {each.id for each in heard.messages}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--since", "yesterday"], "neither a time like 2026-11-23T04:05 nor an age"),
        (["--service", "gateway"], "consumes nothing; those that do: analysis, audio,"),
    ],
)
def test_what_makes_no_sense_is_told(options: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, ["dlq", "list", *options], env={"TERMINAL_WIDTH": "200"})
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())


def test_without_a_broker_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setattr("yousync.broker.configure_logging", lambda *_, **__: None)
    result = CliRunner().invoke(app, ["dlq", "list"], env={"STATE_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert "BROKER_URL is not set, and no fleet runs in" in result.stderr
    assert "in its own memory" in result.stderr


def test_a_broker_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yousync.broker.configure_logging", lambda *_, **__: None)
    result = CliRunner().invoke(app, ["dlq", "list"], env={"BROKER_URL": "amqp://me:secret@127.0.0.1:9/"})
    assert result.exit_code == 1
    assert "amqp://127.0.0.1:9/: connecting failed" in result.stderr
    assert "secret" not in result.stderr
