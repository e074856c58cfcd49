"""Recordings that can be found again in a mix: a voice's pulse of noise here, a background's tone there."""

import io
from typing import Final

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from services.audio.mixing import RATE, Sound

TONE_HZ: Final = 200.0
"""Of every background, far below the voices."""
_SOS = 6_000.0


def noise(seconds: float, seed: int, *, level: float = 0.3) -> Sound:
    """A mono voice that resembles no other: noise in 1..6 kHz, its own by `seed`."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * RATE)))
    hertz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    spectrum[(hertz < 1_000) | (hertz > _SOS)] = 0
    voice = np.fft.irfft(spectrum, round(seconds * RATE))
    loud: Sound = (voice / np.abs(voice).max() * level).astype(np.float32)
    return loud[np.newaxis]


def tone(seconds: float, *, level: float = 0.2, channels: int = 2) -> Sound:
    """A background: one low tone."""
    wave = level * np.sin(2 * np.pi * TONE_HZ * np.arange(round(seconds * RATE)) / RATE)
    return np.tile(wave.astype(np.float32), (channels, 1))


def file_of(sound: Sound, *, rate: int = RATE, container: str = "WAV", subtype: str | None = "PCM_16") -> bytes:
    """The sound as a file; at another `rate` every n-th sample."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.T[:: RATE // rate], rate, format=container, subtype=subtype)
    return buffer.getvalue()


def heard(file: bytes) -> Sound:
    """What a player plays of a file."""
    with av.open(io.BytesIO(file), mode="r") as opened:
        return np.concatenate([frame.to_ndarray().astype(np.float32) for frame in opened.decode(audio=0)], axis=1)


def place_of(voice: Sound, mix: Sound) -> tuple[float, float]:
    """Where in the mix the voice begins, in seconds, and how much of it is there: 1 for all of it as it was recorded."""
    whole, part = mix.mean(axis=0), voice.mean(axis=0)
    size = len(whole) + len(part)
    found: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)[: len(whole)]
    begin = int(found.argmax())
    return begin / RATE, float(found[begin] / (part**2).sum())


def level_of_tone(mix: Sound, begin: float, end: float) -> float:
    """How loud the background is between two moments, as `tone` says it."""
    piece = mix.mean(axis=0)[round(begin * RATE) : round(end * RATE)]
    turning = np.exp(-2j * np.pi * TONE_HZ * np.arange(len(piece)) / RATE)
    return float(2 * np.abs((piece * turning).mean()))
