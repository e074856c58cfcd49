"""The route by which gateways read which sessions ended."""

from typing import Annotated

from fastapi import APIRouter, Query

from libs.common.contracts.auth import RevokedSessions
from services.auth.deps import RevokedDep

router = APIRouter(prefix="/internal/sessions", include_in_schema=False)


@router.get("/revoked")
async def revoked(
    sessions: RevokedDep,
    after: Annotated[str, Query(pattern="^[0-9a-f]{0,32}$")] = "",
    within_seconds: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> RevokedSessions:
    """Sessions that ended and of which tokens may be valid, by id, in pages."""
    return await sessions.page(after=after, within_seconds=within_seconds)
