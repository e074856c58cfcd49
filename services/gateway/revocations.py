"""Which sessions ended while tokens of them are still valid. Every replica knows them all, so that no request waits to ask.

They are heard on the bus as they end. What may be lost there is read from `auth`, which remembers them as long: at the
beginning, when the bus is back, every second while it is away, and otherwise now and then.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import Any, Protocol

import aiohttp
from prometheus_client import Counter, Gauge

from libs.common.bus.base import Bus, Listener, Message
from libs.common.bus.router import Router
from libs.common.contracts.auth import RevokedSessions, SessionRevoked
from libs.common.errors import Unavailable
from services.gateway.routes import Service

log = logging.getLogger(__name__)

KNOWN = Gauge("yousync_revoked_sessions", "Sessions that ended and of which tokens may be valid", ["service"]).labels("gateway")
CURRENT = Gauge(
    "yousync_revocations_current", "Whether it is known which sessions ended: the bus is there, or auth answers", ["service"]
).labels("gateway")
FORGOTTEN = Counter(
    "yousync_revocations_forgotten_total", "Ended sessions that were forgotten too early, for want of room", ["service"]
).labels("gateway")

PATH = "/internal/sessions/revoked"
# How often what happened is looked at, and `auth` asked while the bus is away.
TICK_SECONDS = 1.0
# How often `auth` is asked while the bus is there, which delivers at most once: what it lost is known after so long.
READ_SECONDS = 10.0
# What ended is read by the time at which its transaction began; by then none of them is still to commit.
MARGIN_SECONDS = 60
ANSWER_SECONDS = 2.0
# Requests with a bearer that come before the first list was read wait for it, but no longer than this after the start.
FIRST_SECONDS = 5.0
# Some 200 bytes each. Tokens live 15 minutes: that many end only if 100 a second do.
MAX_KNOWN = 100_000


class RevocationsUnknown(Unavailable):
    """This gateway has not read yet which sessions ended."""

    code = "revocations_unknown"

    def __init__(self) -> None:
        super().__init__("auth has not said yet which sessions ended")


class Asks(Protocol):
    """What asks services, such as `Upstreams`."""

    async def get_json(self, service: Service, path: str, *, query: str = "") -> Any:
        """What the service answers; None when there is no such thing. Raises aiohttp.ClientError, ValueError."""


class Revocations:
    """`session_id in revocations`: that session ended before its time. `on_revoked` hears each once, as it gets known."""

    def __init__(self, bus: Bus, upstreams: Asks, *, on_revoked: Callable[[str], None]) -> None:
        self._bus = bus
        self._upstreams = upstreams
        self._on_revoked = on_revoked
        self._until: dict[str, float] = {}  # by session id: seconds since 1970 until which tokens may be valid
        self._listener: Listener | None = None
        self._missed = True  # something may have ended that was not heard
        self._woken = asyncio.Event()
        self._first = asyncio.Event()
        self._began_at = time.monotonic()
        self._tried_at = self._read_at = float("-inf")  # when the last reading began, and the last one that was answered
        self._router = Router()
        self._router.on(SessionRevoked, self._heard)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._until

    async def listen(self) -> None:
        """Hear of sessions that end from now on."""
        self._listener = await self._bus.listen((SessionRevoked.name,), self._router, on_reconnect=self._reconnected)
        await self._reconnected()

    async def keep_current(self) -> None:
        """Read what was not heard, for ever."""
        while True:
            self._forget_old()
            if self._missed or not self._hears() or time.monotonic() - self._tried_at > READ_SECONDS:
                await self._try_to_read()
            read_lately = time.monotonic() - self._read_at < TICK_SECONDS + ANSWER_SECONDS
            CURRENT.set(self._first.is_set() and (self._hears() or read_lately))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def settled(self) -> None:
        """Wait until the first list was read, while there is still hope."""
        if self._first.is_set():
            return
        patience = self._began_at + FIRST_SECONDS - time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(patience, 0.0)):
                await self._first.wait()

    async def check(self) -> None:
        """Raise `RevocationsUnknown` before the first list was read."""
        if not self._first.is_set():
            raise RevocationsUnknown

    async def close(self) -> None:
        """Hear nothing any more."""
        if self._listener is not None:
            await self._listener.close()

    def _hears(self) -> bool:
        return self._listener is not None and self._bus.connected

    async def _reconnected(self) -> None:
        self._missed = True
        self._woken.set()

    async def _heard(self, event: SessionRevoked, message: Message) -> None:
        self._note(event.session_id, event.tokens_until.timestamp())

    async def _try_to_read(self) -> None:
        missed, self._missed = self._missed, False
        self._tried_at = began = time.monotonic()
        try:
            await self._read(began)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._missed = missed or self._missed
            log.warning("auth does not say which sessions ended", extra={"error": repr(error)})
        else:
            self._read_at = began
            self._first.set()

    async def _read(self, began: float) -> None:
        since = began - self._read_at
        within = "" if math.isinf(since) else f"&within_seconds={math.ceil(since) + MARGIN_SECONDS}"
        after: str | None = ""
        while after is not None:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._upstreams.get_json(Service.AUTH, PATH, query=f"after={after}{within}")
            page = RevokedSessions.model_validate(answer)
            for session in page.sessions:
                self._note(session.session_id, session.tokens_until.timestamp())
            after = page.more_after

    def _note(self, session_id: str, until: float) -> None:
        if session_id in self._until:
            return
        if len(self._until) >= MAX_KNOWN:
            FORGOTTEN.inc()
            del self._until[next(iter(self._until))]  # the first one that got known
        self._until[session_id] = until
        KNOWN.set(len(self._until))
        self._on_revoked(session_id)

    def _forget_old(self) -> None:
        """In the order in which they got known, which is about the order in which their tokens expire."""
        now = time.time()
        for session_id, _ in tuple(takewhile(lambda each: each[1] < now, self._until.items())):
            del self._until[session_id]
        KNOWN.set(len(self._until))
