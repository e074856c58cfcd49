"""From a message to its use case."""

from libs.common.bus.base import Message
from libs.common.bus.router import Router
from libs.common.contracts.audio import (
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AudioUploaded,
    FilmRequested,
)
from libs.common.contracts.auth import UserDeleted
from libs.common.contracts.catalog import (
    ScriptCreated,
    ScriptDeleted,
    ScriptUpdated,
    TokenCreated,
    TokenDeleted,
    TokenUpdated,
)
from libs.common.telemetry import log_context
from services.audio.departures import Departures
from services.audio.jobs import Completed, Failed, Progressed, Report, Started
from services.audio.scripts import ScriptService
from services.audio.service import JobService
from services.audio.tokens import TokenService


def event_router(jobs: JobService, scripts: ScriptService, tokens: TokenService, departures: Departures) -> Router:
    """Everything that the queue `audio.events` brings."""

    async def begun(event: AudioUploaded | FilmRequested, message: Message) -> None:
        with log_context(job_id=event.job_id):
            await jobs.begun(message)

    async def started(event: AnalysisReportStarted, _: Message) -> None:
        await report(event.job_id, "started", Started(event.lease, event.worker))

    async def progressed(event: AnalysisReportProgressed, _: Message) -> None:
        await report(event.job_id, "progressed", Progressed(event.lease, event.progress, event.step))

    async def completed(event: AnalysisReportCompleted, _: Message) -> None:
        await report(event.job_id, "completed", Completed(event.lease, event.result))

    async def failed(event: AnalysisReportFailed, _: Message) -> None:
        await report(event.job_id, "failed", Failed(event.lease, event.reason, event.message, event.temporary))

    async def report(job_id: str, kind: str, claim: Report) -> None:
        with log_context(job_id=job_id):
            await jobs.report(job_id, kind, claim)

    async def script_changed(event: ScriptCreated | ScriptUpdated, message: Message) -> None:
        await scripts.keep(event, message)

    async def script_deleted(event: ScriptDeleted, message: Message) -> None:
        await scripts.bury(event, message)

    async def token_changed(event: TokenCreated | TokenUpdated, message: Message) -> None:
        await tokens.keep(event, message)

    async def token_deleted(event: TokenDeleted, message: Message) -> None:
        await tokens.bury(event, message)

    router = Router()
    router.on(AudioUploaded, begun)
    router.on(FilmRequested, begun)
    router.on(AnalysisReportStarted, started)
    router.on(AnalysisReportProgressed, progressed)
    router.on(AnalysisReportCompleted, completed)
    router.on(AnalysisReportFailed, failed)
    router.on(ScriptCreated, script_changed)
    router.on(ScriptUpdated, script_changed)
    router.on(ScriptDeleted, script_deleted)
    router.on(TokenCreated, token_changed)
    router.on(TokenUpdated, token_changed)
    router.on(TokenDeleted, token_deleted)
    router.on(UserDeleted, departures.heard)
    return router
