"""Facts of other services -> use case."""

from libs.common.bus.base import Message
from libs.common.bus.router import Router
from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
    JobFact,
)
from services.notifier.service import NotifierService

FACTS: tuple[type[AudioUploaded | JobFact], ...] = (
    AudioUploaded,
    AnalysisStarted,
    AnalysisProgressed,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisCancelled,
)


def build_router(service: NotifierService) -> Router:
    """Everything that the queue `notifier.events` is bound to."""

    async def tell(fact: AudioUploaded | JobFact, message: Message) -> None:
        await service.tell(fact, message)

    router = Router()
    for fact in FACTS:
        router.on(fact, tell)
    return router
