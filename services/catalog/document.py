"""The import document: what a file may say, checked entry by entry before anything is written.

    {"urls": ["https://.."], "actors": [{"id", "name", "aliases": [".."]}], "tokens": [..], "token_actors": [..],
     "scripts": [..], "words": [..], "pitch": {"object key": any JSON}, "scenes": [..]}

A scene is a token together with its lines and their words, all without ids, as studios deliver them: see `scenes.py`.
Every key may be missing. Entries may hold more than is read here, as rows of the old service's tables do.
"""

import json
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from libs.common.storage.base import InvalidKey, check_key
from services.catalog.errors import BadDocument
from services.catalog.fields import MAX_WORDS, Address, Id, Name, Probability, Seconds, Text, Views
from services.catalog.storage import MAX_PITCH_BYTES

MFCC_COEFFICIENTS = 13
MAX_LINES = 500  # of a scene: what a person can speak in a sitting, and a comparison with what is there takes no time
SHOWN_CHARACTERS = 80  # of a value that an error repeats

_LIST_KINDS = ("urls", "actors", "tokens", "token_actors", "scripts", "words", "scenes")
_NOT_OURS = ("users",)  # a document may hold them; they belong to auth


def _one_row_of_coefficients(row: list[float]) -> list[float]:
    if len(row) != MFCC_COEFFICIENTS:
        raise ValueError(f"must hold {MFCC_COEFFICIENTS} numbers")
    return row


Frame = Annotated[list[FiniteFloat], AfterValidator(_one_row_of_coefficients)]


class Entry(BaseModel):
    """One entry of a list. Types are not guessed: "1" is no number, true is no id."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    # the field that a bare string stands for, where one is accepted instead of an object
    bare: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _from_bare_string(cls, value: Any) -> Any:
        return {cls.bare: value} if cls.bare is not None and isinstance(value, str) else value


class _Timed(Entry):
    @model_validator(mode="after")
    def _in_order(self) -> Self:
        start, end = getattr(self, "start_time", None), getattr(self, "end_time", None)
        if start is not None and end is not None and end < start:
            raise ValueError(f"end_time {end:g} is before start_time {start:g}")
        return self


class UrlEntry(Entry):
    """A film; also a bare string."""

    bare = "youtube_url"

    id: Id | None = None
    youtube_url: Address


class AliasEntry(Entry):
    """Another name of an actor; also a bare string."""

    bare = "name"

    id: Id | None = None
    name: Name = Field(validation_alias=AliasChoices("name", "alias"))


class ActorEntry(Entry):
    """An actor. `aliases` are all there are; without the key they stay as they are."""

    id: Id
    name: Name
    aliases: list[AliasEntry] | None = None


class _Scene(_Timed):
    token_name: Name
    actor_name: Name
    category: Name | None = None
    start_time: Seconds
    end_time: Seconds
    s3_textgrid_url: Address | None = None
    s3_pitch_url: Address | None = None
    s3_bgvoice_url: Address | None = None
    thumbnail_url: Address | None = None
    youtube_url: Address


class TokenEntry(_Scene):
    """A scene. Times are seconds into the film."""

    id: Id
    view_count: Views = 0


class TokenActorEntry(Entry):
    """Who speaks in a scene. A scene's entries are all the actors it has."""

    token_id: Id
    actor_id: Id


class ScriptEntry(_Timed):
    """A line of a scene. Times are seconds into the film."""

    id: Id
    token_id: Id
    start_time: Seconds
    end_time: Seconds
    script: Text
    translation: Text | None = None


class WordEntry(_Timed):
    """A word of a line. A line's entries are all the words it has; all of them carry an id or none does."""

    id: Id | None = None
    script_id: Id
    start_time: Seconds | None = None
    end_time: Seconds | None = None
    word: Name | None = None
    probability: Probability | None = None
    mfcc: list[Frame] | None = None


class SceneWord(_Timed):
    """A word of a line of a scene."""

    start_time: Seconds
    end_time: Seconds
    word: Name
    probability: Probability | None = None
    mfcc: list[Frame] | None = None


class SceneLine(_Timed):
    """A line of a scene with its words in order, none overlapping, within the line's time. Without the key they stay."""

    start_time: Seconds
    end_time: Seconds
    script: Text
    translation: Text | None = None
    words: list[SceneWord] | None = Field(None, min_length=1, max_length=MAX_WORDS)


class SceneEntry(_Scene):
    """A scene with all its lines. The film and the scene's name are what it is known by; what it does not name stays."""

    scripts: list[SceneLine] = Field(max_length=MAX_LINES)


@dataclass(frozen=True, slots=True)
class Document:
    """A document whose entries are right each by itself and fit each other; `ignored` are keys that nobody reads."""

    urls: list[UrlEntry]
    actors: list[ActorEntry]
    tokens: list[TokenEntry]
    token_actors: list[TokenActorEntry]
    scripts: list[ScriptEntry]
    words: list[WordEntry]
    scenes: list[SceneEntry]
    pitch: dict[str, bytes]
    ignored: list[str]


E = TypeVar("E", bound=Entry)


def parse(content: bytes) -> Document:
    """The document in `content`. Raises `BadDocument`, which names the entry. Takes seconds for a large one."""
    try:
        raw = from_json(content)
    except ValueError as error:
        raise BadDocument(f"not a JSON document: {error}") from error
    if not isinstance(raw, dict):
        raise BadDocument('the document must be an object such as {"actors": [..], "tokens": [..]}')
    pitch = raw.pop("pitch", {})
    lists = {kind: raw.pop(kind, []) for kind in _LIST_KINDS}
    document = Document(
        urls=_entries("urls", lists, UrlEntry),
        actors=_entries("actors", lists, ActorEntry),
        tokens=_entries("tokens", lists, TokenEntry),
        token_actors=_entries("token_actors", lists, TokenActorEntry),
        scripts=_entries("scripts", lists, ScriptEntry),
        words=_entries("words", lists, WordEntry),
        scenes=_entries("scenes", lists, SceneEntry),
        pitch=_melodies(pitch),
        ignored=sorted(shown(key) for key in raw if key not in _NOT_OURS),
    )
    _refuse_repetitions(document)
    _refuse_half_numbered_words(document.words)
    return document


def shown(value: object) -> str:
    """A value for an error text: short, and printable whatever it holds."""
    text = str(value)
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _entries(kind: str, lists: dict[str, Any], entry: type[E]) -> list[E]:
    raw = lists.pop(kind)  # so that its memory is free again once it was read
    if not isinstance(raw, list):
        raise BadDocument(f"{kind} must be a list")
    entries = []
    for index, value in enumerate(raw):
        try:
            entries.append(entry.model_validate(value))
        except ValidationError as error:
            raise BadDocument(_in_words(f"{kind}[{index}]", error)) from error
    return entries


def _in_words(where: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return f"{where}{path}: {first['msg'].removeprefix('Value error, ')}"


def _melodies(raw: Any) -> dict[str, bytes]:
    if not isinstance(raw, dict):
        raise BadDocument("pitch must be an object of object keys and JSON documents")
    melodies = {}
    for key, melody in raw.items():
        where = f"pitch['{shown(key)}']"
        try:
            content = json.dumps(melody, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            check_key(key)
        except ValueError:
            raise BadDocument(f"{where}: holds NaN or an infinite number") from None
        except InvalidKey as error:
            raise BadDocument(f"{where}: {error.detail}") from None
        if len(content) > MAX_PITCH_BYTES:
            raise BadDocument(f"{where}: has more than {MAX_PITCH_BYTES} bytes")
        melodies[key] = content
    return melodies


def _refuse_repetitions(document: Document) -> None:
    _unique("urls", "id", document.urls, lambda url: url.id)
    _unique("urls", "youtube_url", document.urls, lambda url: url.youtube_url)
    _unique("actors", "id", document.actors, lambda actor: actor.id)
    _unique("actors", "name", document.actors, lambda actor: actor.name)
    aliases = [alias for actor in document.actors for alias in actor.aliases or ()]
    _unique("aliases of all actors", "id", aliases, lambda alias: alias.id)
    for index, actor in enumerate(document.actors):
        _unique(f"actors[{index}].aliases", "name", actor.aliases or (), lambda alias: alias.name)
    _unique("tokens", "id", document.tokens, lambda token: token.id)
    _unique("token_actors", "pair", document.token_actors, lambda link: (link.token_id, link.actor_id))
    _unique("scripts", "id", document.scripts, lambda script: script.id)
    _unique("words", "id", document.words, lambda word: word.id)
    _unique("scenes", "film and name", document.scenes, lambda scene: (scene.youtube_url, scene.token_name))


def _unique(kind: str, what: str, entries: Iterable[E], key: Callable[[E], Hashable]) -> None:
    first: dict[Hashable, int] = {}
    for index, entry in enumerate(entries):
        value = key(entry)
        if value is not None and first.setdefault(value, index) != index:
            raise BadDocument(f"{kind}[{index}]: {what} {shown(value)} is used by {kind}[{first[value]}] already")


def _refuse_half_numbered_words(words: list[WordEntry]) -> None:
    numbered: dict[int, tuple[int, bool]] = {}
    for index, word in enumerate(words):
        other, has_id = numbered.setdefault(word.script_id, (index, word.id is not None))
        if has_id != (word.id is not None):
            raise BadDocument(f"words[{index}]: all words of a script carry an id or none; words[{other}] is different")
