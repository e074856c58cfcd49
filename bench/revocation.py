"""How long after a logout does the gateway refuse the token, and does the session's open stream end?

A fleet, and one person with 1,000 sessions, a stream open in each. Half of them sign out one after the other, then all others
at once. The clock starts when the event is made, just before the commit (its CloudEvents `time`), and when the logout is
answered; it stops when a request with the token was answered with 401, and when the stream's last frame was read. All
processes are on this machine, so there is one clock.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import uvloop

from libs.common.bus.topology import EVENTS_EXCHANGE
from libs.common.contracts.auth import SessionRevoked
from libs.common.web.auth import jwt_header
from tests.e2e.platforms import TAKES, Fleet
from yousync.client import Client
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.samples import load_catalog

PERSON = {"email": "everywhere@example.org"}
PATIENCE = 60.0  # seconds
TRIED = 8  # tokens at a time
PAUSE = 0.005  # seconds between two tries, lest they keep both processors busy


@dataclass
class Session:
    """One sign-in, and when what became of it; seconds since the epoch."""

    token: str
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    told: float = 0.0  # the event was made
    answered: float = 0.0
    refused: float = 0.0
    closed: float = 0.0
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """As the event names it."""
        return str(jwt_header(self.token.split(".")[1])["sid"])  # the second part of a JWS is read like its first

    @property
    def headers(self) -> dict[str, str]:
        """Who calls."""
        return {"Authorization": f"Bearer {self.token}"}


async def sign_in(http: aiohttp.ClientSession) -> Session:
    async with http.post("/api/auth/dev-login", json=PERSON) as answer:
        return Session((await answer.json())["access_token"])


async def follow(http: aiohttp.ClientSession, session: Session, job_id: str) -> None:
    """Read a stream to its end."""
    async with http.get(f"/api/scripts/analysis-progress/{job_id}", headers=session.headers) as answer:
        async for line in answer.content:
            if line.startswith(b"data:"):
                session.closed = time.time()
                session.last = json.loads(line.removeprefix(b"data:"))
                session.opened.set()


async def until_refused(http: aiohttp.ClientSession, session: Session) -> None:
    """Ask again and again for something of another service."""
    while True:
        async with http.get("/api/mypage/bookmarks", headers=session.headers) as answer:
            if answer.status == 401:
                session.refused = time.time()
                return
        await asyncio.sleep(PAUSE)


async def one_after_the_other(http: aiohttp.ClientSession, sessions: Sequence[Session]) -> None:
    """Log out of each, and see when it is out."""
    for session in sessions:
        async with http.post("/api/auth/logout", headers=session.headers) as answer:
            answer.raise_for_status()
        session.answered = time.time()
        await until_refused(http, session)


async def all_at_once(http: aiohttp.ClientSession, sessions: Sequence[Session]) -> None:
    """Sign out everywhere, and see when each is out. Tokens of a few are tried: all 500 would wait for each other."""
    async with http.delete("/api/auth/sessions", headers=sessions[0].headers) as answer:
        answer.raise_for_status()
    now = time.time()
    for session in sessions:
        session.answered = now
    await asyncio.gather(*(until_refused(http, session) for session in sessions[:: max(1, len(sessions) // TRIED)]))


async def measure(platform: Fleet, streams: int, told: dict[str, float]) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(platform.url, connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as http,
        Client(platform.url) as anybody,
    ):
        job_id = await anybody.upload(1, TAKES / "script-1.flac")
        sessions = [await sign_in(http) for _ in range(streams)]
        following = [asyncio.create_task(follow(http, session, job_id)) for session in sessions]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(session.opened.wait() for session in sessions))
        half = streams // 2
        for name, how, leaving in (
            ("one after the other", one_after_the_other, sessions[:half]),
            ("all at once", all_at_once, sessions[half:]),
        ):
            async with asyncio.timeout(PATIENCE * 5):
                await how(http, leaving)
            done = following[:half] if how is one_after_the_other else following[half:]
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*done)
            if odd := [session.last for session in leaving if session.last.get("code") != "session_ended"]:
                raise RuntimeError(f"{len(odd)} streams ended otherwise: {odd[0]}")
            show(name, leaving, told)


def show(name: str, sessions: Sequence[Session], told: dict[str, float]) -> None:
    print(f"{len(sessions)} sessions, {name}: milliseconds, p50 / p99 / max")
    for what in ("refused", "closed"):
        for since in ("told", "answered"):
            lags = sorted(
                max(0.0, getattr(each, what) - (told[each.id] if since == "told" else each.answered)) * 1e3
                for each in sessions
                if getattr(each, what)
            )
            cuts = statistics.quantiles(lags, n=100, method="inclusive")
            start = {"told": "the event", "answered": "the answer"}[since]
            end = {"refused": "the token is refused", "closed": "the stream's last frame"}[what]
            print(f"  from {start} until {end}: {cuts[49]:.1f} / {cuts[98]:.1f} / {lags[-1]:.1f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    streams = parser.parse_args().streams
    with tempfile.TemporaryDirectory(prefix="yousync-bench-") as folder:
        platform = Fleet(Path(folder) / "state")
        async with AsyncExitStack() as stack:
            stack.callback(platform.stop)
            await asyncio.to_thread(platform.start)
            async with Client(platform.url) as admin:
                await admin.sign_in("admin@example.org", admin=True)
                await admin.import_catalog(load_catalog())
            platform.kill("analysis")  # so that jobs wait, and their streams with them
            broker = PrivateRabbitMQ(platform.state_dir / "rabbitmq")
            await asyncio.to_thread(broker.start)  # it runs: this adopts it and knows its address
            connection = await stack.enter_async_context(await aio_pika.connect(broker.amqp_url))
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(EVENTS_EXCHANGE, SessionRevoked.name)
            told: dict[str, float] = {}

            async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                event = SessionRevoked.model_validate_json(message.body)
                told[event.session_id] = datetime.fromisoformat(str(message.headers["ce-time"])).timestamp()

            await queue.consume(hear, no_ack=True)
            await measure(platform, streams, told)


if __name__ == "__main__":
    uvloop.run(main())
