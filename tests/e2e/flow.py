"""One take, from the upload to the scores, as the web client does it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.platforms import TAKES
from yousync.client import Client


@dataclass
class Take:
    """What a client saw of one job."""

    job_id: str
    frames: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0  # upload to last frame

    @property
    def final(self) -> dict[str, Any]:
        return self.frames[-1]

    @property
    def result(self) -> dict[str, Any]:
        """The result as the client reads it."""
        assert self.final["status"] == "completed", self.final
        result: dict[str, Any] = self.final["result"]["result"]
        return result


async def speak(url: str, script_id: int, recording: Path | None = None, *, email: str | None = "learner@example.org") -> Take:
    """Upload a recording and follow its stream to the end."""
    async with Client(url) as client:
        if email is not None:
            await client.sign_in(email)
        started = time.monotonic()
        take = Take(await client.upload(script_id, recording or TAKES / f"script-{script_id}.flac"))
        await follow(client, take)
        take.seconds = time.monotonic() - started
        return take


async def follow(client: Client, take: Take, *, seconds: float = 90.0) -> None:
    """Read the job's stream until its final frame, reconnecting as a browser does when it breaks."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                async for frame in client.progress(take.job_id):
                    take.frames.append(frame)
                    if frame.get("status") in ("completed", "failed"):
                        return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.3)


async def until(condition: Callable[[], Coroutine[Any, Any, bool]], *, seconds: float = 30.0) -> None:
    """Wait until something outside this process has happened."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)
