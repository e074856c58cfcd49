"""Scenes out of TextGrids as studios and aligners write them."""

from pathlib import Path
from typing import Any, Literal

import pytest
from praatio import textgrid  # type: ignore[import-untyped]
from praatio.utilities.constants import Interval, Point  # type: ignore[import-untyped]

from yousync.catalog.files import BadSceneFile, Tiers
from yousync.catalog.textgrid import scene_of

Entries = list[tuple[float, float, str]]
WORDS: Entries = [(0.5, 0.9, "to"), (0.9, 1.4, "be"), (2.2, 2.5, "or"), (2.5, 3.0, "not"), (3.0, 3.2, "sp")]
LINES: Entries = [(0.4, 1.5, 'To be, "yes"'), (2.0, 3.2, "or  not")]
TRANSLATIONS: Entries = [(0.4, 1.5, "사느냐"), (2.0, 2.6, "죽느냐"), (2.6, 3.2, "그것이")]


Form = Literal["long_textgrid", "short_textgrid"]


def a_grid(tmp_path: Path, tiers: dict[str, Entries], form: Form = "long_textgrid") -> bytes:
    """As praatio, so as Praat, writes it."""
    grid = textgrid.Textgrid(0, 4)
    for name, entries in tiers.items():
        grid.addTier(textgrid.IntervalTier(name, [Interval(*entry) for entry in entries], 0, 4))
    grid.addTier(textgrid.PointTier("clicks", [Point(1.0, "x")], 0, 4))
    file = tmp_path / "scene.TextGrid"
    grid.save(str(file), format=form, includeBlankSpaces=True)
    return file.read_bytes()


def texts(scene: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(line["script"], [word["word"] for word in line["words"]]) for line in scene["scripts"]]


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_scene_is_read_from_every_form_that_praat_writes(tmp_path: Path, form: Form, encoding: str) -> None:
    text = a_grid(tmp_path, {"words": WORDS, "lines": LINES, "translation": TRANSLATIONS}, form).decode().replace("\n", "\r\n")
    content = ("\ufeff" if encoding == "utf-16-be" else "").encode(encoding) + text.encode(encoding)
    scene = scene_of(content, Tiers(), at=12.0)
    assert (scene["start_time"], scene["end_time"]) == (12.0, 16.0)
    first, second = scene["scripts"]
    assert first == {
        "start_time": 12.4,
        "end_time": 13.5,
        "script": 'To be, "yes"',
        "translation": "사느냐",
        "words": [
            {"start_time": 12.5, "end_time": 12.9, "word": "to"},
            {"start_time": 12.9, "end_time": 13.4, "word": "be"},
        ],
    }
    assert (second["script"], second["translation"]) == ("or not", "죽느냐 그것이")


def test_without_a_tier_of_lines_a_line_ends_at_a_pause(tmp_path: Path) -> None:
    scene = scene_of(a_grid(tmp_path, {"Words": WORDS}), Tiers(), at=0)
    assert texts(scene) == [("to be", ["to", "be"]), ("or not", ["or", "not"])]
    assert [(line["start_time"], line["end_time"]) for line in scene["scripts"]] == [(0.5, 1.4), (2.2, 3.0)]


def test_tiers_may_have_other_names(tmp_path: Path) -> None:
    scene = scene_of(a_grid(tmp_path, {"phones": WORDS, "A": WORDS, "B": LINES}), Tiers(words="A", lines="B"), at=0)
    assert texts(scene)[1] == ("or not", ["or", "not"])


WRONG: list[tuple[dict[str, Entries], Tiers, str]] = [
    ({"lines": LINES}, Tiers(), "there is no interval tier 'words'; those that there are: 'lines'"),
    ({"words": WORDS}, Tiers(lines="clicks"), "there is no interval tier 'clicks'; those that there are: 'words'"),
    ({"words": [(0, 1, "sil")]}, Tiers(), "tier 'words' has no word in it"),
    ({"words": WORDS, "lines": LINES[:1]}, Tiers(), "tier 'words', interval 5 (2.2 to 2.5 s, 'or'): is in no line"),
    (
        {"words": WORDS, "lines": [(0.4, 1.2, "to be"), LINES[1]]},
        Tiers(),
        "tier 'words', interval 3 (0.9 to 1.4 s, 'be'): sticks out of its line, tier 'lines', interval 2 (0.4 to 1.2 s",
    ),
    (
        {"words": WORDS[:2], "lines": LINES},
        Tiers(),
        "tier 'lines', interval 4 (2 to 3.2 s, 'or not'): no word is spoken in it",
    ),
    (
        {"words": [(0, 1, "x" * 201)]},
        Tiers(),
        f"tier 'words', interval 1 (0 to 1 s, '{'x' * 40}'): String should have at most 200",
    ),
    ({"words": [(0, 1, "a\u0007")]}, Tiers(), "tier 'words', interval 1 (0 to 1 s, 'a\\x07'): must not contain control"),
]


def test_what_is_wrong_is_named_by_tier_and_interval(tmp_path: Path) -> None:
    for tiers, chosen, message in WRONG:
        with pytest.raises(BadSceneFile) as error:
            scene_of(a_grid(tmp_path, tiers), chosen, at=0)
        assert str(error.value).startswith(message)


def test_times_that_cannot_be_are_named(tmp_path: Path) -> None:
    grid = a_grid(tmp_path, {"words": WORDS}, "short_textgrid")
    for old, new, message in [
        (b"\n0.9\n1.4\n", b"\n0.8\n1.4\n", "tier 'words', interval 3 (0.8 to 1.4 s, 'be'): begins before interval 2 ends"),
        (b"\n0.9\n1.4\n", b"\n0.9\n0.9\n", "tier 'words', interval 3 (0.9 to 0.9 s, 'be'): ends before it begins"),
        (b"\n0.9\n1.4\n", b"\n0.9\nsoon\n", "tier 'words', interval 3: 'soon' is no time"),
    ]:
        assert old in grid
        with pytest.raises(BadSceneFile) as error:
            scene_of(grid.replace(old, new), Tiers(), at=0)
        assert str(error.value) == message
    with pytest.raises(BadSceneFile, match=r"interval 2 .* begins before the film does"):
        scene_of(grid, Tiers(), at=-3)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", b"\xff\xfe\x00", b"caf\xe9", b"{}", b'{"tiers": 5}', b"item [\nitem [1", b"\n" * 50]
)
def test_what_is_no_textgrid_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(BadSceneFile):
        scene_of(content, Tiers(), at=0)


def test_two_tiers_of_one_name_are_told_apart_by_nobody(tmp_path: Path) -> None:
    grid = a_grid(tmp_path, {"words": WORDS, "lines": LINES}).replace(b'"lines"', b'"words"')
    with pytest.raises(BadSceneFile, match="two tiers are called 'words'"):
        scene_of(grid, Tiers(), at=0)
