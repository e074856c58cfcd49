"""The sample catalogue's lines and takes, real speech, and an engine with its models loaded."""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pytest
import soundfile

from services.analysis.scoring.analyze import Analyzer
from services.analysis.scoring.decode import SAMPLE_RATE, decode
from services.analysis.scoring.result import AnalysisResult
from services.analysis.scoring.script import ScriptWord
from services.analysis.scoring.types import Samples

SAMPLES: Final = Path(__file__).parents[3] / "samples"
DATA: Final = Path(__file__).parent / "data"
REAL_SPEECH: Final = {
    "sense-and-sensibility-0880": "he was not an ill disposed young man",
    "sense-and-sensibility-0930": "he might even have been made amiable himself",
}

Lines: TypeAlias = dict[int, list[ScriptWord]]
Score: TypeAlias = Callable[[str, int], AnalysisResult]


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    return Analyzer()


@pytest.fixture(scope="session")
def lines() -> Lines:
    """The words of each sample line, by script id."""
    catalogue = json.loads((SAMPLES / "catalog.json").read_text(encoding="utf-8"))
    found: Lines = {script["id"]: [] for script in catalogue["scripts"]}
    for row in catalogue["words"]:
        word = ScriptWord(row["word"], row["id"], row["start_time"], row["end_time"], row["mfcc"])
        found[row["script_id"]].append(word)
    return found


@pytest.fixture(scope="session")
def score(analyzer: Analyzer, lines: Lines) -> Score:
    """`score("script-3", 5)`: the take of one sample file as a take of a sample line."""
    return cache(lambda name, script_id: analyzer.analyze(take(name), lines[script_id], quietly))


def quietly(percent: int, step: str) -> None:
    """For those who do not want to hear about progress."""


def take(name: str) -> bytes:
    """A file of samples/takes."""
    return (SAMPLES / "takes" / f"{name}.flac").read_bytes()


def script(text: str) -> list[ScriptWord]:
    """Words of a line that has neither times nor features."""
    return [ScriptWord(word) for word in text.split()]


def samples_of(name: str) -> Samples:
    """A file of samples/takes, decoded."""
    return decode(take(name)).samples


def wav(samples: Samples, rate: int = SAMPLE_RATE) -> bytes:
    """16-bit PCM, as the web client records."""
    file = io.BytesIO()
    soundfile.write(file, np.asarray(samples), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
