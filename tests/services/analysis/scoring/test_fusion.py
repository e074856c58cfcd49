import pytest

from services.analysis.scoring.alignment import AlignedPhone, AlignedWord
from services.analysis.scoring.fusion import confidence, word_score


def word(*peaks: float) -> AlignedWord:
    return AlignedWord(0, 10, tuple(AlignedPhone(0, peak) for peak in peaks))


def test_clear_phones_in_a_matching_sentence_are_believed() -> None:
    assert confidence(word(0.98, 0.99, 0.97), -0.02) > 0.95


def test_clear_phones_in_a_sentence_that_is_not_there_are_not() -> None:
    assert confidence(word(0.98, 0.99, 0.97), -0.9) < 0.05


def test_one_wrong_phone_weighs_more_than_a_little_blur_in_all() -> None:
    assert confidence(word(1.0, 1.0, 0.1), -0.2) < confidence(word(0.7, 0.7, 0.7), -0.2)


def test_no_evidence_is_worse_than_any() -> None:
    assert 0.0 <= confidence(word(0.0, 0.0), float("-inf")) < 0.001


def test_timing_and_sound_take_off_at_most_their_share_and_give_nothing_to_a_missing_word() -> None:
    assert word_score(1.0, 1.0, 1.0) == pytest.approx(1.0)
    assert word_score(1.0, 0.0, 0.0) == pytest.approx(0.7)
    assert word_score(1.0, None, 1.0) == pytest.approx(1.0)
    assert word_score(0.0, 1.0, 1.0) == 0.0
