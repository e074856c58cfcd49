"""Analysis servers as they may be: quick, slow, dying, forgetful, repeating themselves, lying."""

from collections.abc import Callable, Coroutine
from typing import Any

from libs.common.bus.base import Bus, BusUnavailable, Message
from libs.common.contracts.audio import (
    AnalysisReport,
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
)
from libs.common.contracts.notifier import job_channel
from tests.schedules.clock import Clock
from tests.schedules.turns import Turns

WORKER = "a server of the schedule"
GIVES_UP = 20  # publications of one report
FORGED = "nobody who was asked"


class Servers:
    """Take every request and answer it, each in a way that is drawn."""

    def __init__(self, bus: Bus, turns: Turns, clock: Clock, start: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._bus = bus
        self._turns = turns
        self._clock = clock
        self._start = start

    async def take(self, message: Message) -> None:
        """Handle a message of a work queue: acknowledged at once, the work goes on beside it."""
        self._start(self._work(AnalysisRequested.model_validate_json(message.body)))

    async def _work(self, request: AnalysisRequested) -> None:
        draw = self._turns.random
        if draw.random() < 0.1:
            self._turns.note("  the server dies with the request in hand")
            return
        script: list[AnalysisReport] = []
        if draw.random() < 0.9:
            script.append(AnalysisReportStarted(**_under(request)))
        beats = [draw.randint(0, 100) for _ in range(draw.randint(0, 2))]
        script += [AnalysisReportProgressed(**_under(request), progress=beat, step="align") for beat in beats]
        script += self._ends(request)
        for report in script:
            if draw.random() < 0.12:
                await self._clock.sleep(draw.choice((1.0, 0.5, 1.5)) * request.lease_seconds)
            if draw.random() < 0.05:
                self._turns.note("  the server falls silent")
                return
            for _ in range(2 if draw.random() < 0.15 else 1):
                await self._say(report)

    def _ends(self, request: AnalysisRequested) -> list[AnalysisReport]:
        """What the server says at the end: mostly once and the truth."""
        completed = AnalysisReportCompleted(**_under(request), result=result_of(request.lease))
        tired = AnalysisReportFailed(**_under(request), reason="scoring_timed_out", message="", temporary=True)
        unable = AnalysisReportFailed(**_under(request), reason="audio_unreadable", message="못 읽습니다", temporary=False)
        forged = AnalysisReportCompleted(**{**_under(request), "lease": self._made_up()}, result=result_of(FORGED))
        unknown = AnalysisReportCompleted(**{**_under(request), "job_id": self._made_up()}, result=result_of(FORGED))
        endings: list[list[AnalysisReport]] = [
            [completed],
            [tired],
            [unable],
            [forged, completed],
            [unknown, tired],
            [completed, unable],
            [tired, completed],
            [unable, forged],
        ]
        return self._turns.random.choices(endings, weights=(8, 4, 2, 1, 1, 1, 1, 1))[0]

    async def _say(self, report: AnalysisReport) -> None:
        message = Message.of(report, source="analysis", subject=job_channel(report.job_id))
        for _ in range(GIVES_UP):
            try:
                async with self._turns.turn(f"the server reports {report.name} ({message.subject})"):
                    await self._bus.publish(message)
            except BusUnavailable:
                continue
            return

    def _made_up(self) -> str:
        return f"{self._turns.random.getrandbits(128):032x}"


def result_of(lease: str) -> dict[str, Any]:
    """A result that tells who made it."""
    return {"status": "success", "result": {"by": lease}}


def _under(request: AnalysisRequested) -> dict[str, Any]:
    return {"job_id": request.job_id, "lease": request.lease, "worker": WORKER}
