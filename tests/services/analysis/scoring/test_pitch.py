import numpy as np
import pytest

from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.pitch import track
from services.analysis.scoring.types import Samples, Vector
from tests.services.analysis.conftest import samples_of


def voice(hz: Vector) -> Samples:
    """A buzz with the given pitch at every sample: twelve harmonics, falling 6 dB per octave."""
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    return np.asarray(sum(np.sin(k * phase) / k for k in range(1, 13)) / 4, np.float32)


@pytest.mark.parametrize("hz", [80.0, 120.0, 220.0, 400.0])
def test_a_steady_voice_has_a_steady_pitch(hz: float) -> None:
    melody = track(voice(np.full(SAMPLE_RATE, hz)))
    assert (melody > 0).all()
    np.testing.assert_allclose(melody, hz, rtol=0.01)


def test_a_glide_is_followed() -> None:
    melody = track(voice(np.linspace(120, 240, SAMPLE_RATE)))
    due = np.linspace(120, 240, len(melody))
    np.testing.assert_allclose(melody, due, rtol=0.04)


def test_silence_and_noise_have_no_pitch() -> None:
    assert not track(samples_of("silence")).any()
    assert np.count_nonzero(track(samples_of("noise"))) < 10


def test_a_voice_between_pauses_is_voiced_only_while_it_lasts() -> None:
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    melody = track(np.concatenate([pause, voice(np.full(SAMPLE_RATE // 2, 150.0)), pause]))
    assert not melody[:40].any()
    assert (melody[55:90] > 0).all()
    assert not melody[105:].any()


def test_less_than_a_window_has_no_melody() -> None:
    assert len(track(np.zeros(100, np.float32))) == 0
