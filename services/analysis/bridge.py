"""Drives an analysis server of the old platform, unchanged, over HTTP: asks by form POST, takes the answer or waits for the
webhook.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from libs.common.bus.topology import WORK
from libs.common.contracts.audio import AnalysisRequested, JobKind
from libs.common.web.health import Check
from services.analysis.breaker import Breaker
from services.analysis.forms import MEDIA_TYPE, encoded, form_of
from services.analysis.peer import Peer
from services.analysis.settings import AnalysisSettings

WAITING_PERCENT: Final = 69
"""Of the analysis: 90 of the whole job, where the old platform stood while it waited for a webhook."""


class Bridge:
    """An `Analyst` that has others do it: one server for script lines, one for whole scenes."""

    orders = AnalysisRequested
    queues = tuple(WORK.values())

    def __init__(self, settings: AnalysisSettings) -> None:
        self.size = settings.http_concurrency
        self._webhook_seconds = settings.webhook_seconds
        urls = {
            JobKind.LINE: (settings.script_http_url, settings.script_answer_seconds),
            JobKind.TOKEN: (settings.http_url, settings.answer_seconds),
        }
        self._peers = {
            kind: Peer(
                kind,
                str(url),
                settings,
                media_type=MEDIA_TYPE,
                connections=settings.http_concurrency,
                answer_seconds=seconds,
                result_key="scores",
            )
            for kind, (url, seconds) in urls.items()
        }

    @property
    def checks(self) -> Mapping[str, Check]:
        return {f"{kind.value}_server": peer.check for kind, peer in self._peers.items()}

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        for peer in self._peers.values():
            await peer.close()

    def obstacle(self, request: AnalysisRequested) -> Breaker | None:
        return self._peers[request.kind].obstacle()

    def entrusted(self, request: AnalysisRequested) -> bool:
        return False  # takes are short: whoever takes over asks again

    async def analyse(self, request: AnalysisRequested, progress: Callable[[int, str], None]) -> dict[str, Any]:
        """The server's answer, if it holds `scores`. Else this ends by being cancelled, when the webhook has come.

        Raises TakeRefused, ServerUnavailable.
        """
        return await self._peers[request.kind].do(
            encoded(form_of(request)),
            webhook=request.webhook_url is not None,
            seconds=min(self._webhook_seconds, (request.deadline - datetime.now(UTC)).total_seconds()),
            taken=partial(progress, WAITING_PERCENT, ""),
        )
