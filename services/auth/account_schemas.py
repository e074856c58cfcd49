"""What goes over the wire about one's own account."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.auth.administration_schemas import Activity
from services.auth.personal import Belongings
from services.auth.schemas import User, printable

_CHANGE: JsonDict = {"full_name": "김앨리스", "profile_picture": "https://pics.example.org/a.png"}


def _without_margins(value: str) -> str:
    if not (stripped := value.strip()):
        raise ValueError("must not be blank")
    return stripped


def _fetched_safely(value: str) -> str:
    """Everybody's browser fetches it: over TLS only, with nobody's password, and from nowhere that is not a host."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  (raises for what is no port)
    except ValueError as error:
        raise ValueError("must be an address such as https://pics.example.org/a.png") from error
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or not value.isascii() or " " in value:
        raise ValueError("must be an address such as https://pics.example.org/a.png")
    return value


class ProfileChange(BaseModel):
    """What is to be different; what is not mentioned stays. `null` takes it away."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [_CHANGE]})

    full_name: Annotated[str, Field(max_length=200), AfterValidator(printable), AfterValidator(_without_margins)] | None = None
    profile_picture: (
        Annotated[str, Field(max_length=2048), AfterValidator(printable), AfterValidator(_fetched_safely)] | None
    ) = None


class Profile(User):
    """One's account, as an archive has it."""

    is_admin: bool


class PastSession(BaseModel):
    """A sign-in, as an archive has it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    device: str | None
    network: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None


def archived(user_id: int, belongings: Belongings) -> dict[str, Any]:
    """What each file of the archive holds, by its name."""
    if belongings.account is None:
        return {}
    return {
        "profile.json": Profile.model_validate(belongings.account),
        "sessions.json": [PastSession.model_validate(session) for session in belongings.sessions],
        "activity.json": [Activity.of(act, user_id) for act in belongings.acts],
    }
