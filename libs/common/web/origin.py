"""Who makes a request and from where, for the audit log."""

from typing import Annotated

from fastapi import Depends, Request

from libs.common.acts import Origin, Place
from libs.common.web.auth import Admin, OptionalUser, User


async def place_of(request: Request) -> Place:
    """Where a request comes from. The gateway, the only door, puts the address in place of whatever its client sent."""
    return Place.of(request.headers.get("user-agent", ""), request.headers.get("x-forwarded-for", ""))


async def _of_user(request: Request, user: User) -> Origin:
    return Origin(await place_of(request), user.user_id, user.session_id)


async def _of_admin(request: Request, admin: Admin) -> Origin:
    return Origin(await place_of(request), admin.user_id, admin.session_id)


async def _of_anybody(request: Request, user: OptionalUser) -> Origin:
    return Origin(await place_of(request)) if user is None else await _of_user(request, user)


RequestPlace = Annotated[Place, Depends(place_of)]
UserOrigin = Annotated[Origin, Depends(_of_user)]
AdminOrigin = Annotated[Origin, Depends(_of_admin)]
AnyOrigin = Annotated[Origin, Depends(_of_anybody)]
