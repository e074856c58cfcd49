"""What endpoints depend on."""

from typing import Annotated

from fastapi import Depends, Request

from services.gateway.health import PlatformHealth
from services.gateway.mypage import MyPage
from services.gateway.openapi import PlatformSchema


async def _health(request: Request) -> PlatformHealth:
    health: PlatformHealth = request.app.state.health
    return health


async def _schema(request: Request) -> PlatformSchema:
    schema: PlatformSchema = request.app.state.schema
    return schema


async def _page(request: Request) -> MyPage:
    page: MyPage = request.app.state.mypage
    return page


Health = Annotated[PlatformHealth, Depends(_health)]
Page = Annotated[MyPage, Depends(_page)]
Schema = Annotated[PlatformSchema, Depends(_schema)]
