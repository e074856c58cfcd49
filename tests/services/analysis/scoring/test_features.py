import numpy as np
import pytest

from services.analysis.scoring.decode import SAMPLE_RATE
from services.analysis.scoring.features import dtw_distance, mfcc, reference_features, shape, similarity
from services.analysis.scoring.types import Features, Vector
from tests.services.analysis.conftest import Lines, samples_of


def by_definition(a: Features, b: Features) -> float:
    """Dynamic time warping cell by cell: cost of the cheapest path, divided by its steps."""
    best: dict[tuple[int, int], tuple[float, int]] = {(-1, -1): (0.0, 0)}
    for i in range(len(a)):
        for j in range(len(b)):
            before = [best[p] for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if p in best]
            cost, steps = min(before, key=lambda option: option[0])
            local = float(np.sqrt(np.mean((a[i] - b[j]) ** 2)))
            best[i, j] = cost + local, steps + 1
    cost, steps = best[len(a) - 1, len(b) - 1]
    return cost / steps


def random(rows: int, seed: int) -> Vector:
    return np.random.default_rng(seed).standard_normal((rows, 13))


def test_there_is_one_frame_each_ten_milliseconds() -> None:
    assert mfcc(np.zeros(SAMPLE_RATE, np.float32)).shape == (98, 13)
    assert mfcc(np.zeros(10, np.float32)).shape == (1, 13)


def test_gain_moves_only_the_first_coefficient() -> None:
    samples = samples_of("script-1")[8000:16000]
    loud, quiet = mfcc(samples), mfcc(samples * np.float32(0.25))
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=0.5)  # of a spread of about 15
    assert (loud[:, 0] > quiet[:, 0]).all()


def test_shape_has_no_mean_and_unit_spread() -> None:
    levelled = shape(random(50, 1) * 7 + 3)
    np.testing.assert_allclose(levelled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(levelled.std(axis=0), 1, atol=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 9), (5, 5), (12, 7)])
def test_warping_costs_what_its_definition_says(rows: int, columns: int) -> None:
    a, b = random(rows, rows), random(columns, 100 + columns)
    assert dtw_distance(a, b) == pytest.approx(by_definition(a, b))


def test_saying_it_slower_costs_little_and_saying_something_else_costs_more() -> None:
    word = mfcc(samples_of("script-1")[8000:16000])
    other = mfcc(samples_of("script-7")[8000:16000])
    assert similarity(np.repeat(word, 2, axis=0), word) > 0.95
    assert similarity(other, word) < 0.6


def test_likeness_needs_more_than_a_blink() -> None:
    assert similarity(random(2, 1), random(50, 2)) == 0.0


def test_what_a_script_carries_is_taken_only_when_it_can_be_compared(lines: Lines) -> None:
    actors = reference_features(lines[1][0].mfcc)
    assert actors is not None
    assert actors.shape[1] == 13
    assert reference_features(None) is None
    assert reference_features([]) is None
    assert reference_features([[0.0] * 13] * 2) is None
    assert reference_features([[0.0] * 12] * 9) is None
    assert reference_features([[float("nan")] * 13] * 9) is None
