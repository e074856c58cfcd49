"""Bookmarks on the wire."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.catalog.fields import Id
from services.catalog.schemas import MAX_SKIP

Limit = Annotated[int, Query(ge=1, le=100, description="How many at most")]
Offset = Annotated[int, Query(ge=0, le=MAX_SKIP, description="How many to leave out from the beginning")]

_SCENE: JsonDict = {
    "id": 1,
    "token_name": "Scene 01",
    "actor_name": "Tom Hardy",
    "category": "액션",
    "thumbnail_url": None,
    "youtube_url": "https://www.youtube.com/watch?v=vid00000001",
}
_BOOKMARK: JsonDict = {"id": 7, "user_id": 1, "token_id": 1, "created_at": "2026-11-23T03:42:29.250661Z", "token": _SCENE}


class _Shape(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class BookmarkNew(BaseModel):
    """Which scene to mark."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token_id": 1}]})

    token_id: Id


class Bookmarked(BaseModel):
    """Which scene was marked."""

    token_id: int = Field(examples=[1])


class MarkedToken(_Shape):
    """What a list of bookmarks shows of a scene."""

    id: int
    token_name: str
    actor_name: str
    category: str | None
    thumbnail_url: str | None
    youtube_url: str | None


class Bookmark(_Shape):
    """A marked scene. Times are ISO 8601 in UTC, with `Z`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BOOKMARK]})

    id: int
    user_id: int
    token_id: int
    created_at: datetime
    token: MarkedToken


class BookmarkOverview(_Shape):
    """For the gateway's my page."""

    total: int
    newest: list[Bookmark]
