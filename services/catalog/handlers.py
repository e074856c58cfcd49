"""From a message to its use case."""

from libs.common.bus.base import Message
from libs.common.bus.router import Router
from libs.common.contracts.auth import UserDeleted
from services.catalog.erasing import Eraser


def event_router(eraser: Eraser) -> Router:
    """Everything that the queue `catalog.events` brings."""

    async def deleted(event: UserDeleted, message: Message) -> None:
        await eraser.erase(event, message)

    router = Router()
    router.on(UserDeleted, deleted)
    return router
