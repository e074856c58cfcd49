"""A scene out of a Praat TextGrid: its lines, their words and when each is spoken.

A TextGrid has an interval tier for the words (forced aligners call it `words`), usually one for the lines (`lines`), and may
have one for their translations (`translation`). Without a tier for the lines a line ends where nobody speaks for a while. Long
and short format, UTF-8 and UTF-16. All times become seconds into the film.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from praatio.utilities import textgrid_io  # type: ignore[import-untyped]
from praatio.utilities.constants import INTERVAL_TIER  # type: ignore[import-untyped]
from praatio.utilities.errors import PraatioException  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError

from services.catalog.fields import Name, Text
from services.catalog.timing import ROUNDING_SECONDS
from yousync.catalog.files import BadSceneFile, Tiers, read_text

SILENCES = frozenset({"", "sil", "sp", "<sil>", "<eps>", "<p:>"})  # how aligners write that nobody speaks
PAUSE_SECONDS = 0.7  # between two lines, where no tier says where they begin: within a sentence people rarely pause so long

_WORD, _LINE = TypeAdapter(Name), TypeAdapter(Text)


@dataclass(frozen=True, slots=True)
class Interval:
    """One that has a label. `number` is its place in the tier, from 1, as Praat counts; times are seconds into the film."""

    tier: str
    number: int
    start: float
    end: float
    label: str

    def __str__(self) -> str:
        return f"tier {self.tier!r}, interval {self.number} ({self.start:g} to {self.end:g} s, {self.label[:40]!r})"

    def holds(self, other: "Interval") -> bool:
        """Whether the middle of `other` is within."""
        return self.start <= (other.start + other.end) / 2 < self.end


def scene_of(content: bytes, tiers: Tiers, *, at: float) -> dict[str, Any]:
    """Times and lines of a scene as an import document has them. `at`: seconds into the film where the TextGrid begins with 0.

    Raises `BadSceneFile`.
    """
    grid = _parse(read_text(content))
    named = {tier["name"]: tier for tier in grid["tiers"] if tier["class"] == INTERVAL_TIER}
    words = _intervals(_choose(named, tiers.words, "words", needed=True), at)
    spoken = [word for word in words if word.label.lower() not in SILENCES]
    if not spoken:
        raise BadSceneFile(f"tier {tiers.words or 'words'!r} has no word in it")
    lines = _intervals(_choose(named, tiers.lines, "lines"), at) or list(_lines_between_pauses(spoken))
    translations = _intervals(_choose(named, tiers.translations, "translation"), at)
    start, end = _seconds(grid["xmin"], "xmin") + at, _seconds(grid["xmax"], "xmax") + at
    return {"start_time": _rounded(start), "end_time": _rounded(end), "scripts": _scripts(lines, spoken, translations)}


def _parse(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        raise BadSceneFile("JSON, not one of the two formats of Praat")
    try:
        grid: dict[str, Any] = textgrid_io.parseTextgridStr(text, includeEmptyIntervals=True)
        tiers = grid["tiers"]
    except (PraatioException, ValueError, LookupError, TypeError, AttributeError):
        raise BadSceneFile("no TextGrid that Praat would read") from None
    if not tiers:
        raise BadSceneFile("a TextGrid without tiers")
    names = [tier["name"] for tier in tiers]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise BadSceneFile(f"two tiers are called {twice!r}: rename one")
    return grid


def _choose(named: dict[str, dict[str, Any]], wanted: str | None, usual: str, *, needed: bool = False) -> dict[str, Any] | None:
    found = named.get(wanted) if wanted is not None else next((t for name, t in named.items() if name.lower() == usual), None)
    if found is None and (needed or wanted is not None):
        there = ", ".join(map(repr, named)) or "none"
        raise BadSceneFile(f"there is no interval tier {wanted or usual!r}; those that there are: {there}")
    return found


def _intervals(tier: dict[str, Any] | None, at: float) -> list[Interval]:
    """The labelled intervals of a tier, in order."""
    if tier is None:
        return []
    found: list[Interval] = []
    for number, (start, end, label) in enumerate(tier["entries"], 1):
        where = f"tier {tier['name']!r}, interval {number}"
        begins, ends = _seconds(start, where) + at, _seconds(end, where) + at
        interval = Interval(tier["name"], number, _rounded(begins), _rounded(ends), " ".join(label.split()))
        if not interval.label:
            continue
        if interval.start < 0:
            raise BadSceneFile(f"{interval}: begins before the film does")
        if interval.end <= interval.start:
            raise BadSceneFile(f"{interval}: ends before it begins")
        if found and interval.start < found[-1].end - ROUNDING_SECONDS:
            raise BadSceneFile(f"{interval}: begins before interval {found[-1].number} ends")
        found.append(interval)
    return found


def _seconds(value: Any, where: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise BadSceneFile(f"{where}: {str(value)[:40]!r} is no time")
    return seconds


def _rounded(seconds: float) -> float:
    return round(seconds, 6)


def _lines_between_pauses(words: Sequence[Interval]) -> Iterator[Interval]:
    """A line for each stretch of words; its number is that of its first word."""
    first = 0
    ends = [i for i, (one, other) in enumerate(pairwise(words), 1) if other.start - one.end >= PAUSE_SECONDS]
    for end in (*ends, len(words)):
        stretch = words[first:end]
        text = " ".join(word.label for word in stretch)
        yield Interval(stretch[0].tier, stretch[0].number, stretch[0].start, stretch[-1].end, text)
        first = end


def _scripts(lines: Sequence[Interval], words: Sequence[Interval], translations: Sequence[Interval]) -> list[dict[str, Any]]:
    scripts = []
    left = list(words)
    for line in lines:
        here = [word for word in left if line.holds(word)]
        left = [word for word in left if word not in here]
        if not here:
            raise BadSceneFile(f"{line}: no word is spoken in it")
        for word in here:
            if word.start < line.start - ROUNDING_SECONDS or word.end > line.end + ROUNDING_SECONDS:
                raise BadSceneFile(f"{word}: sticks out of its line, {line}")
        script: dict[str, Any] = {"start_time": line.start, "end_time": line.end, "script": _checked(_LINE, line)}
        if heard := [translation for translation in translations if line.holds(translation)]:
            script["translation"] = " ".join(_checked(_LINE, each) for each in heard)
        script["words"] = [{"start_time": w.start, "end_time": w.end, "word": _checked(_WORD, w)} for w in here]
        scripts.append(script)
    if left:
        raise BadSceneFile(f"{left[0]}: is in no line")
    return scripts


def _checked(adapter: TypeAdapter[str], interval: Interval) -> str:
    try:
        return adapter.validate_python(interval.label)
    except ValidationError as error:
        raise BadSceneFile(f"{interval}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
