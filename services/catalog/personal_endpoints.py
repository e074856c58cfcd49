"""Routes of personal data: for `audio`, which makes the archive that people can ask for."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from services.catalog.bookmarks_schemas import Bookmark
from services.catalog.deps import PersonalDataDep
from services.catalog.fields import MAX_ID
from services.catalog.learner_models import RequestStatus

router = APIRouter(prefix="/internal", include_in_schema=False)


class OwnRequest(BaseModel):
    """A video request as its author reads it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    actor: str
    content: str
    url: str
    status: RequestStatus
    created_at: datetime


class Belongings(BaseModel):
    """What each file of the archive holds, by its name."""

    model_config = ConfigDict(from_attributes=True)

    bookmarks: list[Bookmark] = Field(serialization_alias="bookmarks.json")
    requests: list[OwnRequest] = Field(serialization_alias="video-requests.json")


@router.get("/users/{user_id}/data", response_model=Belongings)
async def data_of_user(personal: PersonalDataDep, user_id: Annotated[int, Path(ge=1, le=MAX_ID)]) -> object:
    """`{"bookmarks.json": [..], "video-requests.json": [..]}`, empty lists for whoever kept nothing."""
    return await personal.of(user_id)
