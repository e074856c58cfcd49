"""Analysis servers as they may be: quick, slow, dying, forgetful, repeating themselves, lying."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from libs.common.bus.base import BusUnavailable, Message
from libs.common.contracts.audio import (
    AnalysisReport,
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
)
from libs.common.contracts.notifier import job_channel
from libs.common.db import DatabaseUnavailable
from services.audio.errors import JobBusy

if TYPE_CHECKING:
    from tests.schedules.world import World

WORKER = "a server of the schedule"
BY_HTTP = 0.25  # of the reports
GIVES_UP = 20  # attempts at one report
FORGED = "nobody who was asked"


class Servers:
    """Take every request and answer it, each in a way that is drawn."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._turns = world.turns

    async def take(self, message: Message) -> None:
        """Handle a message of a work queue: acknowledged at once, the work goes on beside it."""
        self._world.start(self._work(AnalysisRequested.model_validate_json(message.body)))

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
                await self._world.clock.sleep(draw.choice((1.0, 0.5, 1.5)) * request.lease_seconds)
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
        by_http = self._turns.chance(BY_HTTP)
        for _ in range(GIVES_UP):
            with suppress(BusUnavailable, DatabaseUnavailable, JobBusy):
                async with self._turns.turn(f"the server reports {report.name} ({message.subject})"):
                    if not by_http:
                        await self._world.bus.publish(message)
                if by_http:
                    await self._world.post(message)
                return

    def _made_up(self) -> str:
        return f"{self._turns.random.getrandbits(128):032x}"


def result_of(lease: str) -> dict[str, Any]:
    """A result that tells who made it."""
    return {"status": "success", "result": {"by": lease}}


def _under(request: AnalysisRequested) -> dict[str, Any]:
    return {"job_id": request.job_id, "lease": request.lease, "worker": WORKER}
