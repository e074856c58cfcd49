"""What administrators write, one thing at a time. Fields that nobody knows are passed over, as clients of the old service send.

In a change every field may be missing: what is not named stays as it is. `null` clears what may be empty.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict, JsonValue

from services.catalog.fields import MAX_WORDS, Address, Id, Name, Probability, Seconds, Text, Views

_SCENE: JsonDict = {
    "token_name": "Scene 01",
    "actor_name": "Tom Hardy",
    "category": "액션",
    "start_time": 10.0,
    "end_time": 28.0,
    "s3_pitch_url": "Tom Hardy/vid00000001/1/pitch.json",
    "youtube_url": "https://www.youtube.com/watch?v=vid00000001",
}
_WORDS: list[JsonValue] = [
    {"start_time": 10.0, "end_time": 11.425, "word": "you", "probability": 0.81},
    {"start_time": 11.425, "end_time": 12.85, "word": "could"},
]
_LINE: JsonDict = {
    "token_id": 1,
    "start_time": 10.0,
    "end_time": 15.7,
    "script": "you could",
    "translation": "너는",
    "words": _WORDS,
}


def _of_the_web(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be the address of a film, such as https://www.youtube.com/watch?v=..")
    return value


Film = Annotated[Address, AfterValidator(_of_the_web)]
Words = Annotated[
    "list[WordNew]",
    Field(max_length=MAX_WORDS, description="All words of the line, in order, without overlap, within the line's time"),
]


class _Written(BaseModel):
    # Types are not guessed: "1" is no number, true is no id.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


# Of a field that a change does not name and that cannot be empty: the value is never looked at.
_KEPT: Any = Field(default_factory=lambda: None)


class ActorNew(_Written):
    """An actor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Tom Hardy"}]})

    name: Name


class TokenNew(_Written):
    """A scene. Times are seconds into the film, which is known from then on; `s3_...` are keys or URLs of objects."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SCENE]})

    token_name: Name
    actor_name: Name
    category: Name | None = None
    start_time: Seconds
    end_time: Seconds
    s3_textgrid_url: Address | None = None
    s3_pitch_url: Address | None = None
    s3_bgvoice_url: Address | None = None
    thumbnail_url: Address | None = None
    youtube_url: Film
    view_count: Views = 0


class TokenChange(_Written):
    """What is to be different about a scene. Views are counted, not written: `view_count` is passed over."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SCENE, {"category": "드라마", "thumbnail_url": None}]})

    token_name: Name = _KEPT
    actor_name: Name = _KEPT
    category: Name | None = None
    start_time: Seconds = _KEPT
    end_time: Seconds = _KEPT
    s3_textgrid_url: Address | None = None
    s3_pitch_url: Address | None = None
    s3_bgvoice_url: Address | None = None
    thumbnail_url: Address | None = None
    youtube_url: Film = _KEPT


class WordNew(_Written):
    """A word of a line. Times are seconds into the film."""

    start_time: Seconds
    end_time: Seconds
    word: Name
    probability: Probability | None = None


class ScriptNew(_Written):
    """A line of a scene. Times are seconds into the film."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LINE]})

    token_id: Id
    start_time: Seconds
    end_time: Seconds
    script: Text
    translation: Text | None = None
    words: Words = []


class ScriptChange(_Written):
    """What is to be different about a line. `words` replace all that it has."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LINE, {"translation": "너는 떠날 수 있었어"}]})

    token_id: Id = _KEPT
    start_time: Seconds = _KEPT
    end_time: Seconds = _KEPT
    script: Text = _KEPT
    translation: Text | None = None
    words: Words = _KEPT
