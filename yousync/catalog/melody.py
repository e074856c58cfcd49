"""A scene's melody out of a Praat PitchTier, or out of the JSON that scenes have: `[{"time": seconds, "hz": number or null}]`.

A PitchTier has values only where the voice sounds. Between two that are further apart than a pause there is a `null`, so that
no screen draws a line through silence.
"""

import json
import math
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from praatio import data_points  # type: ignore[import-untyped]

from yousync.catalog.files import BadSceneFile, read_text

PAUSE_SECONDS = 0.1  # ten of Praat's usual steps

Melody = list[dict[str, float | None]]


def melody_of(content: bytes, *, at: float) -> Melody:
    """The melody on the clock of the film, which shows `at` seconds when the file's clock shows 0. Raises `BadSceneFile`."""
    text = read_text(content)
    points = _json(text) if text.lstrip().startswith(("[", "{")) else _pitch_tier(text)
    for number, (time, hz) in enumerate(points, 1):
        if not math.isfinite(time) or time + at < 0 or (hz is not None and not (math.isfinite(hz) and hz >= 0)):
            raise BadSceneFile(f"point {number}: {hz} Hz at {time} s cannot be")
    for number, ((before, _), (time, _)) in enumerate(pairwise(points), 2):
        if time <= before:
            raise BadSceneFile(f"point {number}: at {time:g} s, not after the point before it")
    return [{"time": round(time + at, 6), "hz": hz} for time, hz in points]


def _json(text: str) -> list[tuple[float, float | None]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadSceneFile(f"no JSON: {error}") from None
    if not isinstance(document, list):
        raise BadSceneFile('must be a list such as [{"time": 0.02, "hz": 180.5}, {"time": 0.04, "hz": null}]')
    return [_point(number, entry) for number, entry in enumerate(document, 1)]


def _point(number: int, entry: Any) -> tuple[float, float | None]:
    time, hz = (entry.get("time"), entry.get("hz")) if isinstance(entry, dict) else (None, None)
    if (
        isinstance(time, bool)
        or isinstance(hz, bool)
        or not isinstance(time, int | float)
        or not isinstance(hz, int | float | None)
    ):
        raise BadSceneFile(f'point {number}: must be {{"time": seconds, "hz": number or null}}')
    return time, hz


def _pitch_tier(text: str) -> list[tuple[float, float | None]]:
    with TemporaryDirectory() as folder:  # the library reads only files, and only UTF-8
        file = Path(folder, "pitch")
        file.write_text(text.rstrip() + "\n", encoding="utf-8")
        try:
            tier = data_points.open2DPointObject(str(file))
        except (ValueError, LookupError):
            raise BadSceneFile("neither JSON nor a PitchTier that Praat would read") from None
    if tier.objectClass != "PitchTier":
        raise BadSceneFile("no PitchTier: in Praat, choose the Pitch object and press `Down to PitchTier`")
    points: list[tuple[float, float | None]] = []
    for time, hz in tier.pointList:
        if points and time - points[-1][0] > PAUSE_SECONDS:
            points.append(((points[-1][0] + time) / 2, None))
        points.append((time, hz))
    return points
