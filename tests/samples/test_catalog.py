"""The sample catalogue holds together, and every take of it is there."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

FOLDER = Path(__file__).parents[2] / "samples"
CATEGORIES = {"로맨스", "액션", "애니메이션", "코미디", "판타지", "드라마"}


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "catalog.json").read_text(encoding="utf-8"))
    return loaded


def test_every_reference_leads_somewhere(catalogue: dict[str, Any]) -> None:
    ids = {name: {row["id"] for row in catalogue[name]} for name in ("actors", "tokens", "scripts", "words", "urls")}
    assert all(len(ids[name]) == len(catalogue[name]) for name in ids)
    assert {script["token_id"] for script in catalogue["scripts"]} == ids["tokens"]
    assert {word["script_id"] for word in catalogue["words"]} == ids["scripts"]
    assert {link["token_id"] for link in catalogue["token_actors"]} == ids["tokens"]
    assert {link["actor_id"] for link in catalogue["token_actors"]} == ids["actors"]
    names = {actor["name"] for actor in catalogue["actors"]}
    urls = {url["youtube_url"] for url in catalogue["urls"]}
    for token in catalogue["tokens"]:
        assert token["actor_name"] in names
        assert token["youtube_url"] in urls
        assert token["category"] in CATEGORIES
        assert token["s3_pitch_url"] in catalogue["pitch"]


def test_the_words_of_a_line_are_its_text_in_time(catalogue: dict[str, Any]) -> None:
    scenes = {token["id"]: token for token in catalogue["tokens"]}
    for script in catalogue["scripts"]:
        words = [word for word in catalogue["words"] if word["script_id"] == script["id"]]
        assert " ".join(word["word"] for word in words) == script["script"]
        times = [time for word in words for time in (word["start_time"], word["end_time"])]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (script["start_time"], script["end_time"])
        scene = scenes[script["token_id"]]
        assert scene["start_time"] <= times[0] < times[-1] <= scene["end_time"]
        assert script["translation"]


def test_every_line_has_a_reference_and_a_take_and_everything_stays_small(catalogue: dict[str, Any]) -> None:
    lines = {f"script-{script['id']}" for script in catalogue["scripts"]}
    assert {path.stem for path in (FOLDER / "takes").glob("*.flac")} == {"silence", "noise", *lines}
    assert {path.stem for path in (FOLDER / "reference").glob("*.flac")} == lines
    assert (FOLDER / "catalog.json").stat().st_size < 600_000
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.flac")) < 1_500_000


def test_the_actor_speaks_each_line_for_as_long_as_its_words_say(catalogue: dict[str, Any]) -> None:
    for script in catalogue["scripts"]:
        spoken = soundfile.info(FOLDER / "reference" / f"script-{script['id']}.flac").duration
        assert 0 <= spoken - (script["end_time"] - script["start_time"]) < 0.5


def test_actors_are_found_by_korean_and_english_names(catalogue: dict[str, Any]) -> None:
    for actor in catalogue["actors"]:
        assert actor["name"].isascii()
        assert any(not alias.isascii() for alias in actor["aliases"])


def test_the_melody_covers_each_scene(catalogue: dict[str, Any]) -> None:
    for token in catalogue["tokens"]:
        melody = catalogue["pitch"][token["s3_pitch_url"]]
        times = [point["time"] for point in melody]
        assert times == sorted(times)
        assert abs(times[0] - token["start_time"]) < 0.5
        assert all(point["hz"] is None or 50 < point["hz"] < 500 for point in melody)
