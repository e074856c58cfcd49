"""The result of a recording in which nothing could be heard, because it cannot be decoded or ends before it begins.

It is a result and no failure: a learner who stopped too soon has spoken nothing of the line, and the web client never ends
its waiting for a failed job. `quality.flags` says why, the job's owner keeps the recording.
"""

from collections.abc import Sequence
from typing import Final

from services.analysis.errors import AudioEmpty, AudioError, AudioTooShort
from services.analysis.scoring.result import (
    AnalysisResult,
    FailureAnalysis,
    Flag,
    PitchTrack,
    Quality,
    Summary,
    UserSpeech,
    WordAnalysis,
)
from services.analysis.scoring.script import ScriptWord

ANALYZER_VERSION: Final = "unheard"  # no analyzer had anything to say
SILENCE_DBFS: Final = -120.0  # below the quietest step of 16 bits (-96 dB)
HOP_SECONDS: Final = 0.01


def unheard(words: Sequence[ScriptWord], error: AudioError) -> AnalysisResult:
    """Every word of the script, in order, with nothing heard of it; `error` is why the recording could not be scored."""
    texts = tuple(word.word or "" for word in words)
    flag = Flag.TOO_SHORT if isinstance(error, AudioEmpty | AudioTooShort) else Flag.UNREADABLE
    return AnalysisResult(
        overall_score=0.0,
        word_analysis=tuple(_unheard_word(word.id, text) for word, text in zip(words, texts, strict=True)),
        summary=Summary(0.0, 0.0, 0.0, total_words=len(texts), passed_words=0, time_matched_words=0),
        failure_analysis=FailureAnalysis(texts, texts, texts),
        user_stt=UserSpeech(text="", word_timestamps=()),
        heard_phones="",
        quality=Quality(
            duration=0.0,
            speech=0.0,
            level_dbfs=SILENCE_DBFS,
            clipped_ratio=0.0,
            snr_db=None,
            latency=None,
            flags=(flag,),
        ),
        pitch=PitchTrack(HOP_SECONDS, ()),
        analyzer_version=ANALYZER_VERSION,
    )


def _unheard_word(word_id: int | None, text: str) -> WordAnalysis:
    return WordAnalysis(
        id=word_id,
        word=text,
        word_score=0.0,
        text_status="fail",
        pronunciation_score=0.0,
        timing_score=0.0,
        time_match=False,
        overlap_ratio=0.0,
        mfcc_similarity=0.0,
        start=None,
        end=None,
        phones=(),
    )
