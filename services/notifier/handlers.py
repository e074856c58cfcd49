"""Facts of other services -> use case."""

from libs.common.bus.base import Message
from libs.common.bus.router import Router
from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisErased,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
    FilmCancelled,
    FilmCompleted,
    FilmFailed,
    FilmProgressed,
    FilmRequested,
    FilmStarted,
)
from libs.common.contracts.notifier import Told
from services.notifier.service import NotifierService

FACTS: tuple[type[Told], ...] = (
    AudioUploaded,
    AnalysisStarted,
    AnalysisProgressed,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisCancelled,
    FilmRequested,
    FilmStarted,
    FilmProgressed,
    FilmCompleted,
    FilmFailed,
    FilmCancelled,
)


def build_router(service: NotifierService) -> Router:
    """Everything that the queue `notifier.events` is bound to."""

    async def tell(fact: Told, message: Message) -> None:
        await service.tell(fact, message)

    async def erase(fact: AnalysisErased, message: Message) -> None:
        await service.erase(fact, message)

    router = Router()
    for fact in FACTS:
        router.on(fact, tell)
    router.on(AnalysisErased, erase)
    return router
