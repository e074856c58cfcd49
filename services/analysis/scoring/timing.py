"""Was each word spoken when the actor speaks it?"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeAlias

Span: TypeAlias = tuple[float, float]
"""(start, end) in seconds from the beginning of the line."""

FORGIVEN_LATENCY: Final = 0.3
"""Seconds. Sound cards and Bluetooth delay a whole take evenly by up to about this; nobody can speak against it."""
TOLERANCE: Final = 0.1
"""Seconds by which the script's span is widened on either side: the times of both sides come from recognisers."""
FULL_SCORE_WITHIN: Final = 0.1
"""Seconds between due and spoken start that cost nothing: about what viewers accept as lip-synchronous (ITU-R BT.1359)."""
NO_SCORE_BEYOND: Final = 0.7
"""Seconds at which the score reaches 0."""
MATCH_START_WITHIN: Final = 0.35
MATCH_OVERLAP: Final = 0.5


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one word. `score` and `overlap` 0..1."""

    score: float
    overlap: float
    match: bool


UNHEARD: Final = Timing(0.0, 0.0, match=False)


def latency(pairs: Iterable[tuple[Span, Span]]) -> float | None:
    """Seconds by which the words of (spoken, due) pairs begin late: the median; None without any pair."""
    delays = [spoken[0] - due[0] for spoken, due in pairs]
    return median(delays) if delays else None


def judge(spoken: Span, due: Span, delay: float | None) -> Timing:
    """`spoken` against `due`, after up to `FORGIVEN_LATENCY` of the take's common `delay` has been taken away."""
    forgiven = max(-FORGIVEN_LATENCY, min(FORGIVEN_LATENCY, delay or 0.0))
    start, end = spoken[0] - forgiven, spoken[1] - forgiven
    early, late = due[0] - TOLERANCE, due[1] + TOLERANCE
    shared = max(0.0, min(late, end) - max(early, start))
    length = max(end - start, 0.05)
    overlap = min(1.0, shared / max(0.05, min(length, late - early))) * min(1.0, (late - early) / length)
    distance = abs(start - due[0])
    score = 1.0 - max(0.0, distance - FULL_SCORE_WITHIN) / (NO_SCORE_BEYOND - FULL_SCORE_WITHIN)
    match = overlap >= MATCH_OVERLAP and distance <= MATCH_START_WITHIN
    return Timing(max(0.0, score), overlap, match)
