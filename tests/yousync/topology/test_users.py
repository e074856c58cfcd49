"""`yousync topology` and the users of a real broker with its management API."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ChannelAccessRefused, ProbableAuthenticationError
from typer.testing import CliRunner, Result
from yarl import URL

from libs.common.bus.base import BusUnavailable
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.rabbit.link import connect, say_goodbye
from libs.common.bus.topology import EVENTS_EXCHANGE, RETRY_LADDER
from yousync.broker import Broker
from yousync.cli import app
from yousync.local.process import LocalServerError
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.topology.apply import make_broker
from yousync.topology.rights import USERS, all_rights, pattern, permission
from yousync.topology.users import password_variable

PASSWORDS = {user: f"{user}0123456789" for user in USERS}

Topology = Callable[..., Awaitable[Result]]


@pytest.fixture
def topology(node: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch) -> Topology:
    """Pointed at the broker, with a password for each user."""
    monkeypatch.setenv("BROKER_URL", node.amqp_url)
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", node.management_url)
    for user, password in PASSWORDS.items():
        monkeypatch.setenv(password_variable(user), password)
    monkeypatch.setattr("yousync.broker.configure_logging", lambda *_, **__: None)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["topology", *arguments]))

    return run


def url_of(node: PrivateRabbitMQ, user: str, password: str) -> str:
    return f"amqp://{user}:{password}@{node.amqp_url.split('@')[1]}"


async def test_users_are_planned_made_and_then_as_declared(topology: Topology, node: PrivateRabbitMQ) -> None:
    planned = await topology("plan")
    assert [line for line in planned.stdout.splitlines() if " user " in line] == [f"+ user {user}" for user in USERS]
    applied = await topology("apply")
    assert applied.exit_code == 0, applied.output
    assert "+ user audio  -> made so\n" in applied.stdout
    assert applied.stdout.index("binding") < applied.stdout.index("+ user")  # who is let in finds everything there
    assert (await topology("drift")).stdout == "As declared.\n"
    assert (await topology("apply")).stdout == "As declared.\n"
    shown = [planned.output, applied.output, (await topology("plan", "--json")).output]
    assert not any(password in text for text in shown for password in PASSWORDS.values())


async def test_what_a_user_has_too_much_or_too_little_is_told_and_taken_back(topology: Topology, node: PrivateRabbitMQ) -> None:
    await topology("apply")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    wrong = {
        "users/catalog": {"password": "another", "tags": "administrator"},
        "permissions/%2F/analysis": everything,
        "permissions/%2F/notifier": {"configure": "", "write": "", "read": ""},
        "topic-permissions/%2F/audio": {"exchange": EVENTS_EXCHANGE, "write": ".*", "read": ".*"},
        "topic-permissions/%2F/auth": {"exchange": "amq.topic", "write": ".*", "read": ".*"},
        "users/stranger": {"password": "x", "tags": ""},
        "permissions/%2F/stranger": {"configure": "", "write": "", "read": ".*"},
    }
    async with httpx.AsyncClient(base_url=node.management_url, trust_env=False) as management:
        for path, body in wrong.items():
            (await management.put(f"/api/{path}", json=body)).raise_for_status()
    drift = await topology("drift")
    assert drift.exit_code == 1
    told = [line.split(",")[0] for line in drift.stdout.splitlines()]
    for line in (
        "* user catalog: its password is another",
        "* user catalog: it has the tags administrator",
        "* user analysis: it may configure '.*'",
        "* user audio: it may write of yousync.events '.*'",
        "* user auth: it has topics of amq.topic",
        "* user notifier: it may read ''",
        "- user stranger: it may be here",
    ):
        assert line in told
    applied = await topology("apply")
    assert (applied.exit_code, "- user stranger: it may be here  -> stays\n" in applied.stdout) == (1, True)
    assert (await topology("drift")).stdout == "- user stranger: it may be here\n1 differences.\n"
    node.control("delete_user", "stranger")


async def test_a_password_that_was_changed_takes_effect(
    topology: Topology, node: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topology("apply")
    await say_goodbye(await connect(URL(url_of(node, "auth", PASSWORDS["auth"])), "test"))
    monkeypatch.setenv("AUTH_BROKER_PASSWORD", "changed")
    assert (await topology("apply")).stdout == "* user auth: its password is another  -> made so\nAs declared.\n"
    with pytest.raises(BusUnavailable) as refused:
        await connect(URL(url_of(node, "auth", PASSWORDS["auth"])), "test")
    assert isinstance(refused.value.__cause__, ProbableAuthenticationError)
    await say_goodbye(await connect(URL(url_of(node, "auth", "changed")), "test"))


async def test_without_the_management_api_users_are_not_said_to_be_made(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", "http://me:secret@127.0.0.1:9")
    applied = await topology("apply")
    assert applied.exit_code == 1
    assert "Users were not made: that takes the management API." in applied.stderr
    assert "As declared." not in applied.stdout


async def test_passwords_are_given_for_all_users_or_none(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIO_BROKER_PASSWORD")
    refused = await topology("plan")
    assert (refused.exit_code, "AUDIO_BROKER_PASSWORD" in refused.stderr) == (1, True)
    for user in USERS:
        monkeypatch.delenv(password_variable(user), raising=False)
    assert " user " not in (await topology("drift")).stdout


async def test_a_service_waits_for_its_user_and_then_finds_everything(node: PrivateRabbitMQ) -> None:
    host = "later"
    node.control("add_vhost", host)
    node.control("set_permissions", "--vhost", host, "yousync", ".*", ".*", ".*")
    bus = RabbitBus(url_of(node, "notifier", node.passwords(["notifier"])["notifier"]) + host, name="notifier", declares=False)
    starting = asyncio.create_task(bus.start())
    done, _ = await asyncio.wait([starting], timeout=0.5)
    assert not done
    broker = Broker(node.amqp_url + host, node.management_url, RETRY_LADDER, node.passwords(USERS))
    await make_broker(broker)
    async with asyncio.timeout(20):
        await starting
    assert (await bus.depths(["notifier.events", "notifier.dead"])).keys() >= {"notifier.events", "notifier.dead"}
    await bus.close()


async def test_a_user_that_may_not_declare_does_not_try(topology: Topology, node: PrivateRabbitMQ) -> None:
    """Its refusals would hide those of somebody who tries what they should not."""
    await topology("apply")
    url = url_of(node, "audio", PASSWORDS["audio"])
    bus = RabbitBus(url, name="audio", declares=False)
    await bus.start()
    listener = await bus.listen_frames(_nobody)
    await listener.bind(7)
    await bus.depths(["audio.events"])
    assert bus.connected
    await bus.close()
    assert "refused for user 'audio'" not in (node.state_dir / "rabbitmq.log").read_text()
    declaring = RabbitBus(url, name="audio")
    starting = asyncio.create_task(declaring.start())
    async with await aio_pika.connect(url) as connection:
        with pytest.raises(ChannelAccessRefused):
            await (await connection.channel()).declare_queue("audio.events", durable=True)
    assert not declaring.connected
    starting.cancel()
    await declaring.close()


async def _nobody(partition: int, body: bytes) -> None: ...


async def test_a_broker_that_was_declared_otherwise_is_not_taken_for_made(node: PrivateRabbitMQ) -> None:
    host = "otherwise"
    node.control("add_vhost", host)
    node.control("set_permissions", "--vhost", host, "yousync", ".*", ".*", ".*")
    async with await aio_pika.connect(node.amqp_url + host) as connection:
        await (await connection.channel()).declare_queue("audio.events", durable=True)
    with pytest.raises(LocalServerError, match="yousync topology drift"):
        await make_broker(Broker(node.amqp_url + host, node.management_url, RETRY_LADDER, {}))


def test_a_name_stands_for_itself_alone_and_one_with_a_dot_for_what_begins_so() -> None:
    assert pattern([]) == "^$"
    assert pattern(["a.b", "audio.ear."]) == r"^(a\.b|audio\.ear\.[0-9a-f]+)$"


def test_nobody_may_configure_what_lasts_or_publish_to_the_default_exchange() -> None:
    for user, rights in all_rights(RETRY_LADDER).items():
        assert all(name == f"{user}.ear." for name in rights.configure)
        assert "amq.default" not in rights.write
        assert "#" not in json.dumps(permission(rights))
