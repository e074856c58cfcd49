"""Drives an analysis server of the old platform, unchanged, over HTTP: asks by form POST, takes the answer or waits for the
webhook.

The webhook goes to the job's owner, not to us. That the job has ended we hear as from any owner: we are told to stop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from libs.common.contracts.audio import AnalysisRequested, JobKind
from libs.common.web.health import Check
from services.analysis.breaker import Breaker, Call, State
from services.analysis.errors import (
    ServerBusy,
    ServerFailed,
    ServerSilent,
    ServerUnavailable,
    ServerUnreachable,
    TakeRefused,
)
from services.analysis.forms import form_of
from services.analysis.http_server import HttpServer
from services.analysis.metrics import SERVER_STATE, SERVICE
from services.analysis.settings import AnalysisSettings

log = logging.getLogger(__name__)

WAITING_PERCENT: Final = 69
"""Of the analysis: 90 of the whole job, where the old platform stood while it waited for a webhook."""
BUSY_SECONDS: Final = 1.0
"""Until a busy server that does not say when is asked again; doubled each time."""
LONGEST_BUSY_SECONDS: Final = 60.0


class Bridge:
    """An `Analyst` that has others do it: one server for script lines, one for whole scenes."""

    def __init__(self, settings: AnalysisSettings) -> None:
        self.size = settings.http_concurrency
        self._webhook_seconds = settings.webhook_seconds
        urls = {
            JobKind.LINE: (settings.script_http_url, settings.script_answer_seconds),
            JobKind.TOKEN: (settings.http_url, settings.answer_seconds),
        }
        self._servers = {
            kind: HttpServer(
                str(url),
                connections=settings.http_concurrency,
                connect_seconds=settings.connect_seconds,
                answer_seconds=seconds,
                max_bytes=settings.max_answer_bytes,
            )
            for kind, (url, seconds) in urls.items()
        }
        self._breakers = {
            kind: Breaker(
                f"analysis server for jobs of kind {kind.value}",
                failures=settings.breaker_failures,
                first_pause=settings.breaker_first_pause,
                longest_pause=settings.breaker_longest_pause,
                reachable=server.reachable,
                on_change=partial(_show, kind),
            )
            for kind, server in self._servers.items()
        }

    @property
    def checks(self) -> Mapping[str, Check]:
        return {f"{kind.value}_server": partial(self._check, kind) for kind in self._servers}

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        for kind, server in self._servers.items():
            await self._breakers[kind].close()
            await server.close()

    def obstacle(self, request: AnalysisRequested) -> Breaker | None:
        breaker = self._breakers[request.kind]
        return None if breaker.passable else breaker

    async def analyse(self, request: AnalysisRequested, progress: Callable[[int, str], None]) -> dict[str, Any]:
        """The server's answer, if it holds `scores`. Else this ends by being cancelled, when the webhook has come.

        Raises TakeRefused, ServerUnavailable.
        """
        loop = asyncio.get_running_loop()
        left = min(self._webhook_seconds, (request.deadline - datetime.now(UTC)).total_seconds())
        give_up = loop.time() + left
        with self._breakers[request.kind].call() as call:
            answer = await self._ask(request, call, give_up)
            if answer is not None and "scores" in answer:
                call.succeeded()
                return answer
            if request.webhook_url is None:
                call.failed()
                raise ServerFailed("it answers without scores, and there is no webhook: set AUDIO_WEBHOOK_BASE_URL")
            progress(WAITING_PERCENT, "")
            try:
                await asyncio.sleep(give_up - loop.time())
            except asyncio.CancelledError:
                if answer is not None:
                    call.succeeded()  # a server that never answered has proven nothing by a job that ended otherwise
                raise
            call.failed()
            raise ServerSilent(f"no webhook within {left:.0f} s")

    async def _ask(self, request: AnalysisRequested, call: Call, give_up: float) -> dict[str, Any] | None:
        """The answer, or None when none came in time."""
        form = form_of(request)
        try:
            return await _patiently(partial(self._servers[request.kind].ask, form), give_up)
        except TakeRefused:
            call.succeeded()
            raise
        except ServerSilent as silence:
            if request.webhook_url is None:
                call.failed()
                raise
            log.info("the answer is late, the webhook may still come", extra={"detail": silence.detail})
            return None
        except ServerUnavailable as error:
            call.failed(certainly=isinstance(error, ServerUnreachable))
            raise

    async def _check(self, kind: JobKind) -> None:
        if self._breakers[kind].state is State.OPEN:
            raise ServerUnavailable("left alone until it has recovered")


async def _patiently(ask: Callable[[], Awaitable[dict[str, Any]]], give_up: float) -> dict[str, Any]:
    """Ask again whenever the server says that it is busy: it has taken nothing, so this costs the job no attempt."""
    pause = BUSY_SECONDS
    while True:
        try:
            return await ask()
        except ServerBusy as busy:
            wait = min(pause if busy.seconds is None else busy.seconds, LONGEST_BUSY_SECONDS)
            if asyncio.get_running_loop().time() + wait >= give_up:
                raise
        await asyncio.sleep(wait)
        pause *= 2


def _show(kind: JobKind, state: State) -> None:
    SERVER_STATE.labels(SERVICE, kind.value).set(state)
