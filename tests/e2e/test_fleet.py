"""What only a fleet can suffer: services and the broker fall one by one."""

import asyncio

import httpx

from tests.e2e.flow import Take, follow, until
from tests.e2e.platforms import TAKES, Fleet
from tests.e2e.test_mypage import signed_in
from yousync.client import Client
from yousync.environment import SERVICES
from yousync.fleet import METRICS
from yousync.local.process import kept_ports
from yousync.local.rabbitmq import PrivateRabbitMQ

BROKER_DOWN_SECONDS = 20


async def test_a_job_completes_although_audio_was_killed_while_it_ran(fleet: Fleet) -> None:
    async with Client(fleet.url) as client:
        takes = [Take(await client.upload(1, TAKES / "script-1.flac")) for _ in range(4)]
        following = [asyncio.create_task(follow(client, take)) for take in takes]

        async def one_runs() -> bool:
            return any(frame.get("progress", 0) >= 70 for take in takes for frame in take.frames)

        await until(one_runs)
        fleet.kill("audio")
        await asyncio.to_thread(fleet.start)
        await asyncio.gather(*following)
        for take in takes:
            assert (await client.result(take.job_id))["status"] == "completed"
    assert [take.final["status"] for take in takes] == ["completed"] * 4


async def test_while_the_broker_is_down_uploads_are_taken_and_complete_afterwards_and_a_logout_counts(fleet: Fleet) -> None:
    broker = PrivateRabbitMQ(fleet.state_dir / "rabbitmq")
    async with Client(fleet.url) as client, signed_in(fleet.url, email="signs-out@example.org") as learner:
        await asyncio.to_thread(broker.stop)
        try:
            take = Take(await client.upload(1, TAKES / "script-1.flac"))
            assert (await learner.get("/api/mypage/bookmarks")).status_code == 200
            await learner.post("/api/auth/logout")

            async def is_refused() -> bool:
                return (await learner.get("/api/mypage/bookmarks")).status_code == httpx.codes.UNAUTHORIZED

            await until(is_refused)
            await asyncio.sleep(BROKER_DOWN_SECONDS)
            assert (await client.result(take.job_id))["status"] == "processing"
        finally:
            await asyncio.to_thread(broker.start)
        await follow(client, take)
    assert take.final["status"] == "completed"


async def test_every_process_answers_with_its_metrics_but_not_at_the_public_port(fleet: Fleet) -> None:
    names = [name if name != "gateway" else METRICS for name in SERVICES]
    ports = kept_ports(fleet.state_dir / "run" / "ports.json", names, in_use=True)
    async with httpx.AsyncClient(trust_env=False) as client:
        pages = {
            name: (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            for name, port in zip(SERVICES, ports.values(), strict=True)
        }
        assert (await client.get(f"{fleet.url}/metrics")).status_code == httpx.codes.NOT_FOUND
    for name, page in pages.items():
        assert "yousync_http_requests_total" in page, name
    for name in ("auth", "catalog", "audio"):
        assert f'yousync_outbox_depth{{service="{name}"}}' in pages[name], name
    assert "yousync_open_streams" in pages["gateway"]
    assert "yousync_audio_jobs" in pages["audio"]
    assert "yousync_bus_queue_depth" in pages["audio"]
