"""The line that was to be spoken, as a job brings it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class ScriptWord:
    """One word of a line. Old catalogues have gaps, so everything may be missing."""

    word: str | None
    id: int | None = None
    start_time: float | None = None
    """Seconds of the scene (not of the line)."""
    end_time: float | None = None
    mfcc: Sequence[Sequence[float]] | None = None
    """The actor's features: (frames, 13); see `features.mfcc`. Any constant hop will do, warping evens it out."""


def spans_in_line(words: Sequence[ScriptWord], line_start: float | None = None) -> list[tuple[float, float] | None]:
    """(start, end) of each word in seconds from `line_start`; None where the script gives no usable times.

    A take is recorded from the moment the line begins, so these are the times at which its words are due. Without
    `line_start` a line begins with its first word.
    """
    timed = [
        (word.start_time, word.end_time)
        if word.start_time is not None
        and word.end_time is not None
        and isfinite(word.end_time - word.start_time)
        and word.end_time > word.start_time
        else None
        for word in words
    ]
    begin = min((span[0] for span in timed if span), default=0.0) if line_start is None else line_start
    return [(span[0] - begin, span[1] - begin) if span else None for span in timed]
