"""deploy/broker.sh against a real broker, and what the users that it makes may not do there."""

import subprocess
from collections.abc import Awaitable, Callable

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused
from pamqp.common import FieldTable
from yarl import URL

from libs.common.bus.base import BusUnavailable
from libs.common.bus.rabbit import layout
from libs.common.bus.rabbit.link import connect, say_goodbye
from libs.common.bus.topology import (
    DEAD_EXCHANGE,
    EVENTS_EXCHANGE,
    FRAMES_EXCHANGE,
    LEASES_EXCHANGE,
    QUEUES,
    RETRY_LADDER,
    ear_prefix,
    seen_by,
)
from tests.deploy.compose import ROOT
from yousync.contracts.schemas import events, routing_keys
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.topology.rights import USERS, all_rights
from yousync.topology.users import OPERATOR, password_variable

RIGHTS = all_rights(RETRY_LADDER)
LAYOUT = layout.whole(RETRY_LADDER)
KEYS = sorted(key for event in events().values() for key in routing_keys(event))
MESSAGE = aio_pika.Message(b"not to arrive")

Attempt = Callable[[AbstractChannel], Awaitable[object]]


def run_script(node: PrivateRabbitMQ, passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    operators = node.amqp_url.split("@")[0].rpartition(":")[2]
    given = {password_variable(user): password for user, password in {OPERATOR: operators, **passwords}.items()}
    environment = {**node.control_environment, **given}
    return subprocess.run(["sh", ROOT / "deploy/broker.sh"], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def broker(rabbitmq: PrivateRabbitMQ) -> PrivateRabbitMQ:
    """Made as it is deployed."""
    done = run_script(rabbitmq, rabbitmq.passwords(USERS))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return rabbitmq


def _publish(exchange: str, key: str) -> Attempt:
    async def attempt(channel: AbstractChannel) -> object:
        place = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        return await place.publish(MESSAGE, key, mandatory=False)

    return attempt


def _on_queue(name: str, deed: str) -> Attempt:
    async def attempt(channel: AbstractChannel) -> object:
        queue = await channel.get_queue(name, ensure=False)
        match deed:
            case "take from":
                return await queue.get(fail=False)
            case "empty":
                return await queue.purge()
            case "delete":
                return await queue.delete()
            case _:
                return await channel.declare_queue(name, durable=True, arguments=dict(LAYOUT.queues.get(name, {})))

    return attempt


def _bind(queue: str, exchange: str) -> Attempt:
    async def attempt(channel: AbstractChannel) -> object:
        return await (await channel.get_queue(queue, ensure=False)).bind(exchange, "300")

    return attempt


def _on_exchange(name: str, deed: str) -> Attempt:
    async def attempt(channel: AbstractChannel) -> object:
        if deed == "delete":
            return await channel.exchange_delete(name)
        return await channel.declare_exchange(name, "topic", durable=True)

    return attempt


def _hear(user: str, exchange: str, key: str) -> Attempt:
    async def attempt(channel: AbstractChannel) -> object:
        queue = await channel.declare_queue(f"{ear_prefix(user)}0123", exclusive=True)
        return await queue.bind(exchange, key)

    return attempt


def _make_for_death(user: str) -> Attempt:
    async def attempt(channel: AbstractChannel) -> object:
        """A queue whose dead letters go where this user may not publish."""
        arguments: FieldTable = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "audio.events"}
        return await channel.declare_queue(f"{ear_prefix(user)}4567", exclusive=True, arguments=arguments)

    return attempt


def forbidden(user: str) -> dict[str, Attempt]:
    """All that `user` may not do, by what it is."""
    rights = RIGHTS[user]
    attempts: dict[str, Attempt] = {}
    for name in LAYOUT.queues:
        attempts |= {f"{deed} {name}": _on_queue(name, deed) for deed in ("declare", "delete")}
        # A rung's queue and exchange have one name, so who may publish there, and hears something, may lead that there.
        led = rights.read if name in rights.write else ()
        attempts |= {f"bind {name} to {place}": _bind(name, place) for place in LAYOUT.exchanges if place not in led}
        if name not in seen_by(user):
            attempts |= {f"{deed} {name}": _on_queue(name, deed) for deed in ("take from", "empty")}
    for name in (*LAYOUT.exchanges, "mine"):
        attempts |= {f"{deed} {name}": _on_exchange(name, deed) for deed in ("declare exchange", "delete")}
    sent = rights.topics[EVENTS_EXCHANGE].write if EVENTS_EXCHANGE in rights.topics else ()
    attempts |= {f"publish {key}": _publish(EVENTS_EXCHANGE, key) for key in (*KEYS, "anything") if key not in sent}
    for queue in QUEUES:
        attempts[f"publish to {queue.name} by the default exchange"] = _publish("", queue.name)
        if queue.user != user:
            attempts |= {
                f"retry in {queue.name} by {name}": _publish(name, queue.name) for name in LAYOUT.exchanges if "retry" in name
            }
        if queue.service != USERS[user]:
            attempts[f"put to {queue.dead_letter_queue}"] = _publish(DEAD_EXCHANGE, queue.dead_letter_queue)
    for name in (FRAMES_EXCHANGE, LEASES_EXCHANGE):
        if name not in rights.write:
            attempts[f"publish to {name}"] = _publish(name, "1")
        if name not in rights.read:
            attempts[f"hear {name}"] = _hear(user, name, "1")
    attempts |= {f"hear {key}": _hear(user, EVENTS_EXCHANGE, key) for key in ("#", "user.deleted", "analysis.completed")}
    attempts["make a queue for others' frames"] = _on_queue(
        f"{ear_prefix('gateway' if user != 'gateway' else 'audio')}01", "declare"
    )
    attempts["have dead letters published"] = _make_for_death(user)
    attempts["make a queue of the broker's naming"] = _on_queue("", "declare")
    return attempts


@pytest.mark.parametrize("user", USERS)
async def test_a_user_is_refused_everything_that_its_service_does_not_need(broker: PrivateRabbitMQ, user: str) -> None:
    succeeded, attempts = [], forbidden(user)
    async with await aio_pika.connect(broker.user_url(user)) as connection:
        for what, attempt in attempts.items():
            channel = await connection.channel()
            try:
                await attempt(channel)
            except ChannelAccessRefused:
                continue
            succeeded.append(what)
            await channel.close()
    assert succeeded == []
    assert len(attempts) > 100


async def test_an_analysis_server_hears_that_it_may_stop_and_nothing_that_learners_see(broker: PrivateRabbitMQ) -> None:
    async with await aio_pika.connect(broker.user_url("analysis")) as connection:
        await _hear("analysis", LEASES_EXCHANGE, "300")(await connection.channel())
        with pytest.raises(ChannelAccessRefused):
            await _hear("analysis", FRAMES_EXCHANGE, "30")(await connection.channel())


async def test_a_password_that_was_changed_takes_effect_while_the_broker_runs(broker: PrivateRabbitMQ) -> None:
    old = broker.user_url("notifier")
    done = run_script(broker, {**broker.passwords(USERS), "notifier": "another"})
    assert done.returncode == 0, done.stderr
    with pytest.raises(BusUnavailable) as refused:
        await connect(URL(old), "test")
    assert isinstance(refused.value.__cause__, ProbableAuthenticationError)
    await say_goodbye(await connect(URL(old.replace(broker.passwords(["notifier"])["notifier"], "another")), "test"))


def test_a_password_is_never_shown_and_one_that_breaks_a_url_is_refused(rabbitmq: PrivateRabbitMQ) -> None:
    refused = run_script(rabbitmq, {**rabbitmq.passwords(USERS), "audio": "a/b@c"})
    assert refused.returncode == 1
    assert refused.stderr == "broker: AUDIO_BROKER_PASSWORD may have letters and digits only: it is part of a URL\n"
    missing = run_script(rabbitmq, {user: word for user, word in rabbitmq.passwords(USERS).items() if user != "audio"})
    assert missing.returncode != 0
    assert "AUDIO_BROKER_PASSWORD: run deploy/make-env.sh" in missing.stderr
