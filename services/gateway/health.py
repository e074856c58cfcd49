"""Whether the platform as a whole can do its work, for those who see nothing but this door."""

import asyncio
import time
from http import HTTPStatus

import aiohttp
from multidict import CIMultiDict

from libs.common.bus.base import Bus
from services.gateway.routes import Service
from services.gateway.upstream import Upstreams

# Probes of many load balancers cost the services one question per second.
CACHE_SECONDS = 1.0
# Longer than the services give their own checks (2 s): a service that says what is wrong beats one that is silent.
ANSWER_SECONDS = 3.0

READY, NOT_READY, SILENT = "ready", "not ready", "no answer"


class PlatformHealth:
    """Asks all services whether they are ready."""

    def __init__(self, upstreams: Upstreams, bus: Bus) -> None:
        self._upstreams = upstreams
        self._bus = bus
        self._states: dict[str, str] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def states(self) -> dict[str, str]:
        """`ready`, `not ready` or `no answer` by service, and of this gateway's connection to the bus."""
        async with self._asking:
            if time.monotonic() - self._asked_at > CACHE_SECONDS:
                answers = await asyncio.gather(*map(self._state, Service))
                self._states = {**dict(zip(Service, answers, strict=True)), "bus": READY if self._bus.connected else SILENT}
                self._asked_at = time.monotonic()
        return self._states

    async def _state(self, service: Service) -> str:
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._upstreams.request(service, "GET", "/health/ready", "", headers=CIMultiDict()) as answer,
            ):
                return READY if answer.status == HTTPStatus.OK else NOT_READY
        except (aiohttp.ClientError, TimeoutError):
            return SILENT
