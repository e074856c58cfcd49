import numpy as np
import pytest

from services.analysis.scoring import quality
from services.analysis.scoring.acoustic import AcousticModel
from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.quality import Loudness, Speech, find_speech, flags, levelled, loudness
from services.analysis.scoring.result import Flag
from services.analysis.scoring.types import Samples
from tests.services.analysis.conftest import samples_of


def tone(amplitude: float) -> Samples:
    wave = amplitude * np.sin(2 * np.pi * 200 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    return np.clip(wave, -1, 1).astype(np.float32)


def listen(samples: Samples) -> Speech:
    model = AcousticModel()
    return find_speech(samples, model.log_posteriors(levelled(samples)), model.blank)


def test_a_full_scale_sine_has_a_level_of_minus_three_decibels() -> None:
    assert loudness(tone(1.0)).level_dbfs == pytest.approx(-3.01, abs=0.01)
    assert loudness(np.zeros(100, np.float32)).level_dbfs == -180.0


def test_an_overdriven_recording_is_clipping_and_a_good_one_is_not() -> None:
    clear = Speech(np.ones(50, np.bool_), 1.0, 40.0)
    assert Flag.CLIPPING in flags(loudness(tone(3.0)), clear)
    assert flags(loudness(tone(0.5)), clear) == frozenset()


@pytest.mark.parametrize("gain", [0.03, 0.2, 1.0])
def test_quiet_and_loud_microphones_are_brought_to_one_level(gain: float) -> None:
    assert np.abs(levelled(gain * tone(0.9) + np.float32(0.01))).max() == pytest.approx(quality.TARGET_PEAK, rel=0.05)


def test_silence_is_not_lifted_to_a_voice() -> None:
    assert np.abs(levelled(tone(0.0001))).max() < 0.005


def test_speech_is_found_between_the_pauses() -> None:
    line = samples_of("script-9")
    silence = np.zeros(SAMPLE_RATE, np.float32)
    speech = listen(np.concatenate([silence, line, silence]))
    assert speech.seconds == pytest.approx(len(line) / SAMPLE_RATE, abs=0.4)
    assert not speech.frames[:40].any()
    assert not speech.frames[-40:].any()


def test_noise_is_no_speech_however_loud() -> None:
    assert listen(samples_of("noise") * 10).seconds < quality.MIN_SPEECH_SECONDS


def test_the_signal_to_noise_ratio_falls_as_noise_rises() -> None:
    line = np.concatenate([samples_of("script-9"), np.zeros(SAMPLE_RATE, np.float32)])
    noise = np.random.default_rng(1).standard_normal(len(line)).astype(np.float32)
    rms = float(np.sqrt(np.mean(samples_of("script-9") ** 2)))
    measured = [listen(line + noise * rms * 10 ** (-db / 20)).snr_db for db in (30, 20, 10)]
    assert all(snr is not None for snr in measured)
    assert measured == sorted(measured, key=lambda snr: -(snr or 0))
    assert measured[1] == pytest.approx(20, abs=6)


def test_a_recording_without_a_pause_has_no_noise_to_measure() -> None:
    model = AcousticModel()
    always = np.full((50, len(model.tokens)), -20.0)
    always[:, model.index["a"]] = 0.0
    speech = find_speech(tone(0.5), always, model.blank)
    assert speech.snr_db is None
    assert Flag.NOISY not in flags(Loudness(-20.0, 0.0), speech)
