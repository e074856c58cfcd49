"""The whole way from the bytes of a take to its score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, TypeAlias

from services.analysis.scoring import features, fusion, pitch, quality, timing
from services.analysis.scoring.acoustic import FRAME_SECONDS, AcousticModel
from services.analysis.scoring.alignment import AlignedWord, Aligner, Alignment
from services.analysis.scoring.decode import MAX_SCENE_SECONDS, MAX_SECONDS, decode
from services.analysis.scoring.pronunciation import Pronouncer, Script, classify
from services.analysis.scoring.result import (
    AnalysisResult,
    FailureAnalysis,
    Flag,
    HeardWord,
    PhoneScore,
    PitchTrack,
    Quality,
    Summary,
    UserSpeech,
    WordAnalysis,
)
from services.analysis.scoring.script import ScriptWord, spans_in_line
from services.analysis.scoring.timing import Span, Timing
from services.analysis.scoring.types import Features

ANALYZER_VERSION: Final = "yousync-1"
"""Changes whenever the same take of the same line may get other scores."""
ONSET_LEAD: Final = 0.09
"""Seconds by which CTC's first spike of a word trails its beginning (median .084 against exact
boundaries of synthetic speech)."""
OVERTIME: Final = 10.0
"""Seconds that somebody who speaks slowly may need beyond a long script."""

Progress: TypeAlias = Callable[[int, str], None]
"""Told percent (0..100) and the name of the step that begins."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A word of the script with everything measured about it."""

    script: ScriptWord
    kind: Script
    confidence: float = 0.0
    span: Span | None = None
    timing: Timing | None = None
    likeness: float = 0.0
    phones: tuple[PhoneScore, ...] = ()

    @property
    def score(self) -> float:
        return fusion.word_score(self.confidence, None if self.timing is None else self.timing.score, self.likeness)


class Analyzer:
    """Holds the models: loads in 0.1 s, about 120 MB. `analyze` serves any number of takes, one at a time."""

    def __init__(self) -> None:
        self._model = AcousticModel()
        self._pronouncer = Pronouncer(self._model.index)
        self._aligner = Aligner(self._model)

    def analyze(
        self, audio: bytes, words: Sequence[ScriptWord], progress: Progress, *, line_start: float | None = None
    ) -> AnalysisResult:
        """Score the take `audio` of the line `words`.

        `line_start`: the scene's second at which the recording began; without it the first word's start is taken.
        Silence, noise, another text or language give low scores and flags. Raises AudioError for bytes that are no
        recording.
        """
        progress(5, "decode")
        due = spans_in_line(words, line_start)
        recording = decode(audio, _longest_take(due))
        loud, samples = quality.loudness(recording.samples), quality.levelled(recording.samples)
        progress(20, "listen")
        log_posteriors = self._model.log_posteriors(samples)
        speech = quality.find_speech(recording.samples, log_posteriors, self._model.blank)
        flags = recording.flags | quality.flags(loud, speech)
        progress(60, "align")
        alignment = self._aligner.align(log_posteriors, [self._pronouncer.variants(word.word) for word in words])
        if Flag.NO_SPEECH in flags:
            alignment = Alignment((None,) * len(words), alignment.log_ratio)
        progress(75, "compare")
        judged, delay = self._judge(words, due, alignment, features.mfcc(samples))
        progress(90, "score")
        measured = Quality(
            duration=round(recording.seconds, 3),
            speech=round(speech.seconds, 2),
            level_dbfs=round(loud.level_dbfs, 1),
            clipped_ratio=round(loud.clipped_ratio, 4),
            snr_db=None if speech.snr_db is None else round(speech.snr_db, 1),
            latency=None if delay is None else round(delay, 3),
            flags=tuple(sorted(flags | _flags_of_script(judged))),
        )
        melody = PitchTrack(pitch.HOP_SECONDS, tuple(round(float(hz), 1) or None for hz in pitch.track(samples)))
        return _result(judged, self._model.heard(log_posteriors), measured, melody)

    def _judge(
        self, words: Sequence[ScriptWord], due: Sequence[Span | None], alignment: Alignment, mine: Features
    ) -> tuple[list[_Judged], float | None]:
        """Each word on its own, and the delay (seconds) that all have in common."""
        confidences = [fusion.confidence(word, alignment.log_ratio) if word else 0.0 for word in alignment.words]
        spans = _spans(alignment.words, confidences)
        delay = timing.latency((span, when) for span, when in zip(spans, due, strict=True) if span and when)
        judged = [
            _Judged(
                script=word,
                kind=classify(word.word),
                confidence=confidence,
                span=span,
                timing=_timing(span, when, delay),
                likeness=_likeness(word, span, confidence, mine),
                phones=self._phones(aligned),
            )
            for word, aligned, confidence, span, when in zip(words, alignment.words, confidences, spans, due, strict=True)
        ]
        return judged, delay

    def _phones(self, word: AlignedWord | None) -> tuple[PhoneScore, ...]:
        return tuple(PhoneScore(self._model.tokens[p.token], round(p.peak, 2)) for p in word.phones) if word else ()


def _longest_take(due: Sequence[Span | None]) -> float:
    """Seconds of a take that are worth hearing: a line's limit, unless the script itself goes on for longer."""
    end = max((span[1] for span in due if span), default=0.0)
    return min(max(MAX_SECONDS, end + OVERTIME), MAX_SCENE_SECONDS)


def _spans(words: Sequence[AlignedWord | None], confidences: Sequence[float]) -> list[Span | None]:
    """Seconds in the take of each word that was heard; no word begins before the one before it ends."""
    spans: list[Span | None] = []
    previous_end = 0.0
    for word, confidence in zip(words, confidences, strict=True):
        if word is None or confidence < fusion.HEARD_AT:
            spans.append(None)
            continue
        start, end = max(previous_end, word.start * FRAME_SECONDS - ONSET_LEAD), word.end * FRAME_SECONDS
        spans.append((start, end))
        previous_end = end
    return spans


def _timing(span: Span | None, due: Span | None, delay: float | None) -> Timing | None:
    """None when the script does not say when the word is due."""
    if due is None:
        return None
    return timing.judge(span, due, delay) if span else timing.UNHEARD


def _flags_of_script(judged: Sequence[_Judged]) -> frozenset[Flag]:
    told = {
        Flag.UNSUPPORTED_LANGUAGE: any(word.kind is Script.FOREIGN for word in judged),
        Flag.NO_SCRIPT_TIMES: all(word.timing is None for word in judged),
    }
    return frozenset(flag for flag, raised in told.items() if raised)


def _likeness(word: ScriptWord, span: Span | None, confidence: float, mine: Features) -> float:
    """To the actor's features; without any the confidence stands in, because the client always shows a figure."""
    actors = features.reference_features(word.mfcc)
    if actors is None:
        return confidence
    if span is None:
        return 0.0
    start, end = (round(seconds / features.HOP_SECONDS) for seconds in span)
    return features.similarity(mine[start:end], actors)


def _result(judged: Sequence[_Judged], heard_phones: str, measured: Quality, melody: PitchTrack) -> AnalysisResult:
    line = [word.score for word in judged if word.kind is not Script.SILENT]
    overall = fmean(line) if line else 0.0
    words = tuple(_word(word, overall) for word in judged)
    passed, timely = sum(w.text_status == "pass" for w in words), sum(w.time_match for w in words)
    total = max(1, len(words))
    spoken = [w for w in words if w.text_status == "pass"]
    return AnalysisResult(
        overall_score=round(overall, 3),
        word_analysis=words,
        summary=Summary(
            text_accuracy=round(passed / total, 3),
            time_accuracy=round(timely / total, 3),
            mfcc_average=round(sum(w.mfcc_similarity for w in words) / total, 3),
            total_words=len(words),
            passed_words=passed,
            time_matched_words=timely,
        ),
        failure_analysis=FailureAnalysis(
            stt_failures=tuple(w.word for w in words if w.text_status == "fail"),
            time_failures=tuple(w.word for w in words if not w.time_match),
            mfcc_low_quality=tuple(w.word for w in words if w.mfcc_similarity < fusion.LOW_SIMILARITY),
        ),
        user_stt=UserSpeech(
            text=" ".join(w.word for w in spoken),
            word_timestamps=tuple(
                HeardWord(w.word, w.start, w.end) for w in words if w.start is not None and w.end is not None
            ),
        ),
        heard_phones=heard_phones,
        quality=measured,
        pitch=melody,
        analyzer_version=ANALYZER_VERSION,
    )


def _word(word: _Judged, line_score: float) -> WordAnalysis:
    """As the client reads it. A word with nothing to hear shares the fate of its line and so changes no average."""
    silent = word.kind is Script.SILENT
    confidence = line_score if silent else word.confidence
    passed = confidence >= fusion.PASS_AT
    judged = None if silent else word.timing
    return WordAnalysis(
        id=word.script.id,
        word=word.script.word or "",
        word_score=round(line_score if silent else word.score, 3),
        text_status="pass" if passed else "fail",
        pronunciation_score=round(confidence, 3),
        timing_score=round(judged.score if judged else confidence, 3),
        time_match=judged.match if judged else passed,
        overlap_ratio=round(judged.overlap if judged else confidence, 3),
        mfcc_similarity=round(line_score if silent else word.likeness, 3),
        start=round(word.span[0], 3) if word.span else None,
        end=round(word.span[1], 3) if word.span else None,
        phones=word.phones,
    )
