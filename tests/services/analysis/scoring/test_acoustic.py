import numpy as np
import pytest

from services.analysis.scoring import quality
from services.analysis.scoring.acoustic import CHUNK_FRAMES, FRAME_SAMPLES, AcousticModel
from services.analysis.scoring.types import LogPosteriors
from tests.services.analysis.conftest import samples_of


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return AcousticModel()


def test_each_frames_probabilities_sum_to_one(model: AcousticModel) -> None:
    posteriors = model.log_posteriors(samples_of("script-1"))
    assert posteriors.shape == (pytest.approx(len(samples_of("script-1")) / FRAME_SAMPLES, abs=2), len(model.tokens))
    np.testing.assert_allclose(np.exp(posteriors).sum(axis=1), 1.0, rtol=1e-9)


def test_it_hears_the_phones_of_what_is_said(model: AcousticModel) -> None:
    heard = model.heard(model.log_posteriors(quality.levelled(samples_of("script-8"))))
    assert "ɪ m p ɑ s" in heard  # (e)liminated the "imposs"(ible)


def test_repeats_merge_unless_a_blank_parts_them_and_words_are_divided(model: AcousticModel) -> None:
    a, b = model.index["a"], model.index["b"]
    frames = [model.boundary, a, a, model.blank, a, b, b, model.boundary, b, model.blank]
    posteriors: LogPosteriors = np.full((len(frames), len(model.tokens)), -20.0)
    posteriors[range(len(frames)), frames] = 0.0
    assert model.heard(posteriors) == "a a b | b"


def test_a_recording_of_several_chunks_is_heard_as_one(model: AcousticModel) -> None:
    line = quality.levelled(samples_of("script-9"))
    repeated = np.tile(line, 1 + 2 * CHUNK_FRAMES * FRAME_SAMPLES // len(line))
    posteriors = model.log_posteriors(repeated)
    assert len(posteriors) == pytest.approx(len(repeated) / FRAME_SAMPLES, abs=2)
    times = len(repeated) // len(line)
    assert model.heard(posteriors).count("t ɹ u θ") == pytest.approx(times, abs=1)
