"""What `catalog` tells the others: scenes (tokens), their lines (scripts) and the words of a line."""

from pydantic import BaseModel, ConfigDict

from libs.common.contracts.base import Event


class Word(BaseModel):
    """One word of a line as the catalogue has it. Times are seconds from the start of the film clip's source."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int
    word: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    probability: float | None = None
    # frames x 13 mel-frequency cepstral coefficients of the actor's voice, 10 ms hop; never shown to clients
    mfcc: tuple[tuple[float, ...], ...] | None = None


class ScriptSnapshot(Event):
    """A line with all that an upload and an analysis need of it, so that readers keep their own copy.

    `version` grows with every change of the line: a reader keeps the highest and ignores late older ones.
    """

    script_id: int
    token_id: int
    version: int
    start_time: float
    end_time: float
    script: str
    words: tuple[Word, ...] = ()


class ScriptCreated(ScriptSnapshot, name="script.created"):
    """A line was added to a scene."""


class ScriptUpdated(ScriptSnapshot, name="script.updated"):
    """A line, its words or its scene's objects changed."""


class ScriptDeleted(Event, name="script.deleted"):
    """A line is gone, alone or with its scene."""

    script_id: int
    token_id: int
    version: int


class TokenSnapshot(Event):
    """A scene with all that an upload, an analysis of the whole of it and a list of what was dubbed need beside its lines.

    `version` grows with every change of the scene: a reader keeps the highest and ignores late older ones.
    """

    token_id: int
    version: int
    token_name: str
    actor_name: str
    start_time: float  # seconds, on the clock of the lines' times
    end_time: float
    s3_textgrid_url: str | None = None  # keys of the scene's reference objects, as the catalogue has them
    s3_pitch_url: str | None = None
    s3_bgvoice_url: str | None = None
    category: str | None = None
    youtube_url: str | None = None  # of the film; only what was published before there was this field lacks it
    thumbnail_url: str | None = None


class Scene(BaseModel):
    """A scene with its lines as they are at one moment: the catalogue's answer to a service whose own copies lack it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: TokenSnapshot
    scripts: tuple[ScriptSnapshot, ...]


class TokenCreated(TokenSnapshot, name="token.created"):
    """A scene was added to the catalogue."""


class TokenUpdated(TokenSnapshot, name="token.updated"):
    """A scene changed; a view is no change."""


class TokenDeleted(Event, name="token.deleted"):
    """A scene is gone with all its lines; each line is told of by a `script.deleted` of its own."""

    token_id: int
    version: int
