"""Video requests on the wire."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.catalog.fields import Name, Note
from services.catalog.learner_models import RequestStatus
from services.catalog.requests import Shown
from services.catalog.write_schemas import Film

_NEW: JsonDict = {"actor": "Tom Hardy", "content": "부탁드려요", "url": "https://youtu.be/vid00000001"}
_REQUEST: JsonDict = {
    "id": 1,
    **_NEW,
    "status": "심사중",
    "date": "2026-11-23T03:44:37.842313Z",
    "requester": "Alice Kim",
}


class VideoRequestNew(BaseModel):
    """What to bring into the catalogue."""

    model_config = ConfigDict(str_strip_whitespace=True, json_schema_extra={"examples": [_NEW]})

    actor: Name
    content: Note = Field(description="Which scene, and whatever helps to find it; may be empty")
    url: Film


class VideoRequest(BaseModel):
    """A request. Times are ISO 8601 in UTC, with `Z`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REQUEST]})

    id: int
    actor: str
    content: str
    url: str
    status: RequestStatus
    date: datetime
    requester: str | None = Field(description="The name of who asked: the caller's own, and for administrators everybody's")

    @classmethod
    def of(cls, shown: Shown) -> Self:
        """From the use case's answer."""
        request = shown.request
        return cls(
            id=request.id,
            actor=request.actor,
            content=request.content,
            url=request.url,
            status=request.status,
            date=request.created_at,
            requester=shown.requester,
        )


class Decision(BaseModel):
    """What becomes of a request."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": each} for each in RequestStatus]})

    # No enum: a word that is none is answered with 400 and a text for people, as clients know it.
    status: str = Field(description=f"One of {', '.join(RequestStatus)}")


class Done(BaseModel):
    """What was done, in words."""

    detail: str
