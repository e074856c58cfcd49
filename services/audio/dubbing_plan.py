"""Which recording is heard when: pure."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from libs.common.storage.base import StoredObject
from services.audio.dubbing_errors import NoTakes, SceneNotMixable

OVERLAP_SECONDS = 0.5
"""How far a take may run into whatever of the learner comes after its line: a slow ending is heard out, nobody talks twice."""
VERSION = 1
"""Grows when the same plan sounds different, so that nobody is given what was mixed in the old way."""


@dataclass(frozen=True, slots=True)
class Take:
    """The learner's latest recording of a line, or of the whole scene. Times are seconds, as the catalogue counts them."""

    script_id: int | None  # None for the whole scene
    object_key: str
    created_at: datetime
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Part:
    """`seconds` of a recording, from its second `skip` on, at second `at` of the scene."""

    at: float
    skip: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Voice:
    """A recording and the parts of it that are heard."""

    script_id: int | None
    object_key: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A dubbing of a scene of `seconds`: `background` is the object under the voices, None when there is none."""

    seconds: float
    background: str | None
    background_size: int | None  # bytes: another object under the old key is another background
    voices: tuple[Voice, ...]

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> Self:
        """The opposite of `as_json`."""
        voices = tuple(
            Voice(voice["script_id"], voice["object_key"], tuple(Part(**part) for part in voice["parts"]))
            for voice in kept["voices"]
        )
        return cls(kept["seconds"], kept["background"], kept["background_size"], voices)

    @property
    def fingerprint(self) -> str:
        """Equal for plans that sound the same."""
        return hashlib.sha256(json.dumps([VERSION, self.as_json()], sort_keys=True).encode()).hexdigest()


def planned(start: float, end: float, takes: Iterable[Take], background: StoredObject | None, *, max_seconds: float) -> Plan:
    """At every moment of the scene from `start` to `end` the newest recording of it counts.

    A recording of the whole scene is heard where no line was recorded after it; of lines that nobody recorded there is only
    the background. A take goes on past its line's end, until the learner's next one has begun (`OVERLAP_SECONDS`).
    Raises NoTakes, SceneNotMixable.
    """
    seconds = end - start
    if not (math.isfinite(seconds) and 0 < seconds <= max_seconds):
        raise SceneNotMixable
    takes = list(takes)
    whole = next((take for take in takes if take.script_id is None), None)
    lines = sorted(
        (
            take
            for take in takes
            if take.script_id is not None
            and (whole is None or take.created_at > whole.created_at)
            and take.start < min(take.end, end)
            and take.end > start
        ),
        key=lambda take: (take.start, take.script_id),
    )
    free = _free(start, end, lines) if whole is not None else []
    voices = [] if whole is None else [_voice(whole, [Part(at - start, at - start, until - at) for at, until in free])]
    begins = sorted([line.start for line in lines] + [at for at, _ in free])
    for line in lines:
        following = next((begin for begin in begins if begin > line.start), math.inf)
        until = min(max(line.end, following) + OVERLAP_SECONDS, end)
        voices.append(_voice(line, [Part(line.start - start, 0.0, until - line.start)]))
    voices = [voice for voice in voices if voice.parts]
    if not voices:
        raise NoTakes
    size = None if background is None else background.size
    return Plan(_exact(seconds), None if background is None else background.key, size, tuple(voices))


def _free(start: float, end: float, lines: Sequence[Take]) -> list[tuple[float, float]]:
    """When no line is spoken, from and to."""
    free, at = [], start
    for line in lines:
        if line.start > at:
            free.append((at, line.start))
        at = max(at, line.end)
    return [*free, (at, end)] if at < end else free


def _voice(take: Take, parts: Iterable[Part]) -> Voice:
    exact = tuple(Part(_exact(part.at), _exact(part.skip), _exact(part.seconds)) for part in parts)
    return Voice(take.script_id, take.object_key, exact)


def _exact(seconds: float) -> float:
    """To the microsecond: what differences of floats leave behind that must not tell two equal plans apart."""
    return round(seconds, 6)
