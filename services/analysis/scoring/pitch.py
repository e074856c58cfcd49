"""The melody of a voice: autocorrelation of each frame, then the smoothest path through its peaks (Boersma 1993)."""

from typing import Final

import numpy as np

from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.types import Mask, Samples, Vector

HOP_SECONDS: Final = 0.01
_HOP: Final = int(HOP_SECONDS * SAMPLE_RATE)
_WINDOW: Final = int(0.04 * SAMPLE_RATE)
"""Nearly three periods of the lowest voice."""
MIN_HZ: Final = 65.0
MAX_HZ: Final = 500.0
"""From a low man's voice to a child's."""
_CANDIDATES: Final = 5
# Prices after Boersma 1993 (Praat's defaults), in units of normalised autocorrelation.
_VOICING_THRESHOLD: Final = 0.45
_SILENCE_THRESHOLD: Final = 0.03
_OCTAVE_COST: Final = 0.01
_OCTAVE_JUMP_COST: Final = 0.35
_VOICED_UNVOICED_COST: Final = 0.14
_BLOCK_FRAMES: Final = 500
"""Frames that are looked at together: one needs 50 KB for it, and a scene has ten thousand."""
MIN_RUN_FRAMES: Final = 5
"""Voiced stretches under 50 ms are clicks."""
MAX_DEVIATION_SEMITONES: Final = 14.0
"""Stretches further than this from the speaker's median are noise or octave errors."""


def track(samples: Samples) -> Vector:
    """Hz for each 10 ms, 0 where there is no voice; empty for less than one window (40 ms)."""
    if len(samples) < _WINDOW:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), _WINDOW)[::_HOP]
    blocks = [_measured(frames[start : start + _BLOCK_FRAMES]) for start in range(0, len(frames), _BLOCK_FRAMES)]
    hz, strength, peak = (np.concatenate(each) for each in zip(*blocks, strict=True))
    loud = peak / (float(np.abs(samples).max()) + 1e-9)
    unvoiced = _VOICING_THRESHOLD + np.maximum(0, 2 - loud / _SILENCE_THRESHOLD * (1 + _VOICING_THRESHOLD))
    hz = np.concatenate([hz, np.zeros((len(hz), 1))], axis=1)
    strength = np.concatenate([strength, unvoiced[:, None]], axis=1)
    return _without_outliers(_best_path(hz, strength))


def _measured(frames: Vector) -> tuple[Vector, Vector, Vector]:
    """Hz and strength of each frame's candidates, and its highest level."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    return *_candidates(centred), np.abs(centred).max(axis=1)


def _candidates(frames: Vector) -> tuple[Vector, Vector]:
    """(frames, candidates) Hz and strength of the autocorrelation's highest peaks, the window's own divided out."""
    window, size = np.hanning(_WINDOW), 1 << (2 * _WINDOW - 1).bit_length()

    def autocorrelation(x: Vector) -> Vector:
        power = np.abs(np.fft.rfft(x, size)) ** 2
        return np.asarray(np.fft.irfft(power, size)[..., :_WINDOW], np.float64)

    own, of_window = autocorrelation(frames * window), autocorrelation(window)
    normalised = own / (own[:, :1] + 1e-12) / (of_window / of_window[0])
    lags = np.arange(int(SAMPLE_RATE / MAX_HZ), int(SAMPLE_RATE / MIN_HZ) + 1)
    r = normalised[:, lags]
    left, middle, right = r[:, :-2], r[:, 1:-1], r[:, 2:]
    peak = np.where((middle > left) & (middle >= right), middle, -1.0)
    biased = peak + np.where(peak > 0, _OCTAVE_COST * np.log2(SAMPLE_RATE / lags[1:-1] / MIN_HZ), 0.0)
    best = np.argsort(-biased, axis=1)[:, :_CANDIDATES]
    rows = np.arange(len(r))[:, None]
    a, b, c = left[rows, best], middle[rows, best], right[rows, best]
    curvature = a - 2 * b + c
    shift = 0.5 * (a - c) / np.where(np.abs(curvature) > 1e-12, curvature, 1e-12)  # vertex of the parabola
    return SAMPLE_RATE / (lags[1:-1][best] + np.clip(shift, -0.5, 0.5)), biased[rows, best]


def _best_path(hz: Vector, strength: Vector) -> Vector:
    """The path through the candidates (0 Hz: unvoiced) with the most strength and the fewest jumps."""
    voiced = hz > 0
    octaves = np.log2(np.where(voiced, hz, 1.0))
    came_from = np.zeros(hz.shape, np.int64)
    total = strength[0]
    for t in range(1, len(hz)):
        both = voiced[t - 1][:, None] & voiced[t]
        jump = _OCTAVE_JUMP_COST * np.abs(octaves[t - 1][:, None] - octaves[t])
        turn = np.where(voiced[t - 1][:, None] != voiced[t], _VOICED_UNVOICED_COST, 0.0)
        reached = total[:, None] - np.where(both, jump, turn)
        came_from[t] = reached.argmax(axis=0)
        total = reached.max(axis=0) + strength[t]
    path = np.zeros(len(hz))
    state = int(total.argmax())
    for t in range(len(hz) - 1, -1, -1):
        path[t] = hz[t, state]
        state = int(came_from[t, state])
    return path


def _without_outliers(hz: Vector) -> Vector:
    voiced: Mask = hz > 0
    if not voiced.any():
        return hz
    kept, median = hz.copy(), float(np.median(hz[voiced]))
    edges = np.flatnonzero(np.diff(np.r_[False, voiced, False].astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        deviation = abs(12 * np.log2(np.median(hz[start:end]) / median))
        if end - start < MIN_RUN_FRAMES or deviation > MAX_DEVIATION_SEMITONES:
            kept[start:end] = 0.0
    return kept
