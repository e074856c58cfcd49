"""`yousync topology` against a real broker, with and without its management API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from typer.testing import CliRunner, Result

from libs.common.bus.rabbit import RabbitBus, layout
from libs.common.bus.topology import RETRY_LADDER
from yousync.cli import app
from yousync.local.rabbitmq import PrivateRabbitMQ

WANTED = layout.whole(RETRY_LADDER)
ALL = len(WANTED.exchanges) + len(WANTED.queues) + len(WANTED.bindings)
OTHERWISE = {**WANTED.queues["audio.dead"], "x-delivery-limit": 5}
numbers = count(1)

Topology = Callable[..., Awaitable[Result]]


@pytest.fixture
def url(node: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty virtual host, to which the environment points."""
    name = f"test%2F{next(numbers)}"
    httpx.put(f"{node.management_url}/api/vhosts/{name}", trust_env=False).raise_for_status()
    monkeypatch.setenv("BROKER_URL", f"{node.amqp_url}{name}")
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", node.management_url)
    return f"{node.amqp_url}{name}"


@pytest_asyncio.fixture
async def channel(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


@pytest.fixture
def topology(url: str, monkeypatch: pytest.MonkeyPatch) -> Topology:
    monkeypatch.setattr("yousync.broker.configure_logging", lambda *_, **__: None)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["topology", *arguments]))

    return run


@pytest.fixture
def without_management(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> Topology:
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", "http://me:secret@127.0.0.1:9")
    return topology


async def test_an_empty_broker_is_planned_made_and_then_as_declared(topology: Topology, url: str) -> None:
    planned = await topology("plan")
    assert (planned.exit_code, planned.stdout.count("\n+ ") + 1) == (0, ALL)
    assert planned.stdout.endswith(f"{ALL} to make.\n")
    assert (await topology("drift")).exit_code == 1
    made = await topology("apply")
    assert (made.exit_code, made.stdout.count("-> made\n")) == (0, ALL)
    assert (await topology("plan")).stdout == "Nothing to make: all that is declared is there.\n"
    assert (await topology("apply")).stdout == "As declared.\n"
    assert (await topology("drift")).stdout == "As declared.\n"


async def test_what_a_service_declares_at_its_start_is_as_declared(topology: Topology, url: str) -> None:
    bus = RabbitBus(url, name="test")
    await bus.start()
    listener = await bus.listen_frames(_nobody)
    await listener.bind(7)
    drift = await topology("drift")
    await bus.close()
    assert drift.stdout == "As declared.\n"


async def _nobody(partition: int, body: bytes) -> None: ...


async def test_drift_names_what_is_otherwise_missing_and_unknown(topology: Topology, channel: AbstractChannel) -> None:
    await channel.declare_queue("audio.dead", durable=True, arguments=dict(OTHERWISE))
    assert (await topology("apply")).exit_code == 1
    events = await channel.get_exchange("yousync.events")
    await (await channel.get_queue("audio.events")).unbind(events, "audio.uploaded")
    await (await channel.get_queue("audio.events")).bind(events, "audio.#")
    await channel.declare_queue("yousync.retry.5s", durable=True)
    await channel.queue_delete("notifier.dead")
    drift = await topology("drift")
    assert drift.exit_code == 1
    assert drift.stdout.splitlines() == [
        "~ queue audio.dead: x-delivery-limit is 5, declared 1000000000",
        "+ queue notifier.dead: quorum",
        "- queue yousync.retry.5s",
        "+ binding yousync.events -> audio.events by 'audio.uploaded'",
        "+ binding yousync.dead -> notifier.dead by 'notifier.dead'",
        "- binding yousync.events -> audio.events by 'audio.#'",
        "6 differences.",
    ]
    first = json.loads((await topology("drift", "--json")).stdout)[0]
    assert first == {
        "kind": "differs",
        "thing": "queue",
        "name": "audio.dead",
        "detail": "x-delivery-limit is 5, declared 1000000000",
    }


async def test_apply_deletes_nothing_unless_told_and_never_what_holds_messages(
    topology: Topology, channel: AbstractChannel
) -> None:
    await topology("apply")
    events = await channel.get_exchange("yousync.events")
    for name in ("yousync.full", "yousync.read", "yousync.empty"):
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(events, "old.#")
        if name == "yousync.read":
            await queue.consume(_forget, no_ack=True)
    await channel.declare_exchange("yousync.old", "topic", durable=True)
    await (await channel.get_queue("audio.events")).bind(events, "old.#")
    await channel.default_exchange.publish(aio_pika.Message(b"precious"), "yousync.full")
    kept = await topology("apply")
    assert (kept.exit_code, kept.stdout.count("-> stays\n")) == (1, 8)
    assert "deleted" not in kept.stdout
    pruned = await topology("apply", "--prune")
    assert pruned.exit_code == 1
    assert "- queue yousync.full  -> stays: 1 messages are in it\n" in pruned.stdout
    assert "- queue yousync.read  -> stays: 1 consumers read it\n" in pruned.stdout
    assert "- queue yousync.empty  -> deleted\n" in pruned.stdout
    assert "- binding yousync.events -> audio.events by 'old.#'  -> removed\n" in pruned.stdout
    assert "- exchange yousync.old  -> deleted\n" in pruned.stdout
    full = await channel.get_queue("yousync.full")
    assert (await full.get(no_ack=True)).body == b"precious"
    drift = (await topology("drift")).stdout.splitlines()
    assert drift == [
        "- queue yousync.full",
        "- queue yousync.read",
        "- binding yousync.events -> yousync.full by 'old.#'",
        "- binding yousync.events -> yousync.read by 'old.#'",
        "4 differences.",
    ]


async def _forget(message: aio_pika.abc.AbstractIncomingMessage) -> None: ...


async def test_prune_makes_an_empty_queue_anew_that_was_declared_otherwise(
    topology: Topology, channel: AbstractChannel
) -> None:
    await channel.declare_queue("audio.dead", durable=True, arguments=dict(OTHERWISE))
    pruned = await topology("apply", "--prune")
    assert (pruned.exit_code, pruned.stdout.endswith("As declared.\n")) == (0, True)
    assert (await topology("drift")).exit_code == 0


async def test_without_the_management_api_it_compares_what_it_can_and_says_what_it_cannot(
    without_management: Topology, channel: AbstractChannel
) -> None:
    await channel.declare_queue("audio.dead", durable=True, arguments=dict(OTHERWISE))
    drift = await without_management("drift")
    assert drift.exit_code == 1
    assert "http://127.0.0.1:9 does not answer as a management API" in drift.stderr
    assert "bindings, policies, users and what nobody declared were not looked at" in drift.stderr
    assert "secret" not in drift.stderr
    lines = drift.stdout.splitlines()
    assert "+ queue audio.events: quorum" in lines
    assert any(line.startswith("~ queue audio.dead: ") and "x-delivery-limit" in line for line in lines)
    refused = await without_management("apply", "--prune")
    assert (refused.exit_code, "nothing was changed" in refused.stderr) == (2, True)
    assert (await without_management("apply")).exit_code == 1


async def test_without_the_management_api_apply_makes_all_of_it(
    without_management: Topology, node: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await without_management("apply")).exit_code == 0
    assert (await without_management("drift")).exit_code == 0
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", node.management_url)
    assert (await without_management("drift")).stdout == "As declared.\n"


async def test_a_user_whom_the_management_api_does_not_let_in_is_told_which_tag_it_needs(
    topology: Topology, node: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", node.management_url.replace("yousync:", "stranger:"))
    assert "it needs the tag `monitoring` or `management`" in (await topology("plan")).stderr
