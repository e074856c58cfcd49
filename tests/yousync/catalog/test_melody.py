"""Melodies as Praat writes them and as scenes have them."""

import json
from pathlib import Path

import pytest
from praatio.data_classes.data_point import PointObject2D  # type: ignore[import-untyped]

from yousync.catalog.files import BadSceneFile
from yousync.catalog.melody import melody_of

LONG = """File type = "ooTextFile"
Object class = "PitchTier"

xmin = 0
xmax = 1.5
points: size = 3
points [1]:
    number = 0.25
    value = 180.5
points [2]:
    number = 0.26
    value = 181
points [3]:
    number = 1.26
    value = 99.75
"""
MELODY = [
    {"time": 12.25, "hz": 180.5},
    {"time": 12.26, "hz": 181.0},
    {"time": 12.76, "hz": None},
    {"time": 13.26, "hz": 99.75},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_pitch_tier_has_nulls_where_nobody_speaks(tmp_path: Path, encoding: str) -> None:
    assert melody_of(LONG.replace("\n", "\r\n").encode(encoding), at=12) == MELODY
    file = tmp_path / "short.PitchTier"
    PointObject2D([(0.25, 180.5), (0.26, 181), (1.26, 99.75)], "PitchTier", 0, 1.5).save(str(file))
    assert melody_of(file.read_text().encode(encoding), at=12) == MELODY


def test_a_melody_of_a_scene_is_taken_as_it_is() -> None:
    assert melody_of(json.dumps(MELODY).encode(), at=0) == MELODY


WRONG = [
    ("", "neither JSON nor a PitchTier"),
    ("[", "no JSON"),
    ("{}", "must be a list"),
    ("[1]", "point 1: must be"),
    ('[{"time": true, "hz": 1}]', "point 1: must be"),
    ('[{"time": 1, "hz": "a"}]', "point 1: must be"),
    ('[{"time": 1, "hz": 1}, {"time": 2, "hz": NaN}]', "point 2: nan Hz at 2"),
    ('[{"time": 1, "hz": -1}]', "point 1: -1 Hz"),
    ('[{"time": -1, "hz": 1}]', "point 1: 1 Hz at -1"),
    ('[{"time": 1, "hz": 1}, {"time": 1, "hz": 2}]', "point 2: at 1 s, not after"),
    (LONG.replace("PitchTier", "DurationTier"), "no PitchTier"),
    (LONG.replace("180.5", "high"), "neither JSON nor a PitchTier"),
]


def test_what_is_wrong_is_named_by_its_point() -> None:
    for text, message in WRONG:
        with pytest.raises(BadSceneFile) as error:
            melody_of(text.encode(), at=0)
        assert str(error.value).startswith(message)
