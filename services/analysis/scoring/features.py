"""How alike two recordings of a word sound.

Cepstra (Davis & Mermelstein 1980) are compared by time warping (Sakoe & Chiba 1978). The first coefficient is loudness
and is left out; mean and spread of the others are levelled, which takes most of the microphone and some of the voice
away.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.types import Features, Samples, Vector

COEFFICIENTS: Final = 13
HOP_SECONDS: Final = 0.01
_HOP: Final = int(HOP_SECONDS * SAMPLE_RATE)
_WINDOW: Final = 400  # 25 ms
_FFT: Final = 512
_MEL_BANDS: Final = 26
_MEL_RANGE_HZ: Final = (60.0, 7600.0)
_PRE_EMPHASIS: Final = 0.97
_LIFTER: Final = 22

LIKE_DISTANCE: Final = 1.18
"""Mean DTW distance at which similarity is 0.5. Between synthetic voices the same word lies at 1.12 (median), different
words at 1.21: one word says little, the mean over a line says something."""
LIKE_STEEPNESS: Final = 6.0
MIN_FRAMES: Final = 3


def mfcc(samples: Samples) -> Features:
    """(frames, 13) mel-frequency cepstral coefficients, one frame each 10 ms."""
    emphasised = np.append(samples[:1], samples[1:] - _PRE_EMPHASIS * samples[:-1]).astype(np.float64)
    padded = np.pad(emphasised, (0, max(0, _WINDOW - len(emphasised))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hamming(_WINDOW)
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2 / _FFT
    return np.asarray(np.log(power @ _mel_filters().T + 1e-10) @ _cosines().T, np.float64)


def shape(features: Features) -> Features:
    """Without loudness, each coefficient with mean 0 and spread 1 over the given frames."""
    kept = features[:, 1:]
    return np.asarray((kept - kept.mean(axis=0)) / (kept.std(axis=0) + 1e-3), np.float64)


def reference_features(rows: Sequence[Sequence[float]] | None) -> Features | None:
    """The actor's features of a word as a script carries them; None when there are none that can be compared."""
    if not rows or len(rows) < MIN_FRAMES or any(len(row) != COEFFICIENTS for row in rows):
        return None
    features = np.asarray(rows, np.float64)
    return features if np.isfinite(features).all() else None


def similarity(mine: Features, actors: Features) -> float:
    """0..1 for two words' features (frames, 13); 0 when one has too few frames to compare."""
    if min(len(mine), len(actors)) < MIN_FRAMES:
        return 0.0
    distance = dtw_distance(shape(mine), shape(actors))
    return float(1 / (1 + np.exp((distance - LIKE_DISTANCE) * LIKE_STEEPNESS)))


def dtw_distance(a: Features, b: Features) -> float:
    """Mean distance per step of the cheapest warping path; one unit is one standard deviation in each coefficient."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    local = np.sqrt(np.maximum(squared, 0.0) / a.shape[1])
    rows, columns = local.shape
    cost = np.full((rows + 1, columns + 1), np.inf)
    cost[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):  # cells of one anti-diagonal do not depend on each other
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        cost[i + 1, j + 1] = local[i, j] + np.minimum(np.minimum(cost[i, j], cost[i, j + 1]), cost[i + 1, j])
    return float(cost[rows, columns]) / _path_length(cost)


def _path_length(cost: Vector) -> int:
    i, j, steps = cost.shape[0] - 1, cost.shape[1] - 1, 0
    while i > 0 and j > 0:
        steps += 1
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda cell: float(cost[cell]))
    return steps


@lru_cache(maxsize=1)
def _mel_filters() -> Vector:
    """(bands, bins) triangles, evenly spaced on the mel scale 2595 log10(1 + f / 700)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in _MEL_RANGE_HZ)
    edges_hz = 700 * (10 ** (np.linspace(low, high, _MEL_BANDS + 2) / 2595) - 1)
    edges = np.floor((_FFT + 1) * edges_hz / SAMPLE_RATE)
    bins = np.arange(_FFT // 2 + 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / np.maximum(1, centre - left)
    falling = (right - bins) / np.maximum(1, right - centre)
    return np.asarray(np.clip(np.minimum(rising, falling), 0, 1), np.float64)


@lru_cache(maxsize=1)
def _cosines() -> Vector:
    """(coefficients, bands) orthonormal DCT-II with the usual sine lifter, which evens the coefficients' spread out."""
    band, order = np.arange(_MEL_BANDS), np.arange(COEFFICIENTS)
    basis = np.sqrt(2 / _MEL_BANDS) * np.cos(np.pi * np.outer(order, band + 0.5) / _MEL_BANDS)
    basis[0] /= np.sqrt(2)
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER)
    return np.asarray(basis * lifter[:, None], np.float64)
