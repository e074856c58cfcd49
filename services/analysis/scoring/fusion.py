"""From what was measured to what is shown."""

import math
from typing import Final

from services.analysis.scoring.alignment import AlignedWord

# Logistic regression of "this word was said" on three measures, fitted on a prototype with real sentences against their own
# and wrong texts (2026-11: word AUC .92-.96, sentence AUC 1.00). The bias was then lowered by 1.5: to be told that a wrong
# word was right does more harm than the reverse.
GOODNESS_WEIGHT: Final = 1.23
"""Per nat of the phones' mean peak posterior (goodness of pronunciation, Witt & Young 2000)."""
WORST_PHONE_WEIGHT: Final = 2.35
SENTENCE_WEIGHT: Final = 10.26
"""Per nat per frame of the sentence's log-likelihood ratio: a sentence that is not there has no words that are."""
BIAS: Final = 3.79 - 1.5
LEAST_GOODNESS: Final = 0.02
LEAST_SENTENCE: Final = -1.0

PASS_AT: Final = 0.5
"""Confidence from which a word counts as said."""
HEARD_AT: Final = 0.3
"""Confidence from which a word's place in the recording is worth comparing."""

TIMING_SHARE: Final = 0.15
SOUND_SHARE: Final = 0.15
"""A perfectly heard word loses at most this for its timing and for its sound: saying the right words comes first."""
LOW_SIMILARITY: Final = 0.4
"""Likeness below which the client lists a word as one to listen to again."""


def confidence(word: AlignedWord, sentence_log_ratio: float) -> float:
    """0..1: how surely the word was said; `sentence_log_ratio` in nats per frame (`Alignment.log_ratio`)."""
    peaks = [phone.peak for phone in word.phones]
    goodness = sum(peaks) / len(peaks)
    z = (
        GOODNESS_WEIGHT * math.log(max(LEAST_GOODNESS, goodness))
        + WORST_PHONE_WEIGHT * min(peaks)
        + SENTENCE_WEIGHT * max(LEAST_SENTENCE, sentence_log_ratio)
        + BIAS
    )
    return 1 / (1 + math.exp(-z))


def word_score(confidence: float, timing: float | None, likeness: float) -> float:
    """0..1. Without script times (None) timing costs nothing; a word that was not heard gets nothing for the rest."""
    timely = 1.0 if timing is None else timing
    return confidence * (1 - TIMING_SHARE - SOUND_SHARE + TIMING_SHARE * timely + SOUND_SHARE * likeness)
