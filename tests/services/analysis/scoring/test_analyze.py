"""The acceptance of the engine: right is told from wrong, on every sample line and on real speech."""

import json
from typing import Any

import numpy as np
import pytest

from services.analysis.errors import AudioEmpty
from services.analysis.scoring import features, quality
from services.analysis.scoring.analyze import Analyzer
from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.result import Flag
from services.analysis.scoring.script import ScriptWord
from tests.services.analysis.conftest import DATA, REAL_SPEECH, Lines, Score, quietly, samples_of, script, take, wav

LINES = range(1, 10)


def delayed(name: str, seconds: float) -> bytes:
    return wav(np.concatenate([np.zeros(int(seconds * SAMPLE_RATE), np.float32), samples_of(name)]))


@pytest.mark.parametrize("line", LINES)
def test_the_right_text_scores_high_and_every_other_take_low(score: Score, line: int) -> None:
    table = {name: score(name, line).overall_score for name in (*(f"script-{i}" for i in LINES), "silence", "noise")}
    print(f"\nline {line}: " + "  ".join(f"{name.removeprefix('script-')} {value:.3f}" for name, value in table.items()))
    assert table.pop(f"script-{line}") > 0.8
    assert table.pop("silence") < 0.05
    assert table.pop("noise") < 0.05
    assert max(table.values()) < 0.3


@pytest.mark.parametrize("line", LINES)
def test_a_take_at_the_actors_pace_is_in_time_with_every_word(score: Score, line: int) -> None:
    result = score(f"script-{line}", line)
    assert result.summary.text_accuracy == 1.0
    assert result.summary.time_accuracy == 1.0
    assert result.failure_analysis.stt_failures == result.failure_analysis.time_failures == ()


@pytest.mark.parametrize(("name", "text"), REAL_SPEECH.items())
def test_real_speech_scores_high_for_what_was_said_and_low_for_what_was_not(analyzer: Analyzer, name: str, text: str) -> None:
    audio = (DATA / f"{name}.flac").read_bytes()
    assert analyzer.analyze(audio, script(text), quietly).overall_score > 0.9
    others = [other for other in REAL_SPEECH.values() if other != text]
    assert all(analyzer.analyze(audio, script(other), quietly).overall_score < 0.1 for other in others)


def test_a_wrong_word_in_a_right_sentence_is_the_one_that_fails(analyzer: Analyzer) -> None:
    audio = (DATA / "sense-and-sensibility-0880.flac").read_bytes()
    result = analyzer.analyze(audio, script("he was not an ill disposed umbrella man"), quietly)
    assert result.failure_analysis.stt_failures == ("umbrella",)
    assert result.user_stt.text == "he was not an ill disposed man"


def test_a_take_one_second_late_has_the_right_text_at_the_wrong_time(analyzer: Analyzer, lines: Lines) -> None:
    summary = analyzer.analyze(delayed("script-1", 1.0), lines[1], quietly).summary
    assert summary.text_accuracy == 1.0
    assert summary.time_accuracy == 0.0


def test_a_delay_that_a_headset_may_cause_is_forgiven(analyzer: Analyzer, lines: Lines) -> None:
    result = analyzer.analyze(delayed("script-2", 0.2), lines[2], quietly)
    assert result.summary.time_accuracy == 1.0
    assert result.quality.latency == pytest.approx(0.28, abs=0.05)  # the take itself begins 0.08 s late


def test_the_line_may_begin_before_its_first_word(analyzer: Analyzer, lines: Lines) -> None:
    first = lines[1][0].start_time
    assert first is not None
    audio = delayed("script-1", 1.0)
    assert analyzer.analyze(audio, lines[1], quietly, line_start=first - 1.0).summary.time_accuracy == 1.0


def test_half_a_sentence_passes_half_of_the_words(analyzer: Analyzer, lines: Lines) -> None:
    spoken = samples_of("script-6")
    result = analyzer.analyze(wav(spoken[: len(spoken) // 2]), lines[6], quietly)
    passed = [word.text_status == "pass" for word in result.word_analysis]
    assert all(passed[:4])
    assert not any(passed[6:])


def test_every_word_of_the_script_comes_back_unchanged_and_in_order(analyzer: Analyzer) -> None:
    texts = ["What's", "in", "a", "—", "Name?", "", None, "12", "세계", "naïve", "well-known", "�", "x" * 500]
    words = [ScriptWord(text, id=i) for i, text in enumerate(texts)]
    result = analyzer.analyze(take("script-1"), words, quietly)
    assert [word.word for word in result.word_analysis] == [text or "" for text in texts]
    assert [word.id for word in result.word_analysis] == list(range(len(texts)))


def test_a_word_with_nothing_to_hear_changes_no_average(analyzer: Analyzer, lines: Lines) -> None:
    plain = analyzer.analyze(take("script-2"), script("by any other name would smell as sweet."), quietly)
    dashed = analyzer.analyze(take("script-2"), script("by any other name — would smell as sweet."), quietly)
    assert dashed.overall_score == plain.overall_score
    assert dashed.word_analysis[4].word_score == plain.overall_score


def test_korean_text_is_said_to_be_unsupported_and_scores_nothing(analyzer: Analyzer) -> None:
    result = analyzer.analyze(take("script-1"), script("안녕하세요 반갑습니다"), quietly)
    assert Flag.UNSUPPORTED_LANGUAGE in result.quality.flags
    assert result.overall_score == 0.0
    assert [word.text_status for word in result.word_analysis] == ["fail", "fail"]


def test_a_script_without_words_gives_an_empty_result(analyzer: Analyzer) -> None:
    result = analyzer.analyze(take("script-1"), [], quietly)
    assert (result.overall_score, result.word_analysis, result.summary.total_words) == (0.0, (), 0)


def test_a_script_without_times_is_not_judged_by_time(analyzer: Analyzer) -> None:
    result = analyzer.analyze(take("script-3"), script("Good night, good night!"), quietly)
    assert Flag.NO_SCRIPT_TIMES in result.quality.flags
    assert all(word.time_match for word in result.word_analysis)


def test_more_words_than_the_recording_has_frames_all_fail(analyzer: Analyzer) -> None:
    short = wav(samples_of("script-1")[: int(0.25 * SAMPLE_RATE)])
    result = analyzer.analyze(short, script("word " * 40), quietly)
    assert result.summary.passed_words == 0
    assert len(result.word_analysis) == 40


def test_silence_and_noise_are_told_to_hold_no_speech(score: Score) -> None:
    assert Flag.NO_SPEECH in score("silence", 1).quality.flags
    assert Flag.TOO_QUIET in score("silence", 1).quality.flags
    assert Flag.NO_SPEECH in score("noise", 1).quality.flags


def test_without_the_actors_features_the_confidence_stands_in_for_likeness(analyzer: Analyzer) -> None:
    result = analyzer.analyze(take("script-7"), script("Come, Watson, come! The game is afoot."), quietly)
    assert all(word.mfcc_similarity == word.pronunciation_score for word in result.word_analysis)


def test_a_recording_of_the_actors_sound_is_fully_alike(analyzer: Analyzer, lines: Lines) -> None:
    """The take's own features, put into the script in place of the actor's."""
    first = analyzer.analyze(take("script-7"), lines[7], quietly)
    sound = features.mfcc(quality.levelled(samples_of("script-7")))
    own = [
        ScriptWord(word.word, mfcc=sound[round(word.start * 100) : round(word.end * 100)].tolist())
        for word in first.word_analysis
        if word.start is not None and word.end is not None
    ]
    second = analyzer.analyze(take("script-7"), own, quietly)
    assert second.summary.mfcc_average > 0.99
    assert first.summary.mfcc_average < 0.7


def test_the_result_is_the_shape_that_the_client_reads(score: Score) -> None:
    body: dict[str, Any] = json.loads(json.dumps(score("script-1", 1).to_json(), allow_nan=False))
    word = body["word_analysis"][0]
    assert body["overall_score"] == pytest.approx(0.9, abs=0.1)
    assert word["word"] == "What's"
    assert word["text_status"] == "pass"
    assert word["time_match"] is True
    for key in ("word_score", "mfcc_similarity", "overlap_ratio", "pronunciation_score", "timing_score"):
        assert 0.0 <= word[key] <= 1.0
    assert set(body["summary"]) == {
        *("text_accuracy", "time_accuracy", "mfcc_average", "total_words", "passed_words", "time_matched_words")
    }
    assert set(body["failure_analysis"]) == {"stt_failures", "time_failures", "mfcc_low_quality"}
    assert body["user_stt"]["text"] == "What's in a name? That which we call a rose"
    assert {"word", "start", "end"} == set(body["user_stt"]["word_timestamps"][0])
    assert body["analyzer_version"]
    assert body["heard_phones"]


def test_the_melody_lies_in_the_range_of_the_voice(score: Score) -> None:
    melody = score("script-4", 4).pitch
    voiced = [hz for hz in melody.hz if hz is not None]
    assert len(melody.hz) * melody.hop == pytest.approx(score("script-4", 4).quality.duration, abs=0.06)
    assert 140 < float(np.median(voiced)) < 240  # slt is a woman's voice


def test_progress_rises_to_the_last_step(analyzer: Analyzer, lines: Lines) -> None:
    told: list[tuple[int, str]] = []
    analyzer.analyze(take("script-9"), lines[9], lambda percent, step: told.append((percent, step)))
    assert told == [(5, "decode"), (20, "listen"), (60, "align"), (75, "compare"), (90, "score")]


def test_what_is_no_recording_raises_a_named_error(analyzer: Analyzer, lines: Lines) -> None:
    with pytest.raises(AudioEmpty):
        analyzer.analyze(b"", lines[1], quietly)
