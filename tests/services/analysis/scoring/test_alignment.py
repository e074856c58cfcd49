"""Alignment of made-up posteriors, where every frame is known."""

import numpy as np
import pytest

from services.analysis.scoring.acoustic import AcousticModel
from services.analysis.scoring.alignment import Aligner
from services.analysis.scoring.pronunciation import Variant
from services.analysis.scoring.types import LogPosteriors


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return AcousticModel()


@pytest.fixture(scope="module")
def aligner(model: AcousticModel) -> Aligner:
    return Aligner(model)


def heard(model: AcousticModel, frames: str) -> LogPosteriors:
    """One frame a letter: `.` is silence, any other letter that phone, each with 99 % probability."""
    tokens = [model.blank if letter == "." else model.index[letter] for letter in frames]
    posteriors = np.full((len(frames), len(model.tokens)), 0.01 / (len(model.tokens) - 1))
    posteriors[range(len(frames)), tokens] = 0.99
    return np.asarray(np.log(posteriors), np.float64)


def word(model: AcousticModel, *variants: str) -> tuple[Variant, ...]:
    return tuple(tuple(model.index[letter] for letter in variant) for variant in variants)


def test_words_are_found_where_they_are_said(model: AcousticModel, aligner: Aligner) -> None:
    alignment = aligner.align(heard(model, "...p.a...m.u.."), [word(model, "pa"), word(model, "mu")])
    assert [(w.start, w.end) for w in alignment.words if w] == [(3, 6), (9, 12)]
    assert alignment.log_ratio == pytest.approx(0.0, abs=1e-6)
    assert all(phone.peak == pytest.approx(0.99, abs=0.01) for w in alignment.words if w for phone in w.phones)


def test_a_word_that_is_not_said_is_skipped_and_leaves_the_others_in_place(model: AcousticModel, aligner: Aligner) -> None:
    words = [word(model, "pa"), word(model, "vivivi"), word(model, "mu")]
    first, missing, last = aligner.align(heard(model, "..p.a.....m.u.."), words).words
    assert first is not None
    assert last is not None
    assert (first.start, missing, last.start) == (2, None, 10)


def test_what_is_said_besides_is_absorbed_at_a_price(model: AcousticModel, aligner: Aligner) -> None:
    words = [word(model, "pa"), word(model, "mu")]
    plain = aligner.align(heard(model, "..p.a........m.u.."), words)
    stuffed = aligner.align(heard(model, "..p.a..l.o.s.m.u.."), words)
    assert plain.words == stuffed.words
    assert stuffed.log_ratio < plain.log_ratio - 0.3


def test_of_several_ways_to_say_a_word_the_one_that_was_said_is_taken(model: AcousticModel, aligner: Aligner) -> None:
    (found,) = aligner.align(heard(model, "..k.o.p..."), [word(model, "sip", "kop", "kup")]).words
    assert found is not None
    assert [model.tokens[phone.token] for phone in found.phones] == ["k", "o", "p"]


def test_a_similar_phone_earns_its_credit(model: AcousticModel, aligner: Aligner) -> None:
    (found,) = aligner.align(heard(model, "..z.i.p..."), [word(model, "sip")]).words
    assert found is not None
    assert found.phones[0].peak == pytest.approx(0.6, abs=0.01)
    assert found.phones[1].peak == pytest.approx(0.99, abs=0.01)


def test_a_doubled_phone_needs_a_pause_between(model: AcousticModel, aligner: Aligner) -> None:
    (found,) = aligner.align(heard(model, "..o.o.."), [word(model, "oo")]).words
    assert found is not None
    assert [phone.peak > 0.9 for phone in found.phones] == [True, True]


def test_words_without_pronunciation_are_passed_over(model: AcousticModel, aligner: Aligner) -> None:
    first, nothing, last = aligner.align(heard(model, ".p.a..m.u."), [word(model, "pa"), (), word(model, "mu")]).words
    assert nothing is None
    assert first is not None
    assert last is not None


def test_more_words_than_frames_means_none_was_said(model: AcousticModel, aligner: Aligner) -> None:
    alignment = aligner.align(heard(model, "p.a"), [word(model, "pa")] * 10)
    assert alignment.words == (None,) * 10
    assert alignment.log_ratio == -np.inf
