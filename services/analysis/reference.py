"""The reference way to analyse: fetch the recording, have it scored in a process of its own."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from libs.common.bus.topology import WORK
from libs.common.contracts.audio import AnalysisRequested
from libs.common.web.health import Check
from services.analysis.errors import AudioError, ScoringUnavailable
from services.analysis.scoring.script import ScriptWord
from services.analysis.unheard import unheard

log = logging.getLogger(__name__)

_WORD_FIELDS: Final = {"id", "word", "start_time", "end_time", "mfcc"}


class Scorer(Protocol):
    """What scores: `services.analysis.pool.ScoringPool`."""

    @property
    def size(self) -> int:
        """Takes at a time."""

    async def start(self) -> None:
        """Load the models."""

    async def close(self) -> None:
        """End."""

    async def score(
        self,
        audio: Path,
        words: Sequence[ScriptWord],
        on_progress: Callable[[int, str], None],
        *,
        line_start: float | None,
    ) -> dict[str, Any]:
        """The result as JSON data. A YouSyncError that is not retryable is the recording's fault."""


class Fetcher(Protocol):
    """What gets recordings: `services.analysis.fetch.Recordings`."""

    def fetched(self, url: str) -> AbstractAsyncContextManager[Path]:
        """The recording as a file that exists within the block."""

    async def close(self) -> None:
        """End."""


class Reference:
    """An `Analyst` with a scorer of its own."""

    orders = AnalysisRequested
    queues = tuple(WORK.values())

    def __init__(self, scorer: Scorer, recordings: Fetcher) -> None:
        self._scorer = scorer
        self._recordings = recordings
        self._loaded = asyncio.Event()

    @property
    def size(self) -> int:
        return self._scorer.size

    @property
    def checks(self) -> Mapping[str, Check]:
        return {"scoring": self._check}

    async def start(self) -> None:
        await self._scorer.start()
        self._loaded.set()

    async def close(self) -> None:
        await self._scorer.close()
        await self._recordings.close()

    def obstacle(self, request: AnalysisRequested) -> None:
        """Nothing that a job would have to wait for outside."""

    def entrusted(self, request: AnalysisRequested) -> bool:
        return False  # nobody else has the recording's scores

    async def analyse(self, request: AnalysisRequested, progress: Callable[[int, str], None]) -> dict[str, Any]:
        """`{"status": "success", "result": AnalysisResult}`."""
        words = [ScriptWord(**word.model_dump(include=_WORD_FIELDS)) for word in request.words]
        async with self._recordings.fetched(request.audio_url) as recording:
            try:
                result = await self._scorer.score(recording, words, progress, line_start=request.line_start)
            except AudioError as error:
                log.info("nothing can be heard in this recording", extra={"reason": error.code, "detail": error.detail})
                result = unheard(words, error).to_json()
        return {"status": "success", "result": result}

    async def _check(self) -> None:
        if not self._loaded.is_set():
            raise ScoringUnavailable("the models are not loaded")
