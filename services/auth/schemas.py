"""What goes over auth's wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from libs.common.people import MAX_AT_ONCE
from services.auth.models import MAX_ID

# Enough to tell an address from a slip of the keyboard; whether it is real, only a message to it can tell.
EMAIL = r"^[^@\s]+@[^@\s]+$"


def printable(value: str) -> str:
    """`value`, unless it has control characters or halves of them; raises ValueError."""
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


def _by_comma(value: Any) -> Any:
    return value[0].split(",") if isinstance(value, list) and len(value) == 1 else value


Email = Annotated[str, Field(max_length=254, pattern=EMAIL), AfterValidator(printable)]
Name = Annotated[str, Field(max_length=200), AfterValidator(printable)]


UserIds = Annotated[list[int], BeforeValidator(_by_comma), Query(max_length=MAX_AT_ONCE, description="1,2,3")]


class DevelopmentLogin(BaseModel):
    """Who to be."""

    model_config = ConfigDict(strict=True)  # 0 is no answer to whether somebody is an administrator

    email: Email
    admin: bool = False
    full_name: Name | None = None


class GoogleLogin(BaseModel):
    """What Google's button gives the web client."""

    id_token: str = Field(min_length=1)


class SignInCode(BaseModel):
    """What the page has after sign-in: the code from its address, and the verifier that it made before it left."""

    code: str = Field(min_length=1, max_length=200)
    code_verifier: str = Field(pattern=r"^[A-Za-z0-9._~-]{43,128}$", description="RFC 7636, 4.1")


class AccessToken(BaseModel):
    """A bearer token for `Authorization`."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  (a kind of token, no secret)


class Tokens(AccessToken):
    """A bearer token, and what the next ones are got with, once: `POST /api/auth/token`."""

    refresh_token: str


class Refresh(BaseModel):
    """What a session goes on with."""

    refresh_token: str = Field(min_length=1, max_length=200)


class Session(BaseModel):
    """One of the caller's sign-ins."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    device: str | None = Field(description="What the browser called itself at the last refresh")
    network: str | None = Field(description="Where the last refresh came from, without the last part of the address")
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime = Field(description="When it ends at the latest")
    current: bool = Field(description="Whether it is the one that asks")


class User(BaseModel):
    """The caller's account. Times are ISO 8601 in UTC, with `Z`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    email: str
    google_id: str | None
    full_name: str | None
    profile_picture: str | None
    is_active: bool
    login_type: str
    created_at: datetime
    updated_at: datetime | None


class LoggedOut(BaseModel):
    """The answer that the web client shows."""

    message: str = "성공적으로 로그아웃되었습니다"
    user_id: int


class DevelopmentUser(BaseModel):
    """An account with its id, as the import document of the catalogue has it."""

    model_config = ConfigDict(strict=True)

    id: int = Field(ge=1, le=MAX_ID)
    email: Email
    full_name: Name | None = None
    profile_picture: Annotated[str, Field(max_length=2048), AfterValidator(printable)] | None = None
    is_active: bool = True
    is_admin: bool = False


# The `users` part of an import document.
DevelopmentUsers = Annotated[list[DevelopmentUser], Body(max_length=10_000)]


class Imported(BaseModel):
    """How many accounts were new, different, or as they are."""

    model_config = ConfigDict(from_attributes=True)

    created: int
    updated: int
    unchanged: int


class KeySet(BaseModel):
    """RFC 7517."""

    keys: list[dict[str, Any]]
