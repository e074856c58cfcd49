"""Samples -> how likely each phone is in each 20 ms (hama's CTC phone model, Apache-2.0, its weights are in the wheel).

CTC: Graves et al. 2006. The model was trained on English; on other languages it hears the nearest English phones.
"""

from typing import Final

import numpy as np
from hama import ASRModel

from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.types import LogPosteriors, Samples

FRAME_SAMPLES: Final = 320
FRAME_SECONDS: Final = FRAME_SAMPLES / SAMPLE_RATE
CHUNK_FRAMES: Final = 500
"""10 s. The model's cost grows with the square of the length (30 s at once: 2.6 s of CPU, in three chunks: 1.8 s), and
beyond 30 s it silently hears nothing."""
OVERLAP_FRAMES: Final = 50
"""1 s, of which each chunk gives up the half next to its cut, where it lacks context."""


class AcousticModel:
    """Loads in 20 ms, holds about 10 MB; `log_posteriors` costs about 0.05 CPU-seconds per second of audio."""

    def __init__(self) -> None:
        self._model = ASRModel()
        self.tokens: Final[tuple[str, ...]] = tuple(self._model.decoder_tokens)
        self.index: Final[dict[str, int]] = {token: i for i, token in enumerate(self.tokens)}
        self.blank: Final = self.index["<blank>"]
        self.boundary: Final = self.index["<wb>"]

    def log_posteriors(self, samples: Samples) -> LogPosteriors:
        """(frames, tokens); each row's probabilities sum to 1."""
        chunk, overlap, half = CHUNK_FRAMES * FRAME_SAMPLES, OVERLAP_FRAMES * FRAME_SAMPLES, OVERLAP_FRAMES // 2
        parts: list[LogPosteriors] = []
        start = 0
        while start + chunk < len(samples):
            part = self._run(samples[start : start + chunk])
            parts.append(part[half if start else 0 : CHUNK_FRAMES - half])
            start += chunk - overlap
        parts.append(self._run(samples[start:])[half if start else 0 :])
        joined = np.concatenate(parts)
        peak = joined.max(axis=1, keepdims=True)
        return np.asarray(joined - (peak + np.log(np.exp(joined - peak).sum(axis=1, keepdims=True))), np.float64)

    def heard(self, log_posteriors: LogPosteriors) -> str:
        """The likeliest phones without any script (best path: repeats merged, blanks dropped), words divided by `|`."""
        best = log_posteriors.argmax(axis=1)
        kept = [int(t) for t, before in zip(best, np.r_[-1, best[:-1]], strict=True) if t not in (before, self.blank)]
        return " ".join("|" if t == self.boundary else self.tokens[t] for t in kept).strip("| ")

    def _run(self, samples: Samples) -> LogPosteriors:
        feed = {"waveform": samples[np.newaxis], "waveform_lengths": np.array([len(samples)])}
        log_probs, lengths = self._model.session.run(["log_probs", "out_lengths"], feed)
        return np.asarray(log_probs[0][: int(lengths[0])], np.float64)
