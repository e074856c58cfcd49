"""An analysis server whose scoring is a pause: `python -m tests.chaos.worker NAME SLOTS SECONDS JOURNAL`.

Everything but the scoring is the reference server's own: queues, claims, leases, reports, the recording over HTTP. The journal
is a file of lines of JSON, written through before the effect: which attempt began and ended where.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop

from libs.common.bus.factory import open_bus
from libs.common.contracts.audio import AnalysisRequested
from libs.common.telemetry import configure_logging, current, log_context
from services.analysis.errors import ScoringCrashed
from services.analysis.fetch import Recordings
from services.analysis.reference import Reference
from services.analysis.scoring.script import ScriptWord
from services.analysis.settings import AnalysisSettings
from services.analysis.worker import Worker

STEPS = ("decode", "listen", "align", "compare", "score")
FAILING = 0.03  # share of the attempts that fail as a scoring process that crashes would


class Pause:
    """Scores nothing: takes its time (`seconds` on average, each between half and one and a half), tells its progress."""

    def __init__(self, name: str, slots: int, seconds: float, journal: Path) -> None:
        self.size = slots
        self._name = name
        self._seconds = seconds
        self._journal = journal.open("a", buffering=1)

    async def start(self) -> None:
        """There is nothing to load."""

    async def close(self) -> None:
        """There is nothing to end."""

    async def score(
        self,
        audio: Path,
        words: Sequence[ScriptWord],
        on_progress: Callable[[int, str], None],
        *,
        line_start: float | None,
    ) -> dict[str, Any]:
        attempt = uuid4().hex
        seconds = self._seconds * random.uniform(0.5, 1.5)
        self._note("began", attempt)
        for number, step in enumerate(STEPS):
            on_progress(100 * number // len(STEPS), step)
            await asyncio.sleep(seconds / len(STEPS))
        if random.random() < FAILING:
            self._note("crashed", attempt)
            raise ScoringCrashed("on purpose")
        self._note("scored", attempt)
        return {"overall_score": 0.5, "attempt": attempt, "worker": self._name}

    def _note(self, what: str, attempt: str) -> None:
        line = {"at": time.time(), "worker": self._name, "job": current("job_id"), "what": what, "attempt": attempt}
        line["number"] = int(current("attempt") or 0)
        self._journal.write(json.dumps(line) + "\n")


class Numbering(Reference):
    """Lets the journal know which of its job's attempts each is: one may have its lease for long before its scoring begins."""

    async def analyse(self, request: AnalysisRequested, progress: Callable[[int, str], None]) -> dict[str, Any]:
        with log_context(attempt=str(request.attempt)):
            return await super().analyse(request, progress)


async def main(name: str, slots: int, seconds: float, journal: Path) -> None:
    """Work until SIGTERM."""
    settings = AnalysisSettings()
    bus = open_bus(settings, name=name)
    recordings = Recordings(max_bytes=settings.max_recording_bytes, timeout=settings.fetch_timeout)
    analyst = Numbering(Pause(name, slots, seconds, journal), recordings)
    worker = Worker(
        bus, analyst, name=name, progress_seconds=settings.progress_seconds, shutdown_seconds=settings.shutdown_seconds
    )
    await analyst.start()
    await bus.start()
    try:
        await worker.run()
    finally:
        await analyst.close()
        await bus.close()


if __name__ == "__main__":
    configure_logging(sys.argv[1])
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))
