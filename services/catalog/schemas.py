"""What goes over catalog's wire; the shapes are those of the service that this one replaces."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.catalog import importing, listing, service
from services.catalog.fields import Sought

MAX_SKIP = 2**31 - 1


SearchText = Annotated[Sought, Path(max_length=200)]
Address = Annotated[Sought, Field(max_length=2048)]
Skip = Annotated[int, Query(ge=0, le=MAX_SKIP, description="How many to leave out from the beginning")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most")]


class _Shape(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Actor(_Shape):
    """An actor."""

    name: str
    id: int


class Token(_Shape):
    """A scene. Times are seconds into the film."""

    token_name: str
    actor_name: str
    category: str | None
    start_time: float
    end_time: float
    s3_textgrid_url: str | None
    s3_pitch_url: str | None
    s3_bgvoice_url: str | None
    thumbnail_url: str | None
    youtube_url: str
    view_count: int
    id: int


class Word(_Shape):
    """A word of a line. Times are seconds into the film."""

    script_id: int
    start_time: float | None
    end_time: float | None
    word: str | None
    probability: float | None
    id: int


class Script(_Shape):
    """A line. Times are seconds into the film."""

    token_id: int
    start_time: float
    end_time: float
    script: str
    translation: str | None
    id: int
    words: list[Word]


class TokenDetail(Token):
    """A scene with all that its page shows."""

    bgvoice_url: str | None = Field(description="The background sound, to be fetched within 15 minutes")
    pitch: Any = Field(description='The melody, `[{"time": seconds, "hz": number or null}, ..]`, or null')
    scripts: list[Script]


@dataclass(frozen=True, slots=True)
class DetailShown:
    """A scene's page as JSON. `lasting` says when another one is due: all of it but the link, which is new every time."""

    body: bytes
    lasting: bytes


_TEXT: TypeAdapter[str | None] = TypeAdapter(str | None)
_TOKEN = TypeAdapter(Token)
_SCRIPTS = TypeAdapter(list[Script])


def detail_shown(detail: service.TokenDetail) -> DetailShown:
    """What `TokenDetail` describes. The melody, most of it, is JSON already and goes in as it is."""
    token = _TOKEN.dump_json(Token.model_validate(detail.token))
    scripts = _SCRIPTS.dump_json([Script.model_validate(script) for script in detail.scripts])
    link = _TEXT.dump_json(detail.bgvoice_url)
    rest = b',"pitch":%b,"scripts":%b}' % (detail.pitch or b"null", scripts)
    lasting = token + rest + str(detail.link_period if detail.link_period is not None else detail.bgvoice_url).encode()
    return DetailShown(b'%b,"bgvoice_url":%b%b' % (token[:-1], link, rest), lasting)


class DuetScene(BaseModel):
    """A film with two scenes that can be spoken by two."""

    youtube_url: str
    thumbnail_url: str | None
    scene_title: str = Field(description="The name of the first scene")
    duet_pair: tuple[Token, Token]

    @classmethod
    def of(cls, duet: listing.Duet) -> Self:
        """From the use case's answer."""
        return cls(
            youtube_url=duet.first.youtube_url,
            thumbnail_url=duet.first.thumbnail_url or duet.second.thumbnail_url,
            scene_title=duet.first.token_name,
            duet_pair=(Token.model_validate(duet.first), Token.model_validate(duet.second)),
        )


class Viewed(BaseModel):
    """How often a scene was viewed, this time included."""

    token_id: int
    view_count: int


class UrlCheck(BaseModel):
    """Which film."""

    youtube_url: Address


class UrlKnown(BaseModel):
    """Whether there are scenes of it."""

    exists: bool


class ImportCounts(_Shape):
    """What happened to the entries of one kind."""

    created: int
    updated: int
    unchanged: int
    removed: int = Field(description="Aliases, actors of a scene and words that an entry does not have any more")


class ImportReport(BaseModel):
    """What an import did."""

    urls: ImportCounts
    actors: ImportCounts
    aliases: ImportCounts
    tokens: ImportCounts
    token_actors: ImportCounts
    scripts: ImportCounts
    words: ImportCounts
    pitch: ImportCounts
    ignored: list[str] = Field(description="Keys of the document that nobody reads")

    @classmethod
    def of(cls, report: importing.Report) -> Self:
        """From the use case's answer."""
        counts = {kind: ImportCounts.model_validate(each) for kind, each in report.counts.items()}
        return cls(**counts, ignored=report.ignored)
