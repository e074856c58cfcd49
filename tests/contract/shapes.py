"""The contract's shared shapes, written from the document: exact keys, exact types, times in UTC that say so."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

T = TypeVar("T")


def _in_utc(value: str) -> str:
    assert value.endswith("Z"), f"{value} does not say that it is in UTC"
    assert datetime.fromisoformat(value).tzinfo is not None
    return value


Time = Annotated[str, AfterValidator(_in_utc)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Shape(BaseModel):
    """Not a key more or less than the document has."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Actor(Shape):
    name: str
    id: int


class Token(Shape):
    token_name: str
    actor_name: str
    category: str | None
    start_time: Number
    end_time: Number
    s3_textgrid_url: str | None
    s3_pitch_url: str | None
    s3_bgvoice_url: str | None
    thumbnail_url: str | None
    youtube_url: str
    view_count: int
    id: int


class Word(Shape):
    script_id: int
    start_time: Number | None
    end_time: Number | None
    word: str | None
    probability: Number | None
    id: int


class Script(Shape):
    token_id: int
    start_time: Number
    end_time: Number
    script: str
    translation: str | None
    id: int
    words: list[Word]


class TokenDetail(Token):
    bgvoice_url: str | None
    pitch: Any
    scripts: list[Script]


class User(Shape):
    id: int
    email: str
    google_id: str | None
    full_name: str | None
    profile_picture: str | None
    is_active: bool
    login_type: str
    created_at: Time
    updated_at: Time | None


class BookmarkedToken(Shape):
    id: int
    token_name: str
    actor_name: str
    category: str | None
    thumbnail_url: str | None
    youtube_url: str | None


class Bookmark(Shape):
    id: int
    user_id: int
    token_id: int
    created_at: Time
    token: BookmarkedToken


class Dubbed(Shape):
    token_id: int
    token_name: str
    actor_name: str
    category: str | None
    youtube_url: str | None
    last_dubbed_at: Time
    total_scripts: int
    completed_scripts: int


class JobState(Shape):
    job_id: str
    token_id: int
    status: str
    progress: int
    result: Any
    message: str | None
    created_at: Time


class Duet(Shape):
    youtube_url: str
    thumbnail_url: str | None
    scene_title: str
    duet_pair: Annotated[list[Token], Field(min_length=2, max_length=2)]


class VideoRequest(Shape):
    id: int
    actor: str
    content: str
    url: str
    status: str
    date: Time
    requester: str | None


_adapters: dict[Any, TypeAdapter[Any]] = {}  # making one costs more than an answer


def shaped(kind: type[T], answer: httpx.Response, status: int = 200) -> T:
    """The answer's JSON as the contract's shape; fails with what is wrong with it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    shape: T = _adapters[kind].validate_json(answer.content)
    return shape


def refused(answer: httpx.Response, status: int, detail: Any = None) -> Any:
    """An error as clients read it: `detail` is where it always was, in a problem document (RFC 9457). The detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    if detail is not None:
        assert body["detail"] == detail
    return body["detail"]


def invalid(answer: httpx.Response, *where: str | int) -> None:
    """422 that names the part of the request that is wrong."""
    errors = refused(answer, 422)
    assert list(where) in [error["loc"] for error in errors], errors
    for error in errors:
        assert {"type", "loc", "msg"} <= error.keys()
