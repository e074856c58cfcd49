"""Whoever signs out is out: at every door, on streams that are open, and at a gateway that was not there to hear of it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.e2e.platforms import TAKES, Embedded, Fleet
from tests.e2e.test_mypage import send, signed_in
from yousync.client import Client

LEARNER = {"email": "signs-out@example.org"}
PATIENCE = 10.0  # seconds


def is_over(response: httpx.Response) -> bool:
    return response.status_code == 401 and response.json()["code"] == "session_ended"


async def last_frame(client: httpx.AsyncClient, path: str, opened: asyncio.Event) -> dict[str, Any]:
    """What a stream says at its end; `opened` when it has said something."""
    said: dict[str, Any] = {}
    async with client.stream("GET", path, timeout=None) as response:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                said = json.loads(line.removeprefix("data:"))
                opened.set()
    return said


@contextmanager
def nobody_analyses(fleet: Fleet) -> Iterator[None]:
    """Jobs wait."""
    send(fleet, "analysis", signal.SIGSTOP)
    try:
        yield
    finally:
        send(fleet, "analysis", signal.SIGCONT)


async def test_fault_25_a_logout_ends_its_session_at_every_service_and_no_other_one(platform: Embedded | Fleet) -> None:
    async with signed_in(platform.url, **LEARNER) as laptop, signed_in(platform.url, **LEARNER) as phone:
        assert (await laptop.post("/api/auth/logout")).status_code == 200
        async with asyncio.timeout(PATIENCE):
            while not is_over(await laptop.get("/api/mypage/bookmarks")):
                await asyncio.sleep(0.01)
        for path in ("/api/tokens/1", "/api/score/me/average", "/api/auth/sessions", "/api/mypage/overview"):
            assert is_over(await laptop.get(path)), path
        assert (await phone.get("/api/mypage/bookmarks")).status_code == 200


async def test_streams_of_the_session_end_and_a_gateway_that_starts_later_knows_it(fleet: Fleet) -> None:
    async with (
        signed_in(fleet.url, **LEARNER) as laptop,
        signed_in(fleet.url, **LEARNER) as phone,
        Client(fleet.url) as anybody,
    ):
        with nobody_analyses(fleet):
            job = await anybody.upload(1, TAKES / "script-1.flac")
            path, opened = f"/api/scripts/analysis-progress/{job}", {each: asyncio.Event() for each in (laptop, phone)}
            streams = {each: asyncio.create_task(last_frame(each, path, opened[each])) for each in opened}
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(event.wait() for event in opened.values()))
                await laptop.post("/api/auth/logout")
                ended = await streams[laptop]
        assert (ended["status"], ended["code"], ended["job_id"]) == ("error", "session_ended", job)
        assert is_over(await laptop.get(path))
        async with asyncio.timeout(PATIENCE):
            assert (await streams[phone])["status"] == "completed"

        fleet.kill("gateway")
        await asyncio.to_thread(fleet.start)
        assert is_over(await laptop.get("/api/mypage/bookmarks"))
        assert (await phone.get("/api/mypage/bookmarks")).status_code == 200
