"""Real RabbitMQ nodes: crash, pause, two beside each other, and an installation that starts no service."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aio_pika
import httpx
import pytest
from aio_pika.exceptions import ProbableAuthenticationError

from yousync.local import rabbitmq as module
from yousync.local.process import LocalServerError
from yousync.local.rabbitmq import PrivateRabbitMQ, ensure_installed


async def test_a_node_keeps_its_address_and_its_messages_over_a_restart_and_a_crash(tmp_path: Path) -> None:
    node = PrivateRabbitMQ(tmp_path, metrics=False)
    node.start()
    try:
        address = node.amqp_url
        async with await aio_pika.connect(address) as connection:
            channel = await connection.channel()
            await channel.declare_queue("kept", durable=True)
            await channel.default_exchange.publish(aio_pika.Message(b"one", delivery_mode=2), "kept")
        node.stop()
        node.start()
        node.kill()
        again = PrivateRabbitMQ(tmp_path, metrics=False)
        again.start()
        assert again.amqp_url == address
        async with await aio_pika.connect(address) as connection:
            queue = await (await connection.channel()).declare_queue("kept", passive=True)
            assert (await queue.get(no_ack=True, timeout=10)).body == b"one"
    finally:
        PrivateRabbitMQ(tmp_path, metrics=False).stop()


async def test_two_nodes_live_beside_each_other_and_one_shows_its_metrics_and_queues(
    rabbitmq: PrivateRabbitMQ, tmp_path: Path
) -> None:
    other = PrivateRabbitMQ(tmp_path)
    other.start()
    try:
        assert other.amqp_url != rabbitmq.amqp_url
        for node in (rabbitmq, other):
            await (await aio_pika.connect(node.amqp_url)).close()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "rabbitmq_build_info" in (await client.get(other.metrics_url)).text
            assert (await client.get(f"{other.management_url}/api/overview")).json()["node"] == "yousync@localhost"
    finally:
        other.kill()
        other.stop()


def test_a_node_is_found_and_told_what_to_do_by_whoever_knows_its_folder(rabbitmq: PrivateRabbitMQ, tmp_path: Path) -> None:
    found = PrivateRabbitMQ(rabbitmq.state_dir, metrics=False)
    assert found.find()
    assert found.amqp_url == rabbitmq.amqp_url
    assert found.control("eval", "1 + 1.") == "2\n"
    with pytest.raises(LocalServerError, match="eval` failed"):
        found.control("eval")
    assert not PrivateRabbitMQ(tmp_path).find()


async def test_the_well_known_guest_is_not_let_in(rabbitmq: PrivateRabbitMQ) -> None:
    host = rabbitmq.amqp_url.split("@")[1]
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(f"amqp://guest:guest@{host}")


async def test_a_paused_node_answers_nothing_until_it_goes_on(rabbitmq: PrivateRabbitMQ) -> None:
    async with await aio_pika.connect(rabbitmq.amqp_url) as connection:
        rabbitmq.pause()
        try:
            channel = asyncio.ensure_future(connection.channel())
            done, _ = await asyncio.wait([channel], timeout=0.5)
            assert not done
        finally:
            rabbitmq.resume()
        await asyncio.wait_for(channel, 10)


def test_without_root_a_missing_package_is_named_with_the_way_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SERVER", tmp_path / "absent")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LocalServerError, match="apt-get install rabbitmq-server, or pass BROKER_URL"):
        ensure_installed()


@pytest.fixture
def fake_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of apt-get, on a machine without RabbitMQ whose policy file is in `tmp_path`."""
    monkeypatch.setattr(module, "_SERVER", tmp_path / "server")
    monkeypatch.setattr(module, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def write(script: str) -> None:
        (tmp_path / "apt-get").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "apt-get").chmod(0o755)

    return write


def test_an_installation_denies_service_starts_and_leaves_no_policy_behind(
    tmp_path: Path, fake_apt: Callable[[str], None]
) -> None:
    fake_apt(f'[ "$1" = update ] || {{ "{tmp_path}/policy-rc.d"; echo $? >"{tmp_path}/server"; }}')
    assert ensure_installed().read_text() == "101\n"
    assert not (tmp_path / "policy-rc.d").exists()


def test_an_installation_that_fails_says_why_and_leaves_no_policy_behind(
    tmp_path: Path, fake_apt: Callable[[str], None]
) -> None:
    fake_apt("echo 'E: no space left' >&2; exit 100")
    with pytest.raises(LocalServerError, match="E: no space left"):
        ensure_installed()
    assert not (tmp_path / "policy-rc.d").exists()


def test_a_policy_of_the_machine_stays_as_it_is(tmp_path: Path, fake_apt: Callable[[str], None]) -> None:
    (tmp_path / "policy-rc.d").write_text("#!/bin/sh\nexit 0\n")
    fake_apt(f'touch "{tmp_path}/server"')
    ensure_installed()
    assert (tmp_path / "policy-rc.d").read_text() == "#!/bin/sh\nexit 0\n"
