"""Drives a preprocessor, which makes scenes of films, over HTTP: asks by a POST of JSON, waits for the webhook.

It waits only to keep the number of films that the preprocessor has at a time, and to hear that it did not take one. What was
taken is reported to the job's owner whether we are still there or not.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

from libs.common.bus.topology import PREPROCESS
from libs.common.contracts.audio import JobKind, PreprocessRequested
from libs.common.errors import YouSyncError
from libs.common.web.health import Check
from services.analysis.breaker import Breaker
from services.analysis.peer import Peer
from services.analysis.settings import AnalysisSettings

ASKED: Final = {"youtube_url", "movie_name", "actor_name", "job_id", "webhook_url"}
"""What is posted."""


class FilmBridge:
    """An `Analyst` for films. A job keeps its slot until the webhook has come, or nobody waits any more."""

    orders = PreprocessRequested
    queues = (PREPROCESS,)

    def __init__(self, url: str, settings: AnalysisSettings) -> None:
        self.size = settings.preprocessor_concurrency
        self._taken: set[str] = set()  # leases
        self._peer = Peer(
            JobKind.FILM,
            url,
            settings,
            media_type="application/json",
            connections=settings.preprocessor_concurrency,
            answer_seconds=settings.preprocessor_answer_seconds,
            result_key="token_ids",
        )

    @property
    def checks(self) -> Mapping[str, Check]:
        return {"preprocessor": self._peer.check}

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        await self._peer.close()

    def obstacle(self, request: PreprocessRequested) -> Breaker | None:
        return self._peer.obstacle()

    async def analyse(self, request: PreprocessRequested, progress: Callable[[int, str], None]) -> dict[str, Any]:
        """The server's answer, if it holds `token_ids`. Else this ends by being cancelled, when the webhook has come.

        Raises TakeRefused, ServerUnavailable.
        """

        def taken() -> None:
            self._taken.add(request.lease)
            progress(0, "")

        try:
            return await self._peer.do(
                to_json(request.model_dump(include=ASKED)),
                webhook=True,
                seconds=(request.deadline - datetime.now(UTC)).total_seconds(),
                taken=taken,
            )
        except YouSyncError:
            self._taken.discard(request.lease)
            raise

    def entrusted(self, request: PreprocessRequested) -> bool:
        known = request.lease in self._taken
        self._taken.discard(request.lease)
        return known
