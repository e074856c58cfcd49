"""People who record: each uploads one take, stubbornly, and follows it to the end, each in their own manner."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp

ANSWER_SECONDS = 30.0  # what the web client grants an answer
SILENCE_SECONDS = 10.0  # heartbeats come each 2 s: a connection that is silent for so long is dead, for everybody
AGAIN_SECONDS = 1.0
LAST_FRAME = ("completed", "failed")


class Manner(StrEnum):
    """How somebody follows their take."""

    STAYS = "stays"  # comes back only when the connection breaks
    LEAVES = "leaves"  # goes away in the middle, comes back with Last-Event-ID
    LATE = "late"  # does not look before it is long over
    CANCELS = "cancels"  # stays, and stops the job at some moment


@dataclass
class Refusal:
    """An upload that was not answered with a job."""

    at: float  # time.time()
    seconds: float
    what: str


@dataclass
class Person:
    """One take and what its owner saw of it."""

    name: str
    url: str
    script_id: int
    recording: bytes
    token: str | None
    manner: Manner
    chance: random.Random
    key: str = field(default_factory=lambda: uuid4().hex)
    job_id: str | None = None
    refusals: list[Refusal] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    final: dict[str, Any] | None = None
    connections: int = 0
    faults: list[str] = field(default_factory=list)  # what this person saw and nobody may see
    last_event_id: str | None = None
    done: bool = False
    cancelled: bool | None = None  # whether the job could be stopped, as it was answered

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def take_part(self, http: aiohttp.ClientSession) -> None:
        """Upload, follow."""
        await self.upload(http)
        await self.follow(http)

    async def upload(self, http: aiohttp.ClientSession) -> None:
        """Send the take until a job is answered, always with the same Idempotency-Key."""
        while self.job_id is None:
            began = time.time()
            try:
                self.job_id = await self.send(http)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.refusals.append(Refusal(began, time.time() - began, repr(error)[:200]))
                await asyncio.sleep(AGAIN_SECONDS)

    async def send(self, http: aiohttp.ClientSession) -> str:
        """Send the take once; the job. Raises aiohttp.ClientError, TimeoutError."""
        form = aiohttp.FormData()
        form.add_field("file", self.recording, filename="take.flac", content_type="audio/flac")
        path = f"{self.url}/api/scripts/{self.script_id}/upload-audio"
        headers = {**self.headers, "Idempotency-Key": self.key}
        async with http.post(path, data=form, headers=headers, timeout=aiohttp.ClientTimeout(ANSWER_SECONDS)) as answer:
            if answer.status >= 400:
                text = (await answer.text())[:150]
                raise aiohttp.ClientPayloadError(f"{answer.status} {text}")
            job_id: str = (await answer.json())["job_id"]
            return job_id

    async def follow(self, http: aiohttp.ClientSession) -> None:
        """See the take through to its end."""
        if self.manner is Manner.CANCELS:
            await asyncio.gather(self._follow(http), self._cancel(http))
        else:
            await self._follow(http)
        self.done = True

    async def _follow(self, http: aiohttp.ClientSession) -> None:
        leaves_after = self.chance.randint(1, 4) if self.manner is Manner.LEAVES else None
        while self.manner is Manner.LATE and not await self._is_over(http):
            await asyncio.sleep(5 * AGAIN_SECONDS)
        while self.final is None:
            self.connections += 1
            left = False
            with suppress(aiohttp.ClientError, TimeoutError):
                async for event_id, data in self._stream(http):
                    self.see(event_id, data)
                    if leaves_after is not None and len(self.frames) >= leaves_after and self.final is None:
                        leaves_after, left = None, True
                        break
            if self.final is None:
                await asyncio.sleep(self.chance.uniform(1, 15) if left else AGAIN_SECONDS * self.chance.uniform(0.3, 1))

    async def _cancel(self, http: aiohttp.ClientSession) -> None:
        await asyncio.sleep(self.chance.uniform(0, 60))
        path = f"{self.url}/api/jobs/{self.job_id}/cancel"
        while self.cancelled is None:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.post(path, headers=self.headers, timeout=aiohttp.ClientTimeout(ANSWER_SECONDS)) as answer:
                    if answer.status in (HTTPStatus.OK, HTTPStatus.CONFLICT):
                        self.cancelled = answer.status == HTTPStatus.OK
                        return
            await asyncio.sleep(AGAIN_SECONDS)

    async def come_back(self, http: aiohttp.ClientSession) -> None:
        """What a browser does whose page forgot to close the stream: nothing new may be told."""
        if self.last_event_id is None:
            return
        async for _, data in self._stream(http):
            self.faults.append(f"was told {data.get('status')} again after the end")

    async def state(self, http: aiohttp.ClientSession) -> dict[str, Any]:
        """The job as its owner reads it. Raises aiohttp.ClientError, TimeoutError."""
        path = f"{self.url}/api/scripts/analysis-result/{self.job_id}"
        async with http.get(path, headers=self.headers, timeout=aiohttp.ClientTimeout(ANSWER_SECONDS)) as answer:
            if answer.status == 404:
                return {"status": "unknown"}
            answer.raise_for_status()
            state: dict[str, Any] = await answer.json()
            return state

    async def _is_over(self, http: aiohttp.ClientSession) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            return (await self.state(http))["status"] in (*LAST_FRAME, "unknown")
        return False

    def see(self, event_id: str | None, data: dict[str, Any]) -> None:
        """Take in a frame."""
        if "error" in data:
            self.faults.append(f"was told {data['error']!r}")
        if event_id is not None:
            if self.last_event_id is not None and int(event_id) <= int(self.last_event_id):
                self.faults.append(f"was told frame {event_id} after frame {self.last_event_id}")
            self.last_event_id = event_id
        self.frames.append(data)
        if data.get("status") in LAST_FRAME or "error" in data:
            if self.final is not None:
                self.faults.append("was told the end twice")
            self.final = data

    async def _stream(self, http: aiohttp.ClientSession) -> AsyncIterator[tuple[str | None, dict[str, Any]]]:
        headers = {"Accept": "text/event-stream"}
        if self.last_event_id is not None:
            headers["Last-Event-ID"] = self.last_event_id
        path = f"{self.url}/api/scripts/analysis-progress/{self.job_id}"
        timeout = aiohttp.ClientTimeout(total=None, connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        async with http.get(path, headers=headers, timeout=timeout) as answer:
            answer.raise_for_status()
            event_id = None
            async for raw in answer.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    event_id = value
                elif name == "data":
                    yield event_id, json.loads(value)
                    event_id = None
