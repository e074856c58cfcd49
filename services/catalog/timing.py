"""How times fit each other: of a scene, of a line, of the words in a line. All are seconds into the film."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.catalog.errors import InvalidField

ROUNDING_SECONDS = 0.001  # by which words may overlap or stick out of their line: times come rounded, each by itself


def check_times(row: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Raise `InvalidField` unless the end is behind the beginning; it names the end, unless only the beginning is `named`."""
    start, end = row["start_time"], row["end_time"]
    if end < start:
        if "end_time" in named or "start_time" not in named:
            raise InvalidField("end_time", f"{end:g} is before start_time {start:g}")
        raise InvalidField("start_time", f"{start:g} is after end_time {end:g}")


def check_words(line: Mapping[str, Any], words: Sequence[Mapping[str, Any]]) -> None:
    """Raise `InvalidField` for the first word that lies outside of the line, or begins before the one before it has ended."""
    for index, word in enumerate(words):
        if word["end_time"] < word["start_time"]:
            raise InvalidField(f"words.{index}.end_time", f"{word['end_time']:g} is before start_time {word['start_time']:g}")
        if not _within(line, word):
            where = f"{line['start_time']:g} to {line['end_time']:g} s"
            raise InvalidField(f"words.{index}", f"is outside of the line's time, {where}")
        if index and word["start_time"] < words[index - 1]["end_time"] - ROUNDING_SECONDS:
            raise InvalidField(f"words.{index}.start_time", f"is before the end of the word before it, words[{index - 1}]")


def check_kept_words(
    before: Mapping[str, Any], after: Mapping[str, Any], words: Sequence[Mapping[str, Any]], named: Mapping[str, Any]
) -> None:
    """Raise `InvalidField` when a line's new time leaves words behind; those that an import put outside of it may stay."""
    for word in words:
        if None not in (word["start_time"], word["end_time"]) and _within(before, word) and not _within(after, word):
            field = "end_time" if "end_time" in named else "start_time"
            raise InvalidField(field, f"the line's word {word['word']!r} would be outside of its time: send `words` as well")


def _within(line: Mapping[str, Any], word: Mapping[str, Any]) -> bool:
    begins_late_enough = bool(word["start_time"] >= line["start_time"] - ROUNDING_SECONDS)
    return begins_late_enough and bool(word["end_time"] <= line["end_time"] + ROUNDING_SECONDS)
