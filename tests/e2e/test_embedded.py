"""What only the embedded platform promises: it ends in time and goes on where it stopped."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.e2e.flow import Take, follow
from tests.e2e.platforms import TAKES, Embedded
from yousync.client import Client


@pytest.fixture
def own(tmp_path: Path) -> Embedded:
    """A platform of this test's own, running, with the samples."""
    platform = Embedded(tmp_path / "state")
    platform.start()
    platform.import_samples()
    return platform


async def test_after_kill_9_accepted_takes_are_scored_by_the_next_start(own: Embedded) -> None:
    async with Client(own.url) as client:
        await client.sign_in("learner@example.org")
        takes = [Take(await client.upload(1, TAKES / "script-1.flac")) for _ in range(3)]
        own.kill()
        own.start()
        try:
            await asyncio.gather(*(follow(client, take) for take in takes))
        finally:
            own.stop()
    assert [take.final["status"] for take in takes] == ["completed"] * 3


async def test_ctrl_c_ends_it_in_under_5_seconds_with_open_streams(own: Embedded) -> None:
    async with Client(own.url) as client:
        await client.sign_in("learner@example.org")
        job_ids = [await client.upload(1, TAKES / "script-1.flac") for _ in range(8)]

        async def watch(job_id: str) -> None:
            async for _ in client.progress(job_id):
                pass

        watching = [asyncio.create_task(watch(job_id)) for job_id in job_ids]
        await asyncio.sleep(0.2)
        seconds = await asyncio.to_thread(own.stop)
        await asyncio.gather(*watching, return_exceptions=True)
    assert own.process.returncode == 0
    assert seconds < 5
    assert "Traceback" not in (own.state_dir / "up.log").read_text()


def test_two_platforms_in_one_state_folder_are_refused(embedded: Embedded) -> None:
    second = Embedded(embedded.state_dir)
    with pytest.raises(AssertionError, match="STATE_DIR="):
        second.yousync("up")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    platform = Embedded(tmp_path / "state")
    with socket.socket() as other:
        other.bind(("127.0.0.1", platform.port))
        other.listen()
        with pytest.raises(AssertionError, match="PORT="):
            platform.yousync("up")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BROKER_URL", "redis://127.0.0.1", "amqp://"),
        ("STORAGE_URL", "ftp://127.0.0.1", "file:///absolute/folder"),
        ("DATABASE_URL", "postgresql://u:geheim@127.0.0.1:1/x", "does not let us in"),
        ("ENVIRONMENT", "production", "BROKER_URL"),
        ("PORT", "http", "PORT"),
    ],
)
def test_a_setting_that_cannot_work_is_named_without_a_traceback(tmp_path: Path, name: str, value: str, said: str) -> None:
    platform = Embedded(tmp_path / "state", **{name: value})
    with pytest.raises(AssertionError, match=said) as refusal:
        platform.yousync("up")
    assert "Traceback" not in str(refusal.value)
    assert "geheim" not in str(refusal.value)
