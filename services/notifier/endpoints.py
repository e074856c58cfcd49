"""What notifier answers: other services only."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from libs.common.contracts.notifier import ChannelHistory
from services.notifier.deps import Notifier

router = APIRouter(prefix="/internal/channels", tags=["channels"])

ChannelName = Annotated[str, Path(pattern=r"^job:[0-9A-Za-z-]{1,64}$")]
# PostgreSQL's integer ends there
Sequence = Annotated[int, Query(ge=0, le=2**31 - 1)]


@router.get("/{channel}/frames", summary="What a channel was told after a given frame")
async def frames(channel: ChannelName, notifier: Notifier, after: Sequence = 0) -> ChannelHistory:
    """An unknown channel has `last_sequence` 0 and no frames."""
    return await notifier.history(channel, after)
