"""My page on the wire: what its owners answer here, and what clients get."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from pydantic.config import JsonDict

from libs.common.web.auth import Principal
from services.gateway.routes import Service

_FILM = "https://www.youtube.com/watch?v=vid00000002"
_SCENE: JsonDict = {"token_name": "Scene 02", "actor_name": "Emma Stone", "category": "애니메이션", "youtube_url": _FILM}
_ACCOUNT: JsonDict = {
    "id": 1,
    "email": "alice@example.org",
    "google_id": "g-1",
    "full_name": "Alice Kim",
    "profile_picture": "https://pics.example.org/a.png",
    "is_active": True,
    "login_type": "google",
    "created_at": "2026-11-23T03:42:29.250661Z",
    "updated_at": "2026-11-23T03:42:29.250661Z",
}
_BOOKMARK: JsonDict = {
    "id": 7,
    "user_id": 1,
    "token_id": 2,
    "created_at": "2026-11-23T03:43:10.000002Z",
    "token": {"id": 2, **_SCENE, "thumbnail_url": None},
}
_DUBBED: JsonDict = {
    "token_id": 2,
    **_SCENE,
    "last_dubbed_at": "2026-11-23T03:44:32.496222Z",
    "total_scripts": 3,
    "completed_scripts": 2,
}
_OVERVIEW: JsonDict = {
    "user_info": _ACCOUNT,
    "total_bookmarks": 1,
    "total_dubbed_tokens": 1,
    "total_practice_count": 4,
    "average_completion_rate": 0.82,
    "recent_bookmarks": [_BOOKMARK],
    "recent_dubbed_tokens": [_DUBBED],
    "unavailable": [],
}


class Account(BaseModel):
    """Who the caller is."""

    id: int
    email: str
    google_id: str | None
    full_name: str | None
    profile_picture: str | None
    is_active: bool
    login_type: str
    created_at: datetime | None = Field(description="null only while `auth` does not answer")
    updated_at: datetime | None

    @classmethod
    def of(cls, caller: Principal) -> Self:
        """What the caller's token says, while nobody else says more."""
        return cls(
            id=caller.user_id,
            email=caller.email,
            google_id=None,
            full_name=None,
            profile_picture=None,
            is_active=True,
            login_type="unknown",
            created_at=None,
            updated_at=None,
        )


class BookmarkedToken(BaseModel):
    """What my page shows of a bookmarked scene."""

    id: int
    token_name: str
    actor_name: str
    category: str | None
    thumbnail_url: str | None
    youtube_url: str | None


class RecentBookmark(BaseModel):
    """A bookmark."""

    id: int
    user_id: int
    token_id: int
    created_at: datetime
    token: BookmarkedToken


class RecentDubbing(BaseModel):
    """A scene that the caller recorded anything of."""

    token_id: int
    token_name: str
    actor_name: str
    category: str | None
    youtube_url: str | None
    last_dubbed_at: datetime
    total_scripts: int
    completed_scripts: int


class BookmarksPart(BaseModel):
    """What `catalog` answers; all is empty as long as it does not."""

    total: int = 0
    newest: list[RecentBookmark] = []


class PracticePart(BaseModel):
    """What `audio` answers; all is empty as long as it does not."""

    total_dubbed_tokens: int = 0
    total_practice_count: int = 0
    average_completion_rate: FiniteFloat = 0.0
    recent: list[RecentDubbing] = []


class Overview(BaseModel):
    """My page at a glance. Times are ISO 8601 in UTC, with `Z`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OVERVIEW]})

    user_info: Account
    total_bookmarks: int
    total_dubbed_tokens: int
    total_practice_count: int = Field(description="Recordings, with a result or without")
    average_completion_rate: float = Field(description="Mean score of the caller's results, 0..1; 0.0 without any")
    recent_bookmarks: list[RecentBookmark] = Field(description="The newest first, 500 at most")
    recent_dubbed_tokens: list[RecentDubbing] = Field(description="The one with the newest recording first, 20 at most")
    unavailable: list[Service] = Field(
        description="Whose part is missing, because it did not answer in time; its keys are empty then"
    )
