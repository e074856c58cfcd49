"""How good the recording is: level, clipping, noise, and where in it somebody speaks."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.analysis.scoring.acoustic import FRAME_SAMPLES, FRAME_SECONDS
from services.analysis.scoring.result import Flag
from services.analysis.scoring.types import LogPosteriors, Mask, Samples

TARGET_PEAK: Final = 0.5
"""The level at which the acoustic model was tried."""
MAX_GAIN: Final = 30.0
"""30 dB: a whisper into a phone is lifted, the hiss of silence is not made a voice."""
SPEECH_POSTERIOR: Final = 0.3
"""A frame belongs to speech when the model gives any phone this much. Energy or WebRTC's detector call noise speech."""
SPEECH_REACH_FRAMES: Final = 4
"""CTC emits a phone as one spike; what lies within 80 ms of a spike is speech too."""
TOO_QUIET_DBFS: Final = -55.0
CLIPPED_SAMPLE: Final = 0.985
CLIPPED_RATIO: Final = 0.01
"""Share of samples at the limit from which clipping is audible as distortion."""
NOISY_SNR_DB: Final = 10.0
"""Below it scores fall for the noise and not for the speaker (right text in white noise of 10 dB: .83 instead of .97)."""
MIN_SPEECH_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Loudness:
    """Measured before any gain."""

    level_dbfs: float
    clipped_ratio: float


@dataclass(frozen=True, slots=True)
class Speech:
    """`frames`: one truth per 20 ms; `snr_db` None when speech or pause is missing."""

    frames: Mask
    seconds: float
    snr_db: float | None


def loudness(samples: Samples) -> Loudness:
    """Root-mean-square level in dB of full scale (at least -180), and the share of samples at the limit."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return Loudness(20 * float(np.log10(rms + 1e-9)), float(np.mean(np.abs(samples) >= CLIPPED_SAMPLE)))


def levelled(samples: Samples) -> Samples:
    """Without offset and at `TARGET_PEAK`, so that a quiet microphone is heard as well as a loud one."""
    centred = samples - samples.mean()
    gain = min(MAX_GAIN, TARGET_PEAK / max(float(np.abs(centred).max()), 1e-4))
    return np.asarray(centred * gain, np.float32)


def find_speech(samples: Samples, log_posteriors: LogPosteriors, blank: int) -> Speech:
    """Where the acoustic model hears phones, and how far these frames rise above the pauses."""
    spikes = (1.0 - np.exp(log_posteriors[:, blank])) > SPEECH_POSTERIOR
    frames = np.convolve(spikes, np.ones(2 * SPEECH_REACH_FRAMES + 1), "same") > 0
    whole = min(len(samples) // FRAME_SAMPLES, len(frames))
    power = np.square(samples[: whole * FRAME_SAMPLES].reshape(whole, FRAME_SAMPLES), dtype=np.float64).mean(axis=1)
    level, speaking = 10 * np.log10(power + 1e-10), frames[:whole]
    snr = None
    if speaking.any() and np.count_nonzero(~speaking) > SPEECH_REACH_FRAMES:
        snr = float(np.percentile(level[speaking], 70) - np.median(level[~speaking]))
    return Speech(frames, float(np.count_nonzero(frames)) * FRAME_SECONDS, snr)


def flags(loud: Loudness, speech: Speech) -> frozenset[Flag]:
    """What a person should know about the recording before believing its scores."""
    told = {
        Flag.TOO_QUIET: loud.level_dbfs < TOO_QUIET_DBFS,
        Flag.CLIPPING: loud.clipped_ratio > CLIPPED_RATIO,
        Flag.NOISY: speech.snr_db is not None and speech.snr_db < NOISY_SNR_DB,
        Flag.NO_SPEECH: speech.seconds < MIN_SPEECH_SECONDS,
    }
    return frozenset(flag for flag, raised in told.items() if raised)
