"""One server that does others' work over HTTP: it is asked by POST, and answers at once or by webhook later.

The webhook goes to the job's owner, not to us. That the job has ended we hear as from any owner: we are told to stop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from libs.common.contracts.audio import JobKind
from services.analysis.breaker import Breaker, Call, State
from services.analysis.errors import (
    ServerBusy,
    ServerFailed,
    ServerSilent,
    ServerUnavailable,
    ServerUnreachable,
    TakeRefused,
)
from services.analysis.http_server import HttpServer
from services.analysis.metrics import SERVER_STATE, SERVICE
from services.analysis.settings import AnalysisSettings

log = logging.getLogger(__name__)

BUSY_SECONDS: Final = 1.0
"""Until a busy server that does not say when is asked again; doubled each time."""
LONGEST_BUSY_SECONDS: Final = 60.0


class Peer:
    """The server for jobs of one kind, left alone when it is down. `result_key` is what an answer holds that is the result."""

    def __init__(
        self,
        kind: JobKind,
        url: str,
        settings: AnalysisSettings,
        *,
        media_type: str,
        connections: int,
        answer_seconds: float,
        result_key: str,
    ) -> None:
        self._result_key = result_key
        self._server = HttpServer(
            url,
            media_type=media_type,
            connections=connections,
            connect_seconds=settings.connect_seconds,
            answer_seconds=answer_seconds,
            max_bytes=settings.max_answer_bytes,
        )
        self._breaker = Breaker(
            f"server for jobs of kind {kind.value}",
            failures=settings.breaker_failures,
            first_pause=settings.breaker_first_pause,
            longest_pause=settings.breaker_longest_pause,
            reachable=self._server.reachable,
            on_change=partial(_show, kind),
        )

    def obstacle(self) -> Breaker | None:
        """What stands against asking it now."""
        return None if self._breaker.passable else self._breaker

    async def check(self) -> None:
        """Raises ServerUnavailable while it is left alone."""
        if self._breaker.state is State.OPEN:
            raise ServerUnavailable("left alone until it has recovered")

    async def close(self) -> None:
        """Close the connections."""
        await self._breaker.close()
        await self._server.close()

    async def do(self, content: bytes, *, webhook: bool, seconds: float, taken: Callable[[], None]) -> dict[str, Any]:
        """The server's answer, if it holds the result. Else this ends by being cancelled, when the `webhook` has come.

        `taken` is called when the webhook begins to be waited for; all of it takes `seconds` at most.
        Raises TakeRefused, ServerUnavailable.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        with self._breaker.call() as call:
            answer = await self._ask(content, call, give_up, webhook=webhook)
            if answer is not None and self._result_key in answer:
                call.succeeded()
                return answer
            if not webhook:
                call.failed()
                raise ServerFailed(
                    f"it answers without {self._result_key}, and there is no webhook: set AUDIO_WEBHOOK_BASE_URL"
                )
            taken()
            try:
                await asyncio.sleep(give_up - loop.time())
            except asyncio.CancelledError:
                if answer is not None:
                    call.succeeded()  # a server that never answered has proven nothing by a job that ended otherwise
                raise
            call.failed()
            raise ServerSilent(f"no webhook within {seconds:.0f} s")

    async def _ask(self, content: bytes, call: Call, give_up: float, *, webhook: bool) -> dict[str, Any] | None:
        """The answer, or None when none came in time."""
        try:
            return await _patiently(partial(self._server.ask, content), give_up)
        except TakeRefused:
            call.succeeded()
            raise
        except ServerSilent as silence:
            if not webhook:
                call.failed()
                raise
            log.info("the answer is late, the webhook may still come", extra={"detail": silence.detail})
            return None
        except ServerUnavailable as error:
            call.failed(certainly=isinstance(error, ServerUnreachable))
            raise


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
