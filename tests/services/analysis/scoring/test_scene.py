"""Recordings of whole scenes: all lines in one take, longer than a line may be."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.analysis.scoring.analyze import Analyzer
from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.result import Flag
from services.analysis.scoring.script import ScriptWord
from services.analysis.scoring.types import Samples
from tests.services.analysis.conftest import SAMPLES, Lines, quietly, samples_of, wav


def the_scenes(lines: Lines) -> tuple[Samples, list[ScriptWord]]:
    """All sample scenes and the first once more, one behind the other, each line at its time; and all their words."""
    catalogue: dict[str, list[dict[str, Any]]] = json.loads((SAMPLES / "catalog.json").read_text(encoding="utf-8"))
    scenes = [*catalogue["tokens"], catalogue["tokens"][0]]
    seconds = sum(scene["end_time"] - scene["start_time"] for scene in scenes)
    take, words, begin = np.zeros(int((seconds + 2) * SAMPLE_RATE), np.float32), [], 0.0
    for scene in scenes:
        for line in (line for line in catalogue["scripts"] if line["token_id"] == scene["id"]):
            at = begin + line["start_time"] - scene["start_time"]
            spoken = samples_of(f"script-{line['id']}")
            start = int(at * SAMPLE_RATE)
            take[start : start + len(spoken)] += spoken
            shift = at - line["start_time"]
            for word in lines[line["id"]]:
                assert word.start_time is not None
                assert word.end_time is not None
                words.append(replace(word, start_time=word.start_time + shift, end_time=word.end_time + shift))
        begin += scene["end_time"] - scene["start_time"]
    return take, words


@pytest.fixture(scope="module")
def scenes(lines: Lines) -> tuple[Samples, list[ScriptWord]]:
    return the_scenes(lines)


def test_every_word_of_a_long_scene_is_heard_in_time(analyzer: Analyzer, scenes: tuple[Samples, list[ScriptWord]]) -> None:
    take, words = scenes
    assert len(take) > 38 * SAMPLE_RATE
    result = analyzer.analyze(wav(take), words, quietly, line_start=0.0)
    assert Flag.TOO_LONG not in result.quality.flags
    assert [word.word for word in result.word_analysis] == [word.word for word in words]
    assert result.overall_score > 0.8
    assert result.summary.text_accuracy == 1.0
    assert result.summary.time_accuracy > 0.9


def test_of_a_take_that_is_longer_than_its_script_by_far_only_the_beginning_is_heard(
    analyzer: Analyzer, scenes: tuple[Samples, list[ScriptWord]]
) -> None:
    take, words = scenes
    result = analyzer.analyze(wav(take), words[:5], quietly, line_start=0.0)
    assert result.quality.duration == 30.0
    assert Flag.TOO_LONG in result.quality.flags
