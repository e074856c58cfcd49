"""Lays recordings over a scene's background voice: arrays in, arrays out. Files are `mixing_files`' business."""

from typing import Final, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Sound: TypeAlias = NDArray[np.float32]
"""(channels, n) sound pressure, full scale at -1..1, `RATE` samples a second."""
Gains: TypeAlias = NDArray[np.float64]
"""(blocks,) factors in 0..1."""

RATE: Final = 48_000
"""Hz; what browsers play and most recordings come in."""
FADE_SECONDS: Final = 0.005
"""Of a recording's edges: too short to be heard, long enough not to click."""
CEILING: Final = 10 ** (-1.5 / 20)
"""The highest peak, 1.5 dB below full scale: a lossy encoder adds about that much to what is at its limit."""
_BLOCK: Final = RATE // 400
"""Samples that share a gain: 2.5 ms, shorter than anybody hears a change of loudness."""
_REACH: Final = 20
"""Blocks (50 ms) in which the limiter comes to its gain, and leaves it again: slower than any speech sound's wave."""


class Mix:
    """A scene of `seconds`, silent at first."""

    def __init__(self, seconds: float) -> None:
        self._samples: Sound = np.zeros((2, round(seconds * RATE)), np.float32)

    def lay_background(self, sound: Sound) -> None:
        """From the scene's beginning on; what is longer than the scene is left out."""
        length = min(sound.shape[1], self._samples.shape[1])
        both = sound if len(sound) == 2 else sound.mean(axis=0, keepdims=True)
        self._samples[:, :length] += both[:, :length]

    def lay_voice(self, sound: Sound, *, at: float, skip: float, seconds: float) -> None:
        """`seconds` of the recording, from its second `skip` on, at second `at` of the scene, equally loud on both sides."""
        begin, first = round(at * RATE), round(skip * RATE)
        if begin < 0:  # what was said before the scene begins
            first, begin, seconds = first - begin, 0, seconds + at
        last = min(first + round(seconds * RATE), first + self._samples.shape[1] - begin)
        piece = sound[:, first : max(last, first)].mean(axis=0)
        self._samples[:, begin : begin + len(piece)] += _faded(piece)

    def finished(self) -> Sound:
        """All of it together, without a peak above `CEILING`."""
        return _limited(self._samples)


def _faded(voice: NDArray[np.float32]) -> NDArray[np.float32]:
    length = min(round(FADE_SECONDS * RATE), len(voice) // 2)
    ramp = np.linspace(0, 1, length, endpoint=False, dtype=np.float32)
    voice[:length] *= ramp
    voice[len(voice) - length :] *= ramp[::-1]
    return voice


def _limited(sound: Sound) -> Sound:
    """A limiter that looks ahead, in place: it is down before the peak comes, and what is far from one stays as it was."""
    length = sound.shape[1]
    begins = np.arange(0, length, _BLOCK)
    peaks = np.maximum(*(np.maximum.reduceat(each, begins) for each in (sound.max(axis=0), -sound.min(axis=0))))
    needed: Gains = CEILING / np.maximum(peaks, CEILING)
    if needed.min() == 1.0:
        return sound
    # The least that is needed within reach, then its mean over as much: smooth, and nowhere above what is needed there.
    # One block more on each side, because between two blocks the gain is a line from the one to the other.
    lowest = sliding_window_view(np.pad(needed, _REACH + 1, mode="edge"), 2 * _REACH + 3).min(axis=1)
    width = 2 * _REACH + 1
    smooth = np.convolve(np.pad(lowest, _REACH, mode="edge"), np.full(width, 1 / width), mode="valid")
    for begin in range(0, length, RATE):  # so that what it takes beside the sound is small
        piece = sound[:, begin : begin + RATE]
        piece *= np.interp(np.arange(begin, begin + piece.shape[1]), begins + _BLOCK / 2, smooth).astype(np.float32)
    return sound
