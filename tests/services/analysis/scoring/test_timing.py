import pytest

from services.analysis.scoring.script import ScriptWord, spans_in_line
from services.analysis.scoring.timing import judge, latency

DUE = (1.0, 1.5)


def test_a_word_at_its_time_gets_everything() -> None:
    verdict = judge((1.0, 1.5), DUE, 0.0)
    assert (verdict.score, verdict.overlap, verdict.match) == (1.0, 1.0, True)


@pytest.mark.parametrize(("late", "score"), [(0.1, 1.0), (-0.1, 1.0), (0.4, 0.5), (-0.4, 0.5), (0.7, 0.0), (2.0, 0.0)])
def test_the_score_falls_evenly_with_the_distance_of_the_start(late: float, score: float) -> None:
    assert judge((1.0 + late, 1.5 + late), DUE, 0.0).score == pytest.approx(score)


def test_the_delay_that_all_words_share_is_forgiven_up_to_its_limit() -> None:
    assert judge((1.3, 1.8), DUE, 0.3).match
    assert not judge((2.0, 2.5), DUE, 1.0).match
    assert judge((2.0, 2.5), DUE, 1.0).score == 0.0


def test_a_word_drawn_out_over_its_time_overlaps_less() -> None:
    assert judge((1.0, 3.0), DUE, 0.0).overlap < 0.5
    assert not judge((1.0, 3.0), DUE, 0.0).match


def test_a_word_elsewhere_does_not_overlap() -> None:
    assert judge((5.0, 5.5), DUE, 0.0).overlap == 0.0


def test_latency_is_the_median_so_that_one_word_does_not_move_it() -> None:
    pairs = [((0.2, 0.5), (0.0, 0.3)), ((1.2, 1.5), (1.0, 1.3)), ((9.0, 9.5), (2.0, 2.3))]
    assert latency(pairs) == pytest.approx(0.2)
    assert latency([]) is None


def test_times_are_counted_from_the_lines_first_word_or_from_where_it_begins() -> None:
    words = [ScriptWord("a", start_time=10.0, end_time=10.5), ScriptWord("b", start_time=11.0, end_time=11.5)]
    assert spans_in_line(words) == [(0.0, 0.5), (1.0, 1.5)]
    assert spans_in_line(words, 9.0) == [(1.0, 1.5), (2.0, 2.5)]


def test_words_without_usable_times_have_no_span() -> None:
    words = [ScriptWord("a"), ScriptWord("b", start_time=3.0, end_time=2.0), ScriptWord("c", start_time=4.0, end_time=5.0)]
    assert spans_in_line(words) == [None, None, (0.0, 1.0)]
    assert spans_in_line([]) == []
