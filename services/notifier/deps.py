"""What endpoints depend on."""

from typing import Annotated

from fastapi import Depends, Request

from services.notifier.service import NotifierService


async def _notifier(request: Request) -> NotifierService:
    service: NotifierService = request.app.state.notifier
    return service


Notifier = Annotated[NotifierService, Depends(_notifier)]
