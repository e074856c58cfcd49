"""What a score consists of. The shape is the one that the web client reads; what is added beyond it is optional to it.

All scores lie in 0..1. They say how surely the script was heard and how close timing and sound came; they are no
grades of a person's English.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal


class Flag(StrEnum):
    """What a person should know before believing the scores."""

    NO_SPEECH = "no_speech"
    TOO_QUIET = "too_quiet"
    CLIPPING = "clipping"
    NOISY = "noisy"
    TOO_LONG = "too_long"
    """Only the beginning was scored: 30 s, or of a longer script its length and 10 s, 120 s at most."""
    DAMAGED = "damaged"
    """Parts of the file could not be decoded."""
    UNREADABLE = "unreadable"
    """Nothing of the file could be decoded."""
    TOO_SHORT = "too_short"
    """Less sound than one syllable."""
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    """The script has words that are not written in Latin letters; there is no acoustic model for them."""
    NO_SCRIPT_TIMES = "no_script_times"
    """The script does not say when its words are spoken, so timing was not judged."""


@dataclass(frozen=True, slots=True)
class PhoneScore:
    """One phone of a word as the script has it, and how surely it was heard."""

    phone: str
    """IPA"""
    score: float


@dataclass(frozen=True, slots=True)
class WordAnalysis:
    """One word of the script, in the script's order and spelling."""

    id: int | None
    word: str
    word_score: float
    text_status: Literal["pass", "fail"]
    pronunciation_score: float
    """How surely the word was heard."""
    timing_score: float
    time_match: bool
    overlap_ratio: float
    """Share of the shorter of spoken and scripted span that both cover."""
    mfcc_similarity: float
    """Likeness of the sound to the actor's; the pronunciation score where the script has no features of the actor."""
    start: float | None
    """Seconds from the beginning of the recording; None for a word that was not heard."""
    end: float | None
    phones: tuple[PhoneScore, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """Over all words of the script."""

    text_accuracy: float
    time_accuracy: float
    mfcc_average: float
    total_words: int
    passed_words: int
    time_matched_words: int


@dataclass(frozen=True, slots=True)
class FailureAnalysis:
    """The words that fell short, by what they fell short in."""

    stt_failures: tuple[str, ...]
    time_failures: tuple[str, ...]
    mfcc_low_quality: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of the script that was heard; seconds from the beginning of the recording."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class UserSpeech:
    """What of the script was heard."""

    text: str
    word_timestamps: tuple[HeardWord, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """The recording itself."""

    duration: float
    """Seconds"""
    speech: float
    """Seconds in which somebody speaks"""
    level_dbfs: float
    """Root mean square, relative to full scale"""
    clipped_ratio: float
    snr_db: float | None
    """None when there is no pause to measure the noise in."""
    latency: float | None
    """Seconds by which the words come later than the script says (median)."""
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """The melody of the take."""

    hop: float
    """Seconds from one value to the next"""
    hz: tuple[float | None, ...]
    """None where the voice is silent or unvoiced"""


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """The score of one take of one line."""

    overall_score: float
    word_analysis: tuple[WordAnalysis, ...]
    summary: Summary
    failure_analysis: FailureAnalysis
    user_stt: UserSpeech
    heard_phones: str
    """IPA as the model heard it without knowing the script; words divided by |."""
    quality: Quality
    pitch: PitchTrack
    analyzer_version: str

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, as they go to the audio service in `result`."""
        return asdict(self)
